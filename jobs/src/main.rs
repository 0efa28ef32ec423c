//! The `ayumi` command. What it can do is in [`jobs::commands`].

use std::process::ExitCode;

/// Deciding allocates many small things on many threads; measured, glibc's allocator took a quarter of the award path.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    jobs::commands::main()
}
