//! Decides who lives in the town: age, course, devices, and how often each sends.
//!
//! A person is a function of the seed, the programme's season and the person's number, whatever the number of others;
//! so a larger town contains the smaller one. What the person sends is left to [`super::delivery`].

use pipeline::calendar::{CivilDate, DAY_MILLIS, Instant};
use pipeline::fact::DeviceKind;

use super::random::Random;
use super::simulation::TownConfig;
use super::trouble::{Trouble, TroubleCounts};
use super::walk::{self, Day};

/// People who never enrol are numbered from here, so that their ids do not depend on how many do.
pub(super) const STRANGERS_FROM: u32 = 900_001;

/// Which course someone takes (KU-26).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    App,
    Meter,
}

/// When someone sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Habit {
    /// Every morning, the days before.
    Mornings,
    /// Every evening, with the day as far as it has come.
    Evenings,
    /// After so many days, in the morning.
    Every { days_min: i32, days_max: i32 },
}

/// A device and the software that reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) platform: &'static str,
    pub(super) origin: &'static str,
    pub(super) name_prefix: &'static str,
    pub(super) kind: DeviceKind,
    pub(super) has_sample_ids: bool,
}

const WATCH_HEALTH_KIT: Device = device("HEALTH_KIT", "com.apple.health", "watch-", DeviceKind::Watch, true);
const PHONE_HEALTH_KIT: Device = device("HEALTH_KIT", "com.apple.health", "phone-", DeviceKind::Phone, true);
const PHONE_HEALTH_CONNECT: Device =
    device("HEALTH_CONNECT", "com.google.android.apps.fitness", "phone-", DeviceKind::Phone, true);
const BAND_FITBIT: Device = device("FITBIT", "com.fitbit", "band-", DeviceKind::Watch, false);
const PEDOMETER: Device = device("PEDOMETER", "am-150", "meter-", DeviceKind::Pedometer, false);

const fn device(
    platform: &'static str,
    origin: &'static str,
    name_prefix: &'static str,
    kind: DeviceKind,
    has_sample_ids: bool,
) -> Device {
    Device { platform, origin, name_prefix, kind, has_sample_ids }
}

/// Someone of the town, as they are all season.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) number: u32,
    pub(super) seed: u64,
    pub(super) birth_date: CivilDate,
    pub(super) sex: Option<&'static str>,
    pub(super) course: Course,
    /// When the enrolment is received; `None` for who never enrols.
    pub(super) enrolled_at: Option<Instant>,
    pub(super) habit: Habit,
    pub(super) device: Device,
    pub(super) phone: Option<Device>,
    pub(super) sends_merged_totals: bool,
    /// The days that this person sends.
    pub(super) data_first_day: CivilDate,
    pub(super) data_last_day: CivilDate,
    pub(super) finishes_too_late: bool,
    season_first_day: CivilDate,
    steps_mean: f64,
    /// By how much the mean has grown after ninety days in the programme.
    gain_share: f64,
}

impl Person {
    /// The person of this number; what is unusual about them is added to `made`.
    pub(super) fn new(config: &TownConfig, number: u32, made: &mut TroubleCounts) -> Self {
        let mut random = Random::of(&[config.seed, 1, u64::from(number)]);
        let random = &mut random;
        let mut has = |random: &mut Random, trouble| {
            let drawn = random.chance(config.troubles.share(trouble));
            if drawn {
                made.add(trouble);
            }
            drawn
        };
        let first = config.season_first_day;
        let course = if random.below(12) == 0 { Course::Meter } else { Course::App };
        let age = age(random, course);
        let is_woman = random.chance(0.58);
        let sex = if random.chance(0.01) { None } else { Some(if is_woman { "F" } else { "M" }) };
        let (device, may_have_phone) = devices(random, course);
        let phone = (may_have_phone && has(random, Trouble::TwoDevices))
            .then(|| random.pick(&[PHONE_HEALTH_KIT, PHONE_HEALTH_CONNECT]));
        let mut person = Person {
            number,
            seed: config.seed,
            birth_date: first.plus_days(-(age * 1461 / 4) - random.between(0, 364)),
            sex,
            course,
            enrolled_at: None,
            habit: habit(random, course),
            device,
            phone,
            sends_merged_totals: device.platform == "HEALTH_KIT" && has(random, Trouble::MergedTotals),
            data_first_day: first,
            data_last_day: config.season_last_day,
            finishes_too_late: has(random, Trouble::AfterLastTransmission),
            season_first_day: first,
            steps_mean: walk::mean_steps(random, age, is_woman),
            gain_share: (0.18 + 0.2 * random.normal()).clamp(-0.2, 0.8),
        };
        if has(random, Trouble::BeforeSeason) {
            person.data_first_day = first.plus_days(-random.between(1, 7));
        }
        if has(random, Trouble::AfterSeason) {
            person.data_last_day = config.season_last_day.plus_days(random.between(1, 5));
        }
        if number < STRANGERS_FROM {
            person.enrol(config, random, &mut has);
        }
        person
    }

    /// Sets when the enrolment is received: in the two months before the season, but for a few.
    fn enrol(&mut self, config: &TownConfig, random: &mut Random, has: &mut impl FnMut(&mut Random, Trouble) -> bool) {
        let first = config.season_first_day;
        let date = if has(random, Trouble::EnrolledLate) {
            let season_days = config.season_last_day.days_since(first);
            let date = first.plus_days(random.between(1, season_days * 3 / 5));
            self.data_first_day = date;
            date
        } else if has(random, Trouble::UploadedBeforeEnrolment) {
            first.plus_days(random.between(5, 20))
        } else {
            first.plus_days(-random.between(2, 62))
        };
        self.enrolled_at = Some(time_on(date, random, 9 * 60, 17 * 60));
    }

    /// The person's own stream of decisions for one purpose.
    pub(super) fn random(&self, purpose: u64, date: CivilDate) -> Random {
        Random::of(&[self.seed, purpose, u64::from(self.number), date.epoch_days() as u64])
    }

    /// What the device has counted on a day once that day is over; `None` if nothing at all.
    pub(super) fn day(&self, date: CivilDate) -> Option<Day> {
        let mut random = self.random(2, date);
        let walked = walk::walk(&mut random, self.steps_expected(date));
        walk::as_counted(&mut random, walked)
    }

    /// What the phone beside it has counted. It is seldom forgotten on the days on which the band is.
    pub(super) fn phone_day(&self, date: CivilDate) -> Day {
        let walked = walk::walk(&mut self.random(2, date), self.steps_expected(date));
        walk::as_carried(&mut self.random(3, date), walked)
    }

    fn steps_expected(&self, date: CivilDate) -> f64 {
        let days_in = date.days_since(self.season_first_day).clamp(0, 90);
        self.steps_mean * walk::calendar_factor(date) * (1.0 + self.gain_share * f64::from(days_in) / 90.0)
    }
}

/// An instant on a date, to the millisecond, between two minutes of the day.
pub(super) fn time_on(date: CivilDate, random: &mut Random, minute_first: i64, minute_last: i64) -> Instant {
    let span_millis = ((minute_last - minute_first) * 60_000) as u32;
    let millis = minute_first * 60_000 + i64::from(random.below(span_millis));
    Instant::from_epoch_millis(date.start().epoch_millis() + millis % DAY_MILLIS)
}

/// Ages in the shares of the quotas (KU-22), with enough around the line of 75 to see it drawn. Meters are for the old.
fn age(random: &mut Random, course: Course) -> i32 {
    const APP: [(u32, i32, i32); 5] = [(14, 18, 39), (52, 40, 64), (14, 65, 72), (9, 73, 76), (11, 77, 90)];
    const METER: [(u32, i32, i32); 4] = [(20, 50, 64), (35, 65, 72), (20, 73, 76), (25, 77, 90)];
    let bands: &[(u32, i32, i32)] = if course == Course::App { &APP } else { &METER };
    let mut drawn = random.below(100);
    for &(share, youngest, oldest) in bands {
        if drawn < share {
            return random.between(youngest, oldest);
        }
        drawn -= share;
    }
    65
}

/// The device that counts most, and whether a phone may count beside it.
fn devices(random: &mut Random, course: Course) -> (Device, bool) {
    if course == Course::Meter {
        return (PEDOMETER, false);
    }
    match random.below(100) {
        0..20 => (WATCH_HEALTH_KIT, true),
        20..45 => (PHONE_HEALTH_KIT, false),
        45..65 => (PHONE_HEALTH_CONNECT, false),
        _ => (BAND_FITBIT, true),
    }
}

fn habit(random: &mut Random, course: Course) -> Habit {
    if course == Course::Meter {
        return Habit::Every { days_min: 7, days_max: 28 };
    }
    match random.below(100) {
        0..55 => Habit::Mornings,
        55..70 => Habit::Evenings,
        70..90 => Habit::Every { days_min: 3, days_max: 7 },
        _ => Habit::Every { days_min: 10, days_max: 40 },
    }
}
