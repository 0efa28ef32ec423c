//! Decides how records get into the embedded log: to which partition, and when a day is over.
//!
//! The producer of a replay or a demo is also its clock. It watches the arrival dates: when a record of a later date comes,
//! the days before it are over, and that is written into every partition ahead of the record. So what is decided depends
//! on the order of the input alone, never on when the program ran. What the records say is not looked at here.

use std::sync::Arc;

use pipeline::calendar::CivilDate;
use schemas::ClockRecord;

use crate::transport::local::{InputBatch, Local};
use crate::transport::{Format, TransportError};

/// Records are appended when about so many bytes have gathered.
const APPEND_BYTES: usize = 1 << 20;

/// A gap of more days between two arrival dates is a broken clock, not a pause: it does not end a day.
const GAP_DAYS_MAX: i32 = 366;

/// The name under which the producers' common clock is kept.
const CLOCK: &str = "clock";

/// Writes records into the embedded log.
pub struct Producer {
    local: Local,
    batches: Vec<InputBatch>,
    clock: Clock,
    progress: Vec<(String, Vec<u8>)>,
}

/// How far time has come in this data folder.
#[derive(Clone, Copy, Debug, Default)]
struct Clock {
    /// The latest arrival date.
    today: Option<CivilDate>,
    /// The last day that was declared over.
    closed: Option<CivilDate>,
}

/// A record to append.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Decides the partition; empty where it could not be told.
    pub member: &'a str,
    /// Its arrival date, where it could be told.
    pub arrived_on: Option<CivilDate>,
    /// How to read it.
    pub format: Format,
    /// The file that it comes from.
    pub file: Option<&'a Arc<str>>,
    /// Its line or number there, 0 for none.
    pub line: u64,
    /// Its bytes.
    pub payload: &'a [u8],
}

impl Producer {
    /// A producer that goes on where time stands in the folder.
    pub fn open(local: &Local) -> Result<Producer, TransportError> {
        let clock = match local.progress(CLOCK)? {
            Some(bytes) => Clock::decode(&bytes)?,
            None => Clock::default(),
        };
        let batches = (0..local.partitions()).map(|_| InputBatch::default()).collect();
        Ok(Producer { local: local.clone(), batches, clock, progress: Vec::new() })
    }

    /// Adds a record; before it, the end of the days that it shows to be over.
    pub fn send(&mut self, record: Outgoing<'_>) {
        if let Some(arrived_on) = record.arrived_on.filter(|date| date.is_accepted()) {
            let today = self.clock.today.get_or_insert(arrived_on);
            if arrived_on > *today && arrived_on.days_since(*today) <= GAP_DAYS_MAX {
                let yesterday = arrived_on.plus_days(-1);
                self.clock.today = Some(arrived_on);
                self.close_until(yesterday, true);
            }
        }
        let partition = self.local.partition_of(record.member) as usize;
        self.batches[partition].push(record.format, record.file, record.line, record.payload);
    }

    /// Adds a record to every partition: a programme version.
    pub fn broadcast(&mut self, payload: &[u8]) {
        self.batches.iter_mut().for_each(|batch| batch.push(Format::Avro, None, 0, payload));
    }

    /// Declares all days up to `date` over, in every partition. `parked_wait`: more may come that was received by then.
    pub fn close_until(&mut self, date: CivilDate, parked_wait: bool) {
        // Nothing arrived before the first record, so nothing is due before its day.
        let Some(first) = self.clock.closed.map(|closed| closed.plus_days(1)).or(self.clock.today) else { return };
        let first = first.min(date);
        let mut payload = Vec::new();
        for days in first.epoch_days()..=date.epoch_days() {
            let day = CivilDate::from_epoch_days(days);
            if self.clock.closed.is_some_and(|closed| day <= closed) {
                continue;
            }
            payload.clear();
            schemas::encode_clock(ClockRecord { date: day, parked_wait }, &mut payload);
            self.broadcast(&payload);
            self.clock.closed = Some(day);
        }
    }

    /// Notes how far the producer has come; it becomes durable together with the records sent so far.
    pub fn note(&mut self, producer: &str, progress: Vec<u8>) {
        match self.progress.iter_mut().find(|(known, _)| known == producer) {
            Some((_, known)) => *known = progress,
            None => self.progress.push((producer.to_owned(), progress)),
        }
    }

    /// Whether enough has gathered to append it.
    pub fn is_full(&self) -> bool {
        self.batches.iter().map(InputBatch::bytes).sum::<usize>() >= APPEND_BYTES
    }

    /// Appends what has gathered. Durable on return.
    pub fn append(&mut self) -> Result<(), TransportError> {
        let clock = (CLOCK.to_owned(), self.clock.encode());
        self.progress.push(clock);
        let result = self.local.append(&mut self.batches, &self.progress);
        self.progress.clear();
        result
    }
}

impl Clock {
    fn encode(self) -> Vec<u8> {
        let days = |date: Option<CivilDate>| date.map_or(i32::MIN, CivilDate::epoch_days).to_be_bytes();
        [days(self.today), days(self.closed)].concat()
    }

    fn decode(bytes: &[u8]) -> Result<Clock, TransportError> {
        let days = |range: std::ops::Range<usize>| {
            let bytes = bytes.get(range).and_then(|bytes| bytes.try_into().ok());
            let days = bytes.map(i32::from_be_bytes).ok_or_else(|| TransportError::Damaged("the clock".to_owned()))?;
            Ok::<_, TransportError>(Some(days).filter(|&days| days != i32::MIN).map(CivilDate::from_epoch_days))
        };
        Ok(Clock { today: days(0..4)?, closed: days(4..8)? })
    }
}
