//! Decides what is kept of one member in one programme: many small values, so that an upload rewrites its own day and
//! month, not a year (design, section 3).
//!
//! The *summary* changes with enrolment, at a new source and at postings; a *month* holds what its days came to and
//! what was posted for them; a [`Day`] holds the samples. How they are stored is [`crate::state`]'s.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::calendar::{CivilDate, CivilMonth, Instant};
use crate::codec::{CorruptState, Reader, Writer};
use crate::day::{Day, SourceIndex};
use crate::fact::{DeviceKind, MemberOperation};
use crate::ledger::SourceName;
use crate::state::What;

/// A change of the member that was accepted. Copies of one id are one fact: the smallest receipt counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberFact {
    /// The record's id.
    pub id: String,
    /// Its receipt; nothing is known of it before that date.
    pub received_at: Instant,
    /// Hash of everything but the receipt: the same id with another content is another record (ID_REUSED).
    pub content: u64,
    /// What happened. `Unsupported` is never kept.
    pub operation: MemberOperation,
    /// From this day on it holds.
    pub effective_on: CivilDate,
    /// Decides the age class.
    pub birth_date: Option<CivilDate>,
}

/// A deletion by id alone. It is kept, because its sample may come later, or again on another day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdDeletion {
    /// The sample's source.
    pub source: SourceIndex,
    /// Hash of the sample's id.
    pub id: u64,
    /// As in [`crate::day::Statement`].
    pub version: i64,
    /// As in [`crate::day::Statement`].
    pub modified_at: i64,
    /// As in [`crate::day::Statement`].
    pub rank: u16,
    /// Receipt of the upload that told it.
    pub received_at: Instant,
    /// The day of the login that brought it.
    pub logged_in_on: CivilDate,
    /// Its id.
    pub upload: String,
}

/// The baseline as it was fixed (KU-42, KU-A9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrozenBaseline {
    /// At the close of this day.
    pub on: CivilDate,
    /// D0.
    pub first_day: CivilDate,
    /// After the floor.
    pub steps: u32,
    /// The age class on D0.
    pub is_older: bool,
}

/// What is kept of a member whatever the day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Enrolment, verification and every change, in the order in which they were processed.
    pub facts: Vec<MemberFact>,
    /// Number of entries posted.
    pub sequence: u64,
    /// Sources, in the order in which they were first seen.
    pub sources: Vec<Arc<SourceName>>,
    /// `None` until frozen.
    pub frozen: Option<FrozenBaseline>,
    /// Notices of the baseline given so far.
    pub baseline_notices: u32,
    /// The close that is due only because a baseline must be frozen then.
    pub freeze_due_on: Option<CivilDate>,
    /// A fact came for a day that was closed: what was known on each date must be worked out again.
    pub has_late_facts: bool,
    /// The months that have a value.
    pub months: Vec<CivilMonth>,
    /// The weeks, by their Monday, that have an index of sample ids.
    pub id_weeks: Vec<CivilDate>,
    /// Deletions by id alone.
    pub id_deletions: Vec<IdDeletion>,
    /// Days whose points wait for a login on that day or later (HI-A11).
    pub awaiting_login: Vec<CivilDate>,
    /// Facts that were parked, whether or not they still wait.
    pub parked: u32,
}

/// What is kept of one civil day besides its samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayLine {
    /// Day of the month, from 1.
    pub day: u8,
    /// Daily totals given out so far.
    pub revisions: u32,
    /// What the day came to by what was known at the close of each arrival date on which that changed, ascending.
    pub known: Vec<(CivilDate, u32)>,
}

/// What was posted for one rule and period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostedLine {
    /// Index of the rule among the programme's.
    pub rule: u8,
    /// Day of the month; of a week's Monday; 0 for the month itself.
    pub day: u8,
    /// Entries posted so far.
    pub revisions: u32,
    /// (posting date, sum of points), ascending.
    pub postings: Vec<(CivilDate, i64)>,
}

/// What is kept of one civil month.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Month {
    /// Days with samples, ascending.
    pub days: Vec<DayLine>,
    /// Bit d − 1: something was sent on day d.
    pub transmissions: u32,
    /// (day of login, first arrival date of an upload that tells it), ascending.
    pub logins: Vec<(u8, CivilDate)>,
    /// Bit d − 1: the postings of day d, or of its week or month, may not be what they should be.
    pub unsettled: u32,
    /// The first transmission of this month came: earlier months may fall due.
    pub has_new_transmission: bool,
    /// By (rule, day).
    pub posted: Vec<PostedLine>,
    /// Hashes of refused samples, ascending: a repeat is not refused again.
    pub refused: Vec<u64>,
}

impl Month {
    /// What day `day` of the month came to on the dates on which that changed.
    pub fn known(&self, day: u8) -> &[(CivilDate, u32)] {
        match self.days.binary_search_by_key(&day, |line| line.day) {
            Ok(index) => &self.days[index].known,
            Err(_) => &[],
        }
    }

    /// Whether something was sent on day `day`.
    pub fn has_transmission(&self, day: u8) -> bool {
        self.transmissions & bit(day) != 0
    }

    /// Marks a day for the next settlement.
    pub fn unsettle(&mut self, day: u8) {
        self.unsettled |= bit(day);
    }
}

/// The bit of a day of the month.
pub const fn bit(day: u8) -> u32 {
    1 << (day - 1)
}

/// A value and whether it differs from what is stored.
#[derive(Clone, Debug, Default)]
pub struct Kept<T> {
    /// The value.
    pub value: T,
    /// Must be written at the next commit.
    pub is_changed: bool,
}

impl<T> Kept<T> {
    /// A value as it is stored.
    pub const fn stored(value: T) -> Self {
        Kept { value, is_changed: false }
    }

    /// For changing it.
    pub fn change(&mut self) -> &mut T {
        self.is_changed = true;
        &mut self.value
    }
}

/// One member as held in memory: what has been needed so far.
#[derive(Debug, Default)]
pub struct Member {
    /// The member's id.
    pub id: Arc<str>,
    /// Always there.
    pub summary: Kept<Summary>,
    /// Months that were needed.
    pub months: BTreeMap<CivilMonth, Kept<Month>>,
    /// Days that were needed.
    pub days: BTreeMap<CivilDate, Kept<Day>>,
    /// By week: (source, hash of the sample's id, bits of the weekdays on which it has reports). All weeks, or none yet.
    pub ids: Option<BTreeMap<CivilDate, Kept<Vec<(SourceIndex, u64, u8)>>>>,
    /// Facts parked (with their value) or released (without) since the last commit.
    pub new_parked: Vec<(What, Option<Vec<u8>>)>,
    /// Already in the list of members to write at the next commit.
    pub is_listed: bool,
    /// The last sweep of the cache during which it was used.
    pub used_in: u32,
}

impl Member {
    /// What a day came to by what was known at the close of `as_of`. The month must be in memory if it exists.
    pub fn steps_as_of(&self, date: CivilDate, as_of: CivilDate) -> Option<u32> {
        known_as_of(self.known(date), as_of)
    }

    /// What a day came to on the dates on which that changed. The month must be in memory if it exists.
    pub fn known(&self, date: CivilDate) -> &[(CivilDate, u32)] {
        self.months.get(&date.month()).map_or(&[], |month| month.value.known(date.day_of_month()))
    }
}

/// The last of ascending (arrival date, steps) not after `as_of`.
pub fn known_as_of(known: &[(CivilDate, u32)], as_of: CivilDate) -> Option<u32> {
    known.iter().rev().find(|&&(arrived_on, _)| arrived_on <= as_of).map(|&(_, steps)| steps)
}

impl Summary {
    /// The first fact of an operation, by (receipt, id): the one that counts.
    pub fn first(&self, operation: MemberOperation) -> Option<&MemberFact> {
        let facts = self.facts.iter().filter(|fact| fact.operation == operation);
        facts.min_by(|a, b| (a.received_at, &a.id).cmp(&(b.received_at, &b.id)))
    }

    /// Writes it down.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut w = Writer::begin(out);
        w.count(self.facts.len());
        for fact in &self.facts {
            w.bytes(fact.id.as_bytes());
            w.instant(fact.received_at);
            w.unsigned(fact.content);
            w.0.push(fact.operation as u8);
            w.date(fact.effective_on);
            w.option(fact.birth_date, Writer::date);
        }
        w.unsigned(self.sequence);
        w.count(self.sources.len());
        for source in &self.sources {
            w.bytes(source.platform.as_bytes());
            w.bytes(source.origin.as_bytes());
            w.bytes(source.device.as_bytes());
            w.0.push(source.device_kind as u8);
        }
        w.option(self.frozen, |w, frozen| {
            w.date(frozen.on);
            w.date(frozen.first_day);
            w.unsigned(u64::from(frozen.steps));
            w.flag(frozen.is_older);
        });
        w.unsigned(u64::from(self.baseline_notices));
        w.option(self.freeze_due_on, Writer::date);
        w.flag(self.has_late_facts);
        w.count(self.months.len());
        self.months.iter().for_each(|month| w.signed(i64::from(month.number())));
        w.count(self.id_weeks.len());
        self.id_weeks.iter().for_each(|&week| w.date(week));
        w.count(self.id_deletions.len());
        for deletion in &self.id_deletions {
            w.unsigned(u64::from(deletion.source));
            w.unsigned(deletion.id);
            w.signed(deletion.version);
            w.signed(deletion.modified_at);
            w.unsigned(u64::from(deletion.rank));
            w.instant(deletion.received_at);
            w.date(deletion.logged_in_on);
            w.bytes(deletion.upload.as_bytes());
        }
        w.count(self.awaiting_login.len());
        self.awaiting_login.iter().for_each(|&date| w.date(date));
        w.unsigned(u64::from(self.parked));
    }

    /// Reads it back.
    pub fn decode(bytes: &[u8]) -> Result<Summary, CorruptState> {
        let mut r = Reader::begin(bytes)?;
        let summary = Summary {
            facts: r.list(|r| {
                Ok(MemberFact {
                    id: r.text()?.into(),
                    received_at: r.instant()?,
                    content: r.unsigned()?,
                    operation: if r.byte()? == 0 { MemberOperation::Enrol } else { MemberOperation::Verify },
                    effective_on: r.date()?,
                    birth_date: r.option(Reader::date)?,
                })
            })?,
            sequence: r.unsigned()?,
            sources: r.list(decode_source)?,
            frozen: r.option(|r| {
                Ok(FrozenBaseline { on: r.date()?, first_day: r.date()?, steps: r.small()?, is_older: r.flag()? })
            })?,
            baseline_notices: r.small()?,
            freeze_due_on: r.option(Reader::date)?,
            has_late_facts: r.flag()?,
            months: r.list(|r| r.signed32().map(CivilMonth::from_number))?,
            id_weeks: r.list(Reader::date)?,
            id_deletions: r.list(|r| {
                Ok(IdDeletion {
                    source: r.small()?,
                    id: r.unsigned()?,
                    version: r.signed()?,
                    modified_at: r.signed()?,
                    rank: r.small()?,
                    received_at: r.instant()?,
                    logged_in_on: r.date()?,
                    upload: r.text()?.into(),
                })
            })?,
            awaiting_login: r.list(Reader::date)?,
            parked: r.small()?,
        };
        r.end()?;
        Ok(summary)
    }
}

fn decode_source(r: &mut Reader<'_>) -> Result<Arc<SourceName>, CorruptState> {
    Ok(Arc::new(SourceName {
        platform: r.text()?.into(),
        origin: r.text()?.into(),
        device: r.text()?.into(),
        device_kind: match r.byte()? {
            0 => DeviceKind::Watch,
            1 => DeviceKind::Phone,
            2 => DeviceKind::Pedometer,
            3 => DeviceKind::Scale,
            _ => DeviceKind::Unknown,
        },
    }))
}

impl Month {
    /// Writes it down. Dates near each other are written as differences.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut w = Writer::begin(out);
        let mut before = 0;
        let mut near = |w: &mut Writer<'_>, date: CivilDate| {
            w.signed(i64::from(date.epoch_days()) - i64::from(before));
            before = date.epoch_days();
        };
        w.count(self.days.len());
        for line in &self.days {
            w.0.push(line.day);
            w.unsigned(u64::from(line.revisions));
            w.count(line.known.len());
            for &(arrived_on, steps) in &line.known {
                near(&mut w, arrived_on);
                w.unsigned(u64::from(steps));
            }
        }
        w.unsigned(u64::from(self.transmissions));
        w.count(self.logins.len());
        for &(day, arrived_on) in &self.logins {
            w.0.push(day);
            near(&mut w, arrived_on);
        }
        w.unsigned(u64::from(self.unsettled));
        w.flag(self.has_new_transmission);
        w.count(self.posted.len());
        for line in &self.posted {
            w.0.push(line.rule);
            w.0.push(line.day);
            w.unsigned(u64::from(line.revisions));
            w.count(line.postings.len());
            for &(posting_date, points) in &line.postings {
                near(&mut w, posting_date);
                w.signed(points);
            }
        }
        w.count(self.refused.len());
        self.refused.iter().for_each(|hash| w.0.extend_from_slice(&hash.to_le_bytes()));
    }

    /// Reads it back.
    pub fn decode(bytes: &[u8]) -> Result<Month, CorruptState> {
        let mut r = Reader::begin(bytes)?;
        let mut before = 0i32;
        let mut near = |r: &mut Reader<'_>| {
            before = before.wrapping_add(r.signed32()?);
            Ok::<_, CorruptState>(CivilDate::from_epoch_days(before))
        };
        let month = Month {
            days: r.list(|r| {
                Ok(DayLine {
                    day: day_of_month(r)?,
                    revisions: r.small()?,
                    known: r.list(|r| Ok((near(r)?, r.small()?)))?,
                })
            })?,
            transmissions: r.small()?,
            logins: r.list(|r| Ok((day_of_month(r)?, near(r)?)))?,
            unsettled: r.small()?,
            has_new_transmission: r.flag()?,
            posted: r.list(|r| {
                Ok(PostedLine {
                    rule: r.byte()?,
                    day: r.byte()?,
                    revisions: r.small()?,
                    postings: r.list(|r| Ok((near(r)?, r.signed()?)))?,
                })
            })?,
            refused: r.list(|r| {
                let mut hash = [0; 8];
                for byte in &mut hash {
                    *byte = r.byte()?;
                }
                Ok(u64::from_le_bytes(hash))
            })?,
        };
        r.end()?;
        Ok(month)
    }
}

fn day_of_month(r: &mut Reader<'_>) -> Result<u8, CorruptState> {
    match r.byte()? {
        day @ 1..=31 => Ok(day),
        day => Err(CorruptState { detail: format!("day {day} of a month") }),
    }
}
