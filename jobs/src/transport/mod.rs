//! Decides what the award worker needs of whatever carries its records: poll a partition's input, read its state, and
//! commit outputs, state changes and input position as one transaction.
//!
//! Two real kinds are foreseen by the design: the embedded default ([`local`]) and Kafka. What a record means is the
//! worker's to know; a transport moves bytes.

pub mod local;

use pipeline::state::{Change, Store};
use thiserror::Error;

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

/// What one transaction makes durable, all or nothing.
#[derive(Debug, Default)]
pub struct Transaction {
    /// Records to append, in order.
    pub outputs: Vec<(OutputTopic, Vec<u8>)>,
    /// Changes of the state, in order; no key twice.
    pub changes: Vec<Change>,
    /// The offset after the last input record that is part of it.
    pub next_offset: i64,
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
    /// What is stored there is not what it should be.
    #[error("the data folder is damaged: {0}")]
    Damaged(String),
}

fn remedy(error: &fjall::Error) -> &'static str {
    match error {
        fjall::Error::Locked => "; another ayumi process uses it: stop that one, or give another folder with --data",
        fjall::Error::Io(io) if io.kind() == std::io::ErrorKind::StorageFull => {
            "; the disk is full: make room and start again, nothing that was committed is lost"
        }
        fjall::Error::Io(io) if io.kind() == std::io::ErrorKind::PermissionDenied => "; check who owns the folder",
        fjall::Error::Poisoned => {
            "; an earlier write failed, most likely because the disk is full, so nothing more is written: make room and start \
             again, nothing that was committed is lost"
        }
        _ => "",
    }
}

/// One partition, as its award worker sees it.
pub trait Transport {
    /// The partition.
    fn partition(&self) -> i32;

    /// The offset of the next record to process, as committed.
    fn position(&self) -> Result<i64, TransportError>;

    /// Hands over records from `offset` on, about `bytes_max` of them; none if there are no more.
    fn poll(&self, offset: i64, bytes_max: usize, each: &mut dyn FnMut(InputRecord<'_>)) -> Result<(), TransportError>;

    /// The committed state.
    fn store(&self) -> &dyn Store;

    /// Makes a transaction durable. After an error nothing may be assumed of it: start again from what is committed.
    fn commit(&mut self, transaction: Transaction) -> Result<(), TransportError>;
}
