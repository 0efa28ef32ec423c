//! Decides what counts as a difference between the recomputed figures and the recorded ones, and which faults a ledger
//! can have by itself. The figures come from [`super::steps`]; the comparisons are SQL too.

use std::collections::BTreeMap;

use super::bench::{Bench, Rows, Step, number_at, step, text_at};
use super::error::AuditError;
use super::report::{
    AuditReport, BaselineDifference, DailyTotalDifference, Difference, FrozenBaseline, LedgerFault, RuleAudit,
};

/// Compares the members of the range that was computed last, and adds to the report and to the rules' sums.
pub(super) async fn compare_range(
    bench: &Bench,
    programme: &str,
    has_baseline: bool,
    report: &mut AuditReport,
    rules: &mut BTreeMap<String, RuleAudit>,
) -> Result<(), AuditError> {
    for rows in bench.rows(step!("difference_entries")).await? {
        differences(&rows, programme, report)?;
    }
    for rows in bench.rows(step!("difference_totals")).await? {
        total_differences(&rows, programme, report)?;
    }
    if has_baseline {
        for rows in bench.rows(step!("difference_baselines")).await? {
            baseline_differences(&rows, programme, report)?;
        }
    }
    for rows in bench.rows(step!("sums_expected")).await? {
        add_sums(&rows, rules, |rule, periods, points| {
            rule.periods += periods;
            rule.expected += points;
        })?;
    }
    for rows in bench.rows(step!("sums_posted")).await? {
        add_sums(&rows, rules, |rule, periods, points| {
            rule.entries += periods;
            rule.posted += points;
        })?;
    }
    Ok(())
}

fn add_sums(
    rows: &Rows,
    rules: &mut BTreeMap<String, RuleAudit>,
    add: impl Fn(&mut RuleAudit, i64, i64),
) -> Result<(), AuditError> {
    let (names, periods, points) = (rows.texts("rule")?, rows.numbers("periods")?, rows.numbers("points")?);
    for row in 0..rows.len() {
        let name = names.value(row);
        let rule =
            rules.entry(name.to_owned()).or_insert_with(|| RuleAudit { rule: name.to_owned(), ..RuleAudit::default() });
        add(rule, periods.value(row), points.value(row));
    }
    Ok(())
}

fn differences(rows: &Rows, programme: &str, report: &mut AuditReport) -> Result<(), AuditError> {
    let (members, rules, periods) = (rows.texts("member")?, rows.texts("rule")?, rows.texts("period")?);
    let (expected, posted) = (rows.numbers("expected")?, rows.numbers("posted")?);
    report.differences.extend((0..rows.len()).map(|row| Difference {
        programme: programme.to_owned(),
        member: members.value(row).to_owned(),
        rule: rules.value(row).to_owned(),
        period: periods.value(row).to_owned(),
        expected: expected.value(row),
        posted: posted.value(row),
    }));
    Ok(())
}

fn total_differences(rows: &Rows, programme: &str, report: &mut AuditReport) -> Result<(), AuditError> {
    let (members, dates) = (rows.texts("member")?, rows.texts("date")?);
    let (expected, recorded) = (rows.numbers("expected")?, rows.numbers("recorded")?);
    report.daily_total_differences.extend((0..rows.len()).map(|row| DailyTotalDifference {
        programme: programme.to_owned(),
        member: members.value(row).to_owned(),
        date: dates.value(row).to_owned(),
        expected: expected.value(row),
        recorded: recorded.value(row),
    }));
    Ok(())
}

fn baseline_differences(rows: &Rows, programme: &str, report: &mut AuditReport) -> Result<(), AuditError> {
    let members = rows.texts("member")?;
    let expected = frozen_baselines(rows, "expected")?;
    let recorded = frozen_baselines(rows, "recorded")?;
    for (row, (expected, recorded)) in expected.into_iter().zip(recorded).enumerate() {
        let (programme, member) = (programme.to_owned(), members.value(row).to_owned());
        report.baseline_differences.push(BaselineDifference { programme, member, expected, recorded });
    }
    Ok(())
}

fn frozen_baselines(rows: &Rows, side: &str) -> Result<Vec<Option<FrozenBaseline>>, AuditError> {
    let dates = rows.texts(&format!("{side}_date"))?;
    let first_days = rows.texts(&format!("{side}_first_day"))?;
    let steps = rows.numbers(&format!("{side}_steps"))?;
    let older = rows.flags(&format!("{side}_older"))?;
    let frozen = |row| {
        Some(FrozenBaseline {
            frozen_on: text_at(&dates, row)?,
            first_day: text_at(&first_days, row)?,
            baseline_steps: number_at(&steps, row)?,
            is_older_class: older.value(row),
        })
    };
    Ok((0..rows.len()).map(frozen).collect())
}

/// Checks the ledger as a ledger: sequences, ids, chains of corrections, accounts.
pub(super) async fn check_ledger(bench: &Bench) -> Result<Vec<LedgerFault>, AuditError> {
    let mut faults = Vec::new();
    let checks: [(Step, FaultReader); 5] = [
        (step!("unknown_programmes"), unknown_programmes),
        (step!("ledger_sequences"), sequences),
        (step!("ledger_repeats"), repeats),
        (step!("ledger_chains"), chains),
        (step!("ledger_accounts"), accounts),
    ];
    for (step, read) in checks {
        for rows in bench.rows(step).await? {
            faults.extend(read(&rows)?);
        }
    }
    Ok(faults)
}

type FaultReader = fn(&Rows) -> Result<Vec<LedgerFault>, AuditError>;

fn unknown_programmes(rows: &Rows) -> Result<Vec<LedgerFault>, AuditError> {
    let (programmes, entries) = (rows.texts("programme")?, rows.numbers("entries")?);
    let fault = |row| LedgerFault::UnknownProgramme {
        programme: programmes.value(row).to_owned(),
        entries: entries.value(row),
    };
    Ok((0..rows.len()).map(fault).collect())
}

fn sequences(rows: &Rows) -> Result<Vec<LedgerFault>, AuditError> {
    let (programmes, members) = (rows.texts("programme")?, rows.texts("member")?);
    let (first, last) = (rows.numbers("first")?, rows.numbers("last")?);
    let (entries, numbers) = (rows.numbers("entries")?, rows.numbers("numbers")?);
    let fault = |row| LedgerFault::Sequence {
        programme: programmes.value(row).to_owned(),
        member: members.value(row).to_owned(),
        first: first.value(row),
        last: last.value(row),
        entries: entries.value(row),
        numbers: numbers.value(row),
    };
    Ok((0..rows.len()).map(fault).collect())
}

fn repeats(rows: &Rows) -> Result<Vec<LedgerFault>, AuditError> {
    let (programmes, members) = (rows.texts("programme")?, rows.texts("member")?);
    let (rules, periods, entries) = (rows.texts("rule")?, rows.texts("period")?, rows.numbers("entries")?);
    let fault = |row| LedgerFault::RepeatedEntry {
        programme: programmes.value(row).to_owned(),
        member: members.value(row).to_owned(),
        rule: rules.value(row).to_owned(),
        period: periods.value(row).to_owned(),
        entries: entries.value(row),
    };
    Ok((0..rows.len()).map(fault).collect())
}

fn chains(rows: &Rows) -> Result<Vec<LedgerFault>, AuditError> {
    let (programmes, members) = (rows.texts("programme")?, rows.texts("member")?);
    let (rules, periods) = (rows.texts("rule")?, rows.texts("period")?);
    let (revisions, places) = (rows.numbers("revision")?, rows.numbers("place")?);
    let wrong = rows.flags("is_link_wrong")?;
    let fault = |row| LedgerFault::Chain {
        programme: programmes.value(row).to_owned(),
        member: members.value(row).to_owned(),
        rule: rules.value(row).to_owned(),
        period: periods.value(row).to_owned(),
        revision: revisions.value(row),
        place: places.value(row),
        is_link_wrong: wrong.value(row),
    };
    Ok((0..rows.len()).map(fault).collect())
}

fn accounts(rows: &Rows) -> Result<Vec<LedgerFault>, AuditError> {
    let (programmes, members) = (rows.texts("programme")?, rows.texts("member")?);
    let (one_sided, seen, held) = (rows.numbers("one_sided")?, rows.numbers("seen")?, rows.numbers("held")?);
    let fault = |row| LedgerFault::Accounts {
        programme: programmes.value(row).to_owned(),
        member: members.value(row).to_owned(),
        one_sided: one_sided.value(row),
        seen: seen.value(row),
        held: held.value(row),
    };
    Ok((0..rows.len()).map(fault).collect())
}
