//! Decides how the recomputed figures are handed out where there is no ledger to compare them with: for tests against
//! figures from elsewhere. Everything is held in memory at once, so this is for towns, not for countries.

use datafusion::prelude::SessionContext;

use super::bench::{Bench, Rows, step};
use super::error::AuditError;
use super::report::FrozenBaseline;
use super::{ranges, rulebooks, set_last_close, steps};

/// What the rules say about the recorded facts, as of the last close.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recomputed {
    /// What each member is entitled to, where that is not 0.
    pub entitlements: Vec<Entitlement>,
    /// Day totals, before any gate.
    pub totals: Vec<DayTotal>,
    /// Frozen baselines, by programme and member.
    pub baselines: Vec<(String, String, FrozenBaseline)>,
    /// Samples refused by themselves, day by day.
    pub refusals: Vec<Refusal>,
}

/// What one rule gives for one period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entitlement {
    /// The programme's id.
    pub programme: String,
    /// The member's id.
    pub member: String,
    /// The handbook's number.
    pub rule: String,
    /// `2025-06-03`, `2025-W23` or `2025-06`.
    pub period: String,
    /// Points.
    pub points: i64,
}

/// A day's steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayTotal {
    /// The programme's id.
    pub programme: String,
    /// The member's id.
    pub member: String,
    /// The civil day.
    pub date: String,
    /// Steps.
    pub steps: i64,
}

/// Samples refused on one day for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The programme's id.
    pub programme: String,
    /// The member's id.
    pub member: String,
    /// The civil day; empty if the samples name none.
    pub date: String,
    /// The reason.
    pub reason: String,
    /// How many, repeats included.
    pub samples: i64,
}

/// Recomputes every programme from the `facts_*` tables alone.
///
/// # Errors
///
/// As [`super::audit`].
pub async fn recompute(tables: &SessionContext) -> Result<Recomputed, AuditError> {
    let mut bench = Bench::over_facts(tables).await?;
    set_last_close(&mut bench).await?;
    let mut all = Recomputed::default();
    for book in rulebooks(&bench).await? {
        steps::set_programme(&mut bench, &book)?;
        for range in ranges(&bench, &mut Default::default()).await? {
            range.choose(&mut bench);
            steps::compute(&mut bench, &book).await?;
            all.add(&bench, &book.id, book.baseline.is_some()).await?;
        }
    }
    Ok(all)
}

impl Recomputed {
    async fn add(&mut self, bench: &Bench, programme: &str, has_baseline: bool) -> Result<(), AuditError> {
        for rows in bench.rows(step!("recomputed_entitlements")).await? {
            self.add_entitlements(&rows, programme)?;
        }
        for rows in bench.rows(step!("recomputed_totals")).await? {
            let (members, dates, steps) = (rows.texts("member")?, rows.texts("date")?, rows.numbers("steps")?);
            self.totals.extend((0..rows.len()).map(|row| DayTotal {
                programme: programme.to_owned(),
                member: members.value(row).to_owned(),
                date: dates.value(row).to_owned(),
                steps: steps.value(row),
            }));
        }
        for rows in bench.rows(step!("recomputed_refusals")).await? {
            self.add_refusals(&rows, programme)?;
        }
        if has_baseline {
            for rows in bench.rows(step!("recomputed_baselines")).await? {
                self.add_baselines(&rows, programme)?;
            }
        }
        Ok(())
    }

    fn add_entitlements(&mut self, rows: &Rows, programme: &str) -> Result<(), AuditError> {
        let (members, rules) = (rows.texts("member")?, rows.texts("rule")?);
        let (periods, points) = (rows.texts("period")?, rows.numbers("points")?);
        self.entitlements.extend((0..rows.len()).map(|row| Entitlement {
            programme: programme.to_owned(),
            member: members.value(row).to_owned(),
            rule: rules.value(row).to_owned(),
            period: periods.value(row).to_owned(),
            points: points.value(row),
        }));
        Ok(())
    }

    fn add_refusals(&mut self, rows: &Rows, programme: &str) -> Result<(), AuditError> {
        let (members, dates) = (rows.texts("member")?, rows.texts("date")?);
        let (reasons, samples) = (rows.texts("reason")?, rows.numbers("samples")?);
        self.refusals.extend((0..rows.len()).map(|row| Refusal {
            programme: programme.to_owned(),
            member: members.value(row).to_owned(),
            date: dates.value(row).to_owned(),
            reason: reasons.value(row).to_owned(),
            samples: samples.value(row),
        }));
        Ok(())
    }

    fn add_baselines(&mut self, rows: &Rows, programme: &str) -> Result<(), AuditError> {
        let (members, frozen) = (rows.texts("member")?, rows.texts("frozen_on_name")?);
        let (first_days, steps) = (rows.texts("first_day_name")?, rows.numbers("baseline_steps")?);
        let older = rows.flags("is_older")?;
        self.baselines.extend((0..rows.len()).map(|row| {
            let baseline = FrozenBaseline {
                frozen_on: frozen.value(row).to_owned(),
                first_day: first_days.value(row).to_owned(),
                baseline_steps: steps.value(row),
                is_older_class: older.value(row),
            };
            (programme.to_owned(), members.value(row).to_owned(), baseline)
        }));
        Ok(())
    }
}
