//! Decides how a person asks the lake: a line at a time, with history, a few words that begin with a dot, and SQL.

use std::io::Write;
use std::path::Path;

use datafusion::prelude::SessionContext;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use super::error::LakeError;
use super::output::Format;
use super::{dictionary, query};

const HELP: &str = "\
A statement ends with a semicolon and may have several lines:
  SELECT rule, sum(points) FROM entries WHERE programme = 'kunitachi' GROUP BY rule;
.tables          all tables and views, and what one row of each is
.schema NAME     the columns of a table or view, and what they mean
.format NAME     how results are shown: table, csv or json
.help            this
.quit            leave (or Ctrl-D)
";

/// What the shell does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Reads on.
    Go,
    /// Leaves.
    Quit,
}

/// The shell's state between two lines.
pub struct Shell {
    context: SessionContext,
    format: Format,
    statement: String,
}

impl Shell {
    /// A shell over a session.
    pub fn new(context: SessionContext) -> Shell {
        Shell { context, format: Format::Table, statement: String::new() }
    }

    /// What stands before the next line.
    pub fn prompt(&self) -> &'static str {
        if self.statement.is_empty() { "ayumi> " } else { "   ...> " }
    }

    /// Takes a line. What is wrong with it is shown, not returned; only an output that fails is an error.
    pub async fn take<W: Write + Send>(&mut self, line: &str, out: &mut W) -> std::io::Result<Next> {
        let line = line.trim();
        if self.statement.is_empty() && line.starts_with('.') {
            return self.command(line, out).await;
        }
        if !line.is_empty() {
            self.statement.push_str(line);
            self.statement.push('\n');
        }
        if line.ends_with(';') {
            let statement = std::mem::take(&mut self.statement);
            let result = query::run(&self.context, &statement, self.format, out).await;
            report(result.map(|_| ()), out)?;
        }
        Ok(Next::Go)
    }

    async fn command<W: Write>(&mut self, line: &str, out: &mut W) -> std::io::Result<Next> {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match (word, rest.trim()) {
            (".quit" | ".exit", _) => return Ok(Next::Quit),
            (".help", _) => out.write_all(HELP.as_bytes())?,
            (".tables", _) => report(tables(out).await, out)?,
            (".schema", name) => report(schema(name, out).await, out)?,
            (".format", name) => match Format::named(name).filter(|format| *format != Format::Parquet) {
                Some(format) => self.format = format,
                None => writeln!(out, "error: there is no format {name:?}: table, csv or json")?,
            },
            (word, _) => writeln!(out, "error: {word} is no command; .help lists them")?,
        }
        Ok(Next::Go)
    }
}

fn report<W: Write>(result: Result<(), LakeError>, out: &mut W) -> std::io::Result<()> {
    match result {
        Ok(()) => Ok(()),
        Err(error) => writeln!(out, "error: {error}"),
    }
}

fn shown(result: std::io::Result<()>) -> Result<(), LakeError> {
    result.map_err(|error| LakeError::Output { format: "table", problem: error.to_string() })
}

async fn tables<W: Write>(out: &mut W) -> Result<(), LakeError> {
    for table in dictionary::describe().await? {
        shown(writeln!(out, "{:<22} {}", table.name, table.grain))?;
    }
    Ok(())
}

async fn schema<W: Write>(name: &str, out: &mut W) -> Result<(), LakeError> {
    let described = dictionary::describe().await?;
    let Some(table) = described.iter().find(|table| table.name == name) else {
        let message = format!("there is no table {name:?}. There are: {}", query::names().join(", "));
        return Err(LakeError::Query { message });
    };
    shown(writeln!(out, "{}: {}", table.name, table.grain))?;
    for column in &table.columns {
        shown(writeln!(out, "  {:<28} {:<30} {}", column.name, column.kind, column.description))?;
    }
    Ok(())
}

/// Runs the shell on the terminal until it is left. Lines are remembered in `history`, if it is given.
pub async fn run(context: SessionContext, history: Option<&Path>) -> Result<(), LakeError> {
    let mut editor = DefaultEditor::new().map_err(terminal)?;
    if let Some(path) = history {
        // The first time there is none.
        let _ = editor.load_history(path);
    }
    let mut shell = Shell::new(context);
    let mut out = std::io::stdout();
    loop {
        match editor.readline(shell.prompt()) {
            Ok(line) => {
                editor.add_history_entry(&line).map_err(terminal)?;
                let next = shell.take(&line, &mut out).await.map_err(|error| terminal(error.into()))?;
                if next == Next::Quit {
                    break;
                }
            }
            Err(ReadlineError::Interrupted) => shell.statement.clear(),
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(terminal(error)),
        }
    }
    if let Some(path) = history {
        editor.save_history(path).map_err(terminal)?;
    }
    Ok(())
}

fn terminal(error: ReadlineError) -> LakeError {
    LakeError::Output { format: "table", problem: format!("the terminal fails: {error}") }
}
