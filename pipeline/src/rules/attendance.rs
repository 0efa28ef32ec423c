//! Decides the points of being there: data sent (KU-60) or the app started (HI-14), once a day.

use super::Entitlement;
use crate::calendar::CivilDate;
use crate::ledger::Reason;
use crate::quantity::Points;

/// The entitlement of a day on which it happened, as became known on `as_of`.
pub fn entitlement(points: Points, as_of: CivilDate) -> Entitlement {
    Entitlement { as_of, reason: Reason { entitled: points, ..Reason::default() } }
}
