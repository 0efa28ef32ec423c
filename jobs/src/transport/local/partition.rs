//! Decides how the embedded default commits a transaction of one partition: outputs, state changes and input position as
//! one entry of the partition's log, synced, then the state in memory.
//!
//! Guarantees: what `commit` returned for is on disk, all of it. Opened again after whatever crash, the partition has the
//! outputs, the state and the position of the same commit: the last that became durable. On failure: an error of `commit`
//! says nothing about what is on disk, and nothing more is taken; the folder must be opened again.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use pipeline::state::Store;

use super::records::{read_changes, write_changes, write_outputs};
use super::{CHANGES, Local, POSITION, Partition, damaged};
use crate::state_store::StateStore;
use crate::transport::{InputRecord, OutputTopic, Transaction, TransportError};

/// The award worker's side of one partition of the embedded log. There is one at a time for each.
pub struct LocalPartition {
    local: Local,
    partition: i32,
    shared: Arc<Partition>,
    state: StateStore,
}

impl LocalPartition {
    /// Opens the partition, with the state as it was committed.
    pub(super) fn open(local: Local, partition: i32, overlay_bytes_max: usize) -> Result<Self, TransportError> {
        let shared = Arc::clone(local.shared(partition));
        if shared.is_open.swap(true, Ordering::AcqRel) {
            return Err(TransportError::PartitionInUse(partition));
        }
        // From here on it is given back when it is dropped, whatever fails.
        let state = StateStore::open(local.database(), partition, overlay_bytes_max);
        let mut opened = match state {
            Ok(state) => LocalPartition { local, partition, shared, state },
            Err(error) => {
                shared.is_open.store(false, Ordering::Release);
                return Err(error);
            }
        };
        opened.catch_up()?;
        Ok(opened)
    }

    /// Applies the changes that the state on disk does not have.
    fn catch_up(&mut self) -> Result<(), TransportError> {
        let LocalPartition { state, shared, .. } = self;
        let (begin, position, end) = (shared.log.begin(CHANGES), state.position(), shared.log.end(CHANGES));
        if !(begin..=end).contains(&position) {
            return Err(damaged(&format!("the state is at change {position}, and the log has {begin} to {end}")));
        }
        shared.log.read(CHANGES, position, usize::MAX, &mut |base, count, section| {
            state.apply(read_changes(section)?.into_iter(), base + i64::from(count));
            state.flush_if_full()?;
            Ok(ControlFlow::Continue(()))
        })?;
        shared.log.release(CHANGES, state.position())
    }
}

impl Drop for LocalPartition {
    fn drop(&mut self) {
        self.shared.is_open.store(false, Ordering::Release);
    }
}

impl LocalPartition {
    /// The partition.
    pub const fn partition(&self) -> i32 {
        self.partition
    }

    /// The offset of the next record to process, as committed.
    pub fn position(&self) -> Result<i64, TransportError> {
        self.local.position(self.partition)
    }

    /// Hands over records from `offset` on, about `bytes_max` of them, or until `each` breaks; none if there are no more.
    pub fn poll(
        &self,
        offset: i64,
        bytes_max: usize,
        each: &mut dyn FnMut(InputRecord<'_>) -> ControlFlow<()>,
    ) -> Result<(), TransportError> {
        self.local.read_inputs(self.partition, offset, bytes_max, each)
    }

    /// The committed state.
    pub const fn store(&self) -> &dyn Store {
        &self.state
    }

    /// Makes a transaction durable; `next_offset` is the offset after the last input record that is part of it. After an
    /// error nothing may be assumed of it: start again from what is committed.
    pub fn commit(&mut self, transaction: &Transaction, next_offset: i64) -> Result<(), TransportError> {
        let Transaction { outputs, changes } = transaction;
        let log = &self.shared.log;
        log.append(|entry| {
            entry.section(CHANGES, |section| {
                write_changes(changes, section);
                usize::from(!changes.is_empty())
            });
            for topic in OutputTopic::ALL {
                entry.section(super::stream(topic), |section| write_outputs(outputs, topic, section));
            }
            entry.mark(POSITION, &next_offset.to_le_bytes());
        })?;
        self.local.announce();
        self.state.apply(changes.iter(), log.end(CHANGES));
        if self.state.flush_if_full()? {
            log.release(CHANGES, self.state.position())?;
        }
        Ok(())
    }
}
