//! Decides what a programme version is: its season, its sources, its limits and its rules, all as values.
//!
//! A `Programme` is complete and free of contradictions once it exists; reading one from TOML and refusing a bad file
//! with line and column is the `schemas` crate's. How a rule turns day totals into points is in [`crate::rules`].

use std::sync::Arc;

use crate::calendar::CivilDate;
use crate::fact::DeviceKind;
use crate::quantity::Points;

/// One version of a programme's rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programme {
    /// The programme's id: the name of its folder and the `programme` field of every record.
    pub id: Arc<str>,
    /// Counts the versions of this programme from 1.
    pub version: u32,
    /// The first activity date to which this version applies. Before the first version's date, the first applies.
    pub effective_on: CivilDate,
    /// The name that people use.
    pub name: String,
    /// Outside of it nothing is earned; `None`: all year.
    pub season: Option<Season>,
    /// With the login day as day 1, samples back to this day count (IW-08: 30). `None`: no limit.
    pub backfill_days_max: Option<u32>,
    /// Days that `received_at` may trail `login_at`.
    pub arrival_days_max: u32,
    /// Days that a fact waits for the enrolment of its member.
    pub park_days_max: u32,
    /// Which sources count, and how they combine into a day.
    pub sources: SourcePolicy,
    /// Beyond these a sample is quarantined.
    pub plausibility: Plausibility,
    /// A day with at least so many steps is a day on which the device was worn.
    pub wear_steps_min: u32,
    /// What must have happened before anything is earned.
    pub gate: Gate,
    /// The two age classes, if any rule depends on age (KU-A11).
    pub age_class: Option<AgeClass>,
    /// The baseline that monthly gains are measured from (KU-42).
    pub baseline: Option<Baseline>,
    /// How a month's mean is formed and capped; present iff a monthly rule is.
    pub monthly: Option<Monthly>,
    /// When posted points lapse.
    pub expiry: Expiry,
    /// The rules, in the order of the handbook. Their ids are unique.
    pub rules: Vec<Rule>,
}

/// When a programme runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Season {
    /// First activity date (KU-01).
    pub starts_on: CivilDate,
    /// Last activity date (KU-01).
    pub ends_on: CivilDate,
    /// Last arrival date at which data for the season still count (KU-02).
    pub arrival_ends_on: CivilDate,
}

/// Which sources count towards a day, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcePolicy {
    /// How the days of several sources become one. They are never summed.
    pub combine: Combine,
    /// Whether the phone's own total over all its sources is taken as one more source.
    pub merged_totals_count: bool,
    /// Whether entries by hand earn (G8).
    pub manual_steps_earn: bool,
}

/// How the days of several sources become one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Combine {
    /// The source with the most steps that day.
    Best,
    /// The best source of the first kind in this list that has any reading that day; kinds not listed come last.
    Priority(Vec<DeviceKind>),
}

/// What one sample may claim at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plausibility {
    /// Steps in a daily total.
    pub day_steps_max: u32,
    /// Steps per begun minute of an interval.
    pub minute_steps_max: u32,
}

/// What opens a member's account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Enrolment: days from its effective date on earn.
    Enrolment,
    /// Identity verification (HI-04): days from its effective date on earn.
    Verification,
}

/// Members below and from a certain age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgeClass {
    /// The first age of the older class: 75. Which class a member is in is decided on D0 and kept.
    pub older_from_age: u32,
}

/// A figure for each age class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByAge<T> {
    /// Below the boundary.
    pub younger: T,
    /// From the boundary on.
    pub older: T,
}

impl<T: Copy> ByAge<T> {
    /// The figure of a class.
    pub fn of(self, is_older: bool) -> T {
        if is_older { self.older } else { self.younger }
    }
}

/// How a member's baseline steps are found and frozen (KU-42, KU-43, KU-A8, KU-A9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Baseline {
    /// The handbook's number.
    pub rule: Arc<str>,
    /// D0 is the first day with more steps than this.
    pub first_day_steps_above: u32,
    /// The window's length in civil days, D0 included.
    pub days: u32,
    /// A lower mean is raised to this.
    pub floor_steps: ByAge<u32>,
    /// Frozen so many days after the window's last day at the latest.
    pub freeze_days_max: u32,
}

/// What all monthly rules share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Monthly {
    /// Which days a month's mean is taken over (KU-A12).
    pub mean_over: MeanOver,
    /// A month with fewer days of wear has no award.
    pub wear_days_min: u32,
    /// The most points that all monthly rules together give for one month (KU-46).
    pub points_max: Option<Points>,
}

/// The denominator of a month's mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeanOver {
    /// Days of wear.
    WearDays,
    /// All days of the month that lie in the season.
    CalendarDays,
}

/// When points lapse, from their posting date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Never (IW-A10).
    Never,
    /// On a fixed day (KU-06).
    On(CivilDate),
    /// On 31 March at the end of the fiscal year so many years after that of posting (HI-A8, KG-A1: 1).
    FiscalYearEnd {
        /// 0 is the fiscal year of posting itself.
        years_after: u32,
    },
}

impl Expiry {
    /// The last day on which points posted on `posting_date` can be used.
    pub fn expires_on(self, posting_date: CivilDate) -> Option<CivilDate> {
        match self {
            Expiry::Never => None,
            Expiry::On(date) => Some(date),
            Expiry::FiscalYearEnd { years_after } => {
                // A fiscal year begins in April (G2), so its number is that of the month three months earlier.
                let fiscal_year = (posting_date.month().number() - 3).div_euclid(12);
                CivilDate::from_ymd(fiscal_year + 1 + years_after as i32, 3, 31)
            }
        }
    }
}

/// One numbered rule of the handbook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The handbook's number: `KU-40`.
    pub id: Arc<str>,
    /// Its place among the programme's rules of all versions, which the state refers to. Given when a version is adopted.
    pub number: u8,
    /// Days from the arrival date (of a monthly rule: from the date it fell due) to the posting date.
    pub posting_delay_days: u32,
    /// Whether a day earns only once the member has logged in on it or later (HI-21, HI-A11). Step tiers only.
    pub login_required: bool,
    /// What it pays for.
    pub kind: RuleKind,
}

impl Rule {
    /// Whether it pays for a single day, by that day alone.
    pub fn is_of_a_day(&self) -> bool {
        matches!(self.kind, RuleKind::StepTiers(_) | RuleKind::Transmission { .. } | RuleKind::Login { .. })
    }
}

/// The closed set of rule kinds. Each has a file in [`crate::rules`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleKind {
    /// A day's steps reach a tier; the highest tier alone pays. Ascending by `steps_min`.
    StepTiers(Vec<Tier>),
    /// A week's steps reach a total (KU-41).
    WeeklyTotal {
        /// Steps from Monday to Sunday.
        steps_min: ByAge<u32>,
        /// Once a week.
        points: Points,
    },
    /// A month's mean exceeds the baseline by a tier; the highest tier alone pays (KU-44). Ascending.
    MonthlyGain(Vec<Tier>),
    /// A month's mean reaches a level (KU-45).
    MonthlyLevel {
        /// Mean steps a day.
        mean_min: ByAge<u32>,
        /// Once a month.
        points: Points,
    },
    /// Data were sent on a day (KU-60).
    Transmission {
        /// Once a day.
        points: Points,
    },
    /// The app was started on a day (HI-14).
    Login {
        /// Once a day.
        points: Points,
    },
}

/// So many steps (of a total, or of a gain) for so many points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    /// Inclusive lower bound.
    pub steps_min: u32,
    /// What reaching it pays.
    pub points: Points,
}

/// The versions of one programme, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Versions(Vec<Arc<Programme>>);

impl Versions {
    /// Adds a version. One that is known already, by its number, changes nothing and gives `false`.
    pub fn adopt(&mut self, programme: Arc<Programme>) -> bool {
        if self.0.iter().any(|known| known.version == programme.version) {
            return false;
        }
        self.0.push(programme);
        self.0.sort_by_key(|version| (version.effective_on, version.version));
        true
    }

    /// Whether there is only one.
    pub fn is_single(&self) -> bool {
        self.0.len() == 1
    }

    /// The version that applies to an activity date.
    pub fn on(&self, date: CivilDate) -> &Arc<Programme> {
        let later = self.0.iter().rposition(|version| version.effective_on <= date).unwrap_or(0);
        &self.0[later]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kg_20_and_hi_a8_points_lapse_at_the_end_of_the_next_fiscal_year() {
        let expiry = Expiry::FiscalYearEnd { years_after: 1 };
        let on = |text| expiry.expires_on(CivilDate::parse(text).unwrap()).unwrap().to_string();
        assert_eq!(on("2021-12-15"), "2023-03-31");
        assert_eq!(on("2022-03-31"), "2023-03-31");
        assert_eq!(on("2022-04-01"), "2024-03-31");
    }
}
