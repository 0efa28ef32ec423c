//! Decides that every row lands exactly once, whatever crashes.
//!
//! Rows come from *sources*: the partitions of input and output topics. A flush makes one Delta commit per table; the
//! commit carries, for each source that has come further, one application transaction: the source's name and the last
//! offset whose rows are in it. So rows and position become visible together, or not at all. Tables commit one after
//! the other; a crash in between leaves some of them ahead. That is why positions are kept per table: a source is
//! read again from the smallest, and rows that a table already has are skipped there.
//!
//! When to flush is the caller's to decide, by [`LakeWriter::staged`] and the time. A failed call leaves it unknown
//! what landed; the writer then refuses everything until [`LakeWriter::recover`] has read the logs again.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use pipeline::ledger::{DailyTotal, Entry, Notice};
use schemas::Record;
use schemas::{AccountingRecord, Origin, RejectionRecord};

use super::error::LakeError;
use super::location::Location;
use super::rows::{Builders, OtherRecord};
use super::slot::Slot;
use super::tables::TableId;

/// Rows become a batch at this size: large enough to encode well, and far below the 2 GiB at which a column ends.
const BATCH_BYTES: usize = 8 << 20;

/// A partition of a topic: what rows come from, in the order of its offsets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    topic: Arc<str>,
    partition: i32,
}

impl Source {
    /// The partition of a topic.
    pub fn new(topic: &str, partition: i32) -> Source {
        Source { topic: topic.into(), partition }
    }
}

impl fmt::Display for Source {
    /// The name under which the tables' logs record its position: `ayumi.entries.v1-3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// The table that an input record of this kind belongs to.
pub const fn fact_table(record: &Record<'_>) -> TableId {
    match record {
        Record::Upload(_) => TableId::FactsUploads,
        Record::Member(_) => TableId::FactsMembers,
        Record::DayClosed(_) => TableId::FactsClocks,
        Record::Programme(_) => TableId::FactsProgrammes,
        Record::Other { .. } => TableId::FactsRecords,
    }
}

/// What waits for a flush.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Staged {
    /// Rows of all tables.
    pub rows: u64,
    /// About how many bytes of memory they take, or of storage once encoded.
    pub bytes: usize,
}

/// What one commit did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFlush {
    /// The table.
    pub table: TableId,
    /// The table's version after the commit.
    pub version: u64,
    /// Rows appended.
    pub rows: u64,
    /// Files added.
    pub files: usize,
    /// Their size in bytes.
    pub bytes: u64,
}

/// Appends rows to the lake's tables. One writer at a time per source; several per lake.
pub struct LakeWriter {
    slots: Vec<Slot>,
    builders: Builders,
    unsealed: [Unsealed; TableId::ALL.len()],
    is_spent: bool,
}

/// Rows that are in a builder and not in a batch.
#[derive(Clone, Copy, Debug, Default)]
struct Unsealed {
    rows: u64,
    bytes: usize,
}

impl LakeWriter {
    /// Opens the lake at a URL or path, and creates the tables that do not exist.
    pub async fn open(url: &str) -> Result<LakeWriter, LakeError> {
        let location = Location::parse(url)?;
        let mut slots = Vec::with_capacity(TableId::ALL.len());
        for id in TableId::ALL {
            slots.push(Slot::open(&location, id).await?);
        }
        Ok(LakeWriter { slots, builders: Builders::default(), unsealed: Default::default(), is_spent: false })
    }

    /// Prepares for rows of `source` in `tables`. Returns the last offset that all of these tables have, which is
    /// where reading goes on; `None`: from the beginning.
    pub async fn follow(&mut self, source: &Source, tables: &[TableId]) -> Result<Option<i64>, LakeError> {
        let mut smallest: Option<Option<i64>> = None;
        for &table in tables {
            let recorded = self.slots[table as usize].follow(source).await?;
            smallest = Some(smallest.map_or(recorded, |so_far| so_far.min(recorded)));
        }
        Ok(smallest.flatten())
    }

    /// The last offset of `source` that is in the table, as of the last commit; `None` if none is or it is not followed.
    pub fn resume_after(&self, table: TableId, source: &Source) -> Option<i64> {
        self.slots[table as usize].recorded(source)
    }

    /// Records that everything of `source` up to `offset` has been appended to all tables that follow it. Worth calling
    /// before a flush: a restart reads again what came after the last row of the table that is furthest behind.
    pub fn pass(&mut self, source: &Source, offset: i64) -> Result<(), LakeError> {
        if self.is_spent {
            return Err(LakeError::Spent);
        }
        for slot in self.slots.iter_mut().filter(|slot| slot.follows(source)) {
            slot.admit(source, offset)?;
        }
        Ok(())
    }

    /// Appends to `entries`. This and its siblings return whether the row is new: what the table has is skipped.
    pub fn append_entry(&mut self, source: &Source, offset: i64, entry: &Entry) -> Result<bool, LakeError> {
        self.append(TableId::Entries, source, offset, |rows| rows.entries.append(entry))
    }

    /// Appends to `daily_total_revisions`.
    pub fn append_daily_total(&mut self, source: &Source, offset: i64, total: &DailyTotal) -> Result<bool, LakeError> {
        self.append(TableId::DailyTotalRevisions, source, offset, |rows| rows.daily_totals.append(total))
    }

    /// Appends to `rejections`.
    pub fn append_rejection(&mut self, source: &Source, offset: i64, row: &RejectionRecord) -> Result<bool, LakeError> {
        self.append(TableId::Rejections, source, offset, |rows| rows.rejections.append(row))
    }

    /// Appends to `notices`.
    pub fn append_notice(&mut self, source: &Source, offset: i64, notice: &Notice) -> Result<bool, LakeError> {
        self.append(TableId::Notices, source, offset, |rows| rows.notices.append(notice))
    }

    /// Appends to `accounting`.
    pub fn append_accounting(
        &mut self,
        source: &Source,
        offset: i64,
        row: &AccountingRecord,
    ) -> Result<bool, LakeError> {
        self.append(TableId::Accounting, source, offset, |rows| rows.accounting.append(row))
    }

    /// Appends an input record to the table of its kind (see [`fact_table`]). `payload` is kept for records that have
    /// no table of their own.
    pub fn append_fact(
        &mut self,
        source: &Source,
        offset: i64,
        record: &Record<'_>,
        payload: &[u8],
        origin: &Origin,
    ) -> Result<bool, LakeError> {
        self.append(fact_table(record), source, offset, |rows| match record {
            Record::Upload(upload) => rows.uploads.append(upload, origin),
            Record::Member(member) => rows.members.append(member, origin),
            Record::DayClosed(clock) => rows.clocks.append(clock.date, origin),
            Record::Programme(programme) => rows.programmes.append(programme, origin),
            &Record::Other { type_name, id, programme, member, received_at } => {
                rows.records.append(&OtherRecord { type_name, id, programme, member, received_at, payload }, origin)
            }
        })
    }

    fn append(
        &mut self,
        table: TableId,
        source: &Source,
        offset: i64,
        row: impl FnOnce(&mut Builders) -> usize,
    ) -> Result<bool, LakeError> {
        if !self.admit(table, source, offset)? {
            return Ok(false);
        }
        let unsealed = &mut self.unsealed[table as usize];
        unsealed.bytes += row(&mut self.builders);
        unsealed.rows += 1;
        if unsealed.bytes >= BATCH_BYTES {
            self.seal(table)?;
        }
        Ok(true)
    }

    fn admit(&mut self, table: TableId, source: &Source, offset: i64) -> Result<bool, LakeError> {
        if self.is_spent {
            return Err(LakeError::Spent);
        }
        self.slots[table as usize].admit(source, offset)
    }

    fn seal(&mut self, table: TableId) -> Result<(), LakeError> {
        if std::mem::take(&mut self.unsealed[table as usize]).rows > 0 {
            let batch: Result<RecordBatch, _> = self.builders.finish(table);
            self.slots[table as usize].seal(batch.map_err(|source| LakeError::Rows { table, source })?);
        }
        Ok(())
    }

    /// What waits for a flush.
    pub fn staged(&self) -> Staged {
        let unsealed = self.unsealed.iter().map(|rows| (rows.rows, rows.bytes));
        let sealed = self.slots.iter().map(|slot| (slot.staged_rows(), slot.staged_bytes()));
        unsealed
            .chain(sealed)
            .fold(Staged::default(), |sum, (rows, bytes)| Staged { rows: sum.rows + rows, bytes: sum.bytes + bytes })
    }

    /// Encodes whole batches as Parquet, which takes a tenth of the memory. Worth calling after each poll.
    pub async fn relieve(&mut self) -> Result<(), LakeError> {
        if self.is_spent {
            return Err(LakeError::Spent);
        }
        self.is_spent = true;
        for slot in &mut self.slots {
            slot.encode().await?;
        }
        self.is_spent = false;
        Ok(())
    }

    /// Commits what is staged: one commit for each table of which a source has come further.
    pub async fn flush(&mut self) -> Result<Vec<TableFlush>, LakeError> {
        let mut flushed = Vec::new();
        for table in TableId::ALL {
            flushed.extend(self.flush_table(table).await?);
        }
        Ok(flushed)
    }

    /// Commits what is staged for one table; `None` if no source has come further in it.
    pub async fn flush_table(&mut self, table: TableId) -> Result<Option<TableFlush>, LakeError> {
        if self.is_spent {
            return Err(LakeError::Spent);
        }
        // Also when the caller drops the future half-way, nobody knows what landed.
        self.is_spent = true;
        self.seal(table)?;
        let flushed = self.slots[table as usize].commit().await?;
        self.is_spent = false;
        Ok(flushed)
    }

    /// After a failure: drops everything staged and reads from the tables' logs what landed. The sources stay followed;
    /// [`LakeWriter::follow`] and [`LakeWriter::resume_after`] say where each goes on.
    pub async fn recover(&mut self) -> Result<(), LakeError> {
        self.is_spent = true;
        self.builders = Builders::default();
        self.unsealed = Default::default();
        for slot in &mut self.slots {
            slot.recover().await?;
        }
        self.is_spent = false;
        Ok(())
    }
}
