//! `ayumi audit`: law 6, the ledger against the recorded facts.

use std::process::ExitCode;

use clap::Args;

use super::{DataArgs, Failure, block_on};

/// Recompute the ledger from the recorded facts by SQL, and print every difference
#[derive(Args)]
pub struct Audit {
    #[command(flatten)]
    data: DataArgs,
}

impl Audit {
    /// Runs it.
    pub fn run(&self) -> Result<ExitCode, Failure> {
        block_on(async {
            let context = crate::lake::query::session(&self.data.lake()).await?;
            let report = crate::audit::audit(&context).await?;
            print!("{report}");
            Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        })
    }
}
