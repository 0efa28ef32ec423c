//! Decides how one table is written: batches become Parquet files, files become one commit that carries the position
//! of every source in it. Which tables there are, and in what order they commit, is decided in [`super::writer`].

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use deltalake_core::DeltaTableError;
use deltalake_core::kernel::engine::arrow_conversion::{TryIntoArrow, TryIntoKernel};
use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties, TransactionError};
use deltalake_core::kernel::{Action, StructType, Transaction};
use deltalake_core::parquet::basic::{Compression, ZstdLevel};
use deltalake_core::parquet::file::properties::WriterProperties;
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::writer::{DeltaWriter, RecordBatchWriter};
use deltalake_core::{DeltaTable, TableProperty};

use super::error::LakeError;
use super::location::Location;
use super::tables::TableId;
use super::writer::{Source, TableFlush};

/// Commits between two checkpoints of a table's log. Opening a table reads the last checkpoint and what follows it.
const CHECKPOINT_INTERVAL: &str = "50";

/// A row group is read as a whole and written from memory; so many rows of any table are some tens of megabytes.
const ROW_GROUP_ROWS_MAX: usize = 131_072;
const ROW_GROUP_BYTES_MAX: usize = 64 << 20;

/// How the lake's Parquet files are written, by the writer and by compaction alike.
pub(super) fn writer_properties() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS_MAX))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES_MAX))
        .set_created_by(concat!("ayumi ", env!("CARGO_PKG_VERSION")).to_owned())
        .build()
}

/// How far a source has come in one table.
#[derive(Clone, Copy, Debug, Default)]
struct Position {
    /// The last offset that the table's log records.
    recorded: Option<i64>,
    /// The last offset whose rows are staged, or that had none.
    staged: Option<i64>,
}

/// One table, and what is to be appended to it.
pub(super) struct Slot {
    id: TableId,
    table: DeltaTable,
    sink: RecordBatchWriter,
    sealed: Vec<RecordBatch>,
    positions: BTreeMap<Source, Position>,
    staged_rows: u64,
}

impl Slot {
    /// Opens the table, or creates it.
    pub async fn open(location: &Location, id: TableId) -> Result<Slot, LakeError> {
        let table = match location.load(id).await? {
            Some(table) => table,
            None => create(location, id).await?,
        };
        check_columns(id, &table)?;
        let sink = sink(id, &table)?;
        Ok(Slot { id, table, sink, sealed: Vec::new(), positions: BTreeMap::new(), staged_rows: 0 })
    }

    /// Rows that are staged, in batches or in files that are not committed.
    pub fn staged_rows(&self) -> u64 {
        self.staged_rows
    }

    /// About how many bytes the staged batches and files hold.
    pub fn staged_bytes(&self) -> usize {
        self.sealed.iter().map(RecordBatch::get_array_memory_size).sum::<usize>() + self.sink.buffer_len()
    }

    /// The last offset of `source` whose rows are in the table.
    pub fn recorded(&self, source: &Source) -> Option<i64> {
        self.positions.get(source).and_then(|position| position.recorded)
    }

    /// Reads how far `source` has come, and accepts its rows from there on.
    pub async fn follow(&mut self, source: &Source) -> Result<Option<i64>, LakeError> {
        if let Some(position) = self.positions.get(source) {
            return Ok(position.recorded);
        }
        let recorded = self.read_recorded(source).await?;
        self.positions.insert(source.clone(), Position { recorded, staged: None });
        Ok(recorded)
    }

    /// Whether rows of `source` are accepted.
    pub fn follows(&self, source: &Source) -> bool {
        self.positions.contains_key(source)
    }

    /// Whether the rows of this offset are to be appended: they are not in the table, and not staged.
    pub fn admit(&mut self, source: &Source, offset: i64) -> Result<bool, LakeError> {
        let position = self.positions.get_mut(source).ok_or_else(|| LakeError::not_followed(self.id, source))?;
        if position.recorded.is_some_and(|recorded| offset <= recorded) {
            return Ok(false);
        }
        // One record may have several rows, all at its own offset.
        if position.staged.is_some_and(|staged| offset < staged) {
            return Ok(false);
        }
        position.staged = Some(offset);
        Ok(true)
    }

    /// Takes a batch over.
    pub fn seal(&mut self, batch: RecordBatch) {
        self.staged_rows += batch.num_rows() as u64;
        self.sealed.push(batch);
    }

    /// Encodes the sealed batches as Parquet.
    pub async fn encode(&mut self) -> Result<(), LakeError> {
        for batch in self.sealed.drain(..) {
            self.sink.write(batch).await.map_err(LakeError::table(self.id, "encoding rows as Parquet"))?;
        }
        Ok(())
    }

    /// Commits what is staged together with the positions of the sources that have come further; `None` if none has.
    pub async fn commit(&mut self) -> Result<Option<TableFlush>, LakeError> {
        let moved: Vec<(Source, i64)> =
            self.positions.iter().filter_map(|(source, at)| Some((source.clone(), at.staged?))).collect();
        if moved.is_empty() {
            return Ok(None);
        }
        self.encode().await?;
        let adds = self.sink.flush().await.map_err(LakeError::table(self.id, "finishing Parquet files"))?;
        let files = adds.len();
        let bytes = adds.iter().map(|add| u64::try_from(add.size).unwrap_or(0)).sum();
        let version_before = self.table.version();
        let version = self.append(adds.into_iter().map(Action::Add).collect(), &moved).await?;
        for (source, offset) in moved {
            self.positions.insert(source, Position { recorded: Some(offset), staged: None });
        }
        let rows = std::mem::take(&mut self.staged_rows);
        if version_before.is_none_or(|before| version != before + 1) {
            self.check_positions().await?;
        }
        Ok(Some(TableFlush { table: self.id, version, rows, files, bytes }))
    }

    async fn append(&mut self, actions: Vec<Action>, moved: &[(Source, i64)]) -> Result<u64, LakeError> {
        let transactions = moved.iter().map(|(source, offset)| Transaction::new(source, *offset)).collect();
        let partition_columns = self.id.partition_columns();
        let operation = DeltaOperation::Write {
            mode: SaveMode::Append,
            partition_by: (!partition_columns.is_empty())
                .then(|| partition_columns.iter().map(|&column| column.to_owned()).collect()),
            predicate: None,
        };
        let snapshot = self.table.snapshot().map_err(LakeError::table(self.id, "reading its log"))?;
        let committed = CommitBuilder::from(CommitProperties::default().with_application_transactions(transactions))
            .with_actions(actions)
            .build(Some(snapshot), self.table.log_store(), operation)
            .await
            .map_err(|error| self.conflict(error, moved))?;
        self.table.state = Some(committed.snapshot());
        Ok(committed.version())
    }

    fn conflict(&self, error: DeltaTableError, moved: &[(Source, i64)]) -> LakeError {
        match error {
            DeltaTableError::Transaction { source: TransactionError::CommitConflict(_) } => LakeError::Superseded {
                table: self.id,
                source_name: moved.iter().map(|(source, _)| source.to_string()).collect::<Vec<_>>().join(", "),
            },
            error => LakeError::table(self.id, "committing")(error),
        }
    }

    /// Delta compares positions only with the commits between our last one and this. Where somebody else has committed
    /// in between, sources that were not in our commit may have moved too.
    async fn check_positions(&self) -> Result<(), LakeError> {
        for (source, position) in &self.positions {
            if self.read_recorded(source).await? != position.recorded {
                return Err(LakeError::Superseded { table: self.id, source_name: source.to_string() });
            }
        }
        Ok(())
    }

    async fn read_recorded(&self, source: &Source) -> Result<Option<i64>, LakeError> {
        let failed = || LakeError::table(self.id, "reading how far a source has come");
        let snapshot = self.table.snapshot().map_err(failed())?;
        snapshot.transaction_version(self.table.log_store().as_ref(), source).await.map_err(failed())
    }

    /// Drops what is staged and reads the log again.
    pub async fn recover(&mut self) -> Result<(), LakeError> {
        self.sealed.clear();
        self.staged_rows = 0;
        self.table.update_state().await.map_err(LakeError::table(self.id, "reading its log"))?;
        // The old sink's open uploads are aborted when it is dropped.
        self.sink = sink(self.id, &self.table)?;
        for source in std::mem::take(&mut self.positions).into_keys() {
            self.follow(&source).await?;
        }
        Ok(())
    }
}

async fn create(location: &Location, id: TableId) -> Result<DeltaTable, LakeError> {
    location.make_folder(id)?;
    let columns: StructType =
        id.schema().as_ref().try_into_kernel().map_err(|source| LakeError::Rows { table: id, source })?;
    location
        .table(id)?
        .create()
        // Another writer may create it at the same moment; theirs is as good.
        .with_save_mode(SaveMode::Ignore)
        .with_table_name(id.name())
        .with_comment(id.grain())
        .with_columns(columns.fields().cloned())
        .with_partition_columns(id.partition_columns().iter().copied())
        .with_configuration_property(TableProperty::AppendOnly, Some("true"))
        .with_configuration_property(TableProperty::CheckpointInterval, Some(CHECKPOINT_INTERVAL))
        .await
        .map_err(LakeError::table(id, "creating it"))
}

fn sink(id: TableId, table: &DeltaTable) -> Result<RecordBatchWriter, LakeError> {
    let sink = RecordBatchWriter::for_table(table).map_err(LakeError::table(id, "preparing to write"))?;
    Ok(sink.with_writer_properties(writer_properties()))
}

/// A table that another version made may have other columns: to write to it would mix two meanings.
fn check_columns(id: TableId, table: &DeltaTable) -> Result<(), LakeError> {
    let state = table.snapshot().map_err(LakeError::table(id, "reading its log"))?;
    let found: Schema =
        state.schema().as_ref().try_into_arrow().map_err(|source| LakeError::Rows { table: id, source })?;
    let expected = id.schema();
    let pairs = expected.fields().iter().zip(found.fields());
    for (expected, found) in pairs {
        if expected.name() != found.name() || !expected.data_type().equals_datatype(found.data_type()) {
            let difference = format!("column {} is {} {}", expected.name(), found.name(), found.data_type());
            return Err(LakeError::OtherColumns { table: id, difference });
        }
    }
    if expected.fields().len() != found.fields().len() {
        let difference = format!("it has {} columns, not {}", found.fields().len(), expected.fields().len());
        return Err(LakeError::OtherColumns { table: id, difference });
    }
    Ok(())
}
