//! Decides what of the state is held in memory: what has been used lately, within a bound.
//!
//! Values are read from the [`Store`] when first needed, changed in memory, written once at a commit however often they
//! changed, and forgotten when memory runs short. A summary and a month say what exists, so that a new day needs no read.

use std::collections::{BTreeMap, HashMap};

use crate::calendar::{CivilDate, CivilMonth};
use crate::codec::{Reader, Writer};
use crate::day::{Day, SourceIndex};
use crate::member::{Kept, Member, Month, Summary};
use crate::state::{Change, Fault, MemberKey, Store, What};

/// The members in memory.
#[derive(Debug, Default)]
pub struct Cache {
    members: HashMap<MemberKey, Member>,
    changed: Vec<MemberKey>,
    sweep: u32,
    /// What the values in memory take, roughly: counted up at every load, counted anew at every trim.
    memory_bytes: usize,
}

/// Bytes that a member and a month take, roughly, besides their lists.
const MEMBER_BYTES: usize = 900;
const MONTH_BYTES: usize = 700;
const DAY_BYTES: usize = 1_600;

impl Cache {
    /// The member, read from the store if need be; a new one if there is none.
    pub fn member(&mut self, key: &[u8], store: &dyn Store) -> Result<&mut Member, Fault> {
        if !self.members.contains_key(key) {
            let key = MemberKey::from_bytes(key);
            let mut member = Member { id: key.ids().1.into(), ..Member::default() };
            if let Some(bytes) = store.get(&key.value(What::Summary))? {
                member.summary = Kept::stored(Summary::decode(&bytes)?);
            }
            self.memory_bytes += MEMBER_BYTES;
            self.members.insert(key, member);
        }
        let member = self.members.get_mut(key).ok_or_else(|| Fault("a member vanished".into()))?;
        member.used_in = self.sweep;
        Ok(member)
    }

    /// Notes that a member has changed and must be written at the next commit.
    pub fn note_change(&mut self, key: &[u8]) {
        if let Some(member) = self.members.get_mut(key)
            && !member.is_listed
        {
            member.is_listed = true;
            self.changed.push(MemberKey::from_bytes(key));
        }
    }

    /// Counts a month or day that a member's loading brought into memory.
    pub fn count_load(&mut self, months: usize, days: usize) {
        self.memory_bytes += months * MONTH_BYTES + days * DAY_BYTES;
    }

    /// Writes every changed value once.
    pub fn stage(&mut self, changes: &mut Vec<Change>) {
        for key in std::mem::take(&mut self.changed) {
            let Some(member) = self.members.get_mut(&key) else { continue };
            member.is_listed = false;
            for (what, value) in member.new_parked.drain(..) {
                changes.push(Change { key: key.value(what), value });
            }
            let mut write = |what, encode: &dyn Fn(&mut Vec<u8>)| {
                let mut value = Vec::with_capacity(512);
                encode(&mut value);
                changes.push(Change { key: key.value(what), value: Some(value) });
            };
            if std::mem::take(&mut member.summary.is_changed) {
                write(What::Summary, &|out| member.summary.value.encode(out));
            }
            for (month, kept) in member.months.iter_mut().filter(|(_, kept)| kept.is_changed) {
                kept.is_changed = false;
                write(What::Month(*month), &|out| kept.value.encode(out));
            }
            for (date, kept) in member.days.iter_mut().filter(|(_, kept)| kept.is_changed) {
                kept.is_changed = false;
                write(What::Day(*date), &|out| kept.value.encode(out));
            }
            for (monday, kept) in member.ids.iter_mut().flatten().filter(|(_, kept)| kept.is_changed) {
                kept.is_changed = false;
                write(What::Ids(*monday), &|out| encode_ids(&kept.value, out));
            }
        }
    }

    /// Forgets what was used longest ago until the rest fits. Only between a commit and the next input: nothing may be
    /// changed and not yet written.
    pub fn trim(&mut self, memory_bytes_max: usize) {
        if self.memory_bytes <= memory_bytes_max {
            return;
        }
        // The days first: after its morning a day is seldom heard of again, and costs one read if it is. Then members not
        // used since the last time that memory ran short; and if that is not enough, all.
        for member in self.members.values_mut() {
            member.days.clear();
        }
        self.count();
        if self.memory_bytes > memory_bytes_max / 2 {
            self.members.retain(|_, member| member.used_in == self.sweep);
            self.count();
            self.sweep += 1;
        }
        if self.memory_bytes > memory_bytes_max / 4 * 3 {
            self.members.clear();
            self.count();
        }
        self.members.shrink_to_fit();
    }

    fn count(&mut self) {
        self.memory_bytes = self.members.values().map(memory_bytes).sum();
    }
}

fn memory_bytes(member: &Member) -> usize {
    let ids: usize = member.ids.iter().flatten().map(|(_, kept)| 64 + kept.value.len() * 16).sum();
    let days: usize = member.days.values().map(|kept| kept.value.memory_bytes()).sum();
    MEMBER_BYTES + member.months.len() * MONTH_BYTES + days + ids
}

impl Member {
    /// The month, read or made anew if need be.
    pub fn load_month(
        &mut self,
        key: &[u8],
        month: CivilMonth,
        cache: &mut Load<'_>,
    ) -> Result<&mut Kept<Month>, Fault> {
        if !self.months.contains_key(&month) {
            let mut kept = Kept::default();
            if self.summary.value.months.contains(&month) {
                kept = Kept::stored(Month::decode(&cache.read(key, What::Month(month))?)?);
            } else {
                self.summary.change().months.push(month);
            }
            cache.months += 1;
            self.months.insert(month, kept);
        }
        self.months.get_mut(&month).ok_or_else(|| Fault("a month vanished".into()))
    }

    /// Brings all months that exist into memory.
    pub fn load_months(&mut self, key: &[u8], cache: &mut Load<'_>) -> Result<(), Fault> {
        for index in 0..self.summary.value.months.len() {
            self.load_month(key, self.summary.value.months[index], cache)?;
        }
        Ok(())
    }

    /// The day, read if its month knows it, else made anew.
    pub fn load_day(&mut self, key: &[u8], date: CivilDate, cache: &mut Load<'_>) -> Result<&mut Kept<Day>, Fault> {
        if !self.days.contains_key(&date) {
            let day_of_month = date.day_of_month();
            let month = self.load_month(key, date.month(), cache)?;
            let is_known = month.value.days.iter().any(|line| line.day == day_of_month);
            let kept =
                if is_known { Kept::stored(Day::decode(&cache.read(key, What::Day(date))?)?) } else { Kept::default() };
            cache.days += 1;
            self.days.insert(date, kept);
        }
        self.days.get_mut(&date).ok_or_else(|| Fault("a day vanished".into()))
    }

    /// Brings the index of sample ids into memory.
    pub fn load_ids(&mut self, key: &[u8], cache: &mut Load<'_>) -> Result<(), Fault> {
        if self.ids.is_none() {
            let mut weeks = BTreeMap::new();
            for &monday in &self.summary.value.id_weeks {
                weeks.insert(monday, Kept::stored(decode_ids(&cache.read(key, What::Ids(monday))?)?));
            }
            self.ids = Some(weeks);
        }
        Ok(())
    }

    /// The days on which a sample id has reports. The index must be in memory.
    pub fn days_of_id(&self, source: SourceIndex, id: u64) -> Vec<CivilDate> {
        let mut days = Vec::new();
        for (monday, kept) in self.ids.iter().flatten() {
            if let Ok(index) = kept.value.binary_search_by_key(&(source, id), |&(source, id, _)| (source, id)) {
                let bits = kept.value[index].2;
                days.extend((0..7).filter(|day| bits & (1 << day) != 0).map(|day| monday.plus_days(day)));
            }
        }
        days
    }

    /// Notes that a sample id has reports on a day. The index must be in memory.
    pub fn index_id(&mut self, source: SourceIndex, id: u64, date: CivilDate) {
        let monday = date.monday();
        let bit = 1u8 << date.days_since(monday);
        let Some(weeks) = &mut self.ids else { return };
        let kept = weeks.entry(monday).or_insert_with(|| {
            self.summary.change().id_weeks.push(monday);
            Kept::default()
        });
        match kept.value.binary_search_by_key(&(source, id), |&(source, id, _)| (source, id)) {
            Ok(index) if kept.value[index].2 & bit != 0 => {}
            Ok(index) => kept.change()[index].2 |= bit,
            Err(index) => kept.change().insert(index, (source, id, bit)),
        }
    }
}

/// Reads values into a member, and counts them.
pub struct Load<'s> {
    /// Where they are.
    pub store: &'s dyn Store,
    /// Months read or made.
    pub months: usize,
    /// Days read or made.
    pub days: usize,
}

impl Load<'_> {
    /// A value that must be there.
    fn read(&self, key: &[u8], what: What) -> Result<Vec<u8>, Fault> {
        let key = MemberKey::from_bytes(key);
        let value = self.store.get(&key.value(what))?;
        value.ok_or_else(|| Fault(format!("{what:?} of {:?} is missing from the state", key.ids()).into()))
    }
}

fn encode_ids(ids: &[(SourceIndex, u64, u8)], out: &mut Vec<u8>) {
    let mut w = Writer::begin(out);
    w.count(ids.len());
    for &(source, id, bits) in ids {
        w.unsigned(u64::from(source));
        w.0.extend_from_slice(&id.to_le_bytes());
        w.0.push(bits);
    }
}

fn decode_ids(bytes: &[u8]) -> Result<Vec<(SourceIndex, u64, u8)>, Fault> {
    let mut r = Reader::begin(bytes)?;
    let ids = r.list(|r| {
        let source = r.small()?;
        let mut id = [0; 8];
        for byte in &mut id {
            *byte = r.byte()?;
        }
        Ok((source, u64::from_le_bytes(id), r.byte()?))
    })?;
    r.end()?;
    Ok(ids)
}
