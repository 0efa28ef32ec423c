//! Decides in which order the audit's SQL is run, and with which values of the rulebook. The computation itself is in
//! `sql/`, one file a step; what the ledger says about its result is compared in [`super::compare`].

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::error::DataFusionError;

use super::bench::{Bench, step};
use super::error::AuditError;
use super::rulebook::{FIRST_DAY_ACCEPTED, Kind, LAST_DAY_ACCEPTED, MeanOver, NEVER, Opening, Rule, Rulebook, Tier};

const DAY_LENGTH: i64 = 86_400_000_000; // microseconds
const CIVIL_OFFSET: i64 = 9 * 3_600_000_000; // Asia/Tokyo, G1
const RANK_OF_OTHERS: i64 = 1_000;

/// Sets what every step may ask for.
pub(super) fn set_programme(bench: &mut Bench, book: &Rulebook) -> Result<(), AuditError> {
    let (season_starts_on, season_ends_on, arrival_ends_on) = book.season_days();
    bench.set_text("programme", &book.id);
    bench.set("day_length", DAY_LENGTH);
    bench.set("civil_offset", CIVIL_OFFSET);
    bench.set("first_day_accepted", FIRST_DAY_ACCEPTED);
    bench.set("last_day_accepted", LAST_DAY_ACCEPTED);
    bench.set("never", NEVER);
    bench.set("season_starts_on", season_starts_on);
    bench.set("season_ends_on", season_ends_on);
    bench.set("arrival_ends_on", arrival_ends_on);
    bench.set("arrival_days_max", book.intake.arrival_days_max);
    bench.set("park_length", book.intake.park_days_max * DAY_LENGTH);
    // Without a backfill limit the test remains, wider than any date, and refuses nothing: not even days after the
    // login.
    bench.set("backfill_days_max", book.intake.backfill_days_max.unwrap_or(NEVER));
    match book.intake.backfill_days_max {
        Some(_) => bench.set_text("backfill_refusal", "BACKFILL_LIMIT"),
        None => bench.set_null("backfill_refusal"),
    }
    bench.set("day_steps_max", book.plausibility.day_steps_max);
    bench.set("minute_steps_max", book.plausibility.minute_steps_max);
    bench.set("wear_steps_min", book.wear.steps_min);
    bench.set_flag("merged_totals_count", book.sources.merged_totals_count);
    bench.set_flag("manual_steps_earn", book.sources.manual_steps_earn);
    bench.set_flag("gate_is_verification", book.gate.opens_on == Opening::Verification);
    bench.set_flag("needs_birth_date", book.age_class.is_some());
    bench.set_flag("needs_history", book.needs_history());
    bench.set_flag("has_monthly_rule", book.has_monthly_rule());
    bench.set("rank_of_others", RANK_OF_OTHERS);
    put_ranks(bench, book)?;
    put_rules_not_audited(bench, book)
}

/// Computes day totals, baselines and entitlements of the members in the range, from the facts alone. The tables
/// `totals` and `expected` hold the result, and `baselines` where the programme has one.
pub(super) async fn compute(bench: &mut Bench, book: &Rulebook) -> Result<(), AuditError> {
    compute_totals(bench, book).await?;
    if let (Some(baseline), Some(class)) = (&book.baseline, &book.age_class) {
        bench.set("first_day_steps_above", baseline.first_day_steps_above);
        bench.set("baseline_days", baseline.days);
        bench.set("freeze_days_max", baseline.freeze_days_max);
        bench.set("floor_younger", baseline.floor_steps.younger);
        bench.set("floor_older", baseline.floor_steps.older);
        bench.set("older_from_age", class.older_from_age);
        for step in [step!("first_days"), step!("freezes"), step!("baselines"), step!("classes")] {
            bench.keep(step).await?;
        }
    }
    let mut expected = vec![RecordBatch::new_empty(expected_schema())];
    for rule in &book.rules {
        for batch in rule_rows(bench, rule).await? {
            expected.push(conform(&batch)?);
        }
    }
    for batch in monthly_rows(bench, book).await? {
        expected.push(conform(&batch)?);
    }
    bench.put("expected", expected)
}

/// From samples to `T_D(A)`: who is enrolled, which reports hold when, what they add up to.
async fn compute_totals(bench: &Bench, book: &Rulebook) -> Result<(), AuditError> {
    for step in [step!("members"), step!("uploads"), step!("sources")] {
        bench.keep(step).await?;
    }
    bench.view(step!("judged")).await?;
    bench.keep(step!("reports")).await?;
    if book.sources.manual_steps_earn {
        bench.keep_as("reports", step!("reports_by_hand")).await?;
    }
    for step in [step!("first_arrivals"), step!("repeats"), step!("states")] {
        bench.keep(step).await?;
    }
    // The largest tables go as soon as they have done their work.
    bench.forget("reports")?;
    keep_pieces(bench).await?;
    bench.forget("states")?;
    for step in [step!("moments"), step!("source_days"), step!("totals"), step!("days")] {
        bench.keep(step).await?;
    }
    Ok(())
}

async fn keep_pieces(bench: &Bench) -> Result<(), AuditError> {
    bench.keep(step!("partly_refused")).await?;
    if bench.is_empty("partly_refused").await? {
        return bench.keep(step!("pieces")).await;
    }
    bench.keep_as("states", step!("states_whole")).await?;
    bench.keep(step!("pieces")).await?;
    bench.keep_as("pieces", step!("pieces_amended")).await
}

/// The rows of one rule; those of the monthly rules come together, from [`monthly_rows`].
async fn rule_rows(bench: &mut Bench, rule: &Rule) -> Result<Vec<RecordBatch>, AuditError> {
    bench.set_text("rule", &rule.id);
    match &rule.kind {
        Kind::StepTiers { login_required, tiers } => {
            bench.set_flag("login_required", *login_required);
            put_tiers(bench, "tiers", tiers)?;
            bench.batches(step!("step_tiers")).await
        }
        Kind::WeeklyTotal { steps_min, points } => {
            bench.set("younger", steps_min.younger);
            bench.set("older", steps_min.older);
            bench.set("points", *points);
            bench.batches(step!("weekly_total")).await
        }
        Kind::Transmission { points } => {
            bench.set("points", *points);
            bench.batches(step!("transmission")).await
        }
        Kind::Login { points } => {
            bench.set("points", *points);
            bench.batches(step!("login")).await
        }
        Kind::MonthlyGain { .. } | Kind::MonthlyLevel { .. } | Kind::Other => Ok(Vec::new()),
    }
}

async fn monthly_rows(bench: &mut Bench, book: &Rulebook) -> Result<Vec<RecordBatch>, AuditError> {
    let Some(monthly) = book.monthly.as_ref().filter(|_| book.has_monthly_rule()) else { return Ok(Vec::new()) };
    bench.set_flag("mean_over_wear_days", monthly.mean_over == MeanOver::WearDays);
    bench.set("wear_days_min", monthly.wear_days_min);
    bench.set("points_max", monthly.points_max.unwrap_or(i64::MAX));
    // A programme that has only one of the two rules has nothing to give under the other.
    bench.set_text("gain_rule", "");
    bench.set_text("level_rule", "");
    put_tiers(bench, "gain_tiers", &[])?;
    for name in ["level_points", "level_younger", "level_older"] {
        bench.set(name, 0);
    }
    for rule in &book.rules {
        match &rule.kind {
            Kind::MonthlyGain { tiers } => {
                bench.set_text("gain_rule", &rule.id);
                put_tiers(bench, "gain_tiers", tiers)?;
            }
            Kind::MonthlyLevel { mean_min, points } => {
                bench.set_text("level_rule", &rule.id);
                bench.set("level_points", *points);
                bench.set("level_younger", mean_min.younger);
                bench.set("level_older", mean_min.older);
            }
            _ => {}
        }
    }
    bench.keep(step!("month_sums")).await?;
    bench.batches(step!("monthly")).await
}

/// The ids of the rules that the audit does not recompute.
pub(super) fn rules_not_audited(book: &Rulebook) -> Vec<String> {
    book.rules.iter().filter(|rule| matches!(rule.kind, Kind::Other)).map(|rule| rule.id.clone()).collect()
}

fn put_rules_not_audited(bench: &Bench, book: &Rulebook) -> Result<(), AuditError> {
    put_columns(bench, "rules_not_audited", vec![("rule", Arc::new(StringArray::from(rules_not_audited(book))))])
}

fn put_ranks(bench: &Bench, book: &Rulebook) -> Result<(), AuditError> {
    let refuse = |problem| AuditError::Rules { programme: book.id.clone(), problem };
    let kinds = book.sources.combine.ranking().map_err(refuse)?;
    let ranks: Vec<i64> = (0..kinds.len() as i64).collect();
    let columns: Vec<(&str, ArrayRef)> =
        vec![("device_kind", Arc::new(StringArray::from(kinds))), ("rank", Arc::new(Int64Array::from(ranks)))];
    put_columns(bench, "device_ranks", columns)
}

/// Each tier with the steps from which the next one pays.
fn put_tiers(bench: &Bench, name: &'static str, tiers: &[Tier]) -> Result<(), AuditError> {
    let mut tiers = tiers.to_vec();
    tiers.sort_by_key(|tier| tier.steps_min);
    let above = tiers.iter().skip(1).map(|tier| tier.steps_min).chain([i64::MAX]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("steps_below", Arc::new(above.take(tiers.len()).collect::<Int64Array>())),
        ("steps_min", Arc::new(tiers.iter().map(|tier| tier.steps_min).collect::<Int64Array>())),
        ("points", Arc::new(tiers.iter().map(|tier| tier.points).collect::<Int64Array>())),
    ];
    put_columns(bench, name, columns)
}

fn put_columns(bench: &Bench, name: &'static str, columns: Vec<(&str, ArrayRef)>) -> Result<(), AuditError> {
    let batch = RecordBatch::try_from_iter(columns).map_err(|error| fault(name, error.into()))?;
    bench.put(name, vec![batch])
}

fn expected_schema() -> Arc<Schema> {
    let text = |name| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![
        text("member"),
        text("rule"),
        text("period"),
        Field::new("points", DataType::Int64, true),
    ]))
}

/// Rules differ in which kind of text column they give; the table of expectations has one.
fn conform(batch: &RecordBatch) -> Result<RecordBatch, AuditError> {
    let schema = expected_schema();
    let cast = |(column, field): (&ArrayRef, &Arc<Field>)| arrow::compute::cast(column, field.data_type());
    let columns = batch.columns().iter().zip(schema.fields()).map(cast).collect::<Result<Vec<_>, _>>();
    columns
        .and_then(|columns| RecordBatch::try_new(schema.clone(), columns))
        .map_err(|error| fault("expected", error.into()))
}

fn fault(step: &'static str, source: DataFusionError) -> AuditError {
    AuditError::Step { step, source: Box::new(source) }
}
