//! Decides what of the state is held in memory: what has been used lately, within a bound.
//!
//! Values are read from the [`Store`] when first needed, changed in memory, written once at a commit however often they
//! changed, and forgotten when memory runs short. A summary and a month say what exists, so that a new day needs no read.

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::calendar::CivilDate;
use crate::codec::{Reader, Writer};
use crate::day::SourceIndex;
use crate::member::{Kept, Member, WeekIds};
use crate::month::{Month, PARTS};
use crate::settled::Settled;
use crate::state::{Changes, Fault, MemberKey, Store, What};
use crate::summary::Summary;

/// The members in memory.
#[derive(Debug, Default)]
pub struct Cache {
    members: Vec<Member>,
    /// Places in `members`, by key.
    places: HashTable<u32>,
    /// Places of those who changed since the last commit.
    changed: Vec<u32>,
    sweep: u32,
    /// What the values in memory take, roughly: counted up at every load, counted anew at every trim.
    memory_bytes: usize,
}

/// Bytes that a member takes, roughly, besides months and sample ids: the struct, its key, its summary.
const MEMBER_BYTES: usize = 900;

/// Months of a member that stay in memory when it runs short, before members go: the current one and the one before.
const MONTHS_KEPT: usize = 2;

impl Cache {
    /// The member's place, read from the store if need be; a new one if there is none.
    pub fn find(&mut self, key: &[u8], store: &dyn Store) -> Result<usize, Fault> {
        let hash = FixedState::default().hash_one(key);
        if let Some(&place) = self.places.find(hash, |&place| self.members[place as usize].key.bytes() == key) {
            self.members[place as usize].used_in = self.sweep;
            return Ok(place as usize);
        }
        let key = MemberKey::from_bytes(key);
        let mut summary = Kept::default();
        if let Some(bytes) = store.get(&key.value(What::Summary))? {
            summary = Kept::stored(Summary::decode(&bytes)?);
        }
        let mut settled = Kept::default();
        if let Some(bytes) = store.get(&key.value(What::Settled))? {
            settled = Kept::stored(Settled::decode(&bytes)?);
        }
        let member = Member { used_in: self.sweep, ..Member::new(key, summary, settled) };
        let place = self.members.len();
        self.memory_bytes += MEMBER_BYTES;
        self.members.push(member);
        self.list(place);
        Ok(place)
    }

    fn list(&mut self, place: usize) {
        let hash = |member: &Member| FixedState::default().hash_one(member.key.bytes());
        let members = &self.members;
        self.places.insert_unique(hash(&members[place]), place as u32, |&place| hash(&members[place as usize]));
    }

    /// The member at a place that [`Cache::find`] gave. Places hold until the next [`Cache::trim`].
    pub fn member(&mut self, place: usize) -> &mut Member {
        &mut self.members[place]
    }

    /// Notes that a member has changed and must be written at the next commit.
    pub fn note_change(&mut self, place: usize) {
        let member = &mut self.members[place];
        if !member.is_listed {
            member.is_listed = true;
            self.changed.push(place as u32);
        }
    }

    /// Counts what a member's loading brought into memory.
    pub fn count_load(&mut self, bytes: usize) {
        self.memory_bytes += bytes;
    }

    /// Writes every changed value once.
    pub fn stage(&mut self, changes: &mut Changes) {
        for place in self.changed.drain(..) {
            let member = &mut self.members[place as usize];
            member.is_listed = false;
            member.fresh_days.clear();
            stage_member(member, changes);
        }
    }

    /// Forgets what was used longest ago until the rest fits, but nothing that has changed since the last
    /// [`Cache::stage`]. What was staged must be in the store. Places do not hold any more.
    pub fn trim(&mut self, memory_bytes_max: usize) {
        if self.memory_bytes <= memory_bytes_max {
            return;
        }
        // Old months first: only late data and the end of a month ask for them. Then members not used since the last
        // time that memory ran short; and if that is not enough, all.
        for member in self.members.iter_mut().filter(|member| !member.is_listed) {
            let old = member.months.len().saturating_sub(MONTHS_KEPT);
            member.months.drain(..old);
        }
        self.count();
        if self.memory_bytes > memory_bytes_max / 4 * 3 {
            let sweep = self.sweep;
            self.members.retain(|member| member.is_listed || member.used_in == sweep);
            self.sweep += 1;
            self.count();
        }
        if self.memory_bytes > memory_bytes_max / 4 * 3 {
            self.members.retain(|member| member.is_listed);
            self.count();
        }
        self.members.shrink_to_fit();
        self.places = HashTable::with_capacity(self.members.len());
        (0..self.members.len()).for_each(|place| self.list(place));
        self.changed.clear();
        self.changed.extend((0..self.members.len() as u32).filter(|&place| self.members[place as usize].is_listed));
    }

    fn count(&mut self) {
        self.memory_bytes = self.members.iter().map(memory_bytes).sum();
    }
}

fn stage_member(member: &mut Member, changes: &mut Changes) {
    let key = member.key.bytes();
    for (what, value) in member.new_parked.drain(..) {
        match value {
            Some(value) => {
                changes.put(|out| what.write_key(key, out), |out| out.extend_from_slice(&value));
            }
            None => changes.delete(|out| what.write_key(key, out)),
        }
    }
    let mut put = |what: What, is_changed: &mut bool, encode: &dyn Fn(&mut Vec<u8>)| {
        if std::mem::take(is_changed) {
            changes.put(|out| what.write_key(key, out), encode);
        }
    };
    let Member { summary, settled, months, ids, .. } = member;
    for month in months {
        for part in month.take_changed() {
            if let Some((_, parts)) = summary.value.months.iter_mut().find(|(known, _)| *known == month.month) {
                summary.is_changed |= *parts & (1 << part) == 0;
                *parts |= 1 << part;
            }
            put(What::Month(month.month, part), &mut true, &|out| month.encode(part, out));
        }
    }
    put(What::Summary, &mut summary.is_changed, &|out| summary.value.encode(out));
    put(What::Settled, &mut settled.is_changed, &|out| settled.value.encode(out));
    for (monday, Kept { value, is_changed }) in ids.iter_mut().flatten() {
        put(What::Ids(*monday), is_changed, &|out| encode_ids(value, out));
    }
}

fn memory_bytes(member: &Member) -> usize {
    let ids: usize = member.ids.iter().flatten().map(|(_, kept)| 64 + kept.value.len() * 16).sum();
    let months: usize = member.months.iter().map(Month::memory_bytes).sum();
    MEMBER_BYTES + months + ids
}

/// Reads values into a member, and counts their bytes.
pub struct Load<'s> {
    /// Where they are.
    pub store: &'s dyn Store,
    /// Bytes that what was read or made takes in memory, roughly.
    pub memory_bytes: usize,
}

/// Bytes that a month takes by its end, roughly.
const MONTH_BYTES: usize = 2_500;

impl Load<'_> {
    /// A value that must be there.
    pub fn read(&self, key: &MemberKey, what: What) -> Result<Vec<u8>, Fault> {
        let value = self.store.get(&key.value(what))?;
        value.ok_or_else(|| Fault(format!("{what:?} of {:?} is missing from the state", key.ids()).into()))
    }
}

impl Member {
    /// The month of a date, read or made anew if need be.
    pub fn load_month(&mut self, date: CivilDate, load: &mut Load<'_>) -> Result<&mut Month, Fault> {
        let place = match self.month_place(date) {
            Some(place) => place,
            None => self.bring_month(date, load)?,
        };
        Ok(&mut self.months[place])
    }

    fn bring_month(&mut self, date: CivilDate, load: &mut Load<'_>) -> Result<usize, Fault> {
        let mut month = Month::new(date.month());
        match self.summary.value.months.iter().find(|(known, _)| *known == month.month) {
            Some(&(number, parts)) => {
                for part in (0..PARTS).filter(|part| parts & (1 << part) != 0) {
                    month.decode(part, &load.read(&self.key, What::Month(number, part))?)?;
                }
            }
            None => self.summary.change().months.push((month.month, 0)),
        }
        load.memory_bytes += MONTH_BYTES;
        let place = self.months.partition_point(|known| known.month < month.month);
        self.months.insert(place, month);
        Ok(place)
    }

    /// Brings all months that exist, from that of a date on, into memory.
    pub fn load_months_from(&mut self, date: CivilDate, load: &mut Load<'_>) -> Result<(), Fault> {
        for index in 0..self.summary.value.months.len() {
            let (month, _) = self.summary.value.months[index];
            if self.months.iter().all(|known| known.month != month) && month.last_day() >= date {
                self.bring_month(month.first_day(), load)?;
            }
        }
        Ok(())
    }

    /// Brings all months that exist into memory.
    pub fn load_months(&mut self, load: &mut Load<'_>) -> Result<(), Fault> {
        if self.months.len() == self.summary.value.months.len() {
            return Ok(());
        }
        self.load_months_from(CivilDate::MIN, load)
    }

    /// Brings the index of sample ids into memory.
    pub fn load_ids(&mut self, load: &mut Load<'_>) -> Result<(), Fault> {
        if self.ids.is_none() {
            let mut weeks = BTreeMap::new();
            for &monday in &self.summary.value.id_weeks {
                weeks.insert(monday, Kept::stored(decode_ids(&load.read(&self.key, What::Ids(monday))?)?));
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

fn encode_ids(ids: &WeekIds, out: &mut Vec<u8>) {
    let mut w = Writer::begin(out);
    w.count(ids.len());
    for &(source, id, bits) in ids {
        w.unsigned(u64::from(source));
        w.hash(id);
        w.0.push(bits);
    }
}

fn decode_ids(bytes: &[u8]) -> Result<WeekIds, Fault> {
    let mut r = Reader::begin(bytes)?;
    let ids = r.list(|r| Ok((r.small()?, r.hash()?, r.byte()?)))?;
    r.end()?;
    Ok(ids)
}
