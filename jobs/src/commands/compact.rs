//! `ayumi compact`: the lake's small files become large ones.

use std::process::ExitCode;

use clap::Args;

use super::{DataArgs, Failure, block_on};
use crate::lake::compact::{CompactPolicy, compact};

/// Merge the lake's small files into large ones
///
/// Worth running now and then, for instance each night: every flush of the lake leaves a few files for each month.
#[derive(Args)]
pub struct Compact {
    #[command(flatten)]
    data: DataArgs,
}

impl Compact {
    /// Runs it.
    pub fn run(&self) -> Result<ExitCode, Failure> {
        let compactions = block_on(async { Ok(compact(&self.data.lake(), CompactPolicy::default()).await?) })?;
        for done in &compactions {
            println!("{:24} {:>6} files became {}", done.table.name(), done.files_removed, done.files_added);
        }
        if compactions.is_empty() {
            println!("nothing to compact");
        }
        Ok(ExitCode::SUCCESS)
    }
}
