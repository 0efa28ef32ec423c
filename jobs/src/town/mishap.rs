//! Decides what goes wrong at one sync: what is left out, sent twice, corrected, deleted, delayed or odd.
//!
//! Each trouble only plans deliveries and notes what has changed; what they then say is [`super::delivery`]'s. The rates
//! are [`super::trouble`]'s.

use pipeline::calendar::{CivilDate, DAY_MILLIS, Instant};
use pipeline::fact::Channel;

use super::delivery::{Change, Content, Delivery, Effect};
use super::person::time_on;
use super::simulation::{Event, Resident, Town, seconds_after};
use super::trouble::Trouble;

/// How long after its making a change of a day can still be told: longer than any upload waits.
const CHANGES_KEPT_DAYS: i32 = 60;
/// How far back a day is corrected or deleted.
const CHANGED_DAYS_BACK: i32 = 20;
const DAY_SECONDS: i64 = DAY_MILLIS / 1000;

/// The troubles of which the sample itself is the trouble.
const ODD: [Trouble; 9] = [
    Trouble::Manual,
    Trouble::AcrossMidnight,
    Trouble::Overlapping,
    Trouble::ImplausibleDay,
    Trouble::ImplausibleHour,
    Trouble::NegativeSteps,
    Trouble::EndBeforeStart,
    Trouble::FarFuture,
    Trouble::DeletedUnknown,
];

impl Town {
    /// Sends the days from `first` to `last`, with whatever goes wrong on the way.
    pub(super) fn send(&mut self, resident: usize, at: Instant, first: CivilDate, last: CivilDate) {
        let without = self.leave_a_day_out(resident, at, first, last);
        let mut delivery = self.delivery(resident, at, Content::Days { first, last, without });
        if delivery.login_at.is_some() && self.draw(resident, Trouble::ClockFast) {
            delivery.login_at = Some(seconds_after(at, 7_200));
        }
        let received_at = self.receipt(resident, at);
        self.plan(resident, received_at, Event::Delivery(delivery));
        if self.draw(resident, Trouble::Repeated) {
            let seconds = i64::from(self.residents[resident].random.between(60, 2 * DAY_SECONDS as i32));
            self.plan(resident, seconds_after(received_at, seconds), Event::Delivery(delivery));
        }
        self.send_from_phone(resident, seconds_after(at, 20), first, last);
        self.send_again(resident, seconds_after(at, 40), last);
        self.change_a_day(resident, at, first);
        self.delete_before(resident, at, last);
        self.send_odd(resident, seconds_after(at, 80), last);
        self.send_astray(resident, seconds_after(at, 100), delivery);
    }

    /// When the gateway takes in what was sent: within seconds, or after days in a queue.
    fn receipt(&mut self, resident: usize, at: Instant) -> Instant {
        let days = if self.draw(resident, Trouble::Queued) {
            (1, 29)
        } else if self.draw(resident, Trouble::QueuedTooLong) {
            (31, 45)
        } else {
            let seconds = self.residents[resident].random.between(1, 15);
            return seconds_after(at, i64::from(seconds));
        };
        self.later(resident, at, days.0, days.1)
    }

    /// Some days after an instant, at another time of the day but never more days than `days_max`.
    fn later(&mut self, resident: usize, at: Instant, days_min: i32, days_max: i32) -> Instant {
        let random = &mut self.residents[resident].random;
        let days = random.between(days_min, days_max);
        let arrival = time_on(at.civil_date().plus_days(days), random, 6 * 60, 23 * 60);
        arrival.min(seconds_after(at, i64::from(days_max) * DAY_SECONDS))
    }

    fn leave_a_day_out(
        &mut self,
        resident: usize,
        at: Instant,
        first: CivilDate,
        last: CivilDate,
    ) -> Option<CivilDate> {
        if !self.draw(resident, Trouble::DayLeftOut) {
            return None;
        }
        let date = first.plus_days(self.residents[resident].random.between(0, last.days_since(first)));
        // The day was not over or has been over for some weeks; in all it comes up to 45 days late.
        let days_left = (45 - at.civil_date().days_since(date)).max(2);
        let arrival = self.later(resident, at, 2, days_left);
        let mut delivery = self.delivery(resident, arrival, Content::Days { first: date, last: date, without: None });
        delivery.login_at = delivery.login_at.map(|_| seconds_after(arrival, -5));
        self.plan(resident, arrival, Event::Delivery(delivery));
        // An unfinished day comes again with the next sync; leaving it out here only delays it.
        Some(date)
    }

    fn send_from_phone(&mut self, resident: usize, at: Instant, first: CivilDate, last: CivilDate) {
        if self.residents[resident].person.phone.is_some() {
            let mut delivery = self.delivery(resident, at, Content::Days { first, last, without: None });
            delivery.from_phone = true;
            self.plan(resident, seconds_after(at, 3), Event::Delivery(delivery));
        }
    }

    fn send_again(&mut self, resident: usize, at: Instant, last: CivilDate) {
        let first = last.plus_days(-29).max(self.residents[resident].person.data_first_day);
        if self.draw(resident, Trouble::MonthAgain) {
            let delivery = self.delivery(resident, at, Content::Days { first, last, without: None });
            self.plan(resident, seconds_after(at, 2), Event::Delivery(delivery));
        }
    }

    /// A day that has been sent whole before, is known to the device and has not been changed yet.
    fn day_to_change(&mut self, resident: usize, first_unsent: CivilDate) -> Option<CivilDate> {
        let Resident { person, random, changes, .. } = &mut self.residents[resident];
        let oldest = first_unsent.plus_days(-CHANGED_DAYS_BACK).max(person.data_first_day);
        if oldest >= first_unsent {
            return None;
        }
        let date = first_unsent.plus_days(-random.between(1, first_unsent.days_since(oldest)));
        let is_known = person.day(date).is_some_and(|day| day.total > 0);
        (is_known && changes.iter().all(|change| change.date != date)).then_some(date)
    }

    /// Corrects or deletes one day that was sent earlier. The rate holds for syncs after the first.
    fn change_a_day(&mut self, resident: usize, at: Instant, first_unsent: CivilDate) {
        let Some(date) = self.day_to_change(resident, first_unsent) else { return };
        let has_sample_ids = self.residents[resident].person.device.has_sample_ids;
        let hour = self.residents[resident].random.between(0, 12) as u8;
        let busiest = self.busiest_hour(resident, date);
        if self.draw(resident, Trouble::CorrectedUp) {
            self.correct(resident, at, date, hour, (1_050, 1_400));
        } else if self.draw(resident, Trouble::CorrectedDown) {
            self.correct(resident, at, date, hour, (300, 900));
        } else if has_sample_ids && self.draw(resident, Trouble::OldVersionLate) {
            self.correct(resident, at, date, hour, (700, 1_300));
            let mut old = self.delivery(resident, at, Content::Days { first: date, last: date, without: None });
            old.as_of = Instant::from_epoch_millis(at.epoch_millis() - 1);
            let arrival = self.later(resident, at, 1, 9);
            self.plan(resident, arrival, Event::Delivery(old));
        } else if has_sample_ids && self.draw(resident, Trouble::DeletedById) {
            let content = Content::DeletedById { date, hour: busiest };
            self.change(resident, at, date, Effect::HourRemoved { hour: busiest }, content);
        } else if self.draw(resident, Trouble::DeletedDay) {
            self.change(resident, at, date, Effect::DayRemoved, Content::DeletedDay { date });
        }
    }

    fn busiest_hour(&self, resident: usize, date: CivilDate) -> u8 {
        let day = self.residents[resident].person.day(date);
        day.map_or(12, |day| (0..24).max_by_key(|&hour| day.hours[usize::from(hour)]).unwrap_or(12))
    }

    fn correct(&mut self, resident: usize, at: Instant, date: CivilDate, hour: u8, per_mille: (i32, i32)) {
        let per_mille = self.residents[resident].random.between(per_mille.0, per_mille.1) as u32;
        self.change(resident, at, date, Effect::Scaled { hour, per_mille }, Content::Corrected { date, hour });
    }

    /// Notes a change, so that what is sent from now on has it, and sends it.
    fn change(&mut self, resident: usize, at: Instant, date: CivilDate, effect: Effect, content: Content) {
        let changes = &mut self.residents[resident].changes;
        changes.retain(|change| date.days_since(change.date) < CHANGES_KEPT_DAYS + CHANGED_DAYS_BACK);
        changes.push(Change { made_at: at, date, effect });
        let delivery = self.delivery(resident, at, content);
        self.plan(resident, seconds_after(at, 60), Event::Delivery(delivery));
    }

    /// Deletes a sample while the upload that brings it is still waiting in a queue: it must not rise from the dead.
    fn delete_before(&mut self, resident: usize, at: Instant, last: CivilDate) {
        let is_over = last < at.civil_date();
        if !is_over || !self.draw(resident, Trouble::DeletedBefore) {
            return;
        }
        let mut waiting = self.delivery(resident, at, Content::Odd { date: last, trouble: Trouble::Overlapping });
        waiting.as_of = seconds_after(at, -60);
        let arrival = self.later(resident, at, 2, 10);
        self.plan(resident, arrival, Event::Delivery(waiting));
        let delete = self.delivery(resident, at, Content::Odd { date: last, trouble: Trouble::DeletedBefore });
        self.plan(resident, seconds_after(at, 70), Event::Delivery(delete));
    }

    fn send_odd(&mut self, resident: usize, at: Instant, last: CivilDate) {
        // A day that is over, with the night after it, so that the oddity is the only thing wrong.
        let date = last.min(at.civil_date().plus_days(-2));
        if date < self.residents[resident].person.data_first_day {
            return;
        }
        for (place, trouble) in (0..).zip(ODD) {
            if self.draw(resident, trouble) {
                let delivery = self.delivery(resident, at, Content::Odd { date, trouble });
                self.plan(resident, seconds_after(at, place), Event::Delivery(delivery));
            }
        }
    }

    /// What reaches nobody: an upload for no programme, and bytes that are no record.
    fn send_astray(&mut self, resident: usize, at: Instant, sent: Delivery) {
        if self.draw(resident, Trouble::UnknownProgramme) {
            let channel = if sent.channel == Channel::Loppi { Channel::Reader } else { sent.channel };
            let astray = Delivery { programme_unknown: true, channel, login_at: Some(sent.as_of), ..sent };
            self.plan(resident, at, Event::Delivery(astray));
        }
        if self.draw(resident, Trouble::Malformed) {
            let form = self.residents[resident].random.below(MALFORMED_FORMS);
            self.plan(resident, seconds_after(at, 1), Event::Malformed { form });
        }
    }
}

/// How many kinds of bytes there are that are no record.
const MALFORMED_FORMS: u32 = 6;

/// Bytes that are no record, each for another reason.
pub(super) fn malformed_line(programme: &str, person: u32, form: u32) -> Vec<u8> {
    let head =
        format!(r#"{{"type":"upload","id":"u-{person:04}-x","programme":"{programme}","member":"m-{person:04}""#);
    match form {
        0 => format!(r#"{head},"received_at":"2025-07-0"#).into_bytes(), // cut off in transmission
        1 => format!(r#"{head},"samples":"none"}}"#).into_bytes(),       // a wrong type, and fields missing
        2 => format!(r#"{head},"received_at":"yesterday","samples":[]}}"#).into_bytes(),
        3 => b"<html><body>502 Bad Gateway</body></html>".to_vec(),
        4 => [head.as_bytes(), b",\"note\":\"\xff\xfe\"}"].concat(), // not UTF-8
        _ => b"[]]".to_vec(),
    }
}
