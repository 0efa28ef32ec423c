//! Decides how the pipeline's records become columns: one builder a table, each appending one row at a time.
//!
//! A builder writes straight into Arrow's buffers, because uploads come by the million. It returns about how many
//! bytes a row takes, so that the writer knows when a batch is large enough. Which rows are appended, and whether they
//! are new, is the writer's to decide.

mod column;
mod effects;
mod facts;
mod names;
mod refusals;
mod uploads;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;

use super::tables::TableId;

pub use effects::{DailyTotalRows, EntryRows, NoticeRows};
pub use facts::{ClockRows, MemberRows, OtherRecord, ProgrammeRows, RecordRows};
pub use refusals::{AccountingRows, RejectionRows};
pub use uploads::UploadRows;

/// The rows of every table that are not in a batch yet.
#[derive(Debug, Default)]
pub struct Builders {
    /// Rows of `entries`.
    pub entries: EntryRows,
    /// Rows of `daily_total_revisions`.
    pub daily_totals: DailyTotalRows,
    /// Rows of `rejections`.
    pub rejections: RejectionRows,
    /// Rows of `notices`.
    pub notices: NoticeRows,
    /// Rows of `accounting`.
    pub accounting: AccountingRows,
    /// Rows of `facts_uploads`.
    pub uploads: UploadRows,
    /// Rows of `facts_members`.
    pub members: MemberRows,
    /// Rows of `facts_records`.
    pub records: RecordRows,
    /// Rows of `facts_programmes`.
    pub programmes: ProgrammeRows,
    /// Rows of `facts_clocks`.
    pub clocks: ClockRows,
}

impl Builders {
    /// The rows of `table` so far, as one batch; the builder is empty afterwards.
    pub fn finish(&mut self, table: TableId) -> Result<RecordBatch, ArrowError> {
        let columns = match table {
            TableId::Entries => self.entries.finish(),
            TableId::DailyTotalRevisions => self.daily_totals.finish(),
            TableId::Rejections => self.rejections.finish(),
            TableId::Notices => self.notices.finish(),
            TableId::Accounting => self.accounting.finish(),
            TableId::FactsUploads => self.uploads.finish(),
            TableId::FactsMembers => self.members.finish(),
            TableId::FactsRecords => self.records.finish(),
            TableId::FactsProgrammes => self.programmes.finish(),
            TableId::FactsClocks => self.clocks.finish(),
        }?;
        RecordBatch::try_new(table.schema(), columns)
    }
}
