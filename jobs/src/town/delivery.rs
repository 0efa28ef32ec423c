//! Decides what one upload of the town says: which samples, with which identities, as known at which instant.
//!
//! A delivery is a few numbers until the moment at which it is received; the samples are worked out only then, from the
//! person and what has been changed since. So weeks of waiting uploads take no memory. Which deliveries there are is
//! left to [`super::simulation`] and [`super::mishap`].

use pipeline::calendar::{CivilDate, DAY_MILLIS, Instant};
use pipeline::fact::{Channel, Operation, Recording, Sample, SampleTime};

use super::person::{Device, Person};
use super::random::Random;
use super::record::{OwnedUpload, push_name, write_name};
use super::trouble::Trouble;
use super::walk::Day;

const HOUR_MILLIS: i64 = 3_600_000;
/// A device has read an hour or a day to its end this long after it.
const READ_AFTER_MILLIS: i64 = 5 * 60_000;
/// The slot of the daily total, after those of the 24 hours.
const TOTAL_SLOT: u64 = 24;

/// What an upload is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content {
    /// All that is known of these days, both included, but for one.
    Days { first: CivilDate, last: CivilDate, without: Option<CivilDate> },
    /// What has changed of a day: the hours from this one on, and the total.
    Corrected { date: CivilDate, hour: u8 },
    /// An hour and the total are deleted by their ids alone.
    DeletedById { date: CivilDate, hour: u8 },
    /// Every sample of a day is deleted by its time.
    DeletedDay { date: CivilDate },
    /// One sample that is odd in itself.
    Odd { date: CivilDate, trouble: Trouble },
}

/// An upload that has not been written out yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery {
    /// Makes the upload's id; a repeat has the same.
    pub(super) upload_number: u32,
    pub(super) login_at: Option<Instant>,
    /// What was known when the upload was made.
    pub(super) as_of: Instant,
    pub(super) channel: Channel,
    pub(super) from_phone: bool,
    pub(super) programme_unknown: bool,
    pub(super) content: Content,
}

/// What has become of a day since it was first sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) made_at: Instant,
    pub(super) date: CivilDate,
    pub(super) effect: Effect,
}

/// What a change does to a day.
#[derive(Clone, Copy, Debug)]
pub(super) enum Effect {
    /// The hours from this one on become so many thousandths, and the total follows.
    Scaled { hour: u8, per_mille: u32 },
    /// The hour and the total are no longer.
    HourRemoved { hour: u8 },
    /// The day is no longer.
    DayRemoved,
}

/// A day as a source knows it at some instant: 24 hours and the total.
#[derive(Clone, Copy, Debug)]
struct Known {
    slots: [Slot; 25],
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    steps: u32,
    is_there: bool,
    version: i64,
    changed_at: Option<Instant>,
}

/// An automatic sample without an id, stated.
pub(super) fn sample(time: SampleTime, steps: i64) -> Sample<'static> {
    let (recording, operation) = (Recording::Automatic, Operation::Upsert);
    Sample { time, steps, recording, operation, id: "", version: 0, modified_at: None }
}

/// A part of a day, in minutes from its midnight; the end may lie in the next day.
fn minutes(date: CivilDate, first: i64, last: i64) -> SampleTime {
    let at = |minute| Instant::from_epoch_millis(date.start().epoch_millis() + minute * 60_000);
    SampleTime::Interval { start: at(first), end: at(last) }
}

/// The time of a slot of a day.
fn slot_time(date: CivilDate, slot: u64) -> SampleTime {
    if slot == TOTAL_SLOT {
        SampleTime::DailyTotal(date)
    } else {
        minutes(date, slot as i64 * 60, slot as i64 * 60 + 60)
    }
}

impl Known {
    fn new(day: &Day) -> Self {
        let slot = |steps| Slot { steps, is_there: true, version: 0, changed_at: None };
        let mut slots = [slot(day.total); 25];
        for (known, steps) in slots.iter_mut().zip(day.hours) {
            *known = slot(steps);
        }
        Known { slots }
    }

    fn apply(&mut self, change: &Change) {
        match change.effect {
            Effect::Scaled { hour, per_mille } => self.scale(hour, per_mille, change.made_at),
            Effect::HourRemoved { hour } => {
                self.slots[usize::from(hour)].is_there = false;
                self.slots[TOTAL_SLOT as usize].is_there = false;
            }
            Effect::DayRemoved => self.slots.iter_mut().for_each(|slot| slot.is_there = false),
        }
    }

    fn scale(&mut self, hour: u8, per_mille: u32, made_at: Instant) {
        let (hours, total) = self.slots.split_at_mut(TOTAL_SLOT as usize);
        let mut rescale = |slot: &mut Slot| {
            let before = slot.steps;
            slot.steps = before * per_mille / 1000;
            (slot.version, slot.changed_at) = (slot.version + 1, Some(made_at));
            (before, slot.steps)
        };
        let scaled = hours[usize::from(hour)..].iter_mut().map(&mut rescale);
        let (before, after) = scaled.fold((0, 0), |sums, steps| (sums.0 + steps.0, sums.1 + steps.1));
        let known_before = total[0].steps;
        rescale(&mut total[0]);
        // Where the hours were lost, there is nothing but the total to correct.
        if before > 0 {
            total[0].steps = known_before - before + after;
        }
    }

    /// Forgets what had not been walked yet: an hour in progress has as much of its steps as of its time.
    fn cut(&mut self, date: CivilDate, as_of: Instant) {
        let elapsed = as_of.millis_into(date);
        if elapsed >= DAY_MILLIS {
            return;
        }
        let mut walked = 0;
        for (hour, slot) in self.slots[..TOTAL_SLOT as usize].iter_mut().enumerate() {
            let part = (elapsed - hour as i64 * HOUR_MILLIS).clamp(0, HOUR_MILLIS);
            slot.steps = (i64::from(slot.steps) * part / HOUR_MILLIS) as u32;
            slot.is_there &= part > 0;
            walked += slot.steps;
        }
        let total = &mut self.slots[TOTAL_SLOT as usize];
        total.steps = total.steps.min(walked);
    }
}

/// Writes a delivery out as the upload that it has become.
pub(super) struct Writer<'a> {
    pub(super) person: &'a Person,
    pub(super) changes: &'a [Change],
    pub(super) delivery: Delivery,
    pub(super) upload: &'a mut OwnedUpload,
}

impl Writer<'_> {
    /// Fills the upload, whatever it was.
    pub(super) fn write(mut self, programme: &str, received_at: Instant) {
        let (delivery, device, upload) = (self.delivery, self.device(), &mut *self.upload);
        write_name(&mut upload.member, "m-", self.person.number, 4);
        write_name(&mut upload.id, "u-", self.person.number, 4);
        push_name(&mut upload.id, "-", delivery.upload_number, 1);
        write_name(&mut upload.device, device.name_prefix, self.person.number, 4);
        upload.programme.clear();
        upload.programme.push_str(if delivery.programme_unknown { "kunitati" } else { programme });
        (upload.received_at, upload.login_at) = (received_at, delivery.login_at);
        (upload.platform, upload.origin, upload.device_kind) = (device.platform, device.origin, device.kind);
        upload.channel = delivery.channel;
        upload.clear_samples();
        self.write_samples();
    }

    fn write_samples(&mut self) {
        match self.delivery.content {
            Content::Days { first, last, without } => {
                let dates = (first.epoch_days()..=last.epoch_days()).map(CivilDate::from_epoch_days);
                dates.filter(|date| Some(*date) != without).for_each(|date| self.write_day(date));
            }
            Content::Corrected { date, hour } => {
                self.write_slots(date, u64::from(hour)..TOTAL_SLOT + 1, |sample| sample);
            }
            Content::DeletedById { date, hour } => {
                let by_id = |deleted: Sample<'static>| Sample { time: SampleTime::Unstated, ..deletion(deleted) };
                for slot in [u64::from(hour), TOTAL_SLOT] {
                    self.write_slots(date, slot..slot + 1, by_id);
                }
            }
            Content::DeletedDay { date } => self.write_slots(date, 0..TOTAL_SLOT + 1, deletion),
            Content::Odd { date, trouble } => self.write_odd(date, trouble),
        }
    }

    fn write_day(&mut self, date: CivilDate) {
        self.write_slots(date, 0..TOTAL_SLOT + 1, |sample| sample);
        if self.person.sends_merged_totals
            && !self.delivery.from_phone
            && self.delivery.as_of >= date.plus_days(1).start()
        {
            let own = self.person.day(date).map_or(0, |day| day.total);
            let phone = self.person.phone.map_or(0, |_| self.person.phone_day(date).total);
            // Merging fills the gaps of one source from the next, so it comes out a little above the better one.
            let merged = own.max(phone) + own.min(phone) / 20;
            self.push(date, 90, sample(SampleTime::MergedTotal(date), i64::from(merged)));
        }
    }

    /// Writes the slots that the source knows of a day, each as `form` has it. A deletion is told of what was known
    /// just before it.
    fn write_slots(
        &mut self,
        date: CivilDate,
        slots: std::ops::Range<u64>,
        form: impl Fn(Sample<'static>) -> Sample<'static>,
    ) {
        let deletes = matches!(self.delivery.content, Content::DeletedById { .. } | Content::DeletedDay { .. });
        let Some(known) = self.known(date, deletes) else { return };
        for slot in slots {
            let Slot { steps, is_there, version, changed_at } = known.slots[slot as usize];
            if !is_there {
                continue;
            }
            let mut stated = sample(slot_time(date, slot), i64::from(steps));
            stated.version = version;
            if self.device().has_sample_ids {
                let as_of = self.delivery.as_of;
                stated.modified_at =
                    Some(if deletes { as_of } else { changed_at.unwrap_or(read_at(stated.time, as_of)) });
            }
            self.push(date, slot, form(stated));
        }
    }

    /// A day as the source knows it when the upload is made, or just before.
    fn known(&self, date: CivilDate, just_before: bool) -> Option<Known> {
        let as_of = self.delivery.as_of;
        if self.delivery.from_phone {
            let mut known = Known::new(&self.person.phone_day(date));
            known.cut(date, as_of);
            return Some(known);
        }
        let mut known = Known::new(&self.person.day(date)?);
        for change in self.changes.iter().filter(|change| change.date == date) {
            if change.made_at < as_of || (change.made_at == as_of && !just_before) {
                known.apply(change);
            }
        }
        known.cut(date, as_of);
        Some(known)
    }

    fn write_odd(&mut self, date: CivilDate, trouble: Trouble) {
        let mut odd = match trouble {
            Trouble::Manual => sample(minutes(date, 600, 660), 3_000),
            Trouble::AcrossMidnight => sample(minutes(date, 23 * 60 + 10, 25 * 60 + 25), 1_301),
            Trouble::Overlapping => sample(minutes(date, 10 * 60 + 30, 11 * 60 + 30), 900),
            Trouble::ImplausibleDay => sample(SampleTime::DailyTotal(date), 150_000),
            Trouble::ImplausibleHour => sample(minutes(date, 15 * 60, 16 * 60), 90_000),
            Trouble::NegativeSteps => sample(minutes(date, 8 * 60, 9 * 60), -250),
            Trouble::EndBeforeStart => sample(minutes(date, 9 * 60, 8 * 60), 400),
            Trouble::FarFuture => {
                const YEAR_9999_EPOCH_DAYS: i32 = 2_932_532;
                sample(SampleTime::DailyTotal(CivilDate::from_epoch_days(YEAR_9999_EPOCH_DAYS)), 5_000)
            }
            Trouble::DeletedBefore => deletion(sample(minutes(date, 10 * 60 + 30, 11 * 60 + 30), 900)),
            // What is deleted without having come: some minutes of the night.
            _ => deletion(sample(minutes(date, 150, 165), 0)),
        };
        match trouble {
            Trouble::Manual => odd.recording = Recording::Manual,
            Trouble::AcrossMidnight | Trouble::Overlapping | Trouble::DeletedBefore => {
                odd.recording = Recording::Active
            }
            _ => {}
        }
        if self.device().has_sample_ids {
            odd.modified_at = Some(self.delivery.as_of);
        }
        // The deletion that comes first is of the sample that overlaps.
        let named = if trouble == Trouble::DeletedBefore { Trouble::Overlapping } else { trouble };
        self.push(date, 100 + named as u64, odd);
    }

    fn push(&mut self, date: CivilDate, slot: u64, sample: Sample<'static>) {
        let source = u64::from(self.delivery.from_phone);
        if self.device().has_sample_ids {
            let person_and_date = u64::from(self.person.number) << 32 | u64::from(date.epoch_days() as u32);
            self.upload.push_with_id(sample, Random::of(&[self.person.seed, 6 + source, person_and_date, slot]).bits());
        } else {
            self.upload.push(sample);
        }
    }

    fn device(&self) -> Device {
        if self.delivery.from_phone { self.person.phone.unwrap_or(self.person.device) } else { self.person.device }
    }
}

/// The deletion of a sample: newer than what it deletes.
fn deletion(deleted: Sample<'static>) -> Sample<'static> {
    Sample { operation: Operation::Delete, steps: 0, version: deleted.version + 1, ..deleted }
}

/// When a device has read what it says about a time: a little after its end, or now if that is still to come.
fn read_at(time: SampleTime, as_of: Instant) -> Instant {
    let end = match time {
        SampleTime::Interval { end, .. } => end,
        SampleTime::DailyTotal(date) | SampleTime::MergedTotal(date) => date.plus_days(1).start(),
        SampleTime::Unstated => as_of,
    };
    as_of.min(Instant::from_epoch_millis(end.epoch_millis() + READ_AFTER_MILLIS))
}
