//! Decides what a worker keeps of one partition: the processing, its state, how far each input topic has been read, and
//! the clock records that wait.
//!
//! A clock record waits until the partition has been read up to the offsets that it names, so that a worker that is
//! catching up closes no day before its facts. Meanwhile the committed position of the clock topic stays before it, so a
//! restart reads it again. There is one a day, so however many wait are few.
//!
//! Staged changes go into the state store's memory at once, so that the next records are decided on top of them while the
//! transaction is under way. They are written to disk only by [`Partition::committed`]; if the transaction does not
//! come about, the whole partition is dropped and restored.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use pipeline::state::Store;
use rdkafka::message::{BorrowedMessage, Message};

use crate::award::{AwardError, AwardPartition, AwardSettings};
use crate::state_store::StateStore;
use crate::transport::{Format, InputRecord, InputTopic, Transaction, TransportError};

use super::headers;
use super::topic_names::INPUTS;

/// What a worker drives: the award processing of one partition. Everything it needs of the outside is in `store`.
pub trait Processor: Sized {
    /// What makes one, besides its state.
    type Settings: Clone + Send + 'static;
    /// Why it can't go on.
    type Error: std::error::Error + Send + Sync + 'static;

    /// One that goes on from the state.
    fn restore(partition: i32, store: &dyn Store, settings: &Self::Settings) -> Result<Self, Self::Error>;

    /// Decides on one record.
    fn process(&mut self, record: &InputRecord<'_>, store: &dyn Store) -> Result<(), Self::Error>;

    /// A day is being closed: commit, then [`Processor::close_some`] and commit until it is done, before the next record.
    fn is_closing(&self) -> bool;

    /// Closes for a bounded number of members.
    fn close_some(&mut self, store: &dyn Store) -> Result<(), Self::Error>;

    /// Moves everything decided since the last call into the transaction.
    fn stage(&mut self, transaction: &mut Transaction);

    /// What was staged is durable. More may have been decided since.
    fn committed(&mut self);
}

/// The input position of each topic.
pub(super) type Positions = [i64; INPUTS];

/// One partition while it belongs to this worker.
pub(super) struct Partition<P> {
    /// Its number.
    pub number: i32,
    processor: P,
    store: StateStore,
    /// The offset after the last record read, for each topic.
    positions: Positions,
    /// The positions that were last staged.
    staged: Positions,
    waiting: VecDeque<WaitingClock>,
    /// The changelog position that the store's memory has reached.
    changelog_end: i64,
    is_open: bool,
    flushed_at: Instant,
}

struct WaitingClock {
    offset: i64,
    format: Format,
    payload: Vec<u8>,
    ends: [Option<i64>; INPUTS],
}

impl<P: Processor> Partition<P> {
    /// A partition whose state is restored up to `changelog_end`, to be read from `positions` on.
    pub fn restored(
        number: i32,
        store: StateStore,
        changelog_end: i64,
        positions: Positions,
        settings: &P::Settings,
    ) -> Result<Self, P::Error> {
        let processor = P::restore(number, &store, settings)?;
        Ok(Partition {
            number,
            processor,
            store,
            positions,
            // None yet: the first transaction commits them all.
            staged: [-1; INPUTS],
            waiting: VecDeque::new(),
            changelog_end,
            is_open: false,
            flushed_at: Instant::now(),
        })
    }

    /// Decides on a record, and on the clock records that waited for it. A record that was read before is passed over.
    pub fn take(&mut self, topic: InputTopic, message: &BorrowedMessage<'_>) -> Result<(), P::Error> {
        let offset = message.offset();
        let position = &mut self.positions[topic as usize];
        if offset < *position {
            return Ok(());
        }
        *position = offset + 1;
        let payload = message.payload().unwrap_or_default();
        let described = headers::describe(message.headers());
        if topic == InputTopic::Clock {
            let ends = headers::input_ends(message.headers());
            self.waiting.push_back(WaitingClock { offset, format: described.format, payload: payload.to_vec(), ends });
        } else {
            let headers::Described { format, file, line } = described;
            let record = InputRecord { topic, offset, format, payload, file, line };
            self.is_open = true;
            self.processor.process(&record, &self.store)?;
        }
        if self.waiting.is_empty() { Ok(()) } else { self.release_clock() }
    }

    /// Applies the first clock record that waits, if its time has come. The next one has to wait for the day's close.
    fn release_clock(&mut self) -> Result<(), P::Error> {
        if self.processor.is_closing() {
            return Ok(());
        }
        while let Some(clock) = self.waiting.pop_front_if(|clock| is_reached(&clock.ends, &self.positions)) {
            let WaitingClock { offset, format, payload, .. } = clock;
            let record =
                InputRecord { topic: InputTopic::Clock, offset, format, payload: &payload, file: None, line: None };
            self.is_open = true;
            self.processor.process(&record, &self.store)?;
            if self.processor.is_closing() {
                break;
            }
        }
        Ok(())
    }

    /// The offset after the last record read, for each topic.
    pub fn positions(&self) -> Positions {
        self.positions
    }

    /// Whether something was decided since the last [`Partition::stage`].
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether a day is being closed.
    pub fn is_closing(&self) -> bool {
        self.processor.is_closing()
    }

    /// Closes for some members; when all are done, for the next day, if its clock record has waited.
    pub fn close_some(&mut self) -> Result<(), P::Error> {
        self.is_open = true;
        self.processor.close_some(&self.store)?;
        self.release_clock()
    }

    /// Moves what was decided into a transaction, and into the store's memory.
    pub fn stage(&mut self, transaction: &mut Transaction) {
        self.processor.stage(transaction);
        self.store.apply(transaction.changes.iter(), self.changelog_end);
        self.is_open = false;
    }

    /// The positions that have changed since they were last asked for, topic and offset; one at least, as it is the
    /// positions by which the group's coordinator tells a worker that has been replaced.
    pub fn staged_positions(&mut self) -> impl Iterator<Item = (InputTopic, i64)> {
        let mut positions = self.positions;
        if let Some(clock) = self.waiting.front() {
            positions[InputTopic::Clock as usize] = clock.offset;
        }
        let before = std::mem::replace(&mut self.staged, positions);
        InputTopic::ALL.into_iter().filter_map(move |topic| {
            let position = positions[topic as usize];
            (topic == InputTopic::Steps || position != before[topic as usize]).then_some((topic, position))
        })
    }

    /// What was staged is durable; its last change lies before `changelog_end`, if there were changes. Nothing may have
    /// been staged since. `true` if the state was written to disk, so that what is there is as new as now.
    pub fn committed(&mut self, changelog_end: Option<i64>, flush_interval: Duration) -> Result<bool, TransportError> {
        self.changelog_end = changelog_end.unwrap_or(self.changelog_end);
        self.store.apply(std::iter::empty(), self.changelog_end);
        self.processor.committed();
        let is_flushed = if self.flushed_at.elapsed() >= flush_interval {
            self.store.flush()?;
            true
        } else {
            self.store.flush_if_full()?
        };
        if is_flushed {
            self.flushed_at = Instant::now();
        }
        Ok(is_flushed)
    }

    /// Writes the state to disk. Everything that was staged must be committed.
    pub fn flush(&mut self) -> Result<(), TransportError> {
        self.store.flush()
    }
}

fn is_reached(ends: &[Option<i64>; INPUTS], positions: &Positions) -> bool {
    ends.iter().zip(positions).all(|(end, position)| end.is_none_or(|end| *position >= end))
}

impl Processor for AwardPartition {
    type Settings = AwardSettings;
    type Error = AwardError;

    fn restore(partition: i32, store: &dyn Store, settings: &AwardSettings) -> Result<Self, AwardError> {
        AwardPartition::restore(partition, store, *settings)
    }

    fn process(&mut self, record: &InputRecord<'_>, store: &dyn Store) -> Result<(), AwardError> {
        AwardPartition::process(self, record, store)
    }

    fn is_closing(&self) -> bool {
        AwardPartition::is_closing(self)
    }

    fn close_some(&mut self, store: &dyn Store) -> Result<(), AwardError> {
        AwardPartition::close_some(self, store)
    }

    fn stage(&mut self, transaction: &mut Transaction) {
        AwardPartition::stage(self, transaction);
    }

    fn committed(&mut self) {
        AwardPartition::committed(self);
    }
}
