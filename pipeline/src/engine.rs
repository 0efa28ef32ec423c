//! Decides what happens to each input: the state machine of one partition (law 1).
//!
//! `apply` takes one fact and leaves its effects; `close_some` looks at the members for whom a closed day has something
//! due; `stage` writes down what changed. Reading bytes, committing and starting again after a crash are the worker's.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::cache::{Cache, Load};
use crate::calendar::{CivilDate, Instant};
use crate::codec::{Reader, Writer};
use crate::due::Due;
use crate::fact::{MemberChange, Upload};
use crate::ledger::{DailyTotal, Entry, Notice};
use crate::member::Member;
use crate::programme::Programme;
use crate::rejection::{Rejection, RejectionReason};
use crate::settle::{Running, SettleScratch, Settlement, first_month_needed};
use crate::state::{Changes, Fault, GLOBAL_KEY, ID_BYTES_MAX, MemberKey, PROGRAMME_PREFIX, Store, What, programme_key};
use crate::upload::{Context, UploadScratch};

/// Gives a copy of a record as it came, to keep while it is parked.
pub type Original<'o> = &'o dyn Fn() -> Vec<u8>;

/// One fact for the core.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// Raw step samples.
    Upload(Upload<'a>),
    /// Enrolment, or a change of it.
    Member(MemberChange<'a>),
    /// A civil day is over: everything that arrived by its end has been applied (design, section 3).
    DayClosed {
        /// The day.
        date: CivilDate,
        /// Facts that wait for an enrolment go on waiting, whatever their time: a replay of records in no particular
        /// order may still bring it, and gives them up at its end.
        parked_wait: bool,
    },
    /// A programme version is published; `source` is its text, which is kept to restart from.
    Programme {
        /// The version.
        programme: Arc<Programme>,
        /// The text that it was read from.
        source: &'a str,
    },
}

/// What became of a record (law 5): each has exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// It counts.
    Accepted,
    /// It was known already.
    Duplicate,
    /// It is refused, as a whole; the reason is among the effects.
    Rejected,
    /// It waits for the enrolment of its member.
    Parked,
}

/// What became of the samples of the uploads (law 5): `read` is the sum of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SampleCounts {
    /// Samples of parsed uploads.
    pub read: u64,
    /// Told something new.
    pub accepted: u64,
    /// Refused, alone or with their upload.
    pub rejected: u64,
    /// Known, or older than what is known.
    pub duplicate: u64,
    /// Wait with their upload.
    pub parked: u64,
}

/// A parked fact that need not wait any longer. The worker applies or refuses the original.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released {
    /// What the worker gave when the fact was parked.
    pub original: Vec<u8>,
    /// Whether the member was enrolled in time; if not, it is refused as UNKNOWN_MEMBER.
    pub is_enrolled: bool,
}

/// What the core decided. The worker writes it out in one transaction with the state's changes.
#[derive(Debug, Default)]
pub struct Effects {
    /// To post.
    pub entries: Vec<Entry>,
    /// Revised.
    pub daily_totals: Vec<DailyTotal>,
    /// Of the record just applied.
    pub rejections: Vec<Rejection>,
    /// To tell.
    pub notices: Vec<Notice>,
    /// To apply next, before any other input.
    pub released: Vec<Released>,
    /// Of the uploads applied since these effects were cleared.
    pub samples: SampleCounts,
}

/// The state machine of one partition.
#[derive(Debug, Default)]
pub struct Engine {
    programmes: HashMap<Arc<str>, Running, FixedState>,
    adopted: u32,
    new_programmes: Vec<(u32, String)>,
    cache: Cache,
    due: Due,
    global: Global,
    /// Written since the last [`Engine::stage`]: days, at once.
    changes: Changes,
    scratch: Scratch,
}

/// The partition's own state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Global {
    /// The last day that is over.
    closed: Option<CivilDate>,
    /// Facts whose time to wait ended by this day are given up.
    parked_given_up: Option<CivilDate>,
    /// The day that is being closed, and how many of the first list of members that are due have been looked at.
    closing: Option<(CivilDate, usize)>,
    is_changed: bool,
}

#[derive(Debug, Default)]
struct Scratch {
    key: Vec<u8>,
    settle: SettleScratch,
    upload: UploadScratch,
}

impl Engine {
    /// The engine as it was committed. `parse` reads the programme versions' texts.
    pub fn restore(
        store: &dyn Store,
        parse: &mut dyn FnMut(&str) -> Result<Programme, Fault>,
    ) -> Result<Engine, Fault> {
        let mut engine = Engine { due: Due::restore(store)?, ..Engine::default() };
        if let Some(bytes) = store.get(GLOBAL_KEY)? {
            engine.global = Global::decode(&bytes)?;
        }
        store.scan(PROGRAMME_PREFIX, &mut |_, source| {
            let source = std::str::from_utf8(source).map_err(|error| Fault(Box::new(error)))?;
            engine.adopt(&Arc::new(parse(source)?));
            engine.adopted += 1;
            Ok(())
        })?;
        Ok(engine)
    }

    /// The last day that is over.
    pub fn closed(&self) -> Option<CivilDate> {
        self.global.closed
    }

    /// The last day whose close has something due, as far as is known: a close may add more.
    pub fn last_due(&self) -> Option<CivilDate> {
        self.due.last()
    }

    /// Applies one input. `original` is kept while the fact is parked. After `DayClosed`, call [`Engine::close_some`]
    /// until it is done, before any other input.
    pub fn apply(
        &mut self,
        input: &Input<'_>,
        original: Original<'_>,
        store: &dyn Store,
        effects: &mut Effects,
    ) -> Result<Disposition, Fault> {
        match input {
            Input::Upload(upload) => {
                effects.samples.read += upload.samples.len() as u64;
                let disposition = self.apply_upload(upload, original, store, effects)?;
                let samples = upload.samples.len() as u64;
                match disposition {
                    Disposition::Parked => effects.samples.parked += samples,
                    Disposition::Rejected => effects.samples.rejected += samples,
                    Disposition::Accepted | Disposition::Duplicate => {}
                }
                Ok(disposition)
            }
            Input::Member(change) => self.apply_member(change, original, store, effects),
            Input::DayClosed { date, parked_wait } => Ok(self.begin_close(*date, *parked_wait)),
            Input::Programme { programme, source } => {
                if !self.adopt(programme) {
                    return Ok(Disposition::Duplicate);
                }
                self.new_programmes.push((self.adopted, (*source).to_owned()));
                self.adopted += 1;
                Ok(Disposition::Accepted)
            }
        }
    }

    fn adopt(&mut self, programme: &Arc<Programme>) -> bool {
        let running = self.programmes.entry(Arc::clone(&programme.id));
        running.or_insert_with(|| Running::new(Arc::clone(&programme.id))).adopt(programme)
    }

    fn apply_upload(
        &mut self,
        upload: &Upload<'_>,
        original: Original<'_>,
        store: &dyn Store,
        effects: &mut Effects,
    ) -> Result<Disposition, Fault> {
        let Some(running) = find_programme(&self.programmes, upload.programme, upload.member, effects) else {
            return Ok(Disposition::Rejected);
        };
        MemberKey::write(&mut self.scratch.key, upload.programme, upload.member);
        let arrived_on = upload.received_at.civil_date();
        let version = running.versions.on(arrived_on);
        if let Some(rejection) = crate::intake::refuse_upload(upload, version) {
            effects.rejections.push(rejection);
            return Ok(Disposition::Rejected);
        }
        let place = self.cache.find(&self.scratch.key, store)?;
        let member = self.cache.member(place);
        if !crate::enrolment::is_enrolled_in_time(member, upload.received_at, version) {
            let version = Arc::clone(version);
            return self.park(place, upload.received_at, &version, original, effects);
        }
        let mut load = Load { store, memory_bytes: 0 };
        let context = Context { running, load: &mut load, effects, changes: &mut self.changes };
        let outcome = self.scratch.upload.apply(member, upload, context)?;
        if outcome.may_settle {
            let settled = &mut member.settled;
            let may_move_freeze = settled.value.frozen.is_none_or(|frozen| arrived_on <= frozen.on);
            let is_late = self.global.closed_or_closing().is_some_and(|closed| arrived_on <= closed);
            if running.has_rules_over_days && may_move_freeze && is_late {
                settled.change().has_late_facts = true;
            }
            if running.has_rules_on_arrival {
                let mut settlement = Settlement { running, effects, scratch: &mut self.scratch.settle };
                self.scratch.upload.settle_on_arrival(member, upload, &mut settlement, &mut load)?;
            }
            if running.has_delayed_rules {
                self.due.add(self.global.first_open(arrived_on), member);
            }
        }
        self.cache.count_load(load.memory_bytes);
        self.cache.note_change(place);
        Ok(if outcome.is_new { Disposition::Accepted } else { Disposition::Duplicate })
    }

    fn apply_member(
        &mut self,
        change: &MemberChange<'_>,
        original: Original<'_>,
        store: &dyn Store,
        effects: &mut Effects,
    ) -> Result<Disposition, Fault> {
        let Some(running) = find_programme(&self.programmes, change.programme, change.member, effects) else {
            return Ok(Disposition::Rejected);
        };
        MemberKey::write(&mut self.scratch.key, change.programme, change.member);
        let version = Arc::clone(running.versions.on(change.effective_on));
        let place = self.cache.find(&self.scratch.key, store)?;
        let member = self.cache.member(place);
        let outcome = crate::enrolment::apply(member, change, &version, effects);
        match outcome {
            crate::enrolment::Outcome::Rejected => return Ok(Disposition::Rejected),
            crate::enrolment::Outcome::Duplicate => return Ok(Disposition::Duplicate),
            crate::enrolment::Outcome::NotEnrolled => {
                return self.park(place, change.received_at, &version, original, effects);
            }
            crate::enrolment::Outcome::Accepted => {}
        }
        let mut load = Load { store, memory_bytes: 0 };
        member.load_months(&mut load)?;
        let mut settlement = Settlement { running, effects, scratch: &mut self.scratch.settle };
        crate::enrolment::settle(member, &mut settlement);
        if running.has_delayed_rules {
            self.due.add(self.global.first_open(change.received_at.civil_date()), member);
        }
        if member.summary.value.parked > 0 {
            release(member, &version, None, store, effects)?;
        }
        self.cache.count_load(load.memory_bytes);
        self.cache.note_change(place);
        Ok(Disposition::Accepted)
    }

    /// Keeps a fact until its member enrols or it is too late.
    fn park(
        &mut self,
        place: usize,
        received_at: Instant,
        version: &Programme,
        original: Original<'_>,
        effects: &mut Effects,
    ) -> Result<Disposition, Fault> {
        let member = self.cache.member(place);
        let until = received_at.civil_date().plus_days(version.park_days_max as i32);
        if self.global.parked_given_up.is_some_and(|given_up| until <= given_up) {
            effects.rejections.push(unknown_member(&member.id, version));
            return Ok(Disposition::Rejected);
        }
        let summary = member.summary.change();
        summary.parked += 1;
        let mut value = Vec::new();
        let mut w = Writer::begin(&mut value);
        w.instant(received_at);
        w.bytes(&original());
        member.new_parked.push((What::Parked(summary.parked), Some(value)));
        self.due.add(self.global.first_open(until), member);
        self.cache.note_change(place);
        Ok(Disposition::Parked)
    }

    fn begin_close(&mut self, date: CivilDate, parked_wait: bool) -> Disposition {
        if self.global.closed.is_some_and(|closed| date <= closed) {
            return Disposition::Duplicate;
        }
        self.global.closing = Some((date, 0));
        if !parked_wait {
            self.global.parked_given_up = Some(date);
        }
        self.global.is_changed = true;
        Disposition::Accepted
    }

    /// Whether a day is being closed: no other input may be applied until it is done.
    pub fn is_closing(&self) -> bool {
        self.global.closing.is_some()
    }

    /// Looks at up to `members_max` members for whom the close has something due. `true` once the day is closed.
    ///
    /// Bounded, so that a transaction stays small however many members there are; the place reached is part of the state.
    pub fn close_some(&mut self, members_max: usize, store: &dyn Store, effects: &mut Effects) -> Result<bool, Fault> {
        let Some((date, mut looked_at)) = self.global.closing.take() else { return Ok(true) };
        self.global.is_changed = true;
        for _ in 0..members_max {
            // A close that was skipped is made up for here: its members are due on an earlier date.
            let Some(due_on) = self.due.first().filter(|&due_on| due_on <= date) else {
                self.global.closed = Some(date);
                return Ok(true);
            };
            match self.due.member(due_on, looked_at) {
                Some(key) => {
                    let place = self.cache.find(key, store)?;
                    self.close_member(place, due_on, date, store, effects)?;
                    looked_at += 1;
                }
                None => {
                    self.due.forget(due_on);
                    looked_at = 0;
                }
            }
        }
        self.global.closing = Some((date, looked_at));
        Ok(false)
    }

    /// Looks at a member who was due on `due_on`, at the close of `date`.
    fn close_member(
        &mut self,
        place: usize,
        due_on: CivilDate,
        date: CivilDate,
        store: &dyn Store,
        effects: &mut Effects,
    ) -> Result<(), Fault> {
        let member = self.cache.member(place);
        let Some(running) = self.programmes.get(member.key.ids().0) else { return Ok(()) };
        if member.summary.value.parked > 0 {
            let given_up = self.global.parked_given_up;
            let still_waiting = release(member, running.versions.on(date), given_up, store, effects)?;
            if let Some(until) = still_waiting {
                self.due.add(until.max(date.plus_days(1)), member);
            }
        }
        let mut load = Load { store, memory_bytes: 0 };
        if due_on < date && running.has_rules_over_days && !member.settled.value.has_late_facts {
            member.settled.change().has_late_facts = true; // Days between them were not looked at.
        }
        if let Some(first) = first_month_needed(running, member, date) {
            member.load_months_from(first, &mut load)?;
        }
        let freeze_due_before = member.settled.value.freeze_due_on;
        Settlement { running, effects, scratch: &mut self.scratch.settle }.close(member, date);
        let freeze_due_on = member.settled.value.freeze_due_on;
        if let Some(due_on) = freeze_due_on.filter(|_| freeze_due_on != freeze_due_before) {
            self.due.add(due_on.max(date.plus_days(1)), member);
        }
        self.cache.count_load(load.memory_bytes);
        self.cache.note_change(place);
        Ok(())
    }

    /// Writes down everything that changed since the last call, in place of what `changes` holds.
    pub fn stage(&mut self, changes: &mut Changes) {
        changes.clear();
        std::mem::swap(changes, &mut self.changes); // The memory of the one before is used for the next.
        for (number, source) in self.new_programmes.drain(..) {
            changes.put(|key| programme_key(number, key), |value| value.extend_from_slice(source.as_bytes()));
        }
        self.cache.stage(changes);
        self.due.stage(changes);
        if std::mem::take(&mut self.global.is_changed) {
            changes.put(|key| key.extend_from_slice(GLOBAL_KEY), |value| self.global.encode(value));
        }
    }

    /// Keeps the memory in bounds. What was staged must be in the store.
    pub fn trim(&mut self, memory_bytes_max: usize) {
        self.cache.trim(memory_bytes_max);
    }
}

/// The programme of a record; refuses the record if there is none or its ids are too long.
fn find_programme<'p>(
    programmes: &'p HashMap<Arc<str>, Running, FixedState>,
    programme: &str,
    member: &str,
    effects: &mut Effects,
) -> Option<&'p Running> {
    let refuse = |reason, detail| Rejection { reason, sample: None, activity_date: None, detail };
    if member.is_empty() || member.len() > ID_BYTES_MAX || programme.len() > ID_BYTES_MAX {
        let detail = format!("programme and member ids have 1 to {ID_BYTES_MAX} bytes");
        effects.rejections.push(refuse(RejectionReason::Malformed, detail));
        return None;
    }
    let found = programmes.get(programme);
    if found.is_none() {
        let detail = format!("no programme {programme:?} has been published");
        effects.rejections.push(refuse(RejectionReason::UnknownProgramme, detail));
    }
    found
}

fn unknown_member(member: &str, version: &Programme) -> Rejection {
    Rejection {
        reason: RejectionReason::UnknownMember,
        sample: None,
        activity_date: None,
        detail: format!("{member:?} was not enrolled in {} within {} days", version.id, version.park_days_max),
    }
}

/// Releases a member's parked facts: those for which the enrolment came in time, and those whose time ended by `given_up`. Gives the date on which the time of the next that still waits is up.
fn release(
    member: &mut Member,
    version: &Programme,
    given_up: Option<CivilDate>,
    store: &dyn Store,
    effects: &mut Effects,
) -> Result<Option<CivilDate>, Fault> {
    let key = &member.key;
    let mut parked: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    store.scan(&key.parked_prefix(), &mut |place, value| {
        parked.push((place.to_vec(), value.to_vec()));
        Ok(())
    })?;
    // Those parked or released since the last commit are not, or still, in the store.
    for (what, value) in &member.new_parked {
        let place = key.value(*what);
        parked.retain(|(known, _)| *known != place);
        parked.extend(value.clone().map(|value| (place, value)));
    }
    let mut still_waiting: Option<CivilDate> = None;
    for (place, value) in parked {
        let mut r = Reader::begin(&value)?;
        let received_at = r.instant()?;
        let until = received_at.civil_date().plus_days(version.park_days_max as i32);
        let is_enrolled = crate::enrolment::is_enrolled_in_time(member, received_at, version);
        if is_enrolled || given_up.is_some_and(|given_up| until <= given_up) {
            effects.released.push(Released { original: r.bytes()?.to_vec(), is_enrolled });
            let number = place.last_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes));
            member.new_parked.retain(|(what, _)| *what != What::Parked(number));
            member.new_parked.push((What::Parked(number), None));
        } else {
            still_waiting = Some(still_waiting.map_or(until, |next| next.min(until)));
        }
    }
    Ok(still_waiting)
}

impl Global {
    /// The last day that is over, or is being closed.
    fn closed_or_closing(&self) -> Option<CivilDate> {
        self.closing.as_ref().map(|&(date, _)| date).or(self.closed)
    }

    /// The first close that can still take up what arrived on a date.
    fn first_open(&self, arrived_on: CivilDate) -> CivilDate {
        self.closed_or_closing().map_or(arrived_on, |closed| arrived_on.max(closed.plus_days(1)))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let mut w = Writer::begin(out);
        w.option(self.closed, Writer::date);
        w.option(self.parked_given_up, Writer::date);
        w.option(self.closing.as_ref(), |w, (date, looked_at)| {
            w.date(*date);
            w.count(*looked_at);
        });
    }

    fn decode(bytes: &[u8]) -> Result<Global, Fault> {
        let mut r = Reader::begin(bytes)?;
        let closed = r.option(Reader::date)?;
        let parked_given_up = r.option(Reader::date)?;
        let closing = r.option(|r| Ok((r.date()?, r.small()?)))?;
        r.end()?;
        Ok(Global { closed, parked_given_up, closing, is_changed: false })
    }
}
