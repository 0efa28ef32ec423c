//! Decides the points of one day's steps (KU-40, IW-07, HI-15, HI-16): the highest tier reached, alone.
//!
//! The entitlement follows the day's current total both ways: a total falls only by a deletion or a lower correction (G6).

use super::{Entitlement, push_change};
use crate::calendar::CivilDate;
use crate::ledger::Reason;
use crate::programme::Tier;
use crate::quantity::Points;

/// The highest tier with `steps_min` at or below `steps`. Tiers ascend.
pub fn highest_reached(tiers: &[Tier], steps: u64) -> Option<&Tier> {
    tiers.iter().rev().find(|tier| u64::from(tier.steps_min) <= steps)
}

/// The entitlement of a day that came to `known` steps.
pub fn entitlements(tiers: &[Tier], known: impl Iterator<Item = (CivilDate, u32)>, out: &mut Vec<Entitlement>) {
    for (as_of, steps) in known {
        let reached = highest_reached(tiers, steps.into());
        let reason = Reason {
            steps: Some(steps.into()),
            steps_min: reached.or(tiers.first()).map(|tier| tier.steps_min),
            entitled: reached.map_or(Points::ZERO, |tier| tier.points),
            ..Reason::default()
        };
        push_change(out, Entitlement { as_of, reason });
    }
}
