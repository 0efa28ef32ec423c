//! Decides what the rules of a programme file say: their kinds, and what each kind needs.

use std::sync::Arc;

use pipeline::programme::{Rule, RuleKind, Tier};

use crate::programme_file::table::{At, DAYS, FLAG, POINTS, RULE_ID, STEPS_SOME, Table};

/// The kinds, as the file names them. Each has a file in the core's `rules`.
const KINDS: [(&str, ()); 6] = [
    ("step_tiers", ()),
    ("weekly_total", ()),
    ("monthly_gain", ()),
    ("monthly_level", ()),
    ("transmission", ()),
    ("login", ()),
];

/// The rules, with `None` for each that is wrong, and the kinds that are named.
pub(super) fn read(root: &mut Table<'_, '_>) -> (Vec<Option<At<Rule>>>, Vec<At<&'static str>>) {
    let report = root.report();
    let Some(value) = root.find("rule") else {
        report.add(
            root.span(),
            "there is no rule",
            "add `[[rule]]` with id, kind, posting_delay_days and what the kind needs",
        );
        return (Vec::new(), Vec::new());
    };
    let Some(items) = value.get_ref().as_array() else {
        report.add(&value.span(), "`rule` is not a list", "write `[[rule]]`, with two brackets");
        return (vec![None], Vec::new());
    };
    let mut kinds = Vec::new();
    let rules = items.iter().map(|item| rule(&mut Table::of(report, item, "rule")?, &mut kinds)).collect();
    (rules, kinds)
}

fn rule(table: &mut Table<'_, '_>, kinds: &mut Vec<At<&'static str>>) -> Option<At<Rule>> {
    let id = table.required("id", RULE_ID);
    let posting_delay_days = table.required("posting_delay_days", DAYS);
    let login_required = table.optional("login_required", FLAG);
    let kind_name = table.choice("kind", &KINDS)?.map(|(name, ())| name);
    if let Ok(Some(flag)) = &login_required
        && kind_name.value != "step_tiers"
    {
        let message = format!("`login_required` does not belong to the kind \"{}\"", kind_name.value);
        table.report().add(&flag.span, message, "remove it; only \"step_tiers\" knows it");
    }
    let kind = kind(table, kind_name.value);
    kinds.push(kind_name);
    table.refuse_unknown();
    let id = id?;
    let rule = Rule {
        id: Arc::from(id.value),
        number: 0,
        posting_delay_days: posting_delay_days?.value,
        login_required: login_required.ok()?.is_some_and(|flag| flag.value),
        kind: kind?,
    };
    Some(At { value: rule, span: id.span })
}

fn kind(table: &mut Table<'_, '_>, name: &str) -> Option<RuleKind> {
    match name {
        "step_tiers" => tiers(table).map(RuleKind::StepTiers),
        "monthly_gain" => tiers(table).map(RuleKind::MonthlyGain),
        "weekly_total" => {
            let (steps_min, points) = (table.by_age("steps_min", STEPS_SOME), table.required("points", POINTS));
            Some(RuleKind::WeeklyTotal { steps_min: steps_min?, points: points?.value })
        }
        "monthly_level" => {
            let (mean_min, points) = (table.by_age("mean_min", STEPS_SOME), table.required("points", POINTS));
            Some(RuleKind::MonthlyLevel { mean_min: mean_min?, points: points?.value })
        }
        "transmission" => Some(RuleKind::Transmission { points: table.required("points", POINTS)?.value }),
        _ => Some(RuleKind::Login { points: table.required("points", POINTS)?.value }),
    }
}

/// `tiers = [{ steps_min = …, points = … }, …]`, both rising: a higher tier that paid no more would never matter.
fn tiers(table: &mut Table<'_, '_>) -> Option<Vec<Tier>> {
    const FIX: &str = "write the handbook's tiers: [{ steps_min = …, points = … }, …]";
    let report = table.report();
    let Some(list) = table.find("tiers") else {
        report.add(table.span(), "`rule.tiers` is missing", FIX);
        return None;
    };
    let Some(items) = list.get_ref().as_array().filter(|items| !items.is_empty()) else {
        report.add(&list.span(), format!("`rule.tiers` is {}", report.text(&list.span())), FIX);
        return None;
    };
    let mut tiers: Vec<Option<Tier>> = Vec::new();
    for item in items.iter() {
        let tier = Table::of(report, item, "rule.tiers").and_then(|mut table| {
            let (steps_min, points) = (table.required("steps_min", STEPS_SOME), table.required("points", POINTS));
            table.refuse_unknown();
            let (steps_min, points) = (steps_min?, points?);
            if let Some(Some(below)) = tiers.last() {
                if steps_min.value <= below.steps_min {
                    let message = format!("this tier's {} steps follow {}", steps_min.value, below.steps_min);
                    report.add(&steps_min.span, message, "write the tiers in ascending order, each once");
                }
                if points.value <= below.points {
                    let message = format!("this tier pays {} points, the one below it {}", points.value, below.points);
                    report.add(&points.span, message, "a higher tier pays more; compare with the handbook");
                }
            }
            Some(Tier { steps_min: steps_min.value, points: points.value })
        });
        tiers.push(tier);
    }
    tiers.into_iter().collect()
}
