//! `ayumi replay`: recorded files through the embedded pipeline.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use pipeline::calendar::CivilDate;

use super::kafka_args::KafkaArgs;
use super::rows::grouped;
use super::summary::summary;
use super::{Failure, RunArgs, block_on};
use crate::lake::query;
use crate::progress::Progress;

const AFTER_HELP: &str = "\
Files: JSON lines (.jsonl, .jsonl.gz; one record a line, the form is in schemas/README.md) and Avro container files (.avro).
Several files are merged by received_at, and a day is closed when a record of a later one comes; at the end days are
closed until nothing that follows from the records is due. What can't be read is refused with its file and line and
stops nothing. Killed? The same command goes on. A file whose contents are in the data folder is not replayed again.";

/// Run recorded files through the pipeline
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Replay {
    #[command(flatten)]
    run: RunArgs,
    /// Close days until this one instead of until nothing is due
    #[arg(long, value_name = "DATE", value_parser = date)]
    until: Option<CivilDate>,
    #[command(flatten)]
    kafka: KafkaArgs,
    /// What to replay
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// A date of the command line.
pub fn date(text: &str) -> Result<CivilDate, String> {
    CivilDate::parse(text).filter(|date| date.is_accepted()).ok_or_else(|| "a date is written 2025-06-03".to_owned())
}

impl Replay {
    /// Runs it.
    pub fn run(&self) -> Result<ExitCode, Failure> {
        let progress = Progress::new(self.run.quiet);
        if self.kafka.is_given() {
            let config = self.kafka.load()?;
            let programmes = self.run.programmes.as_deref();
            let records = crate::replay::send(&config.kafka, programmes, &self.files, self.until, &progress)?;
            progress.end();
            println!("{} records are in the topics of {}", grouped(records as i64), config.kafka.brokers);
            return Ok(ExitCode::SUCCESS);
        }
        let settings = self.run.settings();
        crate::replay::replay(&settings, &self.files, self.until, &progress)?;
        progress.end();
        let text = block_on(async {
            let context = query::session(&settings.lake).await?;
            summary(&context).await
        })?;
        print!("{text}");
        Ok(ExitCode::SUCCESS)
    }
}
