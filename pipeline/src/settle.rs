//! Decides which entries to post: the difference between what the rules give and what has been posted, posting date by
//! posting date.
//!
//! Entitlements are functions of the facts and their own dates, so whatever order the facts were processed in, the sums
//! per posting date end up the same (law 2). Rules that post on arrival are settled with each upload, the others when
//! the arrival date is closed. Which days to look at is the engine's to know; what a rule gives is [`crate::rules`]'.

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use crate::baseline::{Opening, Standing};
use crate::calendar::{CivilDate, CivilMonth, Period};
use crate::engine::Effects;
use crate::fact::MemberOperation;
use crate::ledger::{Account, Entry, EntryId, Notice, NoticeKind, Reason};
use crate::member::Member;
use crate::month::{Known, Month, Posting, bit, dates_of};
use crate::programme::{Gate, Programme, Rule, RuleKind, Versions};
use crate::quantity::Points;
use crate::rules::{Entitlement, attendance, known_from, monthly, step_tiers, weekly_total};
use crate::settled::FrozenBaseline;
use crate::summary::Summary;

/// A programme as it runs in a partition: its versions, and its rules' numbers in the state.
#[derive(Debug)]
pub struct Running {
    /// The programme's id.
    pub id: Arc<str>,
    /// Its versions.
    pub versions: Versions,
    /// Rule ids in the order of their first appearance; the state refers to rules by their place here.
    pub rule_ids: Vec<Arc<str>>,
    /// Some rule posts on arrival.
    pub has_rules_on_arrival: bool,
    /// Some rule posts later than on arrival, or a baseline freezes: days must be closed.
    pub has_delayed_rules: bool,
    /// Some rule looks at more than one day: a close may need more months than those of the days to settle, see
    /// [`first_month_needed`].
    pub has_rules_over_days: bool,
    /// Some rule waits for a login.
    pub has_login_rules: bool,
}

impl Running {
    /// A programme without versions yet.
    pub fn new(id: Arc<str>) -> Self {
        Running {
            id,
            versions: Versions::default(),
            rule_ids: Vec::new(),
            has_rules_on_arrival: false,
            has_delayed_rules: false,
            has_rules_over_days: false,
            has_login_rules: false,
        }
    }

    /// Adds a version; `false` if it is known.
    pub fn adopt(&mut self, programme: &Programme) -> bool {
        let mut programme = programme.clone();
        let has_baseline = programme.baseline.is_some();
        let (mut on_arrival, mut delayed, mut over_days, mut login) = (false, has_baseline, has_baseline, false);
        for rule in &mut programme.rules {
            let known = self.rule_ids.iter().position(|id| *id == rule.id);
            rule.number = known.unwrap_or(self.rule_ids.len()) as u8; // A programme has far fewer rules.
            if known.is_none() {
                self.rule_ids.push(Arc::clone(&rule.id));
            }
            over_days |= !rule.is_of_a_day();
            on_arrival |= rule.is_of_a_day() && rule.posting_delay_days == 0;
            delayed |= !rule.is_of_a_day() || rule.posting_delay_days > 0;
            login |= rule.login_required;
        }
        if !self.versions.adopt(Arc::new(programme)) {
            return false;
        }
        self.has_rules_on_arrival |= on_arrival;
        self.has_delayed_rules |= delayed;
        self.has_rules_over_days |= over_days;
        self.has_login_rules |= login;
        true
    }

    /// When a member's account opens in this programme, if it has.
    pub fn opening(&self, summary: &Summary) -> Option<Opening> {
        let enrolled = summary.first(MemberOperation::Enrol)?;
        let enrolment = Opening {
            from: enrolled.effective_on,
            known_on: enrolled.received_at.civil_date(),
            birth_date: enrolled.birth_date,
        };
        match self.versions.on(enrolled.effective_on).gate {
            Gate::Enrolment => Some(enrolment),
            Gate::Verification => summary.first(MemberOperation::Verify).map(|verified| Opening {
                from: enrolment.from.max(verified.effective_on),
                known_on: enrolment.known_on.max(verified.received_at.civil_date()),
                ..enrolment
            }),
        }
    }
}

/// Settles one member.
#[derive(Debug)]
pub struct Settlement<'a> {
    /// The programme.
    pub running: &'a Running,
    /// What to post, and to tell.
    pub effects: &'a mut Effects,
    /// Buffers.
    pub scratch: &'a mut SettleScratch,
}

/// Buffers of a [`Settlement`], used again from member to member.
#[derive(Debug, Default)]
pub struct SettleScratch {
    entitlements: Vec<Entitlement>,
    differences: Vec<Difference>,
}

/// A period, where its postings are kept, and the rule that pays for it.
#[derive(Clone, Copy, Debug)]
struct Line<'a> {
    programme: &'a Programme,
    rule: &'a Rule,
    /// A day of the month whose value has the postings.
    kept_with: CivilDate,
    /// Day of that month; 0 for the month itself.
    day: u8,
    period: Period,
}

impl Settlement<'_> {
    /// Settles the rules that post on arrival, for one day. `false` if the day waits for a login.
    pub fn settle_on_arrival(&mut self, member: &mut Member, date: CivilDate) -> bool {
        if !self.running.has_rules_on_arrival {
            return true;
        }
        match self.running.opening(&member.summary.value) {
            Some(opening) => self.settle_day(member, opening, date, None),
            None => true,
        }
    }

    /// Settles the rules of single days for `date`: without `closed` those that post on arrival, with it the others, by
    /// what had arrived by then. `false` if the day waits for a login.
    fn settle_day(
        &mut self,
        member: &mut Member,
        opening: Opening,
        date: CivilDate,
        closed: Option<CivilDate>,
    ) -> bool {
        let running = self.running;
        let programme = &**running.versions.on(date);
        let is_in_season = programme.season.is_none_or(|season| (season.starts_on..=season.ends_on).contains(&date));
        let earns = date >= opening.from && is_in_season;
        let Some(day) = member.month(date).map(|month| month.day_of(date)) else { return true };
        let mut is_complete = true;
        let of_a_day = programme.rules.iter().filter(|rule| rule.is_of_a_day());
        for rule in of_a_day.filter(|rule| (rule.posting_delay_days > 0) == closed.is_some()) {
            self.scratch.entitlements.clear();
            match &rule.kind {
                // What was posted by what was known of the member before is taken back.
                _ if !earns => {}
                RuleKind::StepTiers(tiers) => {
                    let mut earliest = Some(opening.known_on);
                    if rule.login_required && !member.known(date).is_empty() {
                        earliest = login_known_on(member, date).map(|on| on.max(opening.known_on));
                    }
                    match earliest {
                        Some(earliest) => {
                            let known = known_from(member.known(date), earliest);
                            step_tiers::entitlements(tiers, known, &mut self.scratch.entitlements);
                        }
                        None => is_complete = false,
                    }
                }
                RuleKind::Transmission { points } => {
                    if member.month(date).is_some_and(|month| month.has_transmission(month.day_of(date))) {
                        self.scratch.entitlements.push(attendance::entitlement(*points, date.max(opening.known_on)));
                    }
                }
                RuleKind::Login { points } => {
                    let arrived_on = member.month(date).and_then(|month| month.login_arrival(month.day_of(date)));
                    if let Some(arrived_on) = arrived_on {
                        self.scratch
                            .entitlements
                            .push(attendance::entitlement(*points, arrived_on.max(opening.known_on)));
                    }
                }
                RuleKind::WeeklyTotal { .. } | RuleKind::MonthlyGain(_) | RuleKind::MonthlyLevel { .. } => continue,
            }
            self.post(member, Line { programme, rule, kept_with: date, day, period: Period::Day(date) }, closed);
        }
        is_complete
    }

    /// Settles everything of a member that the close of `closed` may have moved. All months that the programme's rules
    /// look at must be in memory.
    pub fn close(&mut self, member: &mut Member, closed: CivilDate) {
        let Some(opening) = self.running.opening(&member.summary.value) else { return };
        let frozen_anew = self.freeze(member, opening, closed);
        let dates = take_unsettled(member, closed, frozen_anew);
        for &date in &dates {
            self.settle_day(member, opening, date, Some(closed));
        }
        if !self.running.has_rules_over_days {
            return;
        }
        let mut before = None;
        for monday in dates.iter().map(|date| date.monday()) {
            if before.replace(monday) != Some(monday) {
                self.settle_week(member, opening, monday, closed);
            }
        }
        for month in months_to_settle(member, &dates, frozen_anew, closed) {
            self.settle_month(member, opening, month, closed);
        }
    }

    /// Freezes the baseline if it is time, and says so. `true` if it is another than before.
    fn freeze(&mut self, member: &mut Member, opening: Opening, closed: CivilDate) -> bool {
        let settled = &member.settled.value;
        let programme = self.running.versions.on(closed);
        let Some(baseline) = &programme.baseline else { return false };
        if settled.frozen.is_some() && !settled.has_late_facts {
            return false;
        }
        let before = settled.frozen;
        let standing = Standing { member, programme, baseline, opening };
        let dates = if settled.has_late_facts { standing.dates_of_knowledge(closed) } else { vec![closed] };
        let frozen = standing.find_freeze(&dates, closed);
        let due_on = match frozen {
            Some(_) => None,
            None => standing.first_day(closed).map(|first_day| standing.deadline(first_day)),
        };
        let settled = &mut member.settled;
        if settled.value.has_late_facts || settled.value.freeze_due_on != due_on || before != frozen {
            let settled = settled.change();
            settled.has_late_facts = false;
            settled.freeze_due_on = due_on;
            settled.frozen = frozen;
        }
        if let (Some(frozen), true) = (frozen, before != frozen) {
            let settled = settled.change();
            self.effects.notices.push(Notice {
                programme: Arc::clone(&self.running.id),
                member: Arc::clone(&member.id),
                rule: Arc::clone(&baseline.rule),
                kind: NoticeKind::BaselineFrozen {
                    first_day: frozen.first_day,
                    baseline_steps: frozen.steps,
                    is_older_class: frozen.is_older,
                },
                date: frozen.on,
                revision: settled.baseline_notices,
            });
            settled.baseline_notices += 1;
        }
        before != frozen
    }

    fn settle_week(&mut self, member: &mut Member, opening: Opening, monday: CivilDate, closed: CivilDate) {
        let programme = &**self.running.versions.on(monday.plus_days(6));
        for rule in &programme.rules {
            let RuleKind::WeeklyTotal { steps_min, points } = &rule.kind else { continue };
            let classes = match &programme.baseline {
                Some(baseline) => Standing { member, programme, baseline, opening }.classes(closed),
                None => smallvec![(opening.known_on, false)],
            };
            let entitlements = &mut self.scratch.entitlements;
            entitlements.clear();
            {
                let days = earning_days(member, programme, opening, (monday, monday.plus_days(6)));
                weekly_total::entitlements(*steps_min, *points, &days, &classes, opening.known_on, entitlements);
            }
            let Some(day) = member.month(monday).map(|month| month.day_of(monday)) else { continue };
            let line = Line { programme, rule, kept_with: monday, day, period: Period::Week(monday) };
            self.post(member, line, Some(closed));
        }
    }

    fn settle_month(&mut self, member: &mut Member, opening: Opening, month: CivilMonth, closed: CivilDate) {
        let (first, last) = (month.first_day(), month.last_day());
        let programme = &**self.running.versions.on(last);
        let (Some(baseline), Some(monthly)) = (&programme.baseline, programme.monthly) else { return };
        let frozen = member.settled.value.frozen.filter(|frozen| frozen.on <= closed);
        let standing = Standing { member, programme, baseline, opening };
        let due = frozen.and_then(|frozen| Some((frozen, standing.due_on(month, frozen)?)));
        let due = due.filter(|&(_, due_on)| due_on <= closed);
        for (index, rule) in programme.rules.iter().enumerate() {
            if !matches!(rule.kind, RuleKind::MonthlyGain(_) | RuleKind::MonthlyLevel { .. }) {
                continue;
            }
            self.scratch.entitlements.clear();
            if let Some((frozen, due_on)) = due {
                let days = earning_days(member, programme, opening, (first, last));
                let calendar_days = calendar_days(programme, first, last);
                let award = monthly::Award { programme, monthly, frozen, due_on, calendar_days, days: &days };
                award.entitlements(index, &mut self.scratch.entitlements);
            }
            let line = Line { programme, rule, kept_with: first, day: 0, period: Period::Month(month) };
            self.post(member, line, Some(closed));
        }
    }

    /// Posts the differences between the buffered entitlements that had arrived by `closed` and what has been posted.
    fn post(&mut self, member: &mut Member, line: Line<'_>, closed: Option<CivilDate>) {
        let Some(place) = member.month_place(line.kept_with) else { return };
        let posted = member.months[place].posted(line.rule.number, line.day);
        let SettleScratch { entitlements, differences } = &mut *self.scratch;
        find_differences(entitlements, posted, line.rule.posting_delay_days, closed, differences);
        let first_revision: u32 = posted.iter().map(|posting| posting.entries).sum();
        let differences = std::mem::take(differences);
        for (revision, &difference) in (first_revision..).zip(&differences) {
            member.months[place].post(line.rule.number, line.day, difference.posting_date, difference.points.amount());
            let settled = member.settled.change();
            settled.sequence += 1;
            let entry = self.entry(&member.id, line, difference, revision, settled.sequence);
            self.effects.entries.push(entry);
        }
        self.scratch.differences = differences; // Its memory is used again.
    }

    fn entry(&self, member: &Arc<str>, line: Line<'_>, difference: Difference, revision: u32, sequence: u64) -> Entry {
        let programme = &self.running.id;
        let period = line.period.text();
        let id = |revision| EntryId::of(programme, member, &line.rule.id, "", period.as_str(), revision);
        let last_day = line.period.bounds().1;
        Entry {
            id: id(revision),
            sequence,
            programme: Arc::clone(programme),
            member: Arc::clone(member),
            rule: Arc::clone(&line.rule.id),
            rule_version: line.programme.version,
            item: "",
            period: line.period,
            revision,
            points: difference.points,
            debit: Account::Issued,
            credit: Account::Member,
            activity_date: line.programme.season.map_or(last_day, |season| season.ends_on.min(last_day)),
            arrival_date: difference.posting_date.plus_days(-(line.rule.posting_delay_days as i32)),
            posting_date: difference.posting_date,
            expires_on: line.programme.expiry.expires_on(difference.posting_date),
            corrects: revision.checked_sub(1).map(id),
            reason: difference.reason,
        }
    }
}

/// Points to post on a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Difference {
    posting_date: CivilDate,
    points: Points,
    reason: Reason,
}

/// What must be posted on each posting date so that the sums there become what the entitlements say.
fn find_differences(
    entitlements: &[Entitlement],
    posted: &[Posting],
    delay_days: u32,
    closed: Option<CivilDate>,
    found: &mut Vec<Difference>,
) {
    found.clear();
    let arrived = entitlements.iter().take_while(|entitlement| closed.is_none_or(|closed| entitlement.as_of <= closed));
    let mut posted = posted.iter().peekable();
    let (mut before, mut reason_before) = (Points::ZERO, Reason::default());
    let mut push = |posting_date, points: Points, reason| {
        if !points.is_zero() {
            found.push(Difference { posting_date, points, reason });
        }
    };
    for Entitlement { as_of, reason } in arrived {
        let posting_date = as_of.plus_days(delay_days as i32);
        while let Some(posting) = posted.next_if(|posting| posting.on < posting_date) {
            push(posting.on, -Points::new(posting.points), reason_before);
        }
        let have = posted.next_if(|posting| posting.on == posting_date).map_or(0, |posting| posting.points);
        push(posting_date, reason.entitled - before - Points::new(have), *reason);
        (before, reason_before) = (reason.entitled, *reason);
    }
    for posting in posted {
        push(posting.on, -Points::new(posting.points), reason_before);
    }
}

/// The arrival date by which a login on `date` or later was known (HI-A11).
fn login_known_on(member: &Member, date: CivilDate) -> Option<CivilDate> {
    let logins = member.months_from(date).flat_map(Month::login_dates);
    logins.filter(|&(login, _)| login >= date).map(|(_, arrived_on)| arrived_on).min()
}

/// The days of a span that have samples and can earn, ascending.
fn earning_days<'m>(
    member: &'m Member,
    programme: &Programme,
    opening: Opening,
    (first, last): (CivilDate, CivilDate),
) -> SmallVec<[&'m [Known]; 31]> {
    let first = first.max(opening.from).max(programme.season.map_or(first, |season| season.starts_on));
    let last = last.min(programme.season.map_or(last, |season| season.ends_on));
    let months = member.months_from(first).take_while(|month| month.first_day <= last);
    let days = months.flat_map(Month::known_days).skip_while(|&(date, _)| date < first);
    days.take_while(|&(date, _)| date <= last).map(|(_, known)| known).collect()
}

/// Days of a span within the season.
fn calendar_days(programme: &Programme, first: CivilDate, last: CivilDate) -> u32 {
    let (first, last) = match programme.season {
        Some(season) => (first.max(season.starts_on), last.min(season.ends_on)),
        None => (first, last),
    };
    u32::try_from(last.days_since(first) + 1).unwrap_or(0)
}

/// The month from which on a close needs all: `None` if it needs none.
///
/// Mostly that of the first day to settle, or the one before, if its week begins there. Until the baseline is frozen,
/// when it may have to be frozen anew, and when a month falls due, all.
pub fn first_month_needed(running: &Running, member: &Member, closed: CivilDate) -> Option<CivilDate> {
    let settled = &member.settled.value;
    let first = settled.first_unsettled();
    if !running.has_rules_over_days {
        return first;
    }
    let programme = &**running.versions.on(closed);
    let Some(baseline) = &programme.baseline else { return first.map(CivilDate::monday) };
    let opening = running.opening(&member.summary.value)?;
    let is_settled_before = |frozen: FrozenBaseline| first.is_none_or(|first| frozen.on < first.monday());
    let standing = Standing { member, programme, baseline, opening };
    let needs_all = !running.versions.is_single()
        || settled.has_late_facts
        || !settled.frozen.is_some_and(is_settled_before)
        || settled.first_transmissions.iter().any(|&on| on <= closed)
        || standing.constant_class(closed).is_none();
    if needs_all { Some(CivilDate::MIN) } else { first.map(CivilDate::monday) }
}

/// The days that must be settled, which are then settled: those of which something arrived since, or all of them. What
/// arrived after `closed` stays for its own close.
fn take_unsettled(member: &mut Member, closed: CivilDate, all: bool) -> SmallVec<[CivilDate; 8]> {
    let mut dates = SmallVec::new();
    if all {
        for month in &member.months {
            member.settled.change().unsettle(month.month, month.days_with_samples());
        }
    }
    if member.settled.value.unsettled.is_empty() {
        return dates;
    }
    let unsettled = &mut member.settled.change().unsettled;
    unsettled.sort_unstable_by_key(|&(month, _)| month);
    let months = &member.months;
    unsettled.retain_mut(|(number, bits)| {
        let Some(month) = months.iter().find(|month| month.month == *number) else { return true };
        let mut remaining = month.days_known_after(closed) & *bits;
        for date in dates_of(month.first_day, *bits) {
            if date > closed {
                remaining |= bit(month.day_of(date)); // A transmission or login of a day that is not over.
            }
            dates.push(date);
        }
        *bits = remaining;
        remaining != 0
    });
    dates
}

/// The months whose award may have moved: those with days to settle, and, once a new month has its first transmission or
/// the baseline is another, all.
fn months_to_settle(
    member: &mut Member,
    dates: &[CivilDate],
    frozen_anew: bool,
    closed: CivilDate,
) -> SmallVec<[CivilMonth; 8]> {
    let settled = &mut member.settled;
    let is_new = settled.value.first_transmissions.iter().any(|&on| on <= closed);
    if is_new {
        settled.change().first_transmissions.retain(|&on| on > closed);
    }
    if is_new || frozen_anew {
        return member.months.iter().map(|month| month.month).collect();
    }
    let mut months: SmallVec<[CivilMonth; 8]> = SmallVec::new();
    for &date in dates {
        if let Some(month) = member.month(date).map(|month| month.month).filter(|month| months.last() != Some(month)) {
            months.push(month);
        }
    }
    months
}
