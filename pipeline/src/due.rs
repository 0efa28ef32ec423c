//! Decides which members are looked at when a day is closed: those of whom something arrived that day, or for whom a
//! date comes due.
//!
//! The lists lie in the state, one short value a transaction, so that a restarted worker knows what is open. A member
//! may be listed twice for one date: the second look finds nothing to do.

use std::collections::BTreeMap;

use crate::calendar::CivilDate;
use crate::codec::{CorruptState, Reader, Writer};
use crate::member::Member;
use crate::state::{Changes, DUE_PREFIX, Fault, MemberKey, Store, due_key};

/// The members to look at, by the day whose close they wait for, in the order in which they were listed.
#[derive(Debug, Default)]
pub struct Due {
    dates: BTreeMap<CivilDate, Open>,
    /// Lists that are not needed any more: (date, number of lists).
    finished: Vec<(CivilDate, u32)>,
}

/// Those who wait for one close.
#[derive(Debug, Default)]
struct Open {
    /// Their keys, one after the other.
    keys: Vec<u8>,
    /// Where each key begins.
    starts: Vec<usize>,
    /// Bytes of `keys` that are in the state.
    bytes_written: usize,
    /// Lists in the state.
    lists: u32,
}

impl Open {
    fn push(&mut self, key: &[u8]) {
        self.starts.push(self.keys.len());
        self.keys.extend_from_slice(key);
    }

    fn key(&self, place: usize) -> Option<&[u8]> {
        let &start = self.starts.get(place)?;
        let end = self.starts.get(place + 1).copied().unwrap_or(self.keys.len());
        Some(&self.keys[start..end])
    }
}

impl Due {
    /// Reads the lists.
    pub fn restore(store: &dyn Store) -> Result<Due, Fault> {
        let mut due = Due::default();
        store.scan(DUE_PREFIX, &mut |key, value| {
            let damaged = || Fault(Box::new(CorruptState { detail: "a list of due members is damaged".into() }));
            let (date, list) = key.get(1..).and_then(|rest| rest.split_first_chunk::<4>()).ok_or_else(damaged)?;
            let list = u32::from_be_bytes(list.try_into().map_err(|_| damaged())?);
            let open = due.dates.entry(CivilDate::from_epoch_days(i32::from_be_bytes(*date))).or_default();
            open.lists = open.lists.max(list + 1);
            let mut rest = Reader::begin(value)?.rest();
            while !rest.is_empty() {
                let (member, after) = MemberKey::split(rest).ok_or_else(damaged)?;
                open.push(member);
                rest = after;
            }
            open.bytes_written = open.keys.len();
            Ok(())
        })?;
        Ok(due)
    }

    /// The last date on which something is due.
    pub fn last(&self) -> Option<CivilDate> {
        self.dates.keys().next_back().copied()
    }

    /// Has a member looked at when `date` is closed.
    pub fn add(&mut self, date: CivilDate, member: &mut Member) {
        if member.due_on != Some(date) {
            member.due_on = Some(date);
            self.dates.entry(date).or_default().push(member.key.bytes());
        }
    }

    /// The first date on which something is due.
    pub fn first(&self) -> Option<CivilDate> {
        self.dates.keys().next().copied()
    }

    /// The key of the member at a place of the list of `date`.
    pub fn member(&self, date: CivilDate, place: usize) -> Option<&[u8]> {
        self.dates.get(&date)?.key(place)
    }

    /// All members of `date` have been looked at.
    pub fn forget(&mut self, date: CivilDate) {
        if let Some(open) = self.dates.remove(&date) {
            self.finished.push((date, open.lists));
        }
    }

    /// Writes the members added, and deletes the lists finished, since the last commit.
    pub fn stage(&mut self, changes: &mut Changes) {
        for (date, lists) in self.finished.drain(..) {
            (0..lists).for_each(|list| changes.delete(|key| due_key(date, list, key)));
        }
        for (&date, open) in self.dates.iter_mut().filter(|(_, open)| open.bytes_written < open.keys.len()) {
            changes.put(
                |key| due_key(date, open.lists, key),
                |value| Writer::begin(value).0.extend_from_slice(&open.keys[open.bytes_written..]),
            );
            open.bytes_written = open.keys.len();
            open.lists += 1;
        }
    }
}
