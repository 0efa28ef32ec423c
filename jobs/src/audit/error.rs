//! Decides how an audit says that it cannot be made. What it finds in the ledger is no error: see [`super::report`].

use datafusion::error::DataFusionError;

/// Why an audit could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A table that the audit reads is missing.
    #[error("the audit needs the table `{table}`, and it cannot be read ({source}); register the lake's tables first")]
    Table {
        /// The table's name.
        table: &'static str,
        /// What the query engine said.
        source: Box<DataFusionError>,
    },
    /// The facts give times in other units than the lake's.
    #[error(
        "`{table}.{column}` is {found}, the audit computes with microseconds in UTC; write the table as `records.md` has it"
    )]
    Unit {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// Its type.
        found: String,
    },
    /// A programme changed its rules, which this audit does not follow.
    #[error(
        "programme `{programme}` is recorded in versions {versions}; the audit computes with one version only: \
         restrict the tables to the facts and entries of one"
    )]
    SeveralVersions {
        /// The programme's id.
        programme: String,
        /// The versions found.
        versions: String,
    },
    /// A recorded rule file that the audit cannot read.
    #[error("programme `{programme}`, recorded rules: {problem}; correct the programme file and publish it anew")]
    Rules {
        /// The programme's id.
        programme: String,
        /// What is wrong, and where.
        problem: String,
    },
    /// A step of the computation failed.
    #[error("audit step `{step}`: {source}; this is a fault of the audit or of the table's columns, not of the ledger")]
    Step {
        /// The step's name: the file under `audit/sql/`.
        step: &'static str,
        /// What the query engine said.
        source: Box<DataFusionError>,
    },
    /// A step gave another column than the audit reads.
    #[error("audit step `{step}` gave no column `{column}` of the type that is read; its SQL and its reader disagree")]
    Column {
        /// The step's name.
        step: &'static str,
        /// The column.
        column: String,
    },
    /// A step names a value that nobody set.
    #[error("audit step `{step}` asks for the value `${name}`, which is not set; set it before the step is run")]
    Value {
        /// The step's name.
        step: &'static str,
        /// The value's name.
        name: String,
    },
}
