//! The `ayumi` command. What it can do is in [`jobs::commands`].

use std::process::ExitCode;

fn main() -> ExitCode {
    jobs::commands::main()
}
