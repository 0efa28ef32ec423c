//! Decides the monthly points: the gain over the baseline (KU-44), the recommended mean (KU-45), and their cap (KU-46).
//!
//! A month's award falls due with the first transmission in a later month (KU-47, KU-A9, KU-A14). From then on it is the
//! most that the rule gives over the arrival dates so far, applied to the current totals of the days that had first
//! arrived by each (KU-A15, design section 4): a deletion lowers it, a late low day does not. When it falls due and what
//! the baseline is are decided in [`crate::baseline`].

use super::{Entitlement, push_change};
use crate::calendar::CivilDate;
use crate::ledger::Reason;
use crate::month::{Known, known_as_of};
use crate::programme::{ByAge, MeanOver, Monthly, Programme, RuleKind, Tier};
use crate::quantity::Points;
use crate::settled::FrozenBaseline;

/// One day of a month that counts: what it came to, on the arrival dates on which that changed.
pub type MonthDays<'k> = [&'k [Known]];

/// One month of one member.
#[derive(Clone, Copy, Debug)]
pub struct Award<'a> {
    /// The version whose rules hold.
    pub programme: &'a Programme,
    /// How the mean is formed.
    pub monthly: Monthly,
    /// The baseline and age class.
    pub frozen: FrozenBaseline,
    /// When it fell due.
    pub due_on: CivilDate,
    /// Days of the month within the season: the denominator over calendar days.
    pub calendar_days: u32,
    /// The days with samples.
    pub days: &'a MonthDays<'a>,
}

/// Steps and days that a mean is taken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mean {
    steps: u64,
    days: u32,
}

impl Mean {
    /// Whether the mean reaches `steps_min`, compared exactly (G4).
    fn reaches(self, steps_min: u64) -> bool {
        self.days > 0 && self.steps >= steps_min * u64::from(self.days)
    }
}

impl Award<'_> {
    /// The entitlement of the month under the rule at `index` of the programme.
    pub fn entitlements(&self, index: usize, out: &mut Vec<Entitlement>) {
        let start = self.due_on.max(self.frozen.on);
        let later = self.days.iter().flat_map(|known| known.iter().map(|known| known.arrived_on));
        let mut dates: Vec<CivilDate> = later.filter(|&arrived_on| arrived_on > start).chain([start]).collect();
        dates.sort_unstable();
        dates.dedup();
        for as_of in dates {
            let best = self.means(as_of).map(|mean| self.apply(index, mean));
            // Of arrival dates that give the same, the last has the figures that a member sees.
            if let Some(reason) = best.max_by_key(|reason| reason.entitled) {
                push_change(out, Entitlement { as_of, reason });
            }
        }
    }

    /// The month's mean as of `as_of`, over the days that had first arrived by each arrival date since it fell due.
    fn means(&self, as_of: CivilDate) -> impl Iterator<Item = Mean> {
        let mut days: Vec<(CivilDate, u32)> = Vec::with_capacity(self.days.len());
        for known in self.days {
            if let (Some(first), Some(steps)) = (known.first(), known_as_of(known, as_of)) {
                days.push((first.arrived_on.max(self.due_on), steps));
            }
        }
        days.sort_unstable_by_key(|&(first, _)| first);
        let wear_steps_min = self.programme.wear_steps_min;
        let (mut steps, mut worn) = (0, 0);
        let mut means: Vec<(CivilDate, Mean)> = Vec::new();
        for (first, day_steps) in days {
            match self.monthly.mean_over {
                MeanOver::WearDays if day_steps < wear_steps_min => {}
                _ => steps += u64::from(day_steps),
            }
            worn += u32::from(day_steps >= wear_steps_min);
            let days = match self.monthly.mean_over {
                MeanOver::WearDays => worn,
                MeanOver::CalendarDays => self.calendar_days,
            };
            let mean = Mean { steps, days: if worn >= self.monthly.wear_days_min.max(1) { days } else { 0 } };
            match means.last_mut() {
                Some((on, last)) if *on == first => *last = mean,
                _ => means.push((first, mean)),
            }
        }
        means.into_iter().map(|(_, mean)| mean)
    }

    /// What the rule at `index` gives for a mean, after the cap: an earlier rule of the handbook is served first.
    fn apply(&self, index: usize, mean: Mean) -> Reason {
        let points_max = self.monthly.points_max;
        let mut left = points_max;
        let mut reason = Reason::default();
        for rule in &self.programme.rules[..=index] {
            reason = match &rule.kind {
                RuleKind::MonthlyGain(tiers) => self.gain(tiers, mean),
                RuleKind::MonthlyLevel { mean_min, points } => self.level(*mean_min, *points, mean),
                _ => continue,
            };
            if let Some(left) = &mut left {
                reason.entitled = reason.entitled.min(*left);
                *left = *left - reason.entitled;
            }
        }
        Reason {
            steps: Some(mean.steps),
            days: Some(mean.days),
            is_older_class: Some(self.frozen.is_older),
            points_max: points_max.map(Points::amount),
            ..reason
        }
    }

    fn gain(&self, tiers: &[Tier], mean: Mean) -> Reason {
        let baseline = u64::from(self.frozen.steps);
        let reached = tiers.iter().rev().find(|tier| mean.reaches(baseline + u64::from(tier.steps_min)));
        Reason {
            steps_min: reached.or(tiers.first()).map(|tier| tier.steps_min),
            baseline_steps: Some(self.frozen.steps),
            entitled: reached.map_or(Points::ZERO, |tier| tier.points),
            ..Reason::default()
        }
    }

    fn level(&self, mean_min: ByAge<u32>, points: Points, mean: Mean) -> Reason {
        let steps_min = mean_min.of(self.frozen.is_older);
        let entitled = if mean.reaches(u64::from(steps_min)) { points } else { Points::ZERO };
        Reason { steps_min: Some(steps_min), entitled, ..Reason::default() }
    }
}
