//! Decides in which form records come to the award processing, and what of it a transaction takes: outputs and changes of
//! the state, durable together with the input position.
//!
//! Two transports carry them: the embedded default ([`local`]) and [`crate::kafka`]. What a record means is the award
//! processing's to know; a transport moves bytes.

pub mod local;

use pipeline::state::Changes;
use thiserror::Error;

/// The topics that the award worker reads, under their Kafka names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InputTopic {
    /// Uploads of raw samples.
    Steps,
    /// Check-ins.
    Checkins,
    /// Measurements, daily records, logins, views, surveys, check-up results.
    Records,
    /// Enrolments and their changes, orders, recorded decisions.
    Members,
    /// Days that are over.
    Clock,
    /// Programme versions.
    Programmes,
    /// All of them: the one log of a partition of the embedded default.
    Inputs,
}

impl InputTopic {
    /// The topics on Kafka.
    pub const ALL: [InputTopic; 6] = [
        InputTopic::Steps,
        InputTopic::Checkins,
        InputTopic::Records,
        InputTopic::Members,
        InputTopic::Clock,
        InputTopic::Programmes,
    ];

    /// The topic with this number, as `as u8` gives it.
    pub fn from_number(number: u8) -> Option<InputTopic> {
        InputTopic::ALL.into_iter().chain([InputTopic::Inputs]).find(|&topic| topic as u8 == number)
    }

    /// The topic's name.
    pub const fn name(self) -> &'static str {
        match self {
            InputTopic::Steps => "ayumi.steps.v1",
            InputTopic::Checkins => "ayumi.checkins.v1",
            InputTopic::Records => "ayumi.records.v1",
            InputTopic::Members => "ayumi.members.v1",
            InputTopic::Clock => "ayumi.clock.v1",
            InputTopic::Programmes => "ayumi.programmes.v1",
            InputTopic::Inputs => "inputs",
        }
    }
}

/// The topics that the award worker writes, under their Kafka names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutputTopic {
    /// Ledger entries.
    Entries,
    /// Revisions of day totals.
    DailyTotals,
    /// Refused facts.
    Rejections,
    /// Things to tell members.
    Notices,
    /// What was read and what became of it, one record a transaction.
    Accounting,
}

impl OutputTopic {
    /// All of them.
    pub const ALL: [OutputTopic; 5] = [
        OutputTopic::Entries,
        OutputTopic::DailyTotals,
        OutputTopic::Rejections,
        OutputTopic::Notices,
        OutputTopic::Accounting,
    ];

    /// The topic's name.
    pub const fn name(self) -> &'static str {
        match self {
            OutputTopic::Entries => "ayumi.entries.v1",
            OutputTopic::DailyTotals => "ayumi.daily-totals.v1",
            OutputTopic::Rejections => "ayumi.rejections.v1",
            OutputTopic::Notices => "ayumi.notices.v1",
            OutputTopic::Accounting => "ayumi.accounting.v1",
        }
    }
}

/// How the bytes of an input record are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Avro with a framing.
    Avro,
    /// One JSON object. Kept as it came where it could not be turned into Avro.
    Json,
    /// The record was larger than a record may be: what is left of it, see [`TooLarge`].
    TooLarge,
    /// The file that it should have come from can't be read further: a line that says why, then what the file still held.
    Broken,
}

/// What is kept of a record that is too large: `"{length} {sha256 in hex}\n"`, then its first 64 KiB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooLarge {
    /// Bytes that it had.
    pub length: u64,
    /// SHA-256 of them all, in hexadecimal.
    pub sha256: String,
    /// The first of them.
    pub beginning: Vec<u8>,
}

impl TooLarge {
    /// Bytes kept of a record that is too large.
    pub const BEGINNING_BYTES_MAX: usize = 64 * 1024;

    /// As it travels.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = format!("{} {}\n", self.length, self.sha256).into_bytes();
        bytes.extend_from_slice(&self.beginning);
        bytes
    }

    /// Reads it back; `None` if it is something else.
    pub fn decode(bytes: &[u8]) -> Option<TooLarge> {
        let end = bytes.iter().position(|&byte| byte == b'\n')?;
        let (length, sha256) = std::str::from_utf8(&bytes[..end]).ok()?.split_once(' ')?;
        Some(TooLarge { length: length.parse().ok()?, sha256: sha256.to_owned(), beginning: bytes[end + 1..].to_vec() })
    }
}

/// The largest record that an input topic takes, in bytes.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;

/// One record of a partition's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputRecord<'a> {
    /// The topic that it belongs to.
    pub topic: InputTopic,
    /// Its place in the partition, from 0.
    pub offset: i64,
    /// How to read it.
    pub format: Format,
    /// Its bytes.
    pub payload: &'a [u8],
    /// The file that it was replayed from, if any.
    pub file: Option<&'a str>,
    /// Its line there, from 1; for an Avro file, its number.
    pub line: Option<i64>,
}

/// Records to append to output topics, in one piece of memory.
#[derive(Debug, Default)]
pub struct Outputs {
    bytes: Vec<u8>,
    /// Where each record ends in `bytes`; it begins where the one before it ends.
    ends: Vec<OutputEnd>,
}

#[derive(Clone, Copy, Debug)]
struct OutputEnd {
    topic: OutputTopic,
    key: usize,
    payload: usize,
}

impl Outputs {
    /// Adds a record under a key, which decides its partition on Kafka; `write` appends the payload.
    pub fn push(&mut self, topic: OutputTopic, key: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        self.bytes.extend_from_slice(key);
        let key = self.bytes.len();
        write(&mut self.bytes);
        self.ends.push(OutputEnd { topic, key, payload: self.bytes.len() });
    }

    /// The records in order: topic, key, payload.
    pub fn iter(&self) -> impl Iterator<Item = (OutputTopic, &[u8], &[u8])> {
        let mut begin = 0;
        self.ends.iter().map(move |end| {
            let record = (end.topic, &self.bytes[begin..end.key], &self.bytes[end.key..end.payload]);
            begin = end.payload;
            record
        })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of keys and payloads.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets them, and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

/// What one transaction makes durable, all or nothing, together with the input position.
#[derive(Debug, Default)]
pub struct Transaction {
    /// Records to append, in order.
    pub outputs: Outputs,
    /// Changes of the state, in order.
    pub changes: Changes,
}

impl Transaction {
    /// Forgets what is in it, and keeps the memory.
    pub fn clear(&mut self) {
        self.outputs.clear();
        self.changes.clear();
    }
}

/// A transport that does not work any more. What was not committed has not happened.
#[derive(Debug, Error)]
pub enum TransportError {
    /// The embedded store failed.
    #[error("the data folder can't be {doing}: {source}{}", remedy(source))]
    Local {
        /// `read`, `written`, `opened`.
        doing: &'static str,
        /// What the store says.
        source: fjall::Error,
    },
    /// A file of a log failed.
    #[error("the data folder can't be {doing}: {source}{}", remedy(source))]
    File {
        /// `read`, `written`, `opened`.
        doing: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
    /// A log is not written any more.
    #[error("an earlier write failed, so nothing more is written: start again, nothing that was committed is lost")]
    EarlierFailure,
    /// Somebody else has the partition.
    #[error("partition {0} has an award worker already: stop that one first")]
    PartitionInUse(i32),
    /// The folder is laid out in another way.
    #[error("the data folder was made by another version of ayumi: replay its input files into a new one")]
    OtherLayout,
    /// What is stored there is not what it should be.
    #[error("the data folder is damaged: {0}")]
    Damaged(String),
}

fn remedy(error: &(dyn std::error::Error + 'static)) -> &'static str {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    let io = causes.find_map(|error| error.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
    match (io, error.downcast_ref::<fjall::Error>()) {
        (Some(std::io::ErrorKind::StorageFull), _) => {
            "; the disk is full: make room and start again, nothing that was committed is lost"
        }
        (Some(std::io::ErrorKind::PermissionDenied), _) => "; check who owns the folder",
        (_, Some(fjall::Error::Locked)) => {
            "; another ayumi process uses it: stop that one, or give another folder with --data"
        }
        (_, Some(fjall::Error::Poisoned)) => {
            "; an earlier write failed, most likely because the disk is full, so nothing more is written: make room and start \
             again, nothing that was committed is lost"
        }
        _ => "",
    }
}
