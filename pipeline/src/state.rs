//! Decides under which keys the state lies, and what the core needs of whatever stores it.
//!
//! The core reads through [`Store`] and hands its changes over at a commit; when and how they become durable,
//! together with the outputs and the input positions, is the transport's.

use crate::calendar::{CivilDate, CivilMonth};
use crate::codec::CorruptState;

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

/// One change of the state: a new value, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// See [`Key`].
    pub key: Vec<u8>,
    /// `None` deletes.
    pub value: Option<Vec<u8>>,
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
        let (tag, number) = match what {
            What::Summary => (0, 0),
            What::Month(month) => (1, month.number()),
            What::Day(date) => (2, date.epoch_days()),
            What::Ids(monday) => (3, monday.epoch_days()),
            What::Parked(number) => (4, number as i32),
        };
        let mut key = Vec::with_capacity(self.0.len() + 5);
        key.extend_from_slice(&self.0);
        key.push(tag);
        key.extend_from_slice(&number.to_be_bytes());
        key
    }

    /// The common prefix of the member's parked facts.
    pub fn parked_prefix(&self) -> Vec<u8> {
        let mut key = self.value(What::Parked(0));
        key.truncate(self.0.len() + 1);
        key
    }
}

impl std::borrow::Borrow<[u8]> for MemberKey {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// Which of a member's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// [`crate::member::Summary`].
    Summary,
    /// [`crate::member::Month`].
    Month(CivilMonth),
    /// [`crate::day::Day`].
    Day(CivilDate),
    /// The index of sample ids of the week that begins on this Monday.
    Ids(CivilDate),
    /// A fact that waits for the enrolment.
    Parked(u32),
}

/// The key of the partition's own values.
pub const GLOBAL_KEY: &[u8] = b"g";

/// The prefix of the programme versions, in the order of their adoption.
pub const PROGRAMME_PREFIX: &[u8] = b"p";

/// The prefix of the lists of members to look at when a day is closed.
pub const DUE_PREFIX: &[u8] = b"d";

/// The key of an adopted programme version.
pub fn programme_key(number: u32) -> Vec<u8> {
    [PROGRAMME_PREFIX, &number.to_be_bytes()].concat()
}

/// The key of one list of members to look at when `date` is closed.
pub fn due_key(date: CivilDate, list: u32) -> Vec<u8> {
    [DUE_PREFIX, &date.epoch_days().to_be_bytes(), &list.to_be_bytes()].concat()
}
