//! Decides which members are looked at when a day is closed: those of whom something arrived that day, or for whom a
//! date comes due.
//!
//! The lists lie in the state, one short value a transaction, so that a restarted worker knows what is open.

use std::collections::{BTreeMap, BTreeSet};

use crate::calendar::CivilDate;
use crate::codec::{CorruptState, Reader, Writer};
use crate::state::{Change, DUE_PREFIX, Fault, MemberKey, Store, due_key};

/// The members to look at, by the day whose close they wait for.
#[derive(Debug, Default)]
pub struct Due {
    dates: BTreeMap<CivilDate, Open>,
    /// Keys of lists that are not needed any more.
    finished: Vec<Vec<u8>>,
}

#[derive(Debug, Default)]
struct Open {
    members: BTreeSet<MemberKey>,
    /// Not yet written.
    new: Vec<MemberKey>,
    /// Lists written so far.
    lists: u32,
}

impl Due {
    /// Reads the lists.
    pub fn restore(store: &dyn Store) -> Result<Due, Fault> {
        let mut due = Due::default();
        store.scan(DUE_PREFIX, &mut |key, value| {
            let damaged = || Fault(Box::new(CorruptState { detail: "a list of due members has a damaged key".into() }));
            let (date, list) = key.get(1..).and_then(|rest| rest.split_first_chunk::<4>()).ok_or_else(damaged)?;
            let list = u32::from_be_bytes(list.try_into().map_err(|_| damaged())?);
            let open = due.dates.entry(CivilDate::from_epoch_days(i32::from_be_bytes(*date))).or_default();
            open.lists = open.lists.max(list + 1);
            let mut r = Reader::begin(value)?;
            for member in r.list(|r| r.bytes().map(MemberKey::from_bytes))? {
                open.members.insert(member);
            }
            Ok(r.end()?)
        })?;
        Ok(due)
    }

    /// The last date on which something is due.
    pub fn last(&self) -> Option<CivilDate> {
        self.dates.keys().next_back().copied()
    }

    /// Has a member looked at when `date` is closed.
    pub fn add(&mut self, date: CivilDate, member: &[u8]) {
        let open = self.dates.entry(date).or_default();
        if !open.members.contains(member) {
            let member = MemberKey::from_bytes(member);
            open.new.push(member.clone());
            open.members.insert(member);
        }
    }

    /// The first date on which something is due.
    pub fn first(&self) -> Option<CivilDate> {
        self.dates.keys().next().copied()
    }

    /// The next member to look at on or before `date`, after `after`. Members of earlier dates come first.
    pub fn next(&self, date: CivilDate, after: Option<&MemberKey>) -> Option<MemberKey> {
        use std::ops::Bound::{Excluded, Unbounded};
        let open = self.dates.get(&date)?;
        let rest = after.map_or(Unbounded, Excluded);
        open.members.range::<MemberKey, _>((rest, Unbounded)).next().cloned()
    }

    /// All members of `date` have been looked at.
    pub fn forget(&mut self, date: CivilDate) {
        if let Some(open) = self.dates.remove(&date) {
            self.finished.extend((0..open.lists).map(|list| due_key(date, list)));
        }
    }

    /// Writes the members added, and deletes the lists finished, since the last commit.
    pub fn stage(&mut self, changes: &mut Vec<Change>) {
        changes.extend(self.finished.drain(..).map(|key| Change { key, value: None }));
        for (&date, open) in self.dates.iter_mut().filter(|(_, open)| !open.new.is_empty()) {
            let mut value = Vec::new();
            let mut w = Writer::begin(&mut value);
            w.count(open.new.len());
            for member in open.new.drain(..) {
                w.bytes(member.bytes());
            }
            changes.push(Change { key: due_key(date, open.lists), value: Some(value) });
            open.lists += 1;
        }
    }
}
