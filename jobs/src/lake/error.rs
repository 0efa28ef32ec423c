//! Decides what can go wrong with the lake, and what the message says: what, where, and how to mend it.

use std::path::PathBuf;

use arrow::error::ArrowError;
use deltalake_core::DeltaTableError;

use super::tables::TableId;
use super::writer::Source;

/// What went wrong with the lake.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The location is neither a path nor a URL that can be opened.
    #[error(
        "the lake's location {location:?} cannot be used: {problem}. Give a folder, or a URL such as file:///srv/lake"
    )]
    Location {
        /// As it was given.
        location: String,
        /// What is wrong with it.
        problem: String,
    },
    /// There is no lake at this location.
    #[error(
        "there is no lake at {url}: none of its tables exists. Check the path; a lake begins to exist when the lake role first opens it"
    )]
    NoLake {
        /// Where it was looked for.
        url: String,
    },
    /// A table's columns are not those of this version of Ayumi.
    #[error("table {table} of the lake has other columns than this version of ayumi: {difference}. Use the version that wrote it, or a new lake", table = table.name())]
    OtherColumns {
        /// The table.
        table: TableId,
        /// The first column that differs.
        difference: String,
    },
    /// Delta refused, or its storage failed.
    #[error("table {table} of the lake: {action} failed: {source}", table = table.name())]
    Table {
        /// The table.
        table: TableId,
        /// What was being done.
        action: &'static str,
        /// What Delta says.
        source: Box<DeltaTableError>,
    },
    /// A row did not fit its columns.
    #[error("rows of table {table} do not fit its columns: {source}. This is a bug in ayumi", table = table.name())]
    Rows {
        /// The table.
        table: TableId,
        /// What Arrow says.
        source: ArrowError,
    },
    /// A row of a source that the writer was not told to follow.
    #[error("{source_name} is not followed for table {table}: call follow before the first row", table = table.name())]
    NotFollowed {
        /// The table.
        table: TableId,
        /// The source's name.
        source_name: String,
    },
    /// Another writer has written rows of the same source.
    #[error("another writer has written rows of {source_name} to table {table}: recover, then read on after the offset that resume_after gives", table = table.name())]
    Superseded {
        /// The table.
        table: TableId,
        /// The source's name, or those of all sources in the commit.
        source_name: String,
    },
    /// An earlier call failed, so that what is staged may or may not be in the lake.
    #[error(
        "the lake's writer has failed before and does not know what landed: recover, then read on after the offset that resume_after gives"
    )]
    Spent,
    /// A query that cannot be planned or run.
    #[error("{message}")]
    Query {
        /// What is wrong, readably, with a hint where there is one.
        message: String,
    },
    /// A statement that would change something.
    #[error(
        "only reading is allowed here: {statement} is refused. Use SELECT, WITH, EXPLAIN, SHOW or DESCRIBE; the lake is written by the lake role alone"
    )]
    NotReading {
        /// The kind of statement.
        statement: String,
    },
    /// The output could not be written.
    #[error("the result cannot be written as {format}: {problem}")]
    Output {
        /// The format's name.
        format: &'static str,
        /// What went wrong.
        problem: String,
    },
    /// A file or folder of an export.
    #[error("{action} {path} failed: {source}")]
    File {
        /// What was being done.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

impl LakeError {
    /// Wraps what Delta says about `table`.
    pub(super) fn table(table: TableId, action: &'static str) -> impl FnOnce(DeltaTableError) -> LakeError {
        move |source| LakeError::Table { table, action, source: Box::new(source) }
    }

    /// A row of a source that is not followed.
    pub(super) fn not_followed(table: TableId, source: &Source) -> LakeError {
        LakeError::NotFollowed { table, source_name: source.to_string() }
    }
}
