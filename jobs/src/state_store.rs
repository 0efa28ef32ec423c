//! Decides where one partition's state lies: what was committed lately in memory, the rest in sorted tables on local disk.
//!
//! The store follows a changelog, which is the truth: in the embedded default the partition's log of transactions, on Kafka
//! a compacted topic. Committed changes are only taken into memory, by [`StateStore::apply`]. When that has grown over its
//! bound it is written out whole, sorted, by bulk ingestion: no journal and no memtable, and each value once, however often
//! it had changed.
//!
//! Guarantees: what is on disk is the state at one position of the changelog, [`StateStore::position`], never half of a
//! step. New tables and the position are registered together by one atomic replacement of the table list, after the
//! tables are synced; the position lies among the values, under a key of its own. So whatever is killed when, the store
//! opens with the state at the old position or at the new one, and applying the changelog from there on gives the state
//! again; to apply more of it than needed changes nothing, as the last value of a key wins. Hence the order that callers
//! keep: changes are durable in the changelog before they are applied, and the changelog is shortened only up to
//! `position`. Does not guarantee: that what was applied is on disk. On failure: an error leaves the memory as it was and
//! the disk at its old position; half-written tables are removed when the database is opened next.

mod overlay;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fjall::compaction::Leveled;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use pipeline::state::{Fault, Store, Visit};

use crate::transport::TransportError;
use overlay::Overlay;

/// The state of one partition.
pub struct StateStore {
    database: Database,
    keyspace: Keyspace,
    partition: i32,
    overlay: Overlay,
    overlay_bytes_max: usize,
    /// Bytes of changes applied since the last flush: what a restart would have to apply again.
    applied_bytes: usize,
    position: i64,
    next_position: i64,
}

/// The changelog that a restart applies again is at most about so many times as large as the overlay.
const CHANGELOG_FACTOR_MAX: usize = 4;

/// Keys that begin with this byte are the store's own; those of the core begin with a letter.
const OWN_KEYS: u8 = 0xff;

/// The key of the position. Behind all others, so that it ends every ingestion.
const POSITION_KEY: [u8; 1] = [OWN_KEYS];

/// So many tables are merged into the sorted levels together. The more, the less often the same values are merged again;
/// the fewer, the faster a read. Reads are few: the core holds in memory what it uses.
const LEVEL_0_TABLES: u8 = 16;

/// From so many on a flush waits for the merging, but not for ever.
const LEVEL_0_TABLES_MAX: usize = 48;
const COMPACTION_WAIT_MAX: Duration = Duration::from_secs(10);

/// Small tables: a merge rewrites whole tables, and most of the state is days that are not written any more.
const TABLE_BYTES: u64 = 8 << 20;

/// Opens the database of a worker's state, or makes it.
pub fn open_database(folder: &Path, cache_bytes_max: u64) -> Result<Database, TransportError> {
    Database::builder(folder)
        .cache_size(cache_bytes_max)
        .manual_journal_persist(true)
        .worker_threads(WORKER_THREADS)
        .open()
        .map_err(opening)
}

/// One thread merges tables. Of several, all but one would only hand around what there is to merge, and burn a core.
const WORKER_THREADS: usize = 1;

impl StateStore {
    /// Opens a partition's state, or makes an empty one at position 0. `overlay_bytes_max` bounds the memory, up to the
    /// changes of one transaction.
    pub fn open(database: &Database, partition: i32, overlay_bytes_max: usize) -> Result<Self, TransportError> {
        let options = || {
            let compaction = Leveled::default().with_l0_threshold(LEVEL_0_TABLES).with_table_target_size(TABLE_BYTES);
            KeyspaceCreateOptions::default().compaction_strategy(Arc::new(compaction))
        };
        let keyspace = database.keyspace(&name(partition), options).map_err(opening)?;
        let position = match keyspace.get(POSITION_KEY).map_err(reading)? {
            Some(bytes) => i64::from_be_bytes(
                (&bytes[..]).try_into().map_err(|_| TransportError::Damaged("the position of the state".to_owned()))?,
            ),
            None => 0,
        };
        Ok(StateStore {
            database: database.clone(),
            keyspace,
            partition,
            overlay: Overlay::default(),
            overlay_bytes_max,
            applied_bytes: 0,
            position,
            next_position: position,
        })
    }

    /// The changelog position up to which changes are on disk; changes from there on must be applied again after opening.
    pub fn position(&self) -> i64 {
        self.position
    }

    /// Takes over committed changes. In memory only.
    pub fn apply<'c>(&mut self, changes: impl Iterator<Item = (&'c [u8], Option<&'c [u8]>)>, next_position: i64) {
        self.applied_bytes += self.overlay.apply(changes);
        self.next_position = next_position;
    }

    /// Writes the overlay to disk if it is over its bound. `true` if it did: the changelog before
    /// [`StateStore::position`] is not needed any more.
    pub fn flush_if_full(&mut self) -> Result<bool, TransportError> {
        let is_full = self.overlay.bytes() >= self.overlay_bytes_max
            || self.applied_bytes >= self.overlay_bytes_max.saturating_mul(CHANGELOG_FACTOR_MAX);
        if is_full {
            self.flush()?;
        }
        Ok(is_full)
    }

    /// Writes the overlay to disk.
    pub fn flush(&mut self) -> Result<(), TransportError> {
        if self.next_position == self.position {
            return Ok(());
        }
        self.wait_for_compaction()?;
        let mut ingestion = self.keyspace.start_ingestion().map_err(writing)?;
        for (key, value) in self.overlay.range(&[]) {
            match value {
                Some(value) => ingestion.write(key, value).map_err(writing)?,
                None => ingestion.write_tombstone(key).map_err(writing)?,
            }
        }
        ingestion.write(POSITION_KEY, self.next_position.to_be_bytes()).map_err(writing)?;
        ingestion.finish().map_err(writing)?;
        self.position = self.next_position;
        self.overlay.clear();
        self.applied_bytes = 0;
        Ok(())
    }

    /// Forgets everything on disk (a store that is too old or damaged): starts from an empty one at position 0.
    pub fn clear(&mut self) -> Result<(), TransportError> {
        // Not the keyspace's own `clear`: it writes itself into the journal, and a journal that is read again would
        // clear what has been ingested since.
        self.database.delete_keyspace(self.keyspace.clone()).map_err(writing)?;
        *self = StateStore::open(&self.database, self.partition, self.overlay_bytes_max)?;
        Ok(())
    }

    /// Waits while many tables are not merged yet: unlike an ordinary write, ingestion does not, and they could pile up
    /// without bound. The database has no event for it, and only says when asked that its background work has failed.
    fn wait_for_compaction(&self) -> Result<(), TransportError> {
        let until = Instant::now() + COMPACTION_WAIT_MAX;
        loop {
            self.database.persist(PersistMode::Buffer).map_err(writing)?;
            if self.keyspace.l0_table_count() < LEVEL_0_TABLES_MAX || Instant::now() >= until {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Store for StateStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        if let Some(value) = self.overlay.get(key) {
            return Ok(value.map(<[u8]>::to_vec));
        }
        let value = self.keyspace.get(key).map_err(|error| Fault(Box::new(reading(error))))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), Fault> {
        let mut newer = self.overlay.range(prefix).peekable();
        for guard in self.keyspace.prefix(prefix) {
            let (key, value) = guard.into_inner().map_err(|error| Fault(Box::new(reading(error))))?;
            if key.first() == Some(&OWN_KEYS) {
                break;
            }
            while let Some((newer_key, newer_value)) = newer.next_if(|(newer_key, _)| *newer_key < &key[..]) {
                visit_value(newer_key, newer_value, visit)?;
            }
            match newer.next_if(|(newer_key, _)| *newer_key == &key[..]) {
                Some((_, newer_value)) => visit_value(&key, newer_value, visit)?,
                None => visit(&key, &value)?,
            }
        }
        newer.try_for_each(|(key, value)| visit_value(key, value, visit))
    }
}

fn visit_value(key: &[u8], value: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<(), Fault> {
    value.map_or(Ok(()), |value| visit(key, value))
}

fn name(partition: i32) -> String {
    format!("state-{partition}")
}

fn opening(source: fjall::Error) -> TransportError {
    TransportError::Local { doing: "opened", source }
}

fn reading(source: fjall::Error) -> TransportError {
    TransportError::Local { doing: "read", source }
}

fn writing(source: fjall::Error) -> TransportError {
    TransportError::Local { doing: "written", source }
}
