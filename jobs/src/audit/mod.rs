//! Decides whether the stream equals the batch (law 6): recomputes every day total and every entitlement of the step
//! rules by SQL from the recorded facts, and compares them with the ledger, member by member.
//!
//! Nothing here uses the core's rules. What the audit knows of a programme it reads from the recorded TOML itself
//! (`rulebook.rs`); the computation is the SQL under `sql/`, in the order of `steps.rs`. It is made as of the close of
//! the last closed day: facts that arrived later are left out, and so are the entries that they made. Programmes are
//! worked through one by one, and the members of one in ranges, so that memory is bounded by the range and not by the
//! season.
//!
//! What an audit found is an [`AuditReport`]; whether that fails the command, the command decides.

mod bench;
mod compare;
mod error;
mod overlap;
mod recompute;
mod report;
mod rulebook;
mod steps;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use datafusion::prelude::SessionContext;

use bench::{Bench, number_at, step, text_at};
pub use error::AuditError;
pub use recompute::{DayTotal, Entitlement, Recomputed, Refusal, recompute};
pub use report::{
    AuditReport, BaselineDifference, DailyTotalDifference, Difference, FrozenBaseline, LedgerFault, ProgrammeAudit,
    RuleAudit,
};
use rulebook::Rulebook;

/// Samples of one range of members: what is held in memory at once.
const RANGE_SAMPLES_MAX: i64 = 1_500_000;

/// Greater than every member id that a gateway hands out.
const AFTER_ALL_MEMBERS: &str = "\u{10FFFF}\u{10FFFF}\u{10FFFF}\u{10FFFF}";

/// Audits every programme whose rules are recorded.
///
/// `tables` must know `facts_uploads`, `facts_members`, `facts_programmes`, `facts_clocks`, `entries`,
/// `daily_total_revisions` and `notices`, as `records.md` has them. Nothing is registered in it or changed.
///
/// # Errors
///
/// If a table is missing or has other columns, if recorded rules cannot be read, or if a programme is recorded in
/// several versions.
pub async fn audit(tables: &SessionContext) -> Result<AuditReport, AuditError> {
    let mut bench = Bench::over_facts(tables).await?;
    bench.add_ledger(tables).await?;
    let mut report = AuditReport { closed_on: set_last_close(&mut bench).await?, ..AuditReport::default() };
    for book in rulebooks(&bench).await? {
        steps::set_programme(&mut bench, &book)?;
        let programme = audit_programme(&mut bench, &book, &mut report).await?;
        report.programmes.push(programme);
    }
    report.ledger_faults = compare::check_ledger(&bench).await?;
    Ok(report)
}

async fn audit_programme(
    bench: &mut Bench,
    book: &Rulebook,
    report: &mut AuditReport,
) -> Result<ProgrammeAudit, AuditError> {
    let mut audited = ProgrammeAudit {
        programme: book.id.clone(),
        version: book.version,
        rules_not_audited: steps::rules_not_audited(book),
        ..ProgrammeAudit::default()
    };
    let named =
        book.rules.iter().map(|rule| (rule.id.clone(), RuleAudit { rule: rule.id.clone(), ..RuleAudit::default() }));
    let mut rules: BTreeMap<String, RuleAudit> = named.collect();
    for range in ranges(bench, &mut audited).await? {
        range.choose(bench);
        steps::compute(bench, book).await?;
        compare::compare_range(bench, &book.id, book.baseline.is_some(), report, &mut rules).await?;
        for rows in bench.rows(step!("counts")).await? {
            audited.members += rows.numbers("members")?.iter().flatten().sum::<i64>();
            audited.days += rows.numbers("days")?.iter().flatten().sum::<i64>();
        }
    }
    rules.retain(|rule, _| !audited.rules_not_audited.contains(rule));
    audited.rules = rules.into_values().collect();
    Ok(audited)
}

/// The last closed day's name; its number becomes a value that the steps may ask for.
async fn set_last_close(bench: &mut Bench) -> Result<Option<String>, AuditError> {
    bench.set("closed_on", 0);
    let mut name = None;
    for rows in bench.rows(step!("last_close")).await? {
        let (days, names) = (rows.numbers("day")?, rows.texts("day_name")?);
        for row in 0..rows.len() {
            if let Some(day) = number_at(&days, row) {
                bench.set("closed_on", day);
                name = text_at(&names, row);
            }
        }
    }
    Ok(name)
}

/// The recorded rules, one version a programme.
async fn rulebooks(bench: &Bench) -> Result<Vec<Rulebook>, AuditError> {
    let mut versions: BTreeMap<String, Vec<(i64, String)>> = BTreeMap::new();
    for rows in bench.rows(step!("programmes")).await? {
        let (programmes, numbers, sources) =
            (rows.texts("programme")?, rows.numbers("version")?, rows.texts("source")?);
        for row in 0..rows.len() {
            let version = (numbers.value(row), sources.value(row).to_owned());
            versions.entry(programmes.value(row).to_owned()).or_default().push(version);
        }
    }
    versions.into_iter().map(|(programme, versions)| only_version(programme, &versions)).collect()
}

fn only_version(programme: String, versions: &[(i64, String)]) -> Result<Rulebook, AuditError> {
    match versions {
        [(_, source)] => Rulebook::read(&programme, source),
        several => {
            let versions = several.iter().map(|(number, _)| number.to_string()).collect::<Vec<_>>().join(", ");
            Err(AuditError::SeveralVersions { programme, versions })
        }
    }
}

/// Members from one id, inclusive, to another, exclusive.
#[derive(Debug, PartialEq, Eq)]
struct MemberRange {
    from: String,
    below: String,
}

impl MemberRange {
    fn choose(&self, bench: &mut Bench) {
        bench.set_text("member_from", &self.from);
        bench.set_text("member_below", &self.below);
    }
}

/// Divides a programme's members into ranges that together hold every possible id, also those that only the ledger
/// knows.
async fn ranges(bench: &Bench, audited: &mut ProgrammeAudit) -> Result<Vec<MemberRange>, AuditError> {
    let mut bounds = vec![String::new()];
    let mut held = 0;
    for rows in bench.rows(step!("loads")).await? {
        let (members, uploads, samples) = (rows.texts("member")?, rows.numbers("uploads")?, rows.numbers("samples")?);
        for row in 0..rows.len() {
            audited.uploads += uploads.value(row);
            audited.samples += samples.value(row);
            if held > 0 && held + samples.value(row) > RANGE_SAMPLES_MAX {
                bounds.push(members.value(row).to_owned());
                held = 0;
            }
            held += samples.value(row);
        }
    }
    bounds.push(AFTER_ALL_MEMBERS.to_owned());
    let range = |pair: &[String]| MemberRange { from: pair[0].clone(), below: pair[1].clone() };
    Ok(bounds.windows(2).map(range).collect())
}
