//! Decides what an audit tells, and how an auditor reads it. Whether a difference fails the command is the command's.

use std::fmt;

/// How many findings of one kind are printed; the report itself holds all of them.
const PRINTED_MAX: usize = 100;

/// What an audit found. [`AuditReport::is_clean`] says whether the ledger equals what the rules say about the facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditReport {
    /// The last closed day, as `2025-06-03`; `None`: no day is closed yet, so nothing is owed yet either.
    pub closed_on: Option<String>,
    /// What was compared, programme by programme.
    pub programmes: Vec<ProgrammeAudit>,
    /// Entitlements that the ledger does not hold, or holds otherwise.
    pub differences: Vec<Difference>,
    /// Day totals that are recorded otherwise.
    pub daily_total_differences: Vec<DailyTotalDifference>,
    /// Baselines that were told otherwise.
    pub baseline_differences: Vec<BaselineDifference>,
    /// Faults of the ledger as a ledger, whatever the rules say.
    pub ledger_faults: Vec<LedgerFault>,
}

/// What was compared for one programme.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgrammeAudit {
    /// The programme's id.
    pub programme: String,
    /// The version of its rules.
    pub version: i64,
    /// Members who are enrolled.
    pub members: i64,
    /// Recorded uploads, repeats included.
    pub uploads: i64,
    /// Recorded samples, repeats included.
    pub samples: i64,
    /// Member-days with a total.
    pub days: i64,
    /// What the rules give and what is posted, rule by rule.
    pub rules: Vec<RuleAudit>,
    /// Rules of the programme whose kind the audit does not recompute.
    pub rules_not_audited: Vec<String>,
}

/// One rule's sums.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleAudit {
    /// The handbook's number.
    pub rule: String,
    /// Members' periods in which the rule gives points.
    pub periods: i64,
    /// Points that the rule gives, by the facts.
    pub expected: i64,
    /// Ledger entries of the rule.
    pub entries: i64,
    /// Points that the ledger has posted.
    pub posted: i64,
}

/// An entitlement on which facts and ledger disagree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The programme's id.
    pub programme: String,
    /// The member's id.
    pub member: String,
    /// The handbook's number of the rule.
    pub rule: String,
    /// `2025-06-03`, `2025-W23` or `2025-06`.
    pub period: String,
    /// Points by the facts.
    pub expected: i64,
    /// Points in the ledger.
    pub posted: i64,
}

/// A day total on which facts and record disagree. A day without a record counts as 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DailyTotalDifference {
    /// The programme's id.
    pub programme: String,
    /// The member's id.
    pub member: String,
    /// The civil day.
    pub date: String,
    /// Steps by the facts.
    pub expected: i64,
    /// Steps of the newest recorded revision.
    pub recorded: i64,
}

/// A baseline on which facts and notice disagree. `None`: there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaselineDifference {
    /// The programme's id.
    pub programme: String,
    /// The member's id.
    pub member: String,
    /// By the facts.
    pub expected: Option<FrozenBaseline>,
    /// By the newest notice.
    pub recorded: Option<FrozenBaseline>,
}

/// A baseline as frozen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrozenBaseline {
    /// The close at which it was frozen.
    pub frozen_on: String,
    /// D0.
    pub first_day: String,
    /// After the floor.
    pub baseline_steps: i64,
    /// The age class on D0.
    pub is_older_class: bool,
}

/// A fault that makes the ledger unsound by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerFault {
    /// A member's sequence has a gap or a repeat, or does not begin at 1.
    Sequence {
        /// The programme's id.
        programme: String,
        /// The member's id.
        member: String,
        /// The smallest number.
        first: i64,
        /// The greatest number.
        last: i64,
        /// Entries.
        entries: i64,
        /// Different numbers.
        numbers: i64,
    },
    /// An entry id occurs more than once.
    RepeatedEntry {
        /// The programme's id.
        programme: String,
        /// The member's id.
        member: String,
        /// The rule.
        rule: String,
        /// The period.
        period: String,
        /// How often.
        entries: i64,
    },
    /// An entry's revision is out of turn, or it does not correct the revision before it.
    Chain {
        /// The programme's id.
        programme: String,
        /// The member's id.
        member: String,
        /// The rule.
        rule: String,
        /// The period.
        period: String,
        /// The revision that it bears.
        revision: i64,
        /// The revision that its place calls for.
        place: i64,
        /// Whether `corrects` names another entry than the one before it.
        is_link_wrong: bool,
    },
    /// A member's account does not hold what the member sees, or an entry has no two accounts.
    Accounts {
        /// The programme's id.
        programme: String,
        /// The member's id.
        member: String,
        /// Entries without two different accounts.
        one_sided: i64,
        /// The sum of `points`.
        seen: i64,
        /// Credits less debits of the member's account.
        held: i64,
    },
    /// Entries of a programme whose rules are not recorded.
    UnknownProgramme {
        /// The programme's id.
        programme: String,
        /// How many.
        entries: i64,
    },
}

impl AuditReport {
    /// Whether nothing was found.
    pub fn is_clean(&self) -> bool {
        self.findings() == 0
    }

    /// How many findings there are, of all kinds.
    pub fn findings(&self) -> usize {
        self.differences.len()
            + self.daily_total_differences.len()
            + self.baseline_differences.len()
            + self.ledger_faults.len()
    }
}

impl fmt::Display for AuditReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.closed_on {
            Some(day) => writeln!(f, "Audit as of the close of {day}")?,
            None => writeln!(f, "Audit before the first close: no entitlement has fallen due")?,
        }
        for programme in &self.programmes {
            write!(f, "\n{programme}")?;
        }
        section(f, "Points that differ", &self.differences)?;
        section(f, "Day totals that differ", &self.daily_total_differences)?;
        section(f, "Baselines that differ", &self.baseline_differences)?;
        section(f, "Faults of the ledger", &self.ledger_faults)?;
        match self.findings() {
            0 => writeln!(f, "\nThe ledger equals what the rules say about the recorded facts."),
            1 => writeln!(f, "\n1 finding: the ledger does not equal what the rules say about the recorded facts."),
            n => writeln!(f, "\n{n} findings: the ledger does not equal what the rules say about the recorded facts."),
        }
    }
}

fn section<T: fmt::Display>(f: &mut fmt::Formatter<'_>, title: &str, findings: &[T]) -> fmt::Result {
    if findings.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n{title}: {}", findings.len())?;
    for finding in findings.iter().take(PRINTED_MAX) {
        writeln!(f, "  {finding}")?;
    }
    if findings.len() > PRINTED_MAX {
        writeln!(f, "  … and {} more", findings.len() - PRINTED_MAX)?;
    }
    Ok(())
}

impl fmt::Display for ProgrammeAudit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}, version {}: {} members, {} uploads, {} samples, {} days",
            self.programme, self.version, self.members, self.uploads, self.samples, self.days
        )?;
        for rule in &self.rules {
            let mark = if rule.expected == rule.posted { "" } else { "  ← differs" };
            writeln!(
                f,
                "  {:<8} {:>10} points by the facts, {:>10} in the ledger ({} periods, {} entries){mark}",
                rule.rule, rule.expected, rule.posted, rule.periods, rule.entries
            )?;
        }
        if !self.rules_not_audited.is_empty() {
            writeln!(f, "  not recomputed: {}", self.rules_not_audited.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { programme, member, rule, period, expected, posted } = self;
        write!(f, "{programme} {member} {rule} {period}: {expected} by the facts, {posted} in the ledger")
    }
}

impl fmt::Display for DailyTotalDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DailyTotalDifference { programme, member, date, expected, recorded } = self;
        write!(f, "{programme} {member} {date}: {expected} steps by the facts, {recorded} recorded")
    }
}

impl fmt::Display for BaselineDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.programme, self.member)?;
        baseline(f, self.expected.as_ref())?;
        f.write_str(" by the facts, ")?;
        baseline(f, self.recorded.as_ref())?;
        f.write_str(" told")
    }
}

fn baseline(f: &mut fmt::Formatter<'_>, baseline: Option<&FrozenBaseline>) -> fmt::Result {
    match baseline {
        None => f.write_str("none"),
        Some(FrozenBaseline { frozen_on, first_day, baseline_steps, is_older_class }) => {
            let class = if *is_older_class { "older" } else { "younger" };
            write!(f, "{baseline_steps} steps from {first_day} ({class} class, frozen at the close of {frozen_on})")
        }
    }
}

impl fmt::Display for LedgerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LedgerFault::Sequence { programme, member, first, last, entries, numbers } => write!(
                f,
                "{programme} {member}: sequence {first} to {last} in {entries} entries, {numbers} different numbers"
            ),
            LedgerFault::RepeatedEntry { programme, member, rule, period, entries } => {
                write!(f, "{programme} {member} {rule} {period}: one entry id {entries} times")
            }
            LedgerFault::Chain { programme, member, rule, period, revision, place, is_link_wrong } => {
                let link = if *is_link_wrong { ", and it corrects another entry than the one before it" } else { "" };
                write!(f, "{programme} {member} {rule} {period}: revision {revision} in the place of {place}{link}")
            }
            LedgerFault::Accounts { programme, member, one_sided, seen, held } => write!(
                f,
                "{programme} {member}: {one_sided} entries without two accounts, {seen} points seen, {held} held"
            ),
            LedgerFault::UnknownProgramme { programme, entries } => {
                write!(f, "{programme}: {entries} entries, but its rules are not recorded")
            }
        }
    }
}
