//! Decides whether the parts of a programme file agree with each other.
//!
//! A part that is wrong by itself has been reported; nothing is concluded from it here.

use pipeline::programme::{Expiry, RuleKind};

use crate::programme_file::Parts;
use crate::programme_file::problem::Report;

pub(super) fn check(report: &Report<'_>, parts: &Parts) {
    rule_ids_are_unique(report, parts);
    needs_are_met(report, parts);
    dates_fit(report, parts);
    steps_are_possible(report, parts);
}

fn rule_ids_are_unique(report: &Report<'_>, parts: &Parts) {
    let rules: Vec<_> = parts.rules.iter().flatten().collect();
    for (index, rule) in rules.iter().enumerate() {
        let id = &rule.value.id;
        if let Some(first) = rules[..index].iter().find(|earlier| earlier.value.id == *id) {
            let message = format!("the rule `{id}` is there already, on line {}", report.line(&first.span));
            report.add(&rule.span, message, "give each rule its own number of the handbook");
        }
        if let Ok(Some(baseline)) = &parts.baseline
            && baseline.value.rule == *id
        {
            let message = format!("`{id}` is the number of the baseline on line {}", report.line(&baseline.span));
            report.add(&rule.span, message, "give each rule its own number of the handbook");
        }
    }
}

/// What a rule needs is there, and what is there is needed by something.
fn needs_are_met(report: &Report<'_>, parts: &Parts) {
    let all_kinds_are_known = parts.kinds.len() == parts.rules.len();
    let find = |wanted: &[&str]| parts.kinds.iter().find(|kind| wanted.contains(&kind.value));
    let (gain, monthly) = (find(&["monthly_gain"]), find(&["monthly_gain", "monthly_level"]));
    match (&parts.monthly, monthly) {
        (Ok(None), Some(rule)) => report.add(
            &rule.span,
            format!("\"{}\" needs the section `[monthly]`", rule.value),
            "add it: mean_over, wear_days_min and, if there is a cap, points_max",
        ),
        (Ok(Some(section)), None) if all_kinds_are_known => {
            report.add(&section.span, "no rule is monthly, so `[monthly]` says nothing", "remove it, or add the rule");
        }
        _ => {}
    }
    match (&parts.age_class, &parts.by_age) {
        (Ok(None), Some(figure)) => report.add(
            figure,
            "this figure differs by age, but there is no `[age_class]`",
            "add it: older_from_age; or write one figure for all",
        ),
        (Ok(Some(section)), None) if all_kinds_are_known => report.add(
            &section.span,
            "no figure differs by age, so `[age_class]` says nothing",
            "remove it: without it no birth date is asked for",
        ),
        _ => {}
    }
    let class = parts.age_class.as_ref().ok().and_then(Option::as_ref).filter(|_| parts.by_age.is_some());
    match (&parts.baseline, gain, class) {
        (Ok(None), Some(rule), _) => report.add(
            &rule.span,
            "\"monthly_gain\" needs the section `[baseline]`",
            "add it: rule, first_day_steps_above, days, floor_steps and freeze_days_max",
        ),
        (Ok(None), None, Some(class)) => report.add(
            &class.span,
            "the age class is decided on the baseline's first day, but there is no `[baseline]`",
            "add it: rule, first_day_steps_above, days, floor_steps and freeze_days_max",
        ),
        (Ok(Some(baseline)), None, None) if all_kinds_are_known && parts.by_age.is_none() => {
            report.add(&baseline.span, "nothing is measured from `[baseline]`", "remove it, or add the rule");
        }
        _ => {}
    }
}

fn dates_fit(report: &Report<'_>, parts: &Parts) {
    let season = parts.season.as_ref().ok().and_then(Option::as_ref);
    if let (Some(season), Some(effective_on)) = (season, &parts.effective_on)
        && season.value.ends_on < effective_on.value
    {
        let message = format!("effective on {}, after the season ends on {}", effective_on.value, season.value.ends_on);
        report.add(&effective_on.span, message, "a version must apply to some day of its season");
    }
    let Some((expiry, Expiry::On(date))) = parts.expiry.as_ref().map(|expiry| (expiry, expiry.value)) else {
        return;
    };
    if let Some(season) = season
        && date < season.value.ends_on
    {
        let message = format!("points lapse on {date}, before the season ends on {}", season.value.ends_on);
        report.add(&expiry.span, message, "points that lapse before they are earned cannot be used");
    } else if let Some(effective_on) = &parts.effective_on
        && date < effective_on.value
    {
        let message = format!("points lapse on {date}, before the version is effective on {}", effective_on.value);
        report.add(&expiry.span, message, "points that lapse before they are earned cannot be used");
    }
}

fn steps_are_possible(report: &Report<'_>, parts: &Parts) {
    let Some(plausibility) = parts.plausibility else {
        return;
    };
    let day_steps_max = plausibility.day_steps_max;
    if let Some(wear) = &parts.wear_steps_min
        && wear.value > day_steps_max
    {
        let message = format!("a day of wear has {} steps, but no day has more than {day_steps_max}", wear.value);
        report.add(&wear.span, message, "lower it, or raise day_steps_max");
    }
    for rule in parts.rules.iter().flatten() {
        if let RuleKind::StepTiers(tiers) = &rule.value.kind
            && let Some(highest) = tiers.last()
            && highest.steps_min > day_steps_max
        {
            let message = format!("the tier of {} steps is above day_steps_max, {day_steps_max}", highest.steps_min);
            report.add(&rule.span, message, "no day can reach it; lower it, or raise day_steps_max");
        }
    }
}
