//! Decides the weekly bonus (KU-41, KU-A5, KU-A6): a total from Monday to Sunday, by age class.
//!
//! Never taken back because data came late: it is the most that the rule gives over the arrival dates so far, applied to
//! the current totals of the days that had first arrived by each. A sum only grows with more days, so the latest arrival
//! date decides, except that a late first day may move a member into the other age class before the baseline is frozen.

use smallvec::SmallVec;

use super::{Entitlement, push_change};
use crate::calendar::CivilDate;
use crate::ledger::Reason;
use crate::month::{Known, known_as_of};
use crate::programme::ByAge;
use crate::quantity::Points;

/// A week's days that count, each as (what it came to, on the arrival dates on which that changed).
pub type WeekDays<'k> = [&'k [Known]];

/// The age classes that held, ascending: (from the close of this date on, older class).
pub type Classes = [(CivilDate, bool)];

/// The entitlement of one week. `earliest`: nothing is known before.
pub fn entitlements(
    steps_min: ByAge<u32>,
    points: Points,
    days: &WeekDays<'_>,
    classes: &Classes,
    earliest: CivilDate,
    out: &mut Vec<Entitlement>,
) {
    let most: u64 = days.iter().filter_map(|known| known.iter().map(|known| u64::from(known.steps)).max()).sum();
    if most < u64::from(steps_min.younger.min(steps_min.older)) {
        return;
    }
    let arrivals = days.iter().flat_map(|known| known.iter().map(|known| known.arrived_on.max(earliest)));
    let classes_from = classes.iter().map(|&(from, _)| from.max(earliest));
    let mut dates: SmallVec<[CivilDate; 16]> = arrivals.chain(classes_from).collect();
    dates.sort_unstable();
    dates.dedup();
    for (index, &as_of) in dates.iter().enumerate() {
        // With one class the latest arrival date decides.
        let first = if classes.len() == 1 { index } else { 0 };
        let best = dates[first..=index].iter().filter_map(|&arrived_by| {
            let &(_, is_older) = classes.iter().rev().find(|&&(from, _)| from <= arrived_by)?;
            let sum: u64 = sum_of_arrived(days, arrived_by, as_of);
            Some((sum >= u64::from(steps_min.of(is_older)), sum, is_older))
        });
        let Some((is_reached, sum, is_older)) = best.max_by_key(|&(is_reached, sum, _)| (is_reached, sum)) else {
            continue;
        };
        let reason = Reason {
            steps: Some(sum),
            days: Some(days.iter().filter(|known| known_as_of(known, as_of).is_some()).count() as u32),
            steps_min: Some(steps_min.of(is_older)),
            is_older_class: Some(is_older),
            entitled: if is_reached { points } else { Points::ZERO },
            ..Reason::default()
        };
        push_change(out, Entitlement { as_of, reason });
    }
}

/// Current totals, as of `as_of`, of the days that had first arrived by `arrived_by`.
fn sum_of_arrived(days: &WeekDays<'_>, arrived_by: CivilDate, as_of: CivilDate) -> u64 {
    let arrived = days.iter().filter(|known| known.first().is_some_and(|first| first.arrived_on <= arrived_by));
    arrived.filter_map(|known| known_as_of(known, as_of)).map(u64::from).sum()
}
