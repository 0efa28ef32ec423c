//! The `ayumi` command as a process: run to its end, or started to be killed.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// The command.
pub fn ayumi(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ayumi-under-test"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// What a finished command said.
pub struct Said {
    /// Its exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Runs the command to its end.
pub fn run(arguments: &[&str]) -> Said {
    let Output { status, stdout, stderr } = ayumi(arguments).output().unwrap();
    Said {
        code: status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&stdout).into_owned(),
        err: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

/// Runs the command, which must succeed, and gives its standard output.
pub fn succeed(arguments: &[&str]) -> String {
    let said = run(arguments);
    assert_eq!(said.code, 0, "ayumi {arguments:?}\n{}\n{}", said.out, said.err);
    said.out
}

/// Starts the command and lets it be.
pub fn start(arguments: &[&str]) -> Child {
    ayumi(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// The lines of a query's answer as CSV, without the header.
pub fn sql(data: &Path, statement: &str) -> Vec<String> {
    let answer = succeed(&["sql", "--data", data.to_str().unwrap(), "--format", "csv", statement]);
    answer.lines().skip(1).map(str::to_owned).collect()
}
