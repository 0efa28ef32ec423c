//! Decides what a change of a member does: enrolment and identity verification open an account (HI-04, HI-A1).
//!
//! Of several enrolments, and of several copies of one record, the one received first counts, whatever the order in
//! which they are processed. What a change means for points is [`crate::settle`]'s to work out.

use crate::calendar::{CivilDate, Instant};
use crate::engine::Effects;
use crate::fact::{MemberChange, MemberOperation};
use crate::hash::Hash64;
use crate::member::Member;
use crate::month::dates_of;
use crate::programme::Programme;
use crate::rejection::{Rejection, RejectionReason};
use crate::settle::Settlement;
use crate::summary::MemberFact;

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It counts.
    Accepted,
    /// It was known.
    Duplicate,
    /// It is refused; the reason is among the effects.
    Rejected,
    /// It must wait for the enrolment.
    NotEnrolled,
}

/// Notes a change of a member.
pub fn apply(member: &mut Member, change: &MemberChange<'_>, programme: &Programme, effects: &mut Effects) -> Outcome {
    if let Some((reason, detail)) = refuse(member, change, programme) {
        effects.rejections.push(Rejection { reason, sample: None, activity_date: None, detail });
        return Outcome::Rejected;
    }
    let content = Hash64::of_change(change);
    let facts = &member.summary.value.facts;
    let known = facts.iter().position(|fact| fact.id == change.id);
    if known.is_some_and(|index| facts[index].content == content && facts[index].received_at <= change.received_at) {
        return Outcome::Duplicate;
    }
    if change.operation != MemberOperation::Enrol && !is_enrolled_in_time(member, change.received_at, programme) {
        return Outcome::NotEnrolled;
    }
    let fact = MemberFact {
        id: change.id.into(),
        received_at: change.received_at,
        content,
        operation: change.operation,
        effective_on: change.effective_on,
        birth_date: change.birth_date,
    };
    let facts = &mut member.summary.change().facts;
    match known {
        Some(index) => facts[index] = fact,
        None => facts.push(fact),
    }
    Outcome::Accepted
}

/// Whether the member's enrolment came in time for a fact received then. If not, an earlier enrolment may still come.
pub fn is_enrolled_in_time(member: &Member, received_at: Instant, programme: &Programme) -> bool {
    let until = received_at.civil_date().plus_days(programme.park_days_max as i32);
    let enrolled = member.summary.value.first(MemberOperation::Enrol);
    enrolled.is_some_and(|enrolled| enrolled.received_at.civil_date() <= until)
}

/// Why a change is refused, if it is.
fn refuse(member: &Member, change: &MemberChange<'_>, programme: &Programme) -> Option<(RejectionReason, String)> {
    let dates = [Some(change.effective_on), Some(change.received_at.civil_date())];
    if let Some(date) = dates.into_iter().flatten().find(|date| !date.is_accepted()) {
        return Some((RejectionReason::DateOutOfRange, format!("{date} is not between 2000 and 2099")));
    }
    if change.operation == MemberOperation::Unsupported {
        let detail = format!("{} is not processed yet; ENROL and VERIFY are", change.operation_name);
        return Some((RejectionReason::UnsupportedOperation, detail));
    }
    let is_enrolment = change.operation == MemberOperation::Enrol;
    if is_enrolment && programme.age_class.is_some() && change.birth_date.is_none() {
        let detail = format!("{} has rules that depend on age; the enrolment needs birth_date", programme.id);
        return Some((RejectionReason::BirthDateMissing, detail));
    }
    let summary = &member.summary.value;
    let content = Hash64::of_change(change);
    let reused = summary.facts.iter().find(|fact| fact.id == change.id && fact.content != content);
    if let Some(fact) = reused.filter(|fact| fact.received_at <= change.received_at) {
        let detail = format!("{:?} is the id of another record, received {}", change.id, fact.received_at);
        return Some((RejectionReason::IdReused, detail));
    }
    let first = summary.first(change.operation).filter(|first| is_enrolment && first.id != change.id);
    let first = first.filter(|first| (first.received_at, &*first.id) < (change.received_at, change.id))?;
    Some((RejectionReason::AlreadyEnrolled, format!("enrolled by {:?}, received {}", first.id, first.received_at)))
}

/// Settles what a change moves: potentially every day. All months must be in memory.
pub fn settle(member: &mut Member, settlement: &mut Settlement<'_>) {
    let mut dates: Vec<CivilDate> = Vec::new();
    for month in &member.months {
        let bits = month.days_heard_of();
        dates.extend(dates_of(month.first_day, bits));
        if settlement.running.has_delayed_rules && bits != 0 {
            member.settled.change().unsettle(month.month, bits);
        }
    }
    member.settled.change().has_late_facts |= settlement.running.has_rules_over_days && !dates.is_empty();
    for date in dates {
        if !settlement.settle_on_arrival(member, date) && !member.settled.value.awaiting_login.contains(&date) {
            member.settled.change().awaiting_login.push(date);
        }
    }
}
