//! Decides how a partition's state is brought up to date from the compacted changelog when the partition is taken over.
//!
//! The worker first commits a marker into the changelog of each partition, then reads committed records up to it. A marker
//! is visible only when every transaction before it has ended, so an open one of a worker that died is waited for, and
//! nothing that was committed is missed, whatever end the brokers tell of (they have been seen to tell an old one).
//!
//! Guarantees: after [`Restore::run`] a store holds everything that was committed before the marker. A store reads only
//! what it lacks; one that can't be told to be a part of this changelog, or that missed deletions, is emptied and reads all.
//! On failure: the stores hold less than that, and are to be restored again or dropped.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use crate::state_store::StateStore;
use crate::transport::TransportError;

use super::client::Connection;

/// The key of markers. The state's keys begin with a letter; the store keeps its own under this byte, not in the changelog.
pub(super) const MARKER_KEY: &[u8] = &[0xff];

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How often to look whether to go on, while nothing comes.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Why a restore ended early.
#[derive(Debug)]
pub(super) enum RestoreError {
    /// Kafka did not answer as it should.
    Kafka(&'static str, KafkaError),
    /// The local store.
    State(TransportError),
    /// `go_on` said no.
    Interrupted,
}

impl From<TransportError> for RestoreError {
    fn from(error: TransportError) -> Self {
        RestoreError::State(error)
    }
}

/// A partition to restore.
pub(super) struct Restore {
    /// The partition.
    pub partition: i32,
    /// Its store.
    pub store: StateStore,
    /// The offset after the marker.
    pub end: i64,
    /// Records of the changelog that were applied.
    pub records: u64,
    is_done: bool,
}

impl Restore {
    /// A store to be brought up to `end`. `is_fresh`: it has followed the changelog lately enough to have missed no
    /// deletion.
    pub fn new(partition: i32, store: StateStore, end: i64, is_fresh: bool) -> Result<Restore, TransportError> {
        let mut restore = Restore { partition, store, end, records: 0, is_done: false };
        // Behind the end: it followed another changelog.
        if restore.store.position() > 0 && (!is_fresh || restore.store.position() > end) {
            restore.store.clear()?;
        }
        Ok(restore)
    }

    fn apply(&mut self, message: &impl Message) -> Result<(), TransportError> {
        let next = message.offset() + 1;
        match message.key() {
            Some(key) if key != MARKER_KEY => {
                self.store.apply(std::iter::once((key, message.payload())), next);
                self.store.flush_if_full()?;
                self.records += 1;
            }
            _ => self.store.apply(std::iter::empty(), next),
        }
        self.is_done = next >= self.end;
        Ok(())
    }
}

/// Reads the changelog.
pub(super) struct ChangelogReader {
    consumer: BaseConsumer<Connection>,
    topic: String,
}

impl ChangelogReader {
    /// A reader that is no member of any group. `group_id` only goes with its requests.
    pub fn open(config: &ClientConfig, group_id: &str, topic: &str, connection: Connection) -> KafkaResult<Self> {
        let mut config = config.clone();
        // An offset that is not there must not become another one in silence: see `start`.
        config.set("group.id", group_id).set("auto.offset.reset", "error");
        let consumer = config.create_with_context(connection)?;
        Ok(ChangelogReader { consumer, topic: topic.to_owned() })
    }

    /// Brings the stores up to their ends. `go_on` is asked now and then.
    pub fn run(&self, restores: &mut [Restore], go_on: &mut dyn FnMut() -> bool) -> Result<(), RestoreError> {
        let mut list = TopicPartitionList::with_capacity(restores.len());
        for restore in restores.iter_mut() {
            let start = self.start(restore)?;
            list.add_partition_offset(&self.topic, restore.partition, Offset::Offset(start))
                .map_err(|error| RestoreError::Kafka("reading the changelog", error))?;
        }
        self.consumer.assign(&list).map_err(|error| RestoreError::Kafka("reading the changelog", error))?;
        let mut asked_at = Instant::now();
        while !restores.iter().all(|restore| restore.is_done) {
            match self.consumer.poll(POLL_INTERVAL) {
                Some(Ok(message)) => {
                    let of_it = restores.iter_mut().find(|restore| restore.partition == message.partition());
                    if let Some(restore) = of_it.filter(|restore| !restore.is_done) {
                        restore.apply(&message)?;
                    }
                }
                // The end of what is committed, which is not yet the marker; or a broker that went away and comes back.
                Some(Err(KafkaError::PartitionEOF(_) | KafkaError::Global(_))) | None => {}
                Some(Err(error)) if super::error::is_passing(&error) => {}
                Some(Err(error)) => return Err(RestoreError::Kafka("reading the changelog", error)),
            }
            if asked_at.elapsed() >= POLL_INTERVAL {
                asked_at = Instant::now();
                if !go_on() {
                    return Err(RestoreError::Interrupted);
                }
            }
        }
        self.consumer.unassign().map_err(|error| RestoreError::Kafka("reading the changelog", error))
    }

    /// Where to begin: at the store's position, if the changelog still reaches back to it.
    fn start(&self, restore: &mut Restore) -> Result<i64, RestoreError> {
        let (low, _) = self
            .consumer
            .fetch_watermarks(&self.topic, restore.partition, REQUEST_TIMEOUT)
            .map_err(|error| RestoreError::Kafka("asking where the changelog begins", error))?;
        if restore.store.position() < low {
            restore.store.clear()?;
            return Ok(low);
        }
        Ok(restore.store.position())
    }
}

/// Notes beside the store when each partition last was as new as the changelog, since deletions leave the changelog some
/// time after they were made.
pub(super) struct Freshness {
    folder: PathBuf,
    /// A store that was last fresh longer ago may have missed deletions.
    age_max: Duration,
}

impl Freshness {
    /// `tombstones_kept` is the changelog's `delete.retention.ms`.
    pub fn new(folder: &Path, tombstones_kept: Duration) -> io::Result<Self> {
        let folder = folder.join("fresh");
        fs::create_dir_all(&folder)?;
        // Clocks of workers and brokers differ, and a restore takes its time.
        Ok(Freshness { folder, age_max: tombstones_kept.mul_f64(0.75) })
    }

    /// The store of a partition on disk is as new as the changelog was a moment ago.
    pub fn note(&self, partition: i32) -> io::Result<()> {
        fs::write(self.path(partition), b"")
    }

    /// Whether a partition's store has missed no deletion for its age.
    pub fn is_fresh(&self, partition: i32) -> bool {
        let written = fs::metadata(self.path(partition)).and_then(|metadata| metadata.modified());
        // A time in the future is a clock that was set back: nothing is known.
        written.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age <= self.age_max))
    }

    fn path(&self, partition: i32) -> PathBuf {
        self.folder.join(partition.to_string())
    }
}
