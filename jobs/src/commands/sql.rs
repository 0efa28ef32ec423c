//! `ayumi sql`: the lake, asked once or in a shell.

use std::io::{IsTerminal, Read, Write};
use std::process::ExitCode;

use clap::Args;

use super::{DataArgs, Failure, block_on};
use crate::lake::output::Format;
use crate::lake::{query, shell};

const AFTER_HELP: &str = "\
Tables: entries, daily_totals, balances, rejections, notices, facts_uploads, facts_members, …; `.tables` in the shell
lists them, `.schema entries` explains one. Only reading statements are allowed.

  ayumi sql 'SELECT member, sum(points) FROM entries GROUP BY member ORDER BY 2 DESC LIMIT 10'
  ayumi sql --format csv 'SELECT * FROM daily_totals' > days.csv";

/// Ask the lake, once or in a shell
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Sql {
    #[command(flatten)]
    data: DataArgs,
    /// How the result is written: table, csv, json (an object a line) or parquet
    #[arg(long, default_value = "table", value_parser = format)]
    format: Format,
    /// The statement; without it, a shell, or the statement on standard input
    statement: Option<String>,
}

fn format(name: &str) -> Result<Format, String> {
    Format::named(name).ok_or_else(|| "one of table, csv, json, parquet".to_owned())
}

impl Sql {
    /// Runs it.
    pub fn run(&self) -> Result<ExitCode, Failure> {
        let statement = match &self.statement {
            Some(statement) => Some(statement.clone()),
            None if std::io::stdin().is_terminal() => None,
            None => {
                let mut statement = String::new();
                std::io::stdin().read_to_string(&mut statement)?;
                Some(statement)
            }
        };
        block_on(async {
            let context = query::session(&self.data.lake()).await?;
            match statement {
                Some(statement) => {
                    let mut out = std::io::BufWriter::new(std::io::stdout());
                    query::run(&context, &statement, self.format, &mut out).await?;
                    out.flush()?;
                }
                None => shell::run(context, Some(&self.data.data.join("sql-history"))).await?,
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}
