//! Decides how the embedded default keeps its log and its state: one durable folder on an embedded key-value store.
//!
//! A partition has one input log, so that one input order gives one ledger, and one log for each output topic. Records
//! are stored in batches under the offset of their first; a transaction is one atomic batch of the store. Guarantees:
//! what `append` or `commit` returned for is on disk. Does not guarantee: use by two processes at once (the second is
//! refused).

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use pipeline::state::{Fault, Store, Visit};

use super::{Format, InputRecord, OutputTopic, Transaction, Transport, TransportError};

/// Input partitions of a new data folder.
pub const PARTITIONS_DEFAULT: i32 = 4;

/// The embedded log and store of a data folder. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Local {
    shared: Arc<Shared>,
}

struct Shared {
    database: Database,
    inputs: Keyspace,
    outputs: Keyspace,
    state: Keyspace,
    meta: Keyspace,
    partitions: i32,
    /// The offset after the last record of each input partition.
    input_ends: Vec<AtomicI64>,
    /// Counts what was appended or committed, for those who wait for it.
    news: (Mutex<u64>, Condvar),
}

/// Records to append to one input partition.
#[derive(Debug, Default)]
pub struct InputBatch {
    count: i64,
    bytes: Vec<u8>,
    file: Option<Arc<str>>,
}

/// Before a record's format: the records from here on come from another file.
const FILE_TAG: u8 = 0xff;

/// A record read back from an output topic.
#[derive(Clone, Copy, Debug)]
pub struct OutputRecord<'a> {
    /// Its place in the topic's partition, from 0.
    pub offset: i64,
    /// Its bytes.
    pub payload: &'a [u8],
}

impl InputBatch {
    /// Adds a record. `line` is its line or number in `file`, 0 for none.
    pub fn push(&mut self, format: Format, file: Option<&Arc<str>>, line: u64, payload: &[u8]) {
        self.count += 1;
        if self.file.as_ref() != file {
            self.bytes.push(FILE_TAG);
            let name = file.map_or("", |file| file);
            varint(&mut self.bytes, name.len() as u64);
            self.bytes.extend_from_slice(name.as_bytes());
            self.file = file.cloned();
        }
        self.bytes.push(format as u8);
        varint(&mut self.bytes, line);
        varint(&mut self.bytes, payload.len() as u64);
        self.bytes.extend_from_slice(payload);
    }

    /// Bytes so far.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl Local {
    /// Opens the folder, or makes it with so many partitions. A folder keeps the number it was made with.
    ///
    /// `memory_bytes_max` bounds the store's own cache and write buffers.
    pub fn open(folder: &Path, partitions: i32, memory_bytes_max: u64) -> Result<Local, TransportError> {
        let opening = |source| TransportError::Local { doing: "opened", source };
        std::fs::create_dir_all(folder).map_err(|error| opening(error.into()))?;
        let store = folder.join("store");
        if !store.exists() {
            make_store(folder, &store).map_err(opening)?;
        }
        let database = Database::builder(store)
            .cache_size(memory_bytes_max / 4)
            .max_journaling_size((memory_bytes_max * 2).max(128 << 20))
            .manual_journal_persist(true)
            .open()
            .map_err(opening)?;
        // Four keyspaces, each with a table being filled and a few being written out.
        let memtable_bytes = (memory_bytes_max / 16).clamp(2 << 20, 64 << 20);
        let keyspace = |name: &str| {
            database
                .keyspace(name, || KeyspaceCreateOptions::default().max_memtable_size(memtable_bytes))
                .map_err(opening)
        };
        let (inputs, outputs, state, meta) =
            (keyspace("inputs")?, keyspace("outputs")?, keyspace("state")?, keyspace("meta")?);
        let partitions = match meta.get(b"partitions").map_err(opening)? {
            Some(bytes) => i32::from_be_bytes(array(&bytes)?),
            None => {
                meta.insert(b"partitions", partitions.to_be_bytes()).map_err(opening)?;
                database.persist(PersistMode::SyncAll).map_err(opening)?;
                partitions
            }
        };
        let mut input_ends = Vec::new();
        for partition in 0..partitions {
            input_ends.push(AtomicI64::new(log_end(&inputs, &log_prefix(0, partition))?));
        }
        let news = (Mutex::new(0), Condvar::new());
        let shared = Shared { database, inputs, outputs, state, meta, partitions, input_ends, news };
        Ok(Local { shared: Arc::new(shared) })
    }

    /// Input partitions.
    pub fn partitions(&self) -> i32 {
        self.shared.partitions
    }

    /// The partition of a member's records.
    pub fn partition_of(&self, member: &str) -> i32 {
        let hash = twox_hash::XxHash64::oneshot(0, member.as_bytes());
        (hash % self.shared.partitions as u64) as i32
    }

    /// Appends batches to input partitions, and notes how far their producer has come, all or nothing. Durable on return.
    ///
    /// `progress` are keys and values of the producer's own; see [`Local::progress`].
    pub fn append(&self, batches: &mut [InputBatch], progress: &[(String, Vec<u8>)]) -> Result<(), TransportError> {
        let writing = |source| TransportError::Local { doing: "written", source };
        let mut write = self.shared.database.batch().durability(Some(PersistMode::SyncData));
        let mut ends = Vec::new();
        for (partition, batch) in batches.iter_mut().enumerate().filter(|(_, batch)| !batch.is_empty()) {
            let base = self.shared.input_ends[partition].load(Ordering::Acquire);
            let mut value = Vec::with_capacity(batch.bytes.len() + 10);
            varint(&mut value, batch.count as u64);
            value.extend_from_slice(&batch.bytes);
            write.insert(&self.shared.inputs, log_key(0, partition as i32, base), value);
            ends.push((partition, base + batch.count));
            *batch = InputBatch::default();
        }
        for (producer, value) in progress {
            write.insert(&self.shared.meta, progress_key(producer), &value[..]);
        }
        write.commit().map_err(writing)?;
        for (partition, end) in ends {
            self.shared.input_ends[partition].store(end, Ordering::Release);
        }
        self.announce();
        Ok(())
    }

    /// What a producer noted with its last [`Local::append`].
    pub fn progress(&self, producer: &str) -> Result<Option<Vec<u8>>, TransportError> {
        let value = self.shared.meta.get(progress_key(producer)).map_err(reading)?;
        Ok(value.map(|value| value.to_vec()))
    }

    /// The offset after the last record of an input partition.
    pub fn input_end(&self, partition: i32) -> i64 {
        self.shared.input_ends[partition as usize].load(Ordering::Acquire)
    }

    /// The committed position of a partition's award worker.
    pub fn position(&self, partition: i32) -> Result<i64, TransportError> {
        match self.shared.meta.get(position_key(partition)).map_err(reading)? {
            Some(bytes) => Ok(i64::from_be_bytes(array(&bytes)?)),
            None => Ok(0),
        }
    }

    /// The award worker's side of a partition.
    pub fn partition(&self, partition: i32) -> Result<LocalPartition, TransportError> {
        let mut output_ends = [0; OutputTopic::ALL.len()];
        for topic in OutputTopic::ALL {
            output_ends[topic as usize] = log_end(&self.shared.outputs, &log_prefix(topic as u8, partition))?;
        }
        let store = LocalStore { state: self.shared.state.clone(), partition };
        Ok(LocalPartition { local: self.clone(), partition, output_ends, store })
    }

    /// Hands over input records from `offset` on, at least one batch if there is one, about `bytes_max`.
    pub fn read_inputs(
        &self,
        partition: i32,
        offset: i64,
        bytes_max: usize,
        each: &mut dyn FnMut(InputRecord<'_>),
    ) -> Result<(), TransportError> {
        read_log(&self.shared.inputs, 0, partition, offset, bytes_max, &mut |base, value| {
            let mut rest = value;
            let count = read_varint(&mut rest)?;
            if base + count as i64 <= offset {
                return Ok(());
            }
            let mut file = None;
            for index in 0..count as i64 {
                let mut tag = split_byte(&mut rest)?;
                if tag == FILE_TAG {
                    file = std::str::from_utf8(read_bytes(&mut rest)?).ok().filter(|file| !file.is_empty());
                    tag = split_byte(&mut rest)?;
                }
                let format = match tag {
                    0 => Format::Avro,
                    1 => Format::Json,
                    2 => Format::TooLarge,
                    _ => Format::Broken,
                };
                let line = Some(read_varint(&mut rest)? as i64).filter(|&line| line > 0);
                let payload = read_bytes(&mut rest)?;
                if base + index >= offset {
                    each(InputRecord { offset: base + index, format, payload, file, line });
                }
            }
            Ok(())
        })
    }

    /// Hands over output records from `offset` on, at least one batch if there is one, about `bytes_max`.
    pub fn read_outputs(
        &self,
        topic: OutputTopic,
        partition: i32,
        offset: i64,
        bytes_max: usize,
        each: &mut dyn FnMut(OutputRecord<'_>),
    ) -> Result<(), TransportError> {
        read_log(&self.shared.outputs, topic as u8, partition, offset, bytes_max, &mut |base, value| {
            let mut rest = value;
            let count = read_varint(&mut rest)?;
            if base + count as i64 <= offset {
                return Ok(());
            }
            for index in 0..count as i64 {
                let payload = read_bytes(&mut rest)?;
                if base + index >= offset {
                    each(OutputRecord { offset: base + index, payload });
                }
            }
            Ok(())
        })
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
        self.shared.database.disk_space().unwrap_or(0)
    }
}

/// The award worker's side of one partition of the embedded log.
pub struct LocalPartition {
    local: Local,
    partition: i32,
    output_ends: [i64; OutputTopic::ALL.len()],
    store: LocalStore,
}

impl Transport for LocalPartition {
    fn partition(&self) -> i32 {
        self.partition
    }

    fn position(&self) -> Result<i64, TransportError> {
        self.local.position(self.partition)
    }

    fn poll(&self, offset: i64, bytes_max: usize, each: &mut dyn FnMut(InputRecord<'_>)) -> Result<(), TransportError> {
        self.local.read_inputs(self.partition, offset, bytes_max, each)
    }

    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn commit(&mut self, transaction: Transaction) -> Result<(), TransportError> {
        let shared = &self.local.shared;
        let mut write = shared.database.batch().durability(Some(PersistMode::SyncData));
        let mut ends = self.output_ends;
        for topic in OutputTopic::ALL {
            let payloads = || transaction.outputs.iter().filter(|(of, _)| *of == topic).map(|(_, payload)| payload);
            let count = payloads().count();
            if count == 0 {
                continue;
            }
            let mut value = Vec::with_capacity(payloads().map(|payload| payload.len() + 3).sum::<usize>() + 8);
            varint(&mut value, count as u64);
            for payload in payloads() {
                varint(&mut value, payload.len() as u64);
                value.extend_from_slice(payload);
            }
            let end = &mut ends[topic as usize];
            write.insert(&shared.outputs, log_key(topic as u8, self.partition, *end), value);
            *end += count as i64;
        }
        for change in transaction.changes {
            let key = state_key(self.partition, &change.key);
            match change.value {
                Some(value) => write.insert(&shared.state, key, value),
                None => write.remove(&shared.state, key),
            }
        }
        write.insert(&shared.meta, position_key(self.partition), transaction.next_offset.to_be_bytes());
        write.commit().map_err(|source| TransportError::Local { doing: "written", source })?;
        self.output_ends = ends;
        self.local.announce();
        Ok(())
    }
}

/// A partition's committed state.
struct LocalStore {
    state: Keyspace,
    partition: i32,
}

impl Store for LocalStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let value = self.state.get(state_key(self.partition, key)).map_err(|error| Fault(Box::new(reading(error))))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), Fault> {
        for guard in self.state.prefix(state_key(self.partition, prefix)) {
            let (key, value) = guard.into_inner().map_err(|error| Fault(Box::new(reading(error))))?;
            visit(&key[2..], &value)?;
        }
        Ok(())
    }
}

/// Makes an empty store beside its place and moves it there when it is whole: one that is killed while it is being made
/// could not be opened again.
fn make_store(folder: &Path, store: &Path) -> Result<(), fjall::Error> {
    let unfinished = folder.join("store.unfinished");
    if unfinished.exists() {
        std::fs::remove_dir_all(&unfinished)?;
    }
    let database = Database::builder(&unfinished).open()?;
    for name in ["inputs", "outputs", "state", "meta"] {
        database.keyspace(name, KeyspaceCreateOptions::default)?;
    }
    database.persist(PersistMode::SyncAll)?;
    drop(database);
    std::fs::rename(unfinished, store)?;
    Ok(std::fs::File::open(folder)?.sync_all()?)
}

fn reading(source: fjall::Error) -> TransportError {
    TransportError::Local { doing: "read", source }
}

fn damaged(what: &str) -> TransportError {
    TransportError::Damaged(what.to_owned())
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], TransportError> {
    bytes.try_into().map_err(|_| damaged("a number of the wrong length"))
}

fn state_key(partition: i32, key: &[u8]) -> Vec<u8> {
    let mut full = Vec::with_capacity(2 + key.len());
    full.extend_from_slice(&(partition as u16).to_be_bytes());
    full.extend_from_slice(key);
    full
}

fn position_key(partition: i32) -> String {
    format!("position/{partition}")
}

fn progress_key(producer: &str) -> String {
    format!("progress/{producer}")
}

fn log_prefix(topic: u8, partition: i32) -> [u8; 3] {
    let [high, low] = (partition as u16).to_be_bytes();
    [topic, high, low]
}

fn log_key(topic: u8, partition: i32, base: i64) -> Vec<u8> {
    [&log_prefix(topic, partition)[..], &base.to_be_bytes()].concat()
}

/// The offset after the last record of a log: the base of its last batch and the count in it.
fn log_end(log: &Keyspace, prefix: &[u8; 3]) -> Result<i64, TransportError> {
    let Some(guard) = log.prefix(prefix).next_back() else { return Ok(0) };
    let (key, value) = guard.into_inner().map_err(reading)?;
    let base = i64::from_be_bytes(array(&key[3..])?);
    Ok(base + read_varint(&mut &value[..])? as i64)
}

/// Visits the batches of a log from the one that holds `offset` on, until about `bytes_max` have been seen.
fn read_log(
    log: &Keyspace,
    topic: u8,
    partition: i32,
    offset: i64,
    bytes_max: usize,
    visit: &mut dyn FnMut(i64, &[u8]) -> Result<(), TransportError>,
) -> Result<(), TransportError> {
    let before = log.range(log_key(topic, partition, 0)..=log_key(topic, partition, offset)).next_back();
    let first = match before {
        Some(guard) => guard.key().map_err(reading)?.to_vec(),
        None => log_key(topic, partition, offset),
    };
    let mut seen = 0;
    for guard in log.range(first..log_key(topic, partition, i64::MAX)) {
        let (key, value) = guard.into_inner().map_err(reading)?;
        visit(i64::from_be_bytes(array(&key[3..])?), &value)?;
        seen += value.len();
        if seen >= bytes_max {
            break;
        }
    }
    Ok(())
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn read_varint(rest: &mut &[u8]) -> Result<u64, TransportError> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = split_byte(rest)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(damaged("a number longer than 64 bits"))
}

fn split_byte(rest: &mut &[u8]) -> Result<u8, TransportError> {
    let (&byte, after) = rest.split_first().ok_or_else(|| damaged("a batch of records ends too early"))?;
    *rest = after;
    Ok(byte)
}

fn read_bytes<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], TransportError> {
    let length = usize::try_from(read_varint(rest)?).map_err(|_| damaged("a length out of range"))?;
    let (bytes, after) = rest.split_at_checked(length).ok_or_else(|| damaged("a batch of records ends too early"))?;
    *rest = after;
    Ok(bytes)
}
