//! Decides which entries to post: the difference between what the rules give and what has been posted, posting date by
//! posting date.
//!
//! Entitlements are functions of the facts and their own dates, so whatever order the facts were processed in, the sums
//! per posting date end up the same (law 2). Rules that post on arrival are settled with each upload, the others when
//! the arrival date is closed. Which days to look at is the engine's to know; what a rule gives is [`crate::rules`]'.

use std::sync::Arc;

use crate::baseline::{Opening, Standing};
use crate::calendar::{CivilDate, CivilMonth, Period};
use crate::engine::Effects;
use crate::fact::MemberOperation;
use crate::ledger::{Account, Entry, EntryId, Notice, NoticeKind, Reason};
use crate::member::{Member, PostedLine, Summary, bit};
use crate::programme::{Gate, Programme, Rule, RuleKind, Versions};
use crate::quantity::Points;
use crate::rules::{Entitlement, attendance, known_from, monthly, step_tiers, weekly_total};

/// A programme as it runs in a partition: its versions, and its rules' numbers in the state.
#[derive(Debug)]
pub struct Running {
    /// The programme's id.
    pub id: Arc<str>,
    /// Its versions.
    pub versions: Versions,
    /// Rule ids in the order of their first appearance; the state refers to rules by their place here.
    pub rule_ids: Vec<Arc<str>>,
    /// Some rule posts later than on arrival, or a baseline freezes: days must be closed.
    pub has_delayed_rules: bool,
    /// Some rule looks at more than one day: all months must be in memory when a day is closed.
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
            has_delayed_rules: false,
            has_rules_over_days: false,
            has_login_rules: false,
        }
    }

    /// Adds a version; `false` if it is known.
    pub fn adopt(&mut self, programme: &Arc<Programme>) -> bool {
        if !self.versions.adopt(Arc::clone(programme)) {
            return false;
        }
        for rule in &programme.rules {
            if !self.rule_ids.contains(&rule.id) {
                self.rule_ids.push(Arc::clone(&rule.id));
            }
            let over_days = !rule.is_of_a_day();
            self.has_rules_over_days |= over_days;
            self.has_delayed_rules |= over_days || rule.posting_delay_days > 0;
            self.has_login_rules |= rule.login_required;
        }
        self.has_rules_over_days |= programme.baseline.is_some();
        self.has_delayed_rules |= programme.baseline.is_some();
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
    /// A buffer.
    pub entitlements: &'a mut Vec<Entitlement>,
}

/// A period, where its postings are kept, and the rule that pays for it.
#[derive(Clone, Copy, Debug)]
struct Line<'a> {
    programme: &'a Programme,
    rule: &'a Rule,
    month: CivilMonth,
    day: u8,
    period: Period,
}

impl Settlement<'_> {
    /// Settles the rules that post on arrival, for one day. `false` if the day waits for a login.
    pub fn settle_on_arrival(&mut self, member: &mut Member, date: CivilDate) -> bool {
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
        let mut is_complete = true;
        let of_a_day = programme.rules.iter().filter(|rule| rule.is_of_a_day());
        for rule in of_a_day.filter(|rule| (rule.posting_delay_days > 0) == closed.is_some()) {
            self.entitlements.clear();
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
                            step_tiers::entitlements(
                                tiers,
                                known_from(member.known(date), earliest),
                                self.entitlements,
                            );
                        }
                        None => is_complete = false,
                    }
                }
                RuleKind::Transmission { points } => {
                    let month = member.months.get(&date.month());
                    if month.is_some_and(|month| month.value.has_transmission(date.day_of_month())) {
                        self.entitlements.push(attendance::entitlement(*points, date.max(opening.known_on)));
                    }
                }
                RuleKind::Login { points } => {
                    if let Some(arrived_on) = login_arrival(member, date) {
                        self.entitlements.push(attendance::entitlement(*points, arrived_on.max(opening.known_on)));
                    }
                }
                RuleKind::WeeklyTotal { .. } | RuleKind::MonthlyGain(_) | RuleKind::MonthlyLevel { .. } => continue,
            }
            let line =
                Line { programme, rule, month: date.month(), day: date.day_of_month(), period: Period::Day(date) };
            self.post(member, line, closed);
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
        let mut mondays: Vec<CivilDate> = dates.iter().map(|date| date.monday()).collect();
        mondays.dedup();
        for monday in mondays {
            self.settle_week(member, opening, monday, closed);
        }
        for month in months_to_settle(member, &dates, frozen_anew, closed) {
            self.settle_month(member, opening, month, closed);
        }
    }

    /// Freezes the baseline if it is time, and says so. `true` if it is another than before.
    fn freeze(&mut self, member: &mut Member, opening: Opening, closed: CivilDate) -> bool {
        let summary = &member.summary.value;
        let programme = Arc::clone(self.running.versions.on(closed));
        let Some(baseline) = &programme.baseline else { return false };
        if summary.frozen.is_some() && !summary.has_late_facts {
            return false;
        }
        let before = summary.frozen;
        let standing = Standing { member, programme: &programme, baseline, opening };
        let dates = if summary.has_late_facts { standing.dates_of_knowledge(closed) } else { vec![closed] };
        let frozen = standing.find_freeze(&dates, closed);
        let due_on = match frozen {
            Some(_) => None,
            None => standing.first_day(closed).map(|first_day| standing.deadline(first_day)),
        };
        let summary = &mut member.summary;
        if summary.value.has_late_facts || summary.value.freeze_due_on != due_on || before != frozen {
            let summary = summary.change();
            summary.has_late_facts = false;
            summary.freeze_due_on = due_on;
            summary.frozen = frozen;
        }
        if let (Some(frozen), true) = (frozen, before != frozen) {
            let summary = summary.change();
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
                revision: summary.baseline_notices,
            });
            summary.baseline_notices += 1;
        }
        before != frozen
    }

    fn settle_week(&mut self, member: &mut Member, opening: Opening, monday: CivilDate, closed: CivilDate) {
        let programme = Arc::clone(self.running.versions.on(monday.plus_days(6)));
        for rule in &programme.rules {
            let RuleKind::WeeklyTotal { steps_min, points } = &rule.kind else { continue };
            let classes = match &programme.baseline {
                Some(baseline) => Standing { member, programme: &programme, baseline, opening }.classes(closed),
                None => vec![(opening.known_on, false)],
            };
            let days: Vec<_> = earning_days(member, &programme, opening, (monday, monday.plus_days(6)));
            self.entitlements.clear();
            weekly_total::entitlements(*steps_min, *points, &days, &classes, opening.known_on, self.entitlements);
            let (month, day) = (monday.month(), monday.day_of_month());
            let line = Line { programme: &programme, rule, month, day, period: Period::Week(monday) };
            self.post(member, line, Some(closed));
        }
    }

    fn settle_month(&mut self, member: &mut Member, opening: Opening, month: CivilMonth, closed: CivilDate) {
        let (first, last) = (month.first_day(), month.last_day());
        let programme = Arc::clone(self.running.versions.on(last));
        let (Some(baseline), Some(monthly)) = (&programme.baseline, programme.monthly) else { return };
        let frozen = member.summary.value.frozen.filter(|frozen| frozen.on <= closed);
        let standing = Standing { member, programme: &programme, baseline, opening };
        let due = frozen.and_then(|frozen| Some((frozen, standing.due_on(month, frozen)?)));
        let due = due.filter(|&(_, due_on)| due_on <= closed);
        for (index, rule) in programme.rules.iter().enumerate() {
            if !matches!(rule.kind, RuleKind::MonthlyGain(_) | RuleKind::MonthlyLevel { .. }) {
                continue;
            }
            self.entitlements.clear();
            if let Some((frozen, due_on)) = due {
                let days: Vec<_> = earning_days(member, &programme, opening, (first, last));
                let calendar_days = calendar_days(&programme, first, last);
                let award =
                    monthly::Award { programme: &programme, monthly, frozen, due_on, calendar_days, days: &days };
                award.entitlements(index, self.entitlements);
            }
            let line = Line { programme: &programme, rule, month, day: 0, period: Period::Month(month) };
            self.post(member, line, Some(closed));
        }
    }

    /// Posts the differences between the buffered entitlements that had arrived by `closed` and what has been posted.
    fn post(&mut self, member: &mut Member, line: Line<'_>, closed: Option<CivilDate>) {
        let rule = self.running.rule_ids.iter().position(|id| *id == line.rule.id).unwrap_or(0) as u8;
        let Some(month) = member.months.get(&line.month) else { return };
        let place = month.value.posted.binary_search_by_key(&(rule, line.day), |posted| (posted.rule, posted.day));
        let posted = place.map_or(&[][..], |index| &month.value.posted[index].postings);
        let differences = differences(self.entitlements, posted, line.rule.posting_delay_days, closed);
        if differences.is_empty() {
            return;
        }
        let Some(month) = member.months.get_mut(&line.month) else { return };
        let posted = &mut month.change().posted;
        let index = place.unwrap_or_else(|index| {
            posted.insert(index, PostedLine { rule, day: line.day, revisions: 0, postings: Vec::new() });
            index
        });
        for difference in differences {
            let posted = &mut posted[index];
            let revision = posted.revisions;
            posted.revisions += 1;
            match posted.postings.binary_search_by_key(&difference.posting_date, |&(date, _)| date) {
                Ok(at) => posted.postings[at].1 += difference.points.amount(),
                Err(at) => posted.postings.insert(at, (difference.posting_date, difference.points.amount())),
            }
            let summary = member.summary.change();
            summary.sequence += 1;
            let entry = self.entry(&member.id, line, difference, revision, summary.sequence);
            self.effects.entries.push(entry);
        }
    }

    fn entry(&self, member: &Arc<str>, line: Line<'_>, difference: Difference, revision: u32, sequence: u64) -> Entry {
        let programme = &self.running.id;
        let period = line.period.to_string();
        let id = |revision| EntryId::of(programme, member, &line.rule.id, "", &period, revision);
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
fn differences(
    entitlements: &[Entitlement],
    posted: &[(CivilDate, i64)],
    delay_days: u32,
    closed: Option<CivilDate>,
) -> Vec<Difference> {
    let arrived = entitlements.iter().take_while(|entitlement| closed.is_none_or(|closed| entitlement.as_of <= closed));
    let mut found = Vec::new();
    let mut posted = posted.iter().copied().peekable();
    let (mut before, mut reason_before) = (Points::ZERO, Reason::default());
    let mut push = |posting_date, points: Points, reason| {
        if !points.is_zero() {
            found.push(Difference { posting_date, points, reason });
        }
    };
    for Entitlement { as_of, reason } in arrived {
        let posting_date = as_of.plus_days(delay_days as i32);
        while let Some((date, points)) = posted.next_if(|&(date, _)| date < posting_date) {
            push(date, -Points::new(points), reason_before);
        }
        let have = posted.next_if(|&(date, _)| date == posting_date).map_or(0, |(_, points)| points);
        push(posting_date, reason.entitled - before - Points::new(have), *reason);
        (before, reason_before) = (reason.entitled, *reason);
    }
    for (date, points) in posted {
        push(date, -Points::new(points), reason_before);
    }
    found
}

/// The first arrival date of an upload that tells of a login on `date`.
fn login_arrival(member: &Member, date: CivilDate) -> Option<CivilDate> {
    let logins = &member.months.get(&date.month())?.value.logins;
    let index = logins.binary_search_by_key(&date.day_of_month(), |&(day, _)| day).ok()?;
    Some(logins[index].1)
}

/// The arrival date by which a login on `date` or later was known (HI-A11).
fn login_known_on(member: &Member, date: CivilDate) -> Option<CivilDate> {
    let months = member.months.range(date.month()..);
    let logins = months.flat_map(|(month, kept)| {
        let first = month.first_day();
        kept.value.logins.iter().map(move |&(day, arrived_on)| (first.plus_days(i32::from(day) - 1), arrived_on))
    });
    logins.filter(|&(login, _)| login >= date).map(|(_, arrived_on)| arrived_on).min()
}

/// The days of a span that have samples and can earn.
fn earning_days<'m>(
    member: &'m Member,
    programme: &Programme,
    opening: Opening,
    (first, last): (CivilDate, CivilDate),
) -> Vec<&'m [(CivilDate, u32)]> {
    let first = first.max(opening.from).max(programme.season.map_or(first, |season| season.starts_on));
    let last = last.min(programme.season.map_or(last, |season| season.ends_on));
    let dates = (first.epoch_days()..=last.epoch_days()).map(CivilDate::from_epoch_days);
    dates.map(|date| member.known(date)).filter(|known| !known.is_empty()).collect()
}

/// Days of a span within the season.
fn calendar_days(programme: &Programme, first: CivilDate, last: CivilDate) -> u32 {
    let (first, last) = match programme.season {
        Some(season) => (first.max(season.starts_on), last.min(season.ends_on)),
        None => (first, last),
    };
    u32::try_from(last.days_since(first) + 1).unwrap_or(0)
}

/// The days that must be settled, which are then settled: those of which something arrived since, or all of them. What
/// arrived after `closed` stays for its own close.
fn take_unsettled(member: &mut Member, closed: CivilDate, all: bool) -> Vec<CivilDate> {
    let mut dates = Vec::new();
    for (month, kept) in &mut member.months {
        let value = &kept.value;
        let with_samples = value.days.iter().fold(0, |bits, line| bits | bit(line.day));
        let bits = if all { value.unsettled | with_samples } else { value.unsettled };
        if bits == 0 {
            continue;
        }
        let later =
            value.days.iter().filter(|line| line.known.last().is_some_and(|&(arrived_on, _)| arrived_on > closed));
        let mut remaining = later.fold(0, |bits, line| bits | bit(line.day)) & bits;
        let first = month.first_day();
        for day in (0..31).filter(|day| bits & (1 << day) != 0) {
            let date = first.plus_days(day);
            if date > closed {
                remaining |= 1 << day; // A transmission or login of a day that is not over.
            }
            dates.push(date);
        }
        if remaining != value.unsettled {
            kept.change().unsettled = remaining;
        }
    }
    dates
}

/// The months whose award may have moved: those with days to settle, and, once a new month has its first transmission or
/// the baseline is another, all.
fn months_to_settle(member: &mut Member, dates: &[CivilDate], frozen_anew: bool, closed: CivilDate) -> Vec<CivilMonth> {
    let mut is_new = frozen_anew;
    for (month, kept) in member.months.iter_mut().filter(|(_, kept)| kept.value.has_new_transmission) {
        let first = month.first_day().plus_days(kept.value.transmissions.trailing_zeros() as i32);
        if first <= closed {
            kept.change().has_new_transmission = false;
            is_new = true;
        }
    }
    if is_new {
        return member.months.keys().copied().collect();
    }
    let mut months: Vec<CivilMonth> = dates.iter().map(|date| date.month()).collect();
    months.dedup();
    months
}
