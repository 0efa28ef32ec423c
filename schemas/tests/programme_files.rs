//! A programme file that says what it means becomes a programme; one that does not is refused where it is wrong.

use pipeline::calendar::CivilDate;
use pipeline::fact::DeviceKind;
use pipeline::programme::{ByAge, Combine, Expiry, Programme, RuleKind, Tier};
use pipeline::quantity::Points;
use schemas::programme_file::{Problem, parse};

const KUNITACHI: &str = include_str!("../../programmes/kunitachi/programme.toml");
const IWAMIZAWA: &str = include_str!("../../programmes/iwamizawa/programme.toml");
const HIROSAKI: &str = include_str!("../../programmes/hirosaki/programme.toml");

fn accepted(source: &str) -> Programme {
    parse(source).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn edited(source: &str, from: &str, to: &str) -> String {
    assert_eq!(source.matches(from).count(), 1, "`{from}` must be there once");
    source.replace(from, to)
}

/// The edit is refused for one reason only, and it points at `place` in the edited file.
fn refused(source: &str, from: &str, to: &str, place: &str, message: &str) {
    let source = edited(source, from, to);
    let problems = parse(&source).expect_err(to);
    let [Problem { line, column, message: found, fix }] = problems.as_slice() else {
        panic!("one problem is expected in `{to}`, not {problems:#?}");
    };
    assert!(found.contains(message), "`{found}` does not say `{message}`");
    assert!(!fix.is_empty());
    let pointed: String = source.lines().nth(line - 1).unwrap_or_default().chars().skip(column - 1).collect();
    assert!(pointed.starts_with(place), "{line}:{column} points at `{pointed}`, not at `{place}`: {found}");
}

#[test]
fn the_projects_own_programmes_are_read() {
    let kunitachi = accepted(KUNITACHI);
    assert_eq!(&*kunitachi.id, "kunitachi");
    assert_eq!(kunitachi.season.unwrap().arrival_ends_on, CivilDate::from_ymd(2025, 12, 26).unwrap());
    assert_eq!(kunitachi.backfill_days_max, None);
    assert_eq!(kunitachi.baseline.as_ref().unwrap().floor_steps, ByAge { younger: 4000, older: 3000 });
    assert_eq!(kunitachi.monthly.unwrap().points_max, Some(Points::new(400)));
    assert_eq!(kunitachi.expiry, Expiry::On(CivilDate::from_ymd(2026, 1, 31).unwrap()));
    let numbers: Vec<_> = kunitachi.rules.iter().map(|rule| &*rule.id).collect();
    assert_eq!(numbers, ["KU-40", "KU-41", "KU-44", "KU-45", "KU-60"]);
    let RuleKind::StepTiers(tiers) = &kunitachi.rules[0].kind else { panic!("KU-40 is by tiers") };
    assert_eq!(tiers[4], Tier { steps_min: 8000, points: Points::new(25) });
    let weekly = RuleKind::WeeklyTotal { steps_min: ByAge { younger: 63000, older: 49000 }, points: Points::new(50) };
    assert_eq!(kunitachi.rules[1].kind, weekly);

    assert_eq!(accepted(IWAMIZAWA).backfill_days_max, Some(30));
    let hirosaki = accepted(HIROSAKI);
    assert_eq!(hirosaki.expiry, Expiry::FiscalYearEnd { years_after: 1 });
    assert_eq!(hirosaki.rules.iter().map(|rule| rule.login_required).collect::<Vec<_>>(), [false, true, true]);
}

#[test]
fn figures_may_be_the_same_for_all_ages_and_sources_may_be_ranked() {
    let flat = edited(KUNITACHI, "mean_min = { younger = 9000, older = 7000 }", "mean_min = 8000");
    let level = RuleKind::MonthlyLevel { mean_min: ByAge { younger: 8000, older: 8000 }, points: Points::new(150) };
    assert_eq!(accepted(&flat).rules[3].kind, level);
    let ranked = edited(IWAMIZAWA, "combine = \"best\"", "combine = \"priority\"\npriority = [\"WATCH\", \"PHONE\"]");
    assert_eq!(accepted(&ranked).sources.combine, Combine::Priority(vec![DeviceKind::Watch, DeviceKind::Phone]));
    // Nothing says that the older must walk less.
    accepted(&edited(KUNITACHI, "younger = 63000, older = 49000", "younger = 49000, older = 63000"));
}

#[test]
fn unknown_names_are_refused_with_the_nearest_known() {
    refused(KUNITACHI, "park_days_max", "parkdays_max = 1\npark_days_max", "parkdays_max", "`intake.parkdays_max`");
    refused(KUNITACHI, "[wear]", "[extra]\nx = 1\n[wear]", "extra", "`extra` is not known");
    refused(KUNITACHI, "version = 1", "version = 1\nwheather = \"fine\"", "wheather", "`wheather` is not known");
    refused(KUNITACHI, "older = 3000 }", "older = 3000, middle = 1 }", "middle", "`baseline.floor_steps.middle`");
    refused(IWAMIZAWA, "points = 4 }", "points = 4, bonus = 1 }", "bonus", "`rule.tiers.bonus`");
    refused(IWAMIZAWA, "kind = \"never\"", "kind = \"never\"\ndate = 2026-01-31", "date", "`expiry.date` is not known");
    let misspelt = edited(KUNITACHI, "points_max = 400", "point_max = 400");
    assert_eq!(parse(&misspelt).unwrap_err()[0].fix, "did you mean `points_max`?");
}

#[test]
fn unknown_kinds_are_refused() {
    refused(HIROSAKI, "kind = \"login\"", "kind = \"logins\"", "\"logins\"", "`rule.kind` is \"logins\"");
    refused(IWAMIZAWA, "kind = \"never\"", "kind = \"sometime\"", "\"sometime\"", "`expiry.kind`");
    refused(IWAMIZAWA, "\"best\"", "\"sum\"", "\"sum\"", "`sources.combine` is \"sum\"");
    refused(IWAMIZAWA, "\"best\"", "\"priority\"", "[sources]", "`sources.priority` is missing");
    let twice = "\"priority\"\npriority = [\"WATCH\", \"WATCH\"]";
    refused(IWAMIZAWA, "\"best\"", twice, "\"WATCH\"]", "is there twice");
    let unknown = "\"priority\"\npriority = [\"CAR\"]";
    refused(IWAMIZAWA, "\"best\"", unknown, "\"CAR\"", "is no device kind");
    refused(IWAMIZAWA, "opens_on = \"enrolment\"", "opens_on = 1", "1", "`gate.opens_on` is 1");
    refused(KUNITACHI, "\"wear_days\"", "\"all_days\"", "\"all_days\"", "`monthly.mean_over`");
}

#[test]
fn amounts_are_never_made_up() {
    let fix = parse(&edited(HIROSAKI, "points = 1\n", "")).unwrap_err().remove(0).fix;
    assert!(fix.starts_with("add `points = …`: the handbook's amount"), "{fix}");
    refused(HIROSAKI, "points = 1\n", "", "[[rule]]", "`rule.points` is missing");
    refused(
        IWAMIZAWA,
        "steps_min = 3000, points = 1",
        "steps_min = 3000",
        "{ steps_min = 3000 }",
        "`rule.tiers.points`",
    );
    let (before, _) = IWAMIZAWA.split_once("tiers = [").unwrap();
    let problems = parse(before).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].message, "`rule.tiers` is missing");
}

#[test]
fn values_of_the_wrong_type_or_range_are_refused() {
    refused(HIROSAKI, "points = 1\n", "points = 0\n", "0", "`rule.points` is 0");
    refused(HIROSAKI, "points = 1\n", "points = 1.5\n", "1.5", "`rule.points` is 1.5");
    refused(HIROSAKI, "points = 1\n", "points = \"1\"\n", "\"1\"", "`rule.points` is \"1\"");
    refused(IWAMIZAWA, "steps_min = 3000", "steps_min = -3000", "-3000", "`rule.tiers.steps_min` is -3000");
    refused(IWAMIZAWA, "arrival_days_max = 30", "arrival_days_max = -1", "-1", "`intake.arrival_days_max` is -1");
    refused(IWAMIZAWA, "backfill_days_max = 30", "backfill_days_max = 0", "0", "`intake.backfill_days_max` is 0");
    refused(KUNITACHI, "days = 7", "days = 0", "0", "`baseline.days` is 0");
    refused(KUNITACHI, "wear_days_min = 1", "wear_days_min = 32", "32", "`monthly.wear_days_min` is 32");
    refused(KUNITACHI, "older_from_age = 75", "older_from_age = 0", "0", "`age_class.older_from_age` is 0");
    refused(HIROSAKI, "years_after = 1", "years_after = 100", "100", "`expiry.years_after` is 100");
    refused(IWAMIZAWA, "= 2024-03-27", "= \"2024-03-27\"", "\"2024", "`effective_on` is \"2024-03-27\"");
    refused(IWAMIZAWA, "= 2024-03-27", "= 2024-03-27T00:00:00Z", "2024-03-27T", "`effective_on`");
    refused(IWAMIZAWA, "= 2024-03-27", "= 1924-03-27", "1924", "`effective_on` is 1924-03-27");
    refused(IWAMIZAWA, "version = 1", "version = 0", "0", "`version` is 0");
    refused(IWAMIZAWA, "\"iwamizawa\"", "\"../etc\"", "\"../etc\"", "`id` is");
    refused(IWAMIZAWA, "name = \"いわみざわ健康ポイント（アプリ）\"", "name = \" \"", "\" \"", "`name` is");
    refused(HIROSAKI, "id = \"HI-14\"", "id = \"\"", "\"\"", "`rule.id` is");
    refused(IWAMIZAWA, "manual_steps_earn = false", "manual_steps_earn = 0", "0", "`sources.manual_steps_earn`");
    let bare = edited(IWAMIZAWA, "[wear]\nsteps_min = 300", "").replace("version = 1", "version = 1\nwear = 300");
    let problems = parse(&bare).unwrap_err();
    assert_eq!((problems[0].line, problems[0].message.as_str()), (4, "`wear` is 300"));
}

#[test]
fn what_must_be_there_is_asked_for() {
    refused(IWAMIZAWA, "[wear]\nsteps_min = 300", "", "# いわみざわ", "the section `[wear]` is missing");
    refused(IWAMIZAWA, "park_days_max = 30", "", "[intake]", "`intake.park_days_max` is missing");
    refused(KUNITACHI, "starts_on = 2025-06-02", "", "[season]", "`season.starts_on` is missing");
    refused(KUNITACHI, "younger = 9000, ", "", "{ older = 7000 }", "`rule.mean_min.younger` is missing");
    refused(KUNITACHI, "date = 2026-01-31", "", "[expiry]", "`expiry.date` is missing");
    let (without_rules, _) = HIROSAKI.split_once("[[rule]]").unwrap();
    assert_eq!(parse(without_rules).unwrap_err()[0].message, "there is no rule");
}

#[test]
fn tiers_rise() {
    refused(IWAMIZAWA, "steps_min = 5000", "steps_min = 2000", "2000", "this tier's 2000 steps follow 3000");
    refused(IWAMIZAWA, "steps_min = 5000", "steps_min = 3000", "3000", "this tier's 3000 steps follow 3000");
    refused(IWAMIZAWA, "points = 3 }", "points = 2 }", "2", "this tier pays 2 points, the one below it 2");
    refused(KUNITACHI, "steps_min = 3000, points = 250", "steps_min = 3000, points = 120", "120", "pays 120 points");
    let (before, _) = IWAMIZAWA.split_once("tiers = [").unwrap();
    assert_eq!(parse(&format!("{before}tiers = []")).unwrap_err()[0].message, "`rule.tiers` is []");
    refused(IWAMIZAWA, "steps_min = 10000", "steps_min = 100001", "\"IW-07\"", "is above day_steps_max, 100000");
}

#[test]
fn rule_numbers_are_used_once() {
    refused(HIROSAKI, "\"HI-16\"", "\"HI-15\"", "\"HI-15\"", "the rule `HI-15` is there already, on line");
    refused(KUNITACHI, "id = \"KU-41\"", "id = \"KU-42\"", "\"KU-42\"", "`KU-42` is the number of the baseline");
}

#[test]
fn only_step_tiers_require_a_login() {
    let flagged = "kind = \"login\"\nlogin_required = false";
    refused(HIROSAKI, "kind = \"login\"", flagged, "false", "does not belong to the kind \"login\"");
}

#[test]
fn what_a_rule_needs_is_there_and_nothing_else() {
    let (before, after) = KUNITACHI.split_once("[baseline]").unwrap();
    let (_, after) = after.split_once("[monthly]").unwrap();
    let without_baseline = format!("{before}[monthly]{after}");
    assert_eq!(parse(&without_baseline).unwrap_err()[0].message, "\"monthly_gain\" needs the section `[baseline]`");
    let level_only = edited(&without_baseline, "kind = \"monthly_gain\"", "kind = \"step_tiers\"");
    let message = &parse(&level_only).unwrap_err()[0].message;
    assert!(message.starts_with("the age class is decided on the baseline's first day"), "{message}");

    let (before, after) = KUNITACHI.split_once("[monthly]").unwrap();
    let (_, after) = after.split_once("[expiry]").unwrap();
    let problems = parse(&format!("{before}[expiry]{after}")).unwrap_err();
    let messages: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(messages, ["\"monthly_gain\" needs the section `[monthly]`"]);

    let monthly = "[monthly]\nmean_over = \"wear_days\"\nwear_days_min = 1\n\n[wear]";
    refused(IWAMIZAWA, "[wear]", monthly, "[monthly]", "no rule is monthly");
    refused(
        IWAMIZAWA,
        "[wear]",
        "[age_class]\nolder_from_age = 75\n\n[wear]",
        "[age_class]",
        "no figure differs by age",
    );
    let baseline = "[baseline]\nrule = \"IW-0\"\nfirst_day_steps_above = 0\ndays = 7\nfloor_steps = 1\nfreeze_days_max = 1\n[wear]";
    refused(IWAMIZAWA, "[wear]", baseline, "[baseline]", "nothing is measured from `[baseline]`");

    let ageless = edited(KUNITACHI, "[age_class]\nolder_from_age = 75", "");
    let problems = parse(&ageless).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].message.contains("differs by age, but there is no `[age_class]`"));
}

#[test]
fn dates_fit_each_other() {
    refused(KUNITACHI, "ends_on = 2025-12-20         #", "ends_on = 2025-06-01 #", "2025-06-01", "before it starts");
    refused(
        KUNITACHI,
        "arrival_ends_on = 2025-12-26",
        "arrival_ends_on = 2025-12-19",
        "2025-12-19",
        "data may come until",
    );
    refused(
        KUNITACHI,
        "date = 2026-01-31",
        "date = 2025-12-19",
        "2025-12-19",
        "points lapse on 2025-12-19, before the season",
    );
    refused(KUNITACHI, "effective_on = 2025-04-01", "effective_on = 2025-12-21", "2025-12-21", "after the season ends");
    let lapsed = "kind = \"on\"\ndate = 2024-03-26";
    refused(IWAMIZAWA, "kind = \"never\"", lapsed, "2024-03-26", "before the version is effective");
    let high = "[wear]\nsteps_min = 100001";
    refused(IWAMIZAWA, "[wear]\nsteps_min = 300", high, "100001", "a day of wear has 100001 steps");
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_the_file() {
    let source = edited(KUNITACHI, "older_from_age = 75", "older_from_age = \"old\"");
    let source = edited(&source, "points = 150\n", "point = 150\n");
    let source = edited(&source, "points_max = 400", "points_max = -1");
    let source = edited(&source, "\"transmission\"", "\"telepathy\"");
    let problems = parse(&source).unwrap_err();
    let messages: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "`age_class.older_from_age` is \"old\"",
            "`monthly.points_max` is -1",
            "`rule.points` is missing",
            "`rule.point` is not known here",
            "`rule.kind` is \"telepathy\"",
        ]
    );
    assert!(problems.is_sorted_by_key(|problem| problem.line));
}

#[test]
fn what_is_not_toml_says_where() {
    refused(IWAMIZAWA, "version = 1", "version = \"1", "", "not TOML");
    refused(IWAMIZAWA, "= 2024-03-27", "= 2025-02-30", "2025-02-30", "not TOML");
    refused(IWAMIZAWA, "version = 1", "version = 1\nversion = 1", "version", "not TOML: duplicate key");
    assert!(parse("").unwrap_err().len() > 5);
}

#[test]
fn a_problem_is_shown_with_its_line_and_a_caret() {
    let source = edited(IWAMIZAWA, "version = 1", "version = 0");
    let problem = &parse(&source).unwrap_err()[0];
    assert_eq!(problem.to_string(), "3:11: `version` is 0; write a whole number from 1 to 4294967295, such as 1");
    assert_eq!(
        problem.shown("programme.toml", &source),
        "programme.toml:3:11: `version` is 0\n  |\n3 | version = 0\n  |           ^ write a whole number from 1 to 4294967295, such as 1\n"
    );
}
