//! Decides how the partitions that a worker owns share its transactions: what is open, when it is enough, and what becomes
//! of it.

use std::time::{Duration, Instant};

use rdkafka::message::{BorrowedMessage, Message};

use crate::transport::{InputTopic, Transaction, TransportError};

use super::error::WorkerError;
use super::partition::{Partition, Positions, Processor};
use super::topic_names::TopicNames;

/// What bounds a transaction.
#[derive(Clone, Copy, Debug)]
pub struct TransactionBounds {
    /// It is committed so long after it began; sooner when there is nothing more to read.
    pub commit_interval: Duration,
    /// When there is nothing more to read, it is committed so long after it began: each costs the brokers a marker in every
    /// partition that it wrote.
    pub idle_interval: Duration,
    /// It takes at most about so many bytes of input.
    pub input_bytes_max: usize,
}

impl Default for TransactionBounds {
    fn default() -> Self {
        TransactionBounds {
            commit_interval: Duration::from_millis(100),
            idle_interval: Duration::from_millis(10),
            input_bytes_max: 16 << 20,
        }
    }
}

/// Calls that close a day for some members of a partition, in one transaction. Each is of a few thousand members at most.
const CLOSES_MAX: u32 = 64;

/// Records between two looks at the clock.
const RECORDS_A_LOOK: u64 = 64;

/// The partitions of a worker, and what was decided of them since the last transaction.
pub(super) struct Owned<P> {
    names: TopicNames,
    partitions: Vec<Partition<P>>,
    /// Where each partition is in `partitions`.
    places: Vec<Option<usize>>,
    open: Open,
    is_closing: bool,
    /// Transactions whose memory can be used again.
    spare: Vec<Transaction>,
}

#[derive(Default)]
struct Open {
    began: Option<Instant>,
    records: u64,
    input_bytes: usize,
    /// Calls that closed a day for some members of a partition.
    closes: u32,
}

/// What is to be committed.
pub(super) struct Staged {
    /// What each partition appends.
    pub parts: Vec<(i32, Transaction)>,
    /// The input positions that belong to it.
    pub positions: Vec<(InputTopic, i32, i64)>,
    /// Input records that it took.
    pub records: u64,
}

impl<P: Processor> Owned<P> {
    /// None yet.
    pub fn none(names: TopicNames) -> Self {
        let (partitions, places, spare) = (Vec::new(), Vec::new(), Vec::new());
        Owned { names, partitions, places, open: Open::default(), is_closing: false, spare }
    }

    /// Takes partitions over, in place of those that there were.
    pub fn replace(&mut self, partitions: Vec<Partition<P>>) {
        self.forget();
        self.is_closing = partitions.iter().any(Partition::is_closing);
        for (place, partition) in partitions.iter().enumerate() {
            let number = usize::try_from(partition.number).unwrap_or(0);
            if self.places.len() <= number {
                self.places.resize(number + 1, None);
            }
            self.places[number] = Some(place);
        }
        self.partitions = partitions;
    }

    /// Drops all partitions, and all that was decided and not committed.
    pub fn forget(&mut self) {
        self.partitions.clear();
        self.places.clear();
        self.open = Open::default();
        self.is_closing = false;
    }

    /// Their numbers.
    pub fn numbers(&self) -> Vec<i32> {
        self.partitions.iter().map(|partition| partition.number).collect()
    }

    /// How far a partition has been read.
    pub fn positions(&self, partition: i32) -> Option<Positions> {
        self.partitions.iter().find(|known| known.number == partition).map(Partition::positions)
    }

    /// How far a topic of a partition has been read.
    pub fn position(&self, partition: i32, topic: InputTopic) -> Option<i64> {
        self.positions(partition).map(|positions| positions[topic as usize])
    }

    /// Whether something was decided that is not staged.
    pub fn is_open(&self) -> bool {
        self.open.began.is_some()
    }

    /// For how long something has been decided that is not staged.
    pub fn open_for(&self) -> Option<Duration> {
        self.open.began.map(|began| began.elapsed())
    }

    /// Whether a day is being closed in one of them.
    pub fn is_closing(&self) -> bool {
        self.is_closing
    }

    /// Decides on a record. One of a partition that is not owned any more is passed over. `true`: it is time to commit.
    pub fn take(&mut self, message: &BorrowedMessage<'_>, bounds: &TransactionBounds) -> Result<bool, WorkerError> {
        let number = message.partition();
        let place = usize::try_from(number).ok().and_then(|number| self.places.get(number).copied().flatten());
        let (Some(place), Some(topic)) = (place, self.names.input_of(message.topic())) else { return Ok(false) };
        let partition = &mut self.partitions[place];
        partition.take(topic, message).map_err(|source| failed(number, source))?;
        self.is_closing |= partition.is_closing();
        let open = &mut self.open;
        open.records += 1;
        open.input_bytes += message.payload_len();
        let began = *open.began.get_or_insert_with(Instant::now);
        Ok(open.input_bytes >= bounds.input_bytes_max
            || (open.records.is_multiple_of(RECORDS_A_LOOK) && began.elapsed() >= bounds.commit_interval))
    }

    /// Closes days for some members of each partition where one is being closed.
    pub fn close_some(&mut self) -> Result<(), WorkerError> {
        self.is_closing = false;
        for partition in self.partitions.iter_mut().filter(|partition| partition.is_closing()) {
            self.open.began.get_or_insert_with(Instant::now);
            self.open.closes += 1;
            partition.close_some().map_err(|source| failed(partition.number, source))?;
            self.is_closing |= partition.is_closing();
        }
        Ok(())
    }

    /// Whether it is time to commit, while days are closed.
    pub fn is_due(&self, bounds: &TransactionBounds) -> bool {
        let is_late = self.open.began.is_some_and(|began| began.elapsed() >= bounds.commit_interval);
        is_late || self.open.closes >= CLOSES_MAX
    }

    /// Everything decided since the last call. What was staged before must be committed.
    pub fn stage(&mut self) -> Staged {
        let mut staged = Staged { parts: Vec::new(), positions: Vec::new(), records: self.open.records };
        for partition in &mut self.partitions {
            let number = partition.number;
            if partition.is_open() {
                let mut transaction = self.spare.pop().unwrap_or_default();
                partition.stage(&mut transaction);
                staged.parts.push((number, transaction));
                staged
                    .positions
                    .extend(partition.staged_positions().map(|(topic, position)| (topic, number, position)));
            }
        }
        self.open = Open::default();
        staged
    }

    /// What was staged is durable. Gives the partitions whose state was written to disk.
    pub fn committed(
        &mut self,
        parts: Vec<(i32, Transaction)>,
        changelog_ends: &[(i32, i64)],
        flush_interval: Duration,
    ) -> Result<Vec<i32>, TransportError> {
        let mut flushed = Vec::new();
        for (number, mut transaction) in parts {
            transaction.clear();
            self.spare.push(transaction);
            let end = changelog_ends.iter().find(|(of, _)| *of == number).map(|(_, end)| *end);
            if let Some(partition) = self.partitions.iter_mut().find(|partition| partition.number == number)
                && partition.committed(end, flush_interval)?
            {
                flushed.push(number);
            }
        }
        Ok(flushed)
    }

    /// Writes all state to disk. Everything that was staged must be committed.
    pub fn flush(&mut self) -> Result<(), TransportError> {
        self.partitions.iter_mut().try_for_each(Partition::flush)
    }
}

fn failed(partition: i32, source: impl std::error::Error + Send + Sync + 'static) -> WorkerError {
    WorkerError::Processing { partition, source: Box::new(source) }
}
