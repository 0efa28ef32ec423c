//! Decides what the load test is made of: one plain upload per member and day, as cheap to make as can be.
//!
//! Nothing is odd here but that some uploads are repeated and some corrected. Members send in another order each day,
//! spread evenly over the morning; how fast they are replayed is left to the load generator.

use std::collections::VecDeque;

use pipeline::calendar::{CivilDate, Instant};
use pipeline::fact::{Channel, DeviceKind, SampleTime};

use super::delivery::sample;
use super::random::Random;
use super::record::{OwnedMember, OwnedUpload, RecordSource, TownRecord, push_name, write_name};
use super::walk;

const HOUR_MILLIS: i64 = 3_600_000;
/// Uploads are received from 05:00 to 10:00 in the morning after.
const MORNING_START_MILLIS: i64 = 5 * HOUR_MILLIS;
const MORNING_MILLIS: i64 = 5 * HOUR_MILLIS;
/// A gateway's repeat follows after so long, and a correction after so long. One delay each keeps both in order.
const REPEATED_AFTER_MILLIS: i64 = HOUR_MILLIS / 3;
const CORRECTED_AFTER_MILLIS: i64 = HOUR_MILLIS;

/// What makes a load.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadConfig {
    /// The same seed gives the same records.
    pub seed: u64,
    /// How many members there are.
    pub members: u32,
    /// For how many days each of them sends.
    pub days: u32,
    /// The share of uploads that come twice, the same record.
    pub repeated_share: f64,
    /// The share of uploads that are followed by a corrected one.
    pub corrected_share: f64,
    /// The programme's id.
    pub programme: String,
    /// The first day that is sent.
    pub first_day: CivilDate,
}

impl LoadConfig {
    /// The workload that Ayumi and its rivals are measured with: 10,000 members for 60 days, about 630,000 uploads.
    pub fn standard(seed: u64) -> Self {
        LoadConfig {
            seed,
            members: 10_000,
            days: 60,
            repeated_share: 0.03,
            corrected_share: 0.02,
            programme: "kunitachi".to_owned(),
            first_day: CivilDate::from_epoch_days(20_241), // 2025-06-02
        }
    }
}

/// A load: first an enrolment of each member on the day before, then the uploads, all in order of `received_at`.
#[derive(Clone, Debug)]
pub struct Load {
    config: LoadConfig,
    enrolled: u32,
    day: u32,
    position: u32,
    order: Order,
    repeats: VecDeque<Sending>,
    corrections: VecDeque<Sending>,
}

/// One upload to be received.
#[derive(Clone, Copy, Debug)]
struct Sending {
    received_at: Instant,
    login_at: Instant,
    member: u32,
    day: u32,
    is_correction: bool,
}

/// The order in which the members send on one day: position × multiplier + offset, modulo their number. With a
/// multiplier prime to it that visits each member once, without a list.
#[derive(Clone, Copy, Debug)]
struct Order {
    multiplier: u64,
    offset: u64,
    members: u64,
}

impl Order {
    fn of_day(config: &LoadConfig, day: u32) -> Self {
        let members = u64::from(config.members.max(1));
        let mut random = Random::of(&[config.seed, 11, u64::from(day)]);
        let offset = random.bits() % members;
        let mut multiplier = random.bits() % members;
        while greatest_common_divisor(multiplier, members) != 1 {
            multiplier = (multiplier + 1) % members;
        }
        Order { multiplier, offset, members }
    }

    fn member(&self, position: u32) -> u32 {
        ((u64::from(position) * self.multiplier + self.offset) % self.members) as u32 + 1
    }
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

impl Load {
    /// A load before its first record.
    pub fn new(config: LoadConfig) -> Self {
        let order = Order::of_day(&config, 0);
        let (repeats, corrections) = (VecDeque::new(), VecDeque::new());
        Load { config, enrolled: 0, day: 0, position: 0, order, repeats, corrections }
    }

    /// The next upload into `upload`, over what it was. False at the end; the enrolments must have been taken before.
    fn next_upload(&mut self, upload: &mut OwnedUpload) -> bool {
        let regular = self.regular();
        let due = |queue: &VecDeque<Sending>, other: Option<Instant>| {
            queue.front().is_some_and(|first| other.is_none_or(|other| first.received_at <= other))
        };
        let regular_at = regular.map(|sending| sending.received_at);
        let correction_at = self.corrections.front().map(|sending| sending.received_at);
        let sending = if due(&self.repeats, regular_at) && due(&self.repeats, correction_at) {
            self.repeats.pop_front()
        } else if due(&self.corrections, regular_at) {
            self.corrections.pop_front()
        } else {
            if let Some(sending) = regular {
                self.advance(sending);
            }
            regular
        };
        if let Some(sending) = &sending {
            self.write(sending, upload);
        }
        sending.is_some()
    }

    /// The next upload that is neither a repeat nor a correction.
    fn regular(&self) -> Option<Sending> {
        if self.day >= self.config.days || self.config.members == 0 {
            return None;
        }
        let morning =
            self.config.first_day.plus_days(self.day as i32 + 1).start().epoch_millis() + MORNING_START_MILLIS;
        let millis = morning + i64::from(self.position) * MORNING_MILLIS / i64::from(self.config.members);
        let received_at = Instant::from_epoch_millis(millis);
        let login_at = Instant::from_epoch_millis(millis - 2_000);
        let member = self.order.member(self.position);
        Some(Sending { received_at, login_at, member, day: self.day, is_correction: false })
    }

    /// Goes on to the next member or day, and puts what follows from this upload into its queue.
    fn advance(&mut self, sent: Sending) {
        let mut random = self.random(12, &sent);
        let after = |at: Instant, millis| Instant::from_epoch_millis(at.epoch_millis() + millis);
        if random.chance(self.config.repeated_share) {
            self.repeats.push_back(Sending { received_at: after(sent.received_at, REPEATED_AFTER_MILLIS), ..sent });
        }
        if random.chance(self.config.corrected_share) {
            let received_at = after(sent.received_at, CORRECTED_AFTER_MILLIS);
            let login_at = after(sent.login_at, CORRECTED_AFTER_MILLIS);
            self.corrections.push_back(Sending { received_at, login_at, is_correction: true, ..sent });
        }
        self.position += 1;
        if self.position == self.config.members {
            (self.position, self.day) = (0, self.day + 1);
            self.order = Order::of_day(&self.config, self.day);
        }
    }

    fn write(&self, sending: &Sending, upload: &mut OwnedUpload) {
        write_name(&mut upload.member, "m-", sending.member, 5);
        write_name(&mut upload.id, "u-", sending.member, 5);
        push_name(&mut upload.id, if sending.is_correction { "-c" } else { "-" }, sending.day, 3);
        write_name(&mut upload.device, "band-", sending.member, 5);
        if upload.programme != self.config.programme {
            upload.programme.clone_from(&self.config.programme);
        }
        (upload.received_at, upload.login_at) = (sending.received_at, Some(sending.login_at));
        (upload.platform, upload.origin) = ("FITBIT", "com.fitbit");
        (upload.device_kind, upload.channel) = (DeviceKind::Watch, Channel::App);
        upload.clear_samples();
        self.write_samples(sending, upload);
    }

    fn write_samples(&self, sending: &Sending, upload: &mut OwnedUpload) {
        let mean = walk::mean_steps(&mut Random::of(&[self.config.seed, 13, u64::from(sending.member)]), 50, true);
        let mut random = self.random(14, sending);
        let mut day = walk::walk(&mut random, mean);
        let excess = if random.chance(walk::EXCESS_SHARE) { random.below(300) } else { 0 };
        if sending.is_correction {
            // Some hours of the afternoon were read badly; half the corrections go up, half down.
            let per_mille = random.between(600, 1_400) as u32;
            day.hours[14..18].iter_mut().for_each(|steps| *steps = *steps * per_mille / 1_000);
            day.total = day.hours.iter().sum();
        }
        let date = self.config.first_day.plus_days(sending.day as i32);
        let mut start = date.start();
        for steps in day.hours {
            let end = Instant::from_epoch_millis(start.epoch_millis() + HOUR_MILLIS);
            upload.push(sample(SampleTime::Interval { start, end }, i64::from(steps)));
            start = end;
        }
        upload.push(sample(SampleTime::DailyTotal(date), i64::from(day.total + excess)));
    }

    fn random(&self, purpose: u64, sending: &Sending) -> Random {
        Random::of(&[self.config.seed, purpose, u64::from(sending.member), u64::from(sending.day)])
    }

    fn enrolment(&self, number: u32) -> OwnedMember {
        let mut random = Random::of(&[self.config.seed, 15, u64::from(number)]);
        let date = self.config.first_day.plus_days(-1);
        let (mut id, mut member) = (String::new(), String::new());
        write_name(&mut id, "enrol-m-", number, 5);
        write_name(&mut member, "m-", number, 5);
        let millis = 9 * HOUR_MILLIS + 8 * HOUR_MILLIS * i64::from(number - 1) / i64::from(self.config.members);
        OwnedMember {
            id,
            programme: self.config.programme.clone(),
            member,
            received_at: Instant::from_epoch_millis(date.start().epoch_millis() + millis),
            effective_on: date,
            birth_date: date.plus_days(-random.between(18 * 366, 90 * 365)),
            sex: Some(random.pick(&["F", "M"])),
            course: "APP",
        }
    }
}

impl RecordSource for Load {
    fn next_into(&mut self, record: &mut TownRecord) -> bool {
        if self.enrolled < self.config.members {
            self.enrolled += 1;
            *record = TownRecord::Member(self.enrolment(self.enrolled));
            return true;
        }
        if let TownRecord::Upload(upload) = record {
            return self.next_upload(upload);
        }
        let mut upload = OwnedUpload::default();
        let is_there = self.next_upload(&mut upload);
        if is_there {
            *record = TownRecord::Upload(upload);
        }
        is_there
    }
}

impl Iterator for Load {
    type Item = TownRecord;

    fn next(&mut self) -> Option<TownRecord> {
        let mut record = TownRecord::empty();
        self.next_into(&mut record).then_some(record)
    }
}
