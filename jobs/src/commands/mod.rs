//! Decides what the `ayumi` command offers, and how it answers: results on standard output, progress and errors on standard
//! error, 0 for done, 1 for a failure or a difference found, 2 for a command line that makes no sense.

mod audit;
mod check;
mod compact;
mod demo;
mod explain;
mod export;
mod kafka_args;
mod load;
mod machine;
mod replay;
mod rows;
mod run;
mod sql;
mod summary;
mod topics;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

const AFTER_HELP: &str = "\
Start here:
  ayumi demo                                   a simulated town's season, from steps to points
  ayumi sql 'SELECT rule, sum(points) FROM entries GROUP BY rule'
  ayumi replay --data points april/*.jsonl.gz  your own records, through the same pipeline
  ayumi audit --data points                    recompute every point from the recorded facts

All of it lives in one folder (--data), needs no server, and can be killed at any moment: the same command goes on.";

/// Ayumi (歩み) runs health-point programmes: raw step samples in, an exact points ledger and a queryable lake out.
#[derive(Parser)]
#[command(name = "ayumi", version, after_help = AFTER_HELP, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Simulate a town's season and run it through the real pipeline
    Demo(demo::Demo),
    /// Run recorded files through the pipeline
    Replay(replay::Replay),
    /// Ask the lake, once or in a shell
    Sql(sql::Sql),
    /// Say in words where points came from
    Explain(explain::Explain),
    /// Recompute the ledger from the recorded facts by SQL, and print every difference
    Audit(audit::Audit),
    /// Write a plain-Parquet snapshot of the lake
    Export(export::Export),
    /// Merge the lake's small files into large ones
    Compact(compact::Compact),
    /// Check programme files
    Check(check::Check),
    /// Measure the embedded pipeline
    Load(load::Load),
    /// Run one role of the pipeline on Kafka
    Run(run::Run),
    /// Create and check the topics of a Kafka cluster
    Topics(topics::Topics),
}

/// Where a command's data are.
#[derive(Args, Clone, Debug)]
struct DataArgs {
    /// Data folder: the embedded log, the state, and the lake
    #[arg(long, value_name = "DIR", default_value = "ayumi-data")]
    data: PathBuf,
    /// The lake, if it is not in the data folder: a path or an object-store URL
    #[arg(long, value_name = "URL")]
    lake: Option<String>,
}

impl DataArgs {
    fn lake(&self) -> String {
        self.lake.clone().unwrap_or_else(|| crate::lake_role::default_url(&self.data))
    }
}

/// How a command that runs the pipeline runs it.
#[derive(Args, Clone, Debug)]
struct RunArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Memory for the store and the workers' state together, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 96, value_parser = clap::value_parser!(u64).range(16..))]
    memory_mib_max: u64,
    /// Publish the programmes of this folder (DIR/*/programme.toml) instead of those that come with Ayumi
    #[arg(long, value_name = "DIR")]
    programmes: Option<PathBuf>,
    /// No progress on standard error
    #[arg(long, short)]
    quiet: bool,
}

impl RunArgs {
    fn settings(&self) -> crate::replay::RunSettings {
        let memory_bytes_max = self.memory_mib_max << 20;
        crate::replay::settings(
            &self.data.data,
            self.data.lake.as_deref(),
            memory_bytes_max,
            self.programmes.as_deref(),
        )
    }
}

/// Why a command failed, in words for its user.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs the command line.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Demo(demo) => demo.run(),
        Command::Replay(replay) => replay.run(),
        Command::Sql(sql) => sql.run(),
        Command::Explain(explain) => explain.run(),
        Command::Audit(audit) => audit.run(),
        Command::Export(export) => export.run(),
        Command::Compact(compact) => compact.run(),
        Command::Check(check) => check.run(),
        Command::Load(load) => load.run(),
        Command::Run(run) => run.run(),
        Command::Topics(topics) => topics.run(),
    };
    match result {
        Ok(code) => code,
        // A reader that has seen enough, such as `head`, is no failure.
        Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Runs what waits for the lake.
fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(future)
}
