//! Decides how the embedded default keeps its logs and its state: one durable folder.
//!
//! There is one log of inputs, with a stream for each partition, so that one input order gives one ledger. Each partition
//! has a log of transactions, with a stream for each output topic and one for the changes of the state ([`partition`]).
//! The logs are plain files ([`segment_log`]); the state lies in an embedded key-value store, which follows the changes
//! ([`crate::state_store`]). Guarantees: what `append` or `commit` returned for is on disk. Does not guarantee: use by two
//! processes at once (the second is refused).

mod partition;
mod records;
mod segment;
mod segment_log;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use fjall::{Database, KeyspaceCreateOptions, PersistMode};

use super::{InputRecord, OutputTopic, TransportError};
use crate::state_store::{StateStore, open_database};
pub use partition::LocalPartition;
pub use records::InputBatch;
use segment_log::{SEGMENT_BYTES, SegmentLog, sync_folder};

/// Input partitions of a new data folder.
pub const PARTITIONS_DEFAULT: i32 = 4;

/// The embedded logs and store of a data folder. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Local {
    shared: Arc<Shared>,
}

struct Shared {
    database: Database,
    /// A stream for each partition.
    inputs: SegmentLog,
    partitions: Vec<Arc<Partition>>,
    /// State in memory, for each partition.
    overlay_bytes_max: usize,
    /// Counts what was appended or committed, for those who wait for it.
    news: (Mutex<u64>, Condvar),
}

/// What all share of one partition.
struct Partition {
    /// The transactions.
    log: SegmentLog,
    /// Whether there is a [`LocalPartition`].
    is_open: AtomicBool,
}

/// The stream of a partition's log that holds changes of the state, a record a transaction.
const CHANGES: usize = 0;

/// The stream of an output topic.
fn stream(topic: OutputTopic) -> usize {
    1 + topic as usize
}

/// What a partition's log notes with each transaction: the offset of the next input record.
const POSITION: &[u8] = b"position";

/// A record read back from an output topic.
#[derive(Clone, Copy, Debug)]
pub struct OutputRecord<'a> {
    /// Its place in the topic's partition, from 0.
    pub offset: i64,
    /// Its bytes.
    pub payload: &'a [u8],
}

impl Local {
    /// Opens the folder, or makes it with so many partitions. A folder keeps the number it was made with.
    ///
    /// `memory_bytes_max` bounds what the state takes in memory besides the core's: three quarters are for changes that
    /// are not on disk yet, the rest is the store's cache.
    pub fn open(folder: &Path, partitions: i32, memory_bytes_max: u64) -> Result<Local, TransportError> {
        let io = |error: std::io::Error| io_error("opened", error);
        std::fs::create_dir_all(folder).map_err(io)?;
        let store = folder.join("store");
        if !store.exists() {
            make_store(folder, &store, partitions)?;
        }
        let database = open_database(&store, memory_bytes_max / 4)?;
        let count = partition_count(&database)?;
        let logs = folder.join("logs");
        let inputs = SegmentLog::open(&logs.join("inputs"), count, SEGMENT_BYTES)?;
        let open = |partition| {
            let log = SegmentLog::open(
                &logs.join(format!("partition-{partition}")),
                1 + OutputTopic::ALL.len(),
                SEGMENT_BYTES,
            )?;
            Ok(Arc::new(Partition { log, is_open: AtomicBool::default() }))
        };
        let partitions = (0..count).map(open).collect::<Result<_, TransportError>>()?;
        sync_folder(&logs).and_then(|()| sync_folder(folder)).map_err(io)?;
        let overlay_bytes_max = (memory_bytes_max / 4 * 3) as usize / count.max(1);
        let news = (Mutex::new(0), Condvar::new());
        Ok(Local { shared: Arc::new(Shared { database, inputs, partitions, overlay_bytes_max, news }) })
    }

    /// Input partitions.
    pub fn partitions(&self) -> i32 {
        self.shared.partitions.len() as i32
    }

    /// The partition of a member's records.
    pub fn partition_of(&self, member: &str) -> i32 {
        let hash = twox_hash::XxHash64::oneshot(0, member.as_bytes());
        (hash % self.shared.partitions.len() as u64) as i32
    }

    /// Appends batches to input partitions, and notes how far their producer has come, all or nothing. Durable on return.
    ///
    /// `progress` are keys and values of the producer's own; see [`Local::progress`].
    pub fn append(&self, batches: &mut [InputBatch], progress: &[(String, Vec<u8>)]) -> Result<(), TransportError> {
        self.shared.inputs.append(|entry| {
            for (partition, batch) in batches.iter_mut().enumerate().filter(|(_, batch)| !batch.is_empty()) {
                entry.section(partition, |section| batch.drain_into(section));
            }
            for (producer, value) in progress {
                entry.mark(producer.as_bytes(), value);
            }
        })?;
        self.announce();
        Ok(())
    }

    /// What a producer noted with its last [`Local::append`].
    pub fn progress(&self, producer: &str) -> Result<Option<Vec<u8>>, TransportError> {
        Ok(self.shared.inputs.mark(producer.as_bytes()))
    }

    /// The offset after the last record of an input partition.
    pub fn input_end(&self, partition: i32) -> i64 {
        self.shared.inputs.end(partition as usize)
    }

    /// The committed position of a partition's award worker.
    pub fn position(&self, partition: i32) -> Result<i64, TransportError> {
        let Some(bytes) = self.shared(partition).log.mark(POSITION) else { return Ok(0) };
        let bytes = bytes.try_into().map_err(|_| damaged("a position of the wrong length"))?;
        Ok(i64::from_le_bytes(bytes))
    }

    /// The award worker's side of a partition, with the state as it was committed. One at a time.
    pub fn partition(&self, partition: i32) -> Result<LocalPartition, TransportError> {
        LocalPartition::open(self.clone(), partition, self.shared.overlay_bytes_max)
    }

    /// Hands over input records from `offset` on, at least one batch if there is one, about `bytes_max`, or until
    /// `each` breaks.
    pub fn read_inputs(
        &self,
        partition: i32,
        offset: i64,
        bytes_max: usize,
        each: &mut dyn FnMut(InputRecord<'_>) -> ControlFlow<()>,
    ) -> Result<(), TransportError> {
        self.shared.inputs.read(partition as usize, offset, bytes_max, &mut |base, count, section| {
            records::read_inputs(base, count, section, offset, each)
        })
    }

    /// Hands over output records from `offset` on, at least one batch if there is one, about `bytes_max`, or until
    /// `each` breaks.
    pub fn read_outputs(
        &self,
        topic: OutputTopic,
        partition: i32,
        offset: i64,
        bytes_max: usize,
        each: &mut dyn FnMut(OutputRecord<'_>) -> ControlFlow<()>,
    ) -> Result<(), TransportError> {
        self.shared(partition).log.read(stream(topic), offset, bytes_max, &mut |base, count, section| {
            records::read_outputs(base, count, section, offset, &mut |offset, payload| {
                each(OutputRecord { offset, payload })
            })
        })
    }

    /// Input records before an offset are not needed any more. Of those that have been processed, files are deleted that
    /// hold no others, of any partition. The offsets of the rest stay.
    pub fn truncate_inputs(&self, partition: i32, before_offset: i64) -> Result<(), TransportError> {
        let before_offset = before_offset.min(self.position(partition)?);
        self.shared.inputs.release(partition as usize, before_offset)
    }

    /// Output records before an offset are not needed any more. Files are deleted that hold no others, of any topic, nor
    /// changes that the state on disk does not have.
    pub fn truncate_outputs(
        &self,
        topic: OutputTopic,
        partition: i32,
        before_offset: i64,
    ) -> Result<(), TransportError> {
        self.shared(partition).log.release(stream(topic), before_offset)
    }

    /// A number that grows with every append and commit.
    pub fn news(&self) -> u64 {
        *self.shared.news.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is news after `seen`, and gives the new number; `timeout` is only a safeguard for stopping.
    pub fn wait_for_news(&self, seen: u64, timeout: std::time::Duration) -> u64 {
        let news = self.shared.news.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.shared.news.1.wait_timeout_while(news, timeout, |news| *news == seen);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Wakes all who wait for news, so that they look whether to stop.
    pub fn announce(&self) {
        *self.shared.news.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.shared.news.1.notify_all();
    }

    /// Bytes on disk.
    pub fn disk_bytes(&self) -> u64 {
        let logs: u64 = self.shared.partitions.iter().map(|partition| partition.log.bytes()).sum();
        logs + self.shared.inputs.bytes() + self.shared.database.disk_space().unwrap_or(0)
    }

    fn shared(&self, partition: i32) -> &Arc<Partition> {
        &self.shared.partitions[partition as usize]
    }

    fn database(&self) -> &Database {
        &self.shared.database
    }
}

const META: &str = "meta";
const PARTITIONS_KEY: &str = "partitions";
const LAYOUT_KEY: &str = "layout";

/// How the folder is laid out. Another layout can't be read.
const LAYOUT: &[u8] = &[2];

/// Makes an empty store beside its place and moves it there when it is whole: one that is killed while it is being made
/// could not be opened again.
fn make_store(folder: &Path, store: &Path, partitions: i32) -> Result<(), TransportError> {
    let io = |error: std::io::Error| io_error("opened", error);
    let unfinished = folder.join("store.unfinished");
    if unfinished.exists() {
        std::fs::remove_dir_all(&unfinished).map_err(io)?;
    }
    let database = Database::builder(&unfinished).open().map_err(opening)?;
    for partition in 0..partitions {
        StateStore::open(&database, partition, 0)?;
    }
    let meta = database.keyspace(META, KeyspaceCreateOptions::default).map_err(opening)?;
    meta.insert(PARTITIONS_KEY, partitions.to_be_bytes()).map_err(opening)?;
    meta.insert(LAYOUT_KEY, LAYOUT).map_err(opening)?;
    database.persist(PersistMode::SyncAll).map_err(opening)?;
    drop((meta, database));
    std::fs::rename(unfinished, store).and_then(|()| sync_folder(folder)).map_err(io)
}

/// The number of partitions that a store was made with.
fn partition_count(database: &Database) -> Result<usize, TransportError> {
    let meta = database.keyspace(META, KeyspaceCreateOptions::default).map_err(opening)?;
    if meta.get(LAYOUT_KEY).map_err(opening)?.as_deref() != Some(LAYOUT) {
        return Err(TransportError::OtherLayout);
    }
    let count = meta.get(PARTITIONS_KEY).map_err(opening)?;
    let count = count.and_then(|bytes| Some(i32::from_be_bytes((&bytes[..]).try_into().ok()?)));
    count.and_then(|count| usize::try_from(count).ok()).ok_or_else(|| damaged("it has no number of partitions"))
}

fn opening(source: fjall::Error) -> TransportError {
    TransportError::Local { doing: "opened", source }
}

fn io_error(doing: &'static str, error: std::io::Error) -> TransportError {
    TransportError::File { doing, source: error }
}

fn damaged(what: &str) -> TransportError {
    TransportError::Damaged(what.to_owned())
}
