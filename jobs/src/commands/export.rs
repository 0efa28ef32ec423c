//! `ayumi export`: a plain-Parquet snapshot.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{DataArgs, Failure, block_on};

/// Write a plain-Parquet snapshot of the lake
///
/// For tools that do not read Delta. Never read the lake's folders as plain Parquet: they hold files that no longer count.
#[derive(Args)]
pub struct Export {
    #[command(flatten)]
    data: DataArgs,
    /// The folder to write; each table is a Parquet file in it, beside a data dictionary
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Export {
    /// Runs it.
    pub fn run(&self) -> Result<ExitCode, Failure> {
        let exported = block_on(async { Ok(crate::lake::export::export(&self.data.lake(), &self.folder).await?) })?;
        for table in exported {
            println!("{:24} {:>12} rows", table.table, super::rows::grouped(table.rows as i64));
        }
        Ok(ExitCode::SUCCESS)
    }
}
