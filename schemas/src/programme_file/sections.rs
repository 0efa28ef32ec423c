//! Decides what the sections of a programme file say, each by itself. The rules are in `rules`.

use std::sync::Arc;

use pipeline::fact::DeviceKind;
use pipeline::programme::{
    AgeClass, Baseline, Combine, Expiry, Gate, MeanOver, Monthly, Plausibility, Season, SourcePolicy,
};

use crate::programme_file::Part;
use crate::programme_file::table::{
    AGE, At, DATE, DAYS, DAYS_SOME, FLAG, MONTH_DAYS, POINTS, RULE_ID, STEPS, STEPS_SOME, Table, YEARS,
};
use crate::symbols::{self, DEVICE_KIND};

/// How late facts may come.
pub(super) struct Intake {
    pub(super) backfill_days_max: Option<u32>,
    pub(super) arrival_days_max: u32,
    pub(super) park_days_max: u32,
}

pub(super) fn season(root: &mut Table<'_, '_>) -> Part<At<Season>> {
    root.optional_section("season", |table| {
        let starts_on = table.required("starts_on", DATE);
        let ends_on = table.required("ends_on", DATE);
        let arrival_ends_on = table.required("arrival_ends_on", DATE);
        if let (Some(starts_on), Some(ends_on)) = (&starts_on, &ends_on)
            && ends_on.value < starts_on.value
        {
            let message = format!("the season ends on {}, before it starts on {}", ends_on.value, starts_on.value);
            table.report().add(&ends_on.span, message, "correct one of the two dates");
        }
        if let (Some(ends_on), Some(arrival)) = (&ends_on, &arrival_ends_on)
            && arrival.value < ends_on.value
        {
            let message =
                format!("data may come until {}, but the season lasts until {}", arrival.value, ends_on.value);
            table.report().add(&arrival.span, message, "data for the last day can come on that day at the earliest");
        }
        Some(Season { starts_on: starts_on?.value, ends_on: ends_on?.value, arrival_ends_on: arrival_ends_on?.value })
    })
}

pub(super) fn intake(root: &mut Table<'_, '_>) -> Option<Intake> {
    let mut table = root.required_section("intake", "arrival_days_max and park_days_max, in days")?;
    let backfill_days_max = table.optional("backfill_days_max", DAYS_SOME);
    let arrival_days_max = table.required("arrival_days_max", DAYS);
    let park_days_max = table.required("park_days_max", DAYS);
    table.refuse_unknown();
    Some(Intake {
        backfill_days_max: backfill_days_max.ok()?.map(|days| days.value),
        arrival_days_max: arrival_days_max?.value,
        park_days_max: park_days_max?.value,
    })
}

pub(super) fn sources(root: &mut Table<'_, '_>) -> Option<SourcePolicy> {
    let mut table = root.required_section("sources", "combine, merged_totals_count and manual_steps_earn")?;
    let combine = table.choice("combine", &[("best", false), ("priority", true)]);
    let combine = match combine {
        Some(At { value: (_, true), .. }) => priority(&mut table).map(Combine::Priority),
        Some(_) => Some(Combine::Best),
        None => {
            // What it would have meant is not known, so neither is whether a list belongs to it.
            table.find("priority");
            None
        }
    };
    let merged_totals_count = table.required("merged_totals_count", FLAG);
    let manual_steps_earn = table.required("manual_steps_earn", FLAG);
    table.refuse_unknown();
    Some(SourcePolicy {
        combine: combine?,
        merged_totals_count: merged_totals_count?.value,
        manual_steps_earn: manual_steps_earn?.value,
    })
}

/// `priority = ["WATCH", "PHONE"]`: device kinds, the best first.
fn priority(table: &mut Table<'_, '_>) -> Option<Vec<DeviceKind>> {
    const FIX: &str = "write the device kinds, the best first, such as [\"WATCH\", \"PHONE\"]";
    let report = table.report();
    let Some(list) = table.find("priority") else {
        report.add(table.span(), "`sources.priority` is missing", FIX);
        return None;
    };
    let Some(items) = list.get_ref().as_array().filter(|items| !items.is_empty()) else {
        report.add(&list.span(), format!("`sources.priority` is {}", report.text(&list.span())), FIX);
        return None;
    };
    let mut kinds = Some(Vec::new());
    for item in items.iter() {
        let kind = item.get_ref().as_str().and_then(|name| symbols::value(DEVICE_KIND, name));
        match (kind, &mut kinds) {
            (None, _) => {
                let message = format!("{} is no device kind", report.text(&item.span()));
                report.add(&item.span(), message, format!("write one of {}", symbols::names(DEVICE_KIND)));
                kinds = None;
            }
            (Some(kind), Some(known)) if known.contains(&kind) => {
                report.add(&item.span(), format!("{} is there twice", report.text(&item.span())), "remove one");
            }
            (Some(kind), Some(known)) => known.push(kind),
            (Some(_), None) => {}
        }
    }
    kinds
}

pub(super) fn plausibility(root: &mut Table<'_, '_>) -> Option<Plausibility> {
    let mut table = root.required_section("plausibility", "day_steps_max and minute_steps_max, in steps")?;
    let day_steps_max = table.required("day_steps_max", STEPS_SOME);
    let minute_steps_max = table.required("minute_steps_max", STEPS_SOME);
    table.refuse_unknown();
    Some(Plausibility { day_steps_max: day_steps_max?.value, minute_steps_max: minute_steps_max?.value })
}

pub(super) fn wear(root: &mut Table<'_, '_>) -> Option<At<u32>> {
    let mut table = root.required_section("wear", "steps_min, the steps of a day on which the device was worn")?;
    let steps_min = table.required("steps_min", STEPS);
    table.refuse_unknown();
    steps_min
}

pub(super) fn gate(root: &mut Table<'_, '_>) -> Option<Gate> {
    let mut table = root.required_section("gate", "opens_on, \"enrolment\" or \"verification\"")?;
    let gate = table.choice("opens_on", &[("enrolment", Gate::Enrolment), ("verification", Gate::Verification)]);
    table.refuse_unknown();
    gate.map(|gate| gate.value.1)
}

pub(super) fn age_class(root: &mut Table<'_, '_>) -> Part<At<AgeClass>> {
    root.optional_section("age_class", |table| {
        let older_from_age = table.required("older_from_age", AGE)?.value;
        Some(AgeClass { older_from_age })
    })
}

pub(super) fn baseline(root: &mut Table<'_, '_>) -> Part<At<Baseline>> {
    root.optional_section("baseline", |table| {
        let rule = table.required("rule", RULE_ID);
        let first_day_steps_above = table.required("first_day_steps_above", STEPS);
        let days = table.required("days", DAYS_SOME);
        let floor_steps = table.by_age("floor_steps", STEPS);
        let freeze_days_max = table.required("freeze_days_max", DAYS);
        Some(Baseline {
            rule: Arc::from(rule?.value),
            first_day_steps_above: first_day_steps_above?.value,
            days: days?.value,
            floor_steps: floor_steps?,
            freeze_days_max: freeze_days_max?.value,
        })
    })
}

pub(super) fn monthly(root: &mut Table<'_, '_>) -> Part<At<Monthly>> {
    root.optional_section("monthly", |table| {
        let choices = [("wear_days", MeanOver::WearDays), ("calendar_days", MeanOver::CalendarDays)];
        let mean_over = table.choice("mean_over", &choices);
        let wear_days_min = table.required("wear_days_min", MONTH_DAYS);
        let points_max = table.optional("points_max", POINTS);
        Some(Monthly {
            mean_over: mean_over?.value.1,
            wear_days_min: wear_days_min?.value,
            points_max: points_max.ok()?.map(|points| points.value),
        })
    })
}

/// The place is that of the date, where there is one: it may contradict other dates.
pub(super) fn expiry(root: &mut Table<'_, '_>) -> Option<At<Expiry>> {
    let mut table = root.required_section("expiry", "kind, \"never\", \"on\" or \"fiscal_year_end\"")?;
    let kind = table.choice("kind", &[("never", ()), ("on", ()), ("fiscal_year_end", ())]);
    let Some(kind) = kind else {
        // What belongs to a kind that is not known is not known either.
        return None;
    };
    let expiry = match kind.value.0 {
        "on" => table.required("date", DATE).map(|date| date.map(Expiry::On)),
        "fiscal_year_end" => table
            .required("years_after", YEARS)
            .map(|years| years.map(|years_after| Expiry::FiscalYearEnd { years_after })),
        _ => Some(At { value: Expiry::Never, span: kind.span }),
    };
    table.refuse_unknown();
    expiry
}
