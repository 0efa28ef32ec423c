//! Decides under which keys the state lies, and what the core needs of whatever stores it.
//!
//! The core reads through [`Store`] and hands its changes over at a commit; when and how they become durable,
//! together with the outputs and the input positions, is the transport's.

use crate::calendar::{CivilDate, CivilMonth};
use crate::codec::CorruptState;
use crate::month::PARTS;

/// The state could not be read. Nothing was decided; the input may be applied again once the store is well.
#[derive(Debug)]
pub struct Fault(pub Box<dyn std::error::Error + Send + Sync>);

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Fault {}

impl From<CorruptState> for Fault {
    fn from(corrupt: CorruptState) -> Self {
        Fault(Box::new(corrupt))
    }
}

/// What is called with each key and value of a scan.
pub type Visit<'v> = dyn FnMut(&[u8], &[u8]) -> Result<(), Fault> + 'v;

/// Reads what was committed.
pub trait Store {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault>;

    /// Visits all keys with a prefix, in order.
    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), Fault>;
}

/// The state changes of one transaction, in one piece of memory. No key is there twice.
#[derive(Debug, Default)]
pub struct Changes {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

/// Where a change lies: the key from `start`, then the value, if it is not a deletion.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    key_bytes: usize,
    value_bytes: Option<usize>,
}

impl Changes {
    /// Adds a new value, written in place, and gives its index. The key must not be there yet.
    pub fn put(&mut self, key: impl FnOnce(&mut Vec<u8>), value: impl FnOnce(&mut Vec<u8>)) -> usize {
        let span = self.write(key, value);
        self.spans.push(span);
        self.spans.len() - 1
    }

    /// Puts another value in the place of one that [`Changes::put`] gave the index of, for the same key.
    pub fn replace(&mut self, index: usize, key: impl FnOnce(&mut Vec<u8>), value: impl FnOnce(&mut Vec<u8>)) {
        self.spans[index] = self.write(key, value);
    }

    /// Adds a deletion. The key must not be there yet.
    pub fn delete(&mut self, key: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        key(&mut self.bytes);
        self.spans.push(Span { start, key_bytes: self.bytes.len() - start, value_bytes: None });
    }

    fn write(&mut self, key: impl FnOnce(&mut Vec<u8>), value: impl FnOnce(&mut Vec<u8>)) -> Span {
        let start = self.bytes.len();
        key(&mut self.bytes);
        let key_bytes = self.bytes.len() - start;
        value(&mut self.bytes);
        Span { start, key_bytes, value_bytes: Some(self.bytes.len() - start - key_bytes) }
    }

    /// Keys and their new values, `None` for a deletion, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.spans.iter().map(|&span| self.at(span))
    }

    /// The value at an index that [`Changes::put`] gave.
    pub fn value(&self, index: usize) -> Option<&[u8]> {
        self.spans.get(index).and_then(|&span| self.at(span).1)
    }

    fn at(&self, span: Span) -> (&[u8], Option<&[u8]>) {
        let (key, rest) = self.bytes[span.start..].split_at(span.key_bytes);
        (key, span.value_bytes.map(|length| &rest[..length]))
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether nothing has changed.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Bytes of all keys and values, and of values that were replaced.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets them, but keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
    }
}

/// The longest programme or member id, in bytes.
pub const ID_BYTES_MAX: usize = 255;

/// The key prefix of a member in a programme.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberKey(Box<[u8]>);

impl MemberKey {
    /// Writes the prefix of a member. Ids are at most [`ID_BYTES_MAX`] long.
    pub fn write(out: &mut Vec<u8>, programme: &str, member: &str) {
        out.clear();
        out.push(b'm');
        for id in [programme, member] {
            out.push(id.len() as u8);
            out.extend_from_slice(id.as_bytes());
        }
    }

    /// The key that `bytes` begin with, and what comes after it.
    pub fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
        let programme_bytes = *bytes.get(1)? as usize;
        let member_bytes = *bytes.get(2 + programme_bytes)? as usize;
        bytes.split_at_checked(3 + programme_bytes + member_bytes)
    }

    /// From bytes that [`MemberKey::write`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        MemberKey(bytes.into())
    }

    /// The programme's and the member's id.
    pub fn ids(&self) -> (&str, &str) {
        let programme_end = 2 + self.0[1] as usize;
        let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
        (text(&self.0[2..programme_end]), text(&self.0[programme_end + 1..]))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key of one of the member's values.
    pub fn value(&self, what: What) -> Vec<u8> {
        let mut key = Vec::with_capacity(self.0.len() + 5);
        what.write_key(self.bytes(), &mut key);
        key
    }

    /// The common prefix of the member's parked facts.
    pub fn parked_prefix(&self) -> Vec<u8> {
        let mut key = self.value(What::Parked(0));
        key.truncate(self.0.len() + 1);
        key
    }
}

/// Which of a member's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// [`crate::member::Summary`].
    Summary,
    /// [`crate::member::Settled`].
    Settled,
    /// A part of a [`crate::month::Month`].
    Month(CivilMonth, u8),
    /// [`crate::day::Day`].
    Day(CivilDate),
    /// The index of sample ids of the week that begins on this Monday.
    Ids(CivilDate),
    /// A fact that waits for the enrolment.
    Parked(u32),
}

impl What {
    /// Appends the key of this value of a member, of whom `member` is the [`MemberKey`].
    ///
    /// Days lie under their date first: they are many, and hardly ever read or written again, so that a store that
    /// sorts its keys need not merge new days with old ones.
    pub fn write_key(self, member: &[u8], out: &mut Vec<u8>) {
        if let What::Day(date) = self {
            out.push(DAY_TAG);
            out.extend_from_slice(&date.epoch_days().to_be_bytes());
            out.extend_from_slice(member);
            return;
        }
        let (tag, number) = match self {
            What::Summary | What::Day(_) => (0, 0),
            What::Settled => (1, 0),
            What::Month(month, part) => (2, month.number() * i32::from(PARTS) + i32::from(part)),
            What::Ids(monday) => (3, monday.epoch_days()),
            What::Parked(number) => (4, number as i32),
        };
        out.extend_from_slice(member);
        out.push(tag);
        out.extend_from_slice(&number.to_be_bytes());
    }
}

/// Before the date in the key of a day.
const DAY_TAG: u8 = b'y';

/// The key of the partition's own values.
pub const GLOBAL_KEY: &[u8] = b"g";

/// The prefix of the programme versions, in the order of their adoption.
pub const PROGRAMME_PREFIX: &[u8] = b"p";

/// The prefix of the lists of members to look at when a day is closed.
pub const DUE_PREFIX: &[u8] = b"d";

/// Appends the key of an adopted programme version.
pub fn programme_key(number: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(PROGRAMME_PREFIX);
    out.extend_from_slice(&number.to_be_bytes());
}

/// Appends the key of one list of members to look at when `date` is closed.
pub fn due_key(date: CivilDate, list: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(DUE_PREFIX);
    out.extend_from_slice(&date.epoch_days().to_be_bytes());
    out.extend_from_slice(&list.to_be_bytes());
}
