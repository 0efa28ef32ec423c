//! The `ayumi` command, for the suite to run as a process of its own.

fn main() -> std::process::ExitCode {
    jobs::commands::main()
}
