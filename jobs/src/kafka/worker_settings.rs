//! Decides what a worker is told before it starts, and what it tells while it runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fjall::Database;

use super::config::KafkaConfig;
use super::owned::TransactionBounds;

/// What makes a worker.
#[derive(Clone)]
pub struct WorkerSettings<S> {
    /// The cluster.
    pub kafka: KafkaConfig,
    /// This worker's name, the same after a restart and no other worker's: it gets its partitions back by it.
    pub instance_id: String,
    /// A folder of its own for the freshness of its state.
    pub folder: PathBuf,
    /// Where its state lies; no other worker's.
    pub database: Database,
    /// What bounds a transaction.
    pub bounds: TransactionBounds,
    /// State of all partitions in memory that is not on disk yet, in bytes.
    pub overlay_bytes_max: usize,
    /// State is written to disk at least so often, where it changes.
    pub flush_interval: Duration,
    /// For the processing.
    pub processing: S,
    /// Told what happens; must not take long.
    pub observer: Arc<dyn Fn(&WorkerEvent<'_>) + Send + Sync>,
}

/// What happens to a worker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WorkerEvent<'a> {
    /// A partition's state has been restored.
    Restored {
        /// The partition.
        partition: i32,
        /// Records read from the changelog.
        records: u64,
    },
    /// These partitions are this worker's, and it begins to read them.
    Assigned {
        /// The partitions.
        partitions: &'a [i32],
        /// From the coordinator's word to the first read, restoring included.
        took: Duration,
    },
    /// The partitions have been given back, or were lost.
    Revoked {
        /// The partitions.
        partitions: &'a [i32],
        /// The coordinator had already given them to others.
        is_lost: bool,
    },
    /// A transaction has been committed.
    Committed {
        /// Input records.
        records: u64,
        /// From handing it over to the coordinator's word.
        took: Duration,
    },
    /// A transaction has failed, or its outcome is unknown: the worker takes a new producer and restores the state.
    Restarted {
        /// Why.
        reason: &'a str,
    },
    /// Something that passes by itself.
    Noted {
        /// What it is.
        what: &'a str,
    },
}
