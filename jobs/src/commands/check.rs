//! `ayumi check`: programme files, before they go live.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::Failure;

/// Check programme files
///
/// Says every problem with file, line, column and what would be right; exits with 1 if there is one.
#[derive(Args)]
pub struct Check {
    /// Programme files, or folders that hold a programme.toml
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl Check {
    /// Runs it.
    pub fn run(&self) -> Result<ExitCode, Failure> {
        let mut is_good = true;
        for path in &self.files {
            is_good &= check(path);
        }
        Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn check(path: &Path) -> bool {
    let path = if path.is_dir() { path.join("programme.toml") } else { path.to_owned() };
    let name = path.to_string_lossy();
    let source = match std::fs::read_to_string(&path) {
        Ok(source) => source,
        Err(error) => {
            eprintln!("{name} can't be read: {error}");
            return false;
        }
    };
    match schemas::programme_file::parse(&source) {
        Ok(programme) => {
            let rules: Vec<&str> = programme.rules.iter().map(|rule| &*rule.id).collect();
            println!("{name}: {} version {} is in order: {}", programme.id, programme.version, rules.join(", "));
            true
        }
        Err(problems) => {
            for problem in &problems {
                eprintln!("{}", problem.shown(&name, &source));
            }
            eprintln!("{name}: {} problem{}", problems.len(), if problems.len() == 1 { "" } else { "s" });
            false
        }
    }
}
