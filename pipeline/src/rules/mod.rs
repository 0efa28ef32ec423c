//! Decides what each kind of rule gives: from what days came to, to an *entitlement over time*.
//!
//! A rule never posts. It says what a member is entitled to for one period, by what was known at the close of each
//! arrival date on which that changed; [`crate::settle`] posts the differences. One file a kind, and adding a kind means
//! one more file and one more arm in [`crate::settle`].

pub mod attendance;
pub mod monthly;
pub mod step_tiers;
pub mod weekly_total;

use crate::calendar::CivilDate;
use crate::ledger::Reason;
use crate::month::Known;

/// What a member is entitled to for one rule and period from the close of `as_of` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entitlement {
    /// The arrival date by which it was known.
    pub as_of: CivilDate,
    /// How much in all, and from which figures.
    pub reason: Reason,
}

/// Steps a day came to and since when that is known, where nothing counts as known before `earliest`.
pub fn known_from(known: &[Known], earliest: CivilDate) -> impl Iterator<Item = (CivilDate, u32)> + '_ {
    let before = known.iter().rposition(|known| known.arrived_on <= earliest).unwrap_or(0);
    known[before..].iter().map(move |known| (known.arrived_on.max(earliest), known.steps))
}

/// Adds an entitlement unless it is the one that holds already.
pub fn push_change(out: &mut Vec<Entitlement>, entitlement: Entitlement) {
    let before = out.last().map_or(0, |last| last.reason.entitled.amount());
    if entitlement.reason.entitled.amount() != before {
        out.push(entitlement);
    }
}
