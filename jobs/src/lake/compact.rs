//! Decides when small files become large ones, and keeps the logs short.
//!
//! A writer that flushes every minute leaves many small files in each month. They are rewritten into few, in a commit
//! that changes no row: readers see the same before and after, and writers that append meanwhile are not disturbed. The
//! small files stay on storage until they are vacuumed, for readers that still use them.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;

use deltalake_core::checkpoints::create_checkpoint;
use deltalake_core::delta_datafusion::create_session_state_with_spill_config;
use deltalake_core::{DeltaTable, FilterLiteral, FilterOp, FilterValue};

use super::error::LakeError;
use super::location::Location;
use super::query::QUERY_MEMORY_BYTES_MAX;
use super::slot::writer_properties;
use super::tables::TableId;

/// What is worth rewriting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactPolicy {
    /// A partition with at least so many small files is rewritten.
    pub small_files_min: usize,
    /// The size that files are rewritten to; one of less than half of it is small.
    pub target_bytes: NonZeroU64,
}

impl Default for CompactPolicy {
    /// Eight small files; 128 MiB.
    fn default() -> Self {
        CompactPolicy { small_files_min: 8, target_bytes: NonZeroU64::MIN.saturating_add((128 << 20) - 1) }
    }
}

/// What was rewritten in one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compaction {
    /// The table.
    pub table: TableId,
    /// Partitions that were rewritten.
    pub partitions: usize,
    /// Files that no longer count.
    pub files_removed: u64,
    /// Files that replace them.
    pub files_added: u64,
}

/// Rewrites what the policy says in every table of the lake, and writes a checkpoint of each table that changed.
/// Returns what was done, without the tables in which nothing was.
///
/// One process at a time: of two that rewrite the same files, one fails, and can be run again.
pub async fn compact(url: &str, policy: CompactPolicy) -> Result<Vec<Compaction>, LakeError> {
    let location = Location::parse(url)?;
    let mut done = Vec::new();
    let mut is_lake = false;
    for id in TableId::ALL {
        if let Some(table) = location.load(id).await? {
            is_lake = true;
            done.extend(compact_table(id, table, policy).await?);
        }
    }
    if is_lake { Ok(done) } else { Err(LakeError::NoLake { url: location.as_str().to_owned() }) }
}

async fn compact_table(
    id: TableId,
    mut table: DeltaTable,
    policy: CompactPolicy,
) -> Result<Option<Compaction>, LakeError> {
    let partitions = crowded_partitions(id, &table, policy)?;
    if partitions.is_empty() {
        return Ok(None);
    }
    let mut done = Compaction { table: id, partitions: partitions.len(), files_removed: 0, files_added: 0 };
    for partition in &partitions {
        // Delta takes empty text for null, in folder names and filters alike.
        let filters: Vec<FilterLiteral<'_>> = partition
            .iter()
            .map(|(column, value)| {
                (column.as_str(), FilterOp::Eq, FilterValue::Scalar(value.as_deref().unwrap_or_default()))
            })
            .collect();
        let session = create_session_state_with_spill_config(Some(QUERY_MEMORY_BYTES_MAX), None);
        let (rewritten, metrics) = table
            .optimize()
            .with_filters(&filters)
            .with_target_size(policy.target_bytes)
            .with_writer_properties(writer_properties())
            .with_session_state(Arc::new(session))
            .await
            .map_err(LakeError::table(id, "compacting"))?;
        table = rewritten;
        done.files_removed += metrics.num_files_removed;
        done.files_added += metrics.num_files_added;
    }
    create_checkpoint(&table, None).await.map_err(LakeError::table(id, "writing a checkpoint"))?;
    Ok(Some(done))
}

type Partition = Vec<(String, Option<String>)>;

fn crowded_partitions(id: TableId, table: &DeltaTable, policy: CompactPolicy) -> Result<Vec<Partition>, LakeError> {
    let state = table.snapshot().map_err(LakeError::table(id, "reading its log"))?;
    let mut small_files: BTreeMap<Partition, usize> = BTreeMap::new();
    for file in state.log_data().iter() {
        if file.size() < (policy.target_bytes.get() / 2) as i64 {
            let mut values = file.partition_values_map();
            let partition = id
                .partition_columns()
                .iter()
                .map(|&column| (column.to_owned(), values.remove(column).flatten()))
                .collect();
            *small_files.entry(partition).or_default() += 1;
        }
    }
    small_files.retain(|_, files| *files >= policy.small_files_min);
    Ok(small_files.into_keys().collect())
}
