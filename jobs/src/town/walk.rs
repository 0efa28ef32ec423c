//! Decides how many steps someone walks on a day, and in which hours.
//!
//! The figures are learnt from the 940 real user-days of April 2016 (doi:10.5281/zenodo.53894, CC BY 4.0): the spread
//! between people and between days, the shape of a day, the weekdays, how often and by how much a daily total exceeds
//! its hours. The level by age and sex is the national survey's of 2023. When it is sent, and what goes wrong on the
//! way, is left to others.

use pipeline::calendar::CivilDate;

use super::random::{Random, exponential};

/// Days of which a device knows nothing at all. Together with [`STILL_DAYS_SHARE`] the 8 % that real people have.
pub const MISSING_DAYS_SHARE: f64 = 0.05;
/// Days on which a device was on and counted nothing.
pub const STILL_DAYS_SHARE: f64 = 0.03;
/// Days whose hours were lost: zeros, beside a daily total of thousands.
pub const LOST_HOURS_SHARE: f64 = 0.01;
/// Days whose daily total is a little above the sum of the hours. With the lost ones, real exports have 17 %.
pub const EXCESS_SHARE: f64 = 0.17;

/// The standard deviation of the logarithm of personal means.
const PERSON_DEVIATION: f64 = 0.45;
/// The standard deviation of a person's days, as a share of the mean.
const DAY_DEVIATION: f64 = 0.44;
/// The most that anyone walks in a day and in an hour: the largest real ones are 43,112 and 10,565.
const DAY_STEPS_MAX: f64 = 43_000.0;
const HOUR_STEPS_MAX: u32 = 10_500;

/// Of a thousand steps, those walked in each hour.
const HOUR_WEIGHT: [u32; 24] =
    [6, 3, 2, 1, 2, 6, 23, 40, 56, 57, 63, 60, 71, 70, 70, 53, 64, 70, 77, 75, 45, 39, 30, 16];
/// Of 256 days, those on which nothing is walked in each hour.
const HOUR_STILL: [u32; 24] =
    [174, 197, 205, 220, 218, 207, 154, 118, 100, 79, 67, 59, 49, 54, 54, 54, 51, 49, 49, 49, 59, 77, 95, 138];
/// What the weekday does to a day, Monday first.
const WEEKDAY: [f64; 7] = [1.02, 1.08, 0.98, 0.985, 0.94, 1.08, 0.92];
/// What the season does to a day in Tokyo, January first: less in the heat of August, more in October.
const MONTH: [f64; 12] = [0.94, 0.96, 1.0, 1.04, 1.03, 1.0, 0.94, 0.9, 0.98, 1.06, 1.05, 0.97];
/// By how many steps a daily total exceeds its hours, at sixteen equal steps through the real ones.
const EXCESS_STEPS: [u32; 16] = [2, 8, 9, 12, 16, 20, 25, 29, 33, 43, 61, 77, 120, 287, 739, 3588];

/// What one device has counted on one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Day {
    /// Steps of each hour.
    pub(super) hours: [u32; 24],
    /// The device's own total, never below the sum of the hours.
    pub(super) total: u32,
}

/// The mean steps of a person: log-normal around the national mean of age and sex, a tenth above it because people
/// who enrol walk more than those who do not.
pub(super) fn mean_steps(random: &mut Random, age: i32, is_woman: bool) -> f64 {
    let national = match (age >= 65, is_woman) {
        (false, false) => 7_506.0,
        (false, true) => 6_494.0,
        (true, false) => 5_329.0,
        (true, true) => 4_419.0,
    };
    // The mean of a log-normal lies above its median by half the variance.
    let deviation = PERSON_DEVIATION * random.normal() - PERSON_DEVIATION * PERSON_DEVIATION / 2.0;
    1.1 * national * exponential(deviation)
}

/// What the calendar makes of a mean.
pub(super) fn calendar_factor(date: CivilDate) -> f64 {
    let weekday = date.days_since(date.monday()) as usize;
    let month = date.month().number().rem_euclid(12) as usize;
    WEEKDAY[weekday] * MONTH[month]
}

/// A day as it was walked, with all its hours and a total that is their sum.
pub(super) fn walk(random: &mut Random, steps_expected: f64) -> Day {
    let factor = (1.0 + DAY_DEVIATION * random.normal()).clamp(0.05, 2.6);
    let target = (steps_expected * factor).min(DAY_STEPS_MAX);
    let mut hours = [0u32; 24];
    let mut weight_sum = 0;
    for quarter in 0..6 {
        // Sixteen bits an hour: eight for whether anything is walked, eight for how much.
        let bits = random.bits();
        for hour in quarter * 4..quarter * 4 + 4 {
            let drawn = (bits >> (16 * (hour % 4))) as u16;
            let walked = u32::from(drawn & 255) >= HOUR_STILL[hour];
            hours[hour] = u32::from(walked) * HOUR_WEIGHT[hour] * (64 + u32::from(drawn >> 8));
            weight_sum += hours[hour];
        }
    }
    let scale = target / f64::from(weight_sum.max(1));
    let mut total = 0;
    for hour in &mut hours {
        *hour = ((f64::from(*hour) * scale) as u32).min(HOUR_STEPS_MAX);
        total += *hour;
    }
    Day { hours, total }
}

/// What a band makes of a day: nothing, zeros, a total without its hours, or a total a little above them.
pub(super) fn as_counted(random: &mut Random, walked: Day) -> Option<Day> {
    let drawn = random.unit();
    let [missing, still, lost, excess] = [MISSING_DAYS_SHARE, STILL_DAYS_SHARE, LOST_HOURS_SHARE, EXCESS_SHARE];
    if drawn < missing {
        None
    } else if drawn < missing + still {
        Some(Day { hours: [0; 24], total: 0 })
    } else if drawn < missing + still + lost {
        Some(Day { hours: [0; 24], ..walked })
    } else if drawn < missing + still + lost + excess {
        Some(Day { total: walked.total + random.pick(&EXCESS_STEPS), ..walked })
    } else {
        Some(walked)
    }
}

/// What the phone in the bag makes of the same day: mostly less than the band, on one day in eight more.
pub(super) fn as_carried(random: &mut Random, walked: Day) -> Day {
    let share = if random.chance(0.125) { random.between(105, 130) } else { random.between(55, 95) } as u32;
    let hours = walked.hours.map(|steps| steps * share / 100);
    Day { hours, total: hours.iter().sum() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_look_like_real_ones() {
        let days: Vec<Day> = (0..20_000).map(|n| walk(&mut Random::of(&[3, n]), 7_200.0)).collect();
        let mean = days.iter().map(|d| f64::from(d.total)).sum::<f64>() / 20_000.0;
        assert!((6_900.0..7_500.0).contains(&mean), "{mean}");
        assert!(days.iter().all(|d| d.total == d.hours.iter().sum::<u32>()));
        let noon: u32 = days.iter().map(|d| d.hours[12]).sum();
        let night: u32 = days.iter().map(|d| d.hours[3]).sum();
        assert!(noon > 20 * night);
    }

    #[test]
    fn a_device_counts_as_real_ones_do() {
        let mut random = Random::of(&[4]);
        let walked = walk(&mut random, 7_200.0);
        let counted: Vec<Option<Day>> = (0..20_000).map(|_| as_counted(&mut random, walked)).collect();
        let known: Vec<Day> = counted.iter().flatten().copied().collect();
        let above = known.iter().filter(|d| d.total > d.hours.iter().sum()).count();
        assert!(known.iter().all(|d| d.total >= d.hours.iter().sum()));
        let (missing_share, above_share) = (1.0 - known.len() as f64 / 2e4, above as f64 / 2e4);
        assert!((0.04..0.06).contains(&missing_share) && (0.165..0.195).contains(&above_share));
        let lower = (0..10_000).filter(|_| as_carried(&mut random, walked).total < walked.total).count();
        assert!((8_500..9_000).contains(&lower));
    }
}
