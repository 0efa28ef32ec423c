//! The step rules by example: a small story each, with what is posted, when, and what is not.

use pipeline::calendar::CivilDate;
use serde_json::{Value, json};

use crate::support::core::Core;

/// Facts of one member, `aiko`, told in order.
struct Story {
    programme: &'static str,
    lines: Vec<String>,
}

impl Story {
    fn of(programme: &'static str, born: &str) -> Story {
        let mut story = Story { programme, lines: Vec::new() };
        story.member("ENROL", "2025-05-01", born);
        if programme == "hirosaki" {
            story.member("VERIFY", "2025-05-01", born);
        }
        story
    }

    fn member(&mut self, op: &str, on: &str, born: &str) {
        let line = json!({ "type": "member", "id": format!("{op}-{on}"), "programme": self.programme, "member": "aiko", "op": op,
            "received_at": format!("{on}T09:00:00+09:00"), "effective_on": on, "birth_date": born, "course": "APP" });
        self.lines.push(line.to_string());
    }

    /// An upload of `samples`, received at `2025-06-10T07:30`.
    fn upload(&mut self, at: &str, device: &str, samples: Vec<Value>) {
        let line = json!({ "type": "upload", "id": format!("u-{}", self.lines.len()), "programme": self.programme, "member": "aiko",
            "received_at": format!("{at}:00+09:00"), "login_at": format!("{at}:00+09:00"), "channel": "APP",
            "source": { "platform": "FITBIT", "origin": "app", "device": device, "device_kind": "WATCH" }, "samples": samples });
        self.lines.push(line.to_string());
    }

    /// Sends daily totals.
    fn sends(&mut self, at: &str, totals: &[(&str, i64)]) -> &mut Story {
        self.upload(at, "band", totals.iter().map(|(date, steps)| total(date, *steps)).collect());
        self
    }

    /// Walks so many steps on each day, sent each next morning.
    fn walks(&mut self, first: &str, last: &str, steps: i64) -> &mut Story {
        for date in days(first, last) {
            self.sends(&format!("{}T07:30", date.plus_days(1)), &[(&date.to_string(), steps)]);
        }
        self
    }

    fn end(&self) -> Core {
        let core = Core::new().run(self.lines.iter().map(String::as_str));
        core.check_ledger();
        core.check_accounting();
        core
    }

    /// What was posted under a rule: (period, points, posting date).
    fn posted(&self, rule: &str) -> Vec<(String, i64, String)> {
        let core = self.end();
        let of_rule = core.entries.iter().filter(|entry| &*entry.rule == rule);
        of_rule.map(|entry| (entry.period.to_string(), entry.points.amount(), entry.posting_date.to_string())).collect()
    }

    fn points(&self, rule: &str) -> i64 {
        self.end().points(self.programme, "aiko", rule)
    }
}

fn days(first: &str, last: &str) -> impl Iterator<Item = CivilDate> {
    let (first, last) = (date(first), date(last));
    (first.epoch_days()..=last.epoch_days()).map(CivilDate::from_epoch_days)
}

fn date(text: &str) -> CivilDate {
    CivilDate::parse(text).unwrap()
}

fn total(date: &str, steps: i64) -> Value {
    json!({ "kind": "DAILY_TOTAL", "date": date, "steps": steps })
}

fn interval(start: &str, end: &str, steps: i64) -> Value {
    json!({ "kind": "INTERVAL", "start": format!("{start}:00+09:00"), "end": format!("{end}:00+09:00"), "steps": steps })
}

fn posting(period: &str, points: i64, posting_date: &str) -> (String, i64, String) {
    (period.to_owned(), points, posting_date.to_owned())
}

const UNDER_75: &str = "1979-11-05";
const OVER_75: &str = "1948-03-01";

#[test]
fn ku_40_daily_steps_pay_the_highest_tier_on_the_day_after_they_were_sent() {
    let expected = [
        (999, 0),
        (1_000, 2),
        (2_999, 2),
        (3_000, 5),
        (4_999, 5),
        (5_000, 10),
        (5_999, 10),
        (6_000, 20),
        (7_999, 20),
        (8_000, 25),
    ];
    for (steps, points) in expected {
        let mut story = Story::of("kunitachi", UNDER_75);
        let posted = story.sends("2025-06-11T07:30", &[("2025-06-10", steps)]).posted("KU-40");
        let wanted: Vec<_> = (points > 0).then(|| posting("2025-06-10", points, "2025-06-12")).into_iter().collect();
        assert_eq!(posted, wanted, "{steps} steps");
    }
}

#[test]
fn ku_a7_half_a_day_is_paid_and_the_rest_is_added() {
    let mut story = Story::of("kunitachi", UNDER_75);
    story.sends("2025-06-10T12:30", &[("2025-06-10", 3_500)]).sends("2025-06-11T07:30", &[("2025-06-10", 8_200)]);
    assert_eq!(
        story.posted("KU-40"),
        [posting("2025-06-10", 5, "2025-06-11"), posting("2025-06-10", 20, "2025-06-12")]
    );
}

#[test]
fn g6_a_lower_correction_of_the_same_sample_takes_points_back() {
    let mut story = Story::of("kunitachi", UNDER_75);
    story.sends("2025-06-11T07:30", &[("2025-06-10", 8_200)]).sends("2025-06-13T07:30", &[("2025-06-10", 5_500)]);
    assert_eq!(
        story.posted("KU-40"),
        [posting("2025-06-10", 25, "2025-06-12"), posting("2025-06-10", -15, "2025-06-14")]
    );
}

#[test]
fn ku_41_the_weekly_bonus_needs_63000_steps_under_75_and_49000_from_75() {
    for (born, steps, bonus) in [(UNDER_75, 9_000, 50), (UNDER_75, 8_999, 0), (OVER_75, 7_000, 50), (OVER_75, 6_999, 0)]
    {
        let mut story = Story::of("kunitachi", born);
        story.walks("2025-06-09", "2025-06-15", steps);
        let wanted: Vec<_> = (bonus > 0).then(|| posting("2025-W24", bonus, "2025-06-17")).into_iter().collect();
        assert_eq!(story.posted("KU-41"), wanted, "born {born}, {steps} a day");
    }
}

#[test]
fn worked_example_2_a_week_of_9000_is_225_points() {
    let mut story = Story::of("kunitachi", "1951-02-10");
    story.walks("2025-06-09", "2025-06-15", 9_000);
    assert_eq!(story.points("KU-40") + story.points("KU-41"), 225);
    assert_eq!(story.points("KU-60"), 7);
}

#[test]
fn ku_42_and_43_worked_example_3_the_baseline_skips_days_without_wear_and_has_a_floor() {
    let walked = [(2, 1_000), (3, 1_001), (4, 250), (5, 4_000), (7, 6_000), (8, 8_000), (9, 300)];
    for (born, baseline) in [(UNDER_75, 4_000), (OVER_75, 3_860)] {
        let mut story = Story::of("kunitachi", born);
        for (day, steps) in walked {
            story.sends(&format!("2025-06-{:02}T07:30", day + 1), &[(&format!("2025-06-{day:02}"), steps)]);
        }
        let core = story.end();
        assert_eq!(core.baselines[&("kunitachi".to_owned(), "aiko".to_owned())], baseline);
    }
}

#[test]
fn ku_44_45_and_47_the_month_is_paid_the_day_after_the_first_transmission_of_the_next() {
    let mut story = Story::of("kunitachi", OVER_75);
    story.walks("2025-06-02", "2025-06-08", 6_000).walks("2025-06-09", "2025-06-30", 9_955);
    // 7 × 6,000 and 22 × 9,955 on 29 days: a mean of 9,000.3 over a baseline of 6,000.
    assert_eq!(story.posted("KU-44"), [posting("2025-06", 250, "2025-07-02")]);
    assert_eq!(story.posted("KU-45"), [posting("2025-06", 150, "2025-07-02")]);
}

#[test]
fn g4_a_mean_just_below_the_threshold_is_below_it() {
    let mut story = Story::of("kunitachi", UNDER_75);
    story.walks("2025-06-02", "2025-06-08", 4_000).walks("2025-06-09", "2025-06-30", 5_318);
    // 7 × 4,000 + 22 × 5,318 = 144,996 on 29 days; 145,000 would be 5,000 a day.
    assert_eq!(story.posted("KU-44"), []);
    story.sends("2025-07-03T07:30", &[("2025-06-30", 5_322)]);
    assert_eq!(story.posted("KU-44"), [posting("2025-06", 100, "2025-07-04")]);
}

#[test]
fn ku_a15_a_late_high_day_adds_and_a_late_low_day_takes_nothing_back() {
    let mut story = Story::of("kunitachi", UNDER_75);
    story.walks("2025-06-02", "2025-06-08", 4_000).walks("2025-06-09", "2025-06-29", 5_390);
    story.sends("2025-07-01T07:30", &[]);
    // 7 × 4,000 + 21 × 5,390 on 28 days: a mean of 5,042; with 300 on the 30th it would be 4,879.
    assert_eq!(story.points("KU-44"), 100);
    story.sends("2025-07-09T07:30", &[("2025-06-30", 300)]);
    assert_eq!(story.points("KU-44"), 100);
    story.sends("2025-07-10T07:30", &[("2025-06-30", 95_000)]);
    assert_eq!(story.points("KU-44"), 250);
}

#[test]
fn ku_48_worked_example_5_who_turns_75_keeps_the_younger_class_all_year() {
    let mut story = Story::of("kunitachi", "1950-09-15");
    story.walks("2025-06-03", "2025-06-09", 6_000).walks("2025-10-06", "2025-10-12", 7_500);
    assert_eq!(story.posted("KU-41"), []);
}

#[test]
fn ku_01_and_02_worked_example_12_the_season_ends_and_so_does_the_sending() {
    let mut story = Story::of("kunitachi", UNDER_75);
    story.sends("2025-12-26T23:59", &[("2025-12-20", 8_000), ("2025-12-21", 8_000)]);
    assert_eq!(story.posted("KU-40"), [posting("2025-12-20", 25, "2025-12-27")]);
    let mut story = Story::of("kunitachi", UNDER_75);
    story.sends("2025-12-27T00:00", &[("2025-12-20", 8_000)]).sends("2025-06-03T07:30", &[("2025-06-01", 8_000)]);
    let core = story.end();
    assert_eq!(core.points("kunitachi", "aiko", "KU-40"), 0);
    assert_eq!(core.refused_days("kunitachi", "aiko", "SEASON_OVER"), [date("2025-12-20")].into());
    assert_eq!(core.refused_days("kunitachi", "aiko", "SEASON_NOT_STARTED"), [date("2025-06-01")].into());
}

#[test]
fn ku_60_a_transmission_is_worth_a_point_a_day_until_the_season_ends() {
    let mut story = Story::of("kunitachi", UNDER_75);
    story.sends("2025-06-10T07:00", &[("2025-06-09", 500)]).sends("2025-06-10T19:00", &[("2025-06-10", 500)]);
    story.sends("2025-12-20T19:00", &[]).sends("2025-12-21T07:00", &[("2025-12-20", 500)]);
    assert_eq!(story.posted("KU-60"), [posting("2025-06-10", 1, "2025-06-10"), posting("2025-12-20", 1, "2025-12-20")]);
}

#[test]
fn iw_07_the_app_pays_one_to_four_points_as_the_steps_arrive() {
    for (steps, points) in
        [(2_999, 0), (3_000, 1), (4_999, 1), (5_000, 2), (7_999, 2), (8_000, 3), (9_999, 3), (10_000, 4)]
    {
        let mut story = Story::of("iwamizawa", UNDER_75);
        story.sends("2025-06-11T07:30", &[("2025-06-10", steps)]);
        let wanted: Vec<_> = (points > 0).then(|| posting("2025-06-10", points, "2025-06-11")).into_iter().collect();
        assert_eq!(story.posted("IW-07"), wanted, "{steps} steps");
    }
}

#[test]
fn iw_08_the_login_day_is_day_1_and_day_30_still_counts() {
    let mut story = Story::of("iwamizawa", UNDER_75);
    story.sends("2026-03-31T07:30", &[("2026-03-01", 5_000), ("2026-03-02", 5_000), ("2026-03-31", 5_000)]);
    let periods: Vec<String> = story.posted("IW-07").into_iter().map(|(period, ..)| period).collect();
    assert_eq!(periods, ["2026-03-02", "2026-03-31"]);
    assert_eq!(story.end().refused_days("iwamizawa", "aiko", "BACKFILL_LIMIT"), [date("2026-03-01")].into());
}

#[test]
fn hi_04_nothing_accrues_before_the_verification_and_nothing_is_paid_back() {
    let mut story = Story { programme: "hirosaki", lines: Vec::new() };
    story.member("ENROL", "2025-05-01", UNDER_75);
    story.sends("2025-06-09T20:00", &[("2025-06-09", 9_000)]);
    story.member("VERIFY", "2025-06-10", UNDER_75);
    story.sends("2025-06-10T20:00", &[("2025-06-10", 9_000)]);
    assert_eq!(story.posted("HI-15"), [posting("2025-06-10", 3, "2025-06-10")]);
    assert_eq!(story.posted("HI-14"), [posting("2025-06-10", 1, "2025-06-10")]);
}

#[test]
fn hi_15_and_16_are_added_to_each_other() {
    for (steps, points) in [(4_999, 0), (5_000, 3), (7_999, 3), (8_000, 6), (12_000, 6)] {
        let mut story = Story::of("hirosaki", UNDER_75);
        story.sends("2025-06-11T07:30", &[("2025-06-10", steps)]);
        assert_eq!(story.points("HI-15") + story.points("HI-16"), points, "{steps} steps");
    }
}

#[test]
fn g1_a_sample_across_midnight_is_split_and_the_rest_goes_to_the_later_day() {
    let mut story = Story::of("iwamizawa", UNDER_75);
    story.upload("2025-06-11T07:30", "band", vec![interval("2025-06-09T23:40", "2025-06-10T00:20", 1_001)]);
    let core = story.end();
    let of = |day: &str| core.totals[&("iwamizawa".to_owned(), "aiko".to_owned(), date(day))];
    assert_eq!((of("2025-06-09"), of("2025-06-10")), (500, 501));
}

#[test]
fn several_sources_are_never_summed_and_a_daily_total_above_its_hours_counts() {
    let mut story = Story::of("iwamizawa", UNDER_75);
    story.upload(
        "2025-06-11T07:30",
        "band",
        vec![interval("2025-06-10T09:00", "2025-06-10T10:00", 2_000), total("2025-06-10", 5_200)],
    );
    story.upload(
        "2025-06-11T07:31",
        "phone",
        vec![interval("2025-06-10T09:00", "2025-06-10T10:00", 1_900), total("2025-06-10", 4_900)],
    );
    assert_eq!(story.end().totals[&("iwamizawa".to_owned(), "aiko".to_owned(), date("2025-06-10"))], 5_200);
}

#[test]
fn overlapping_samples_of_one_source_count_once() {
    let mut story = Story::of("iwamizawa", UNDER_75);
    let hours = vec![
        interval("2025-06-10T08:00", "2025-06-10T12:00", 3_000),
        interval("2025-06-10T09:00", "2025-06-10T10:00", 2_000),
        interval("2025-06-10T11:00", "2025-06-10T13:00", 1_500),
    ];
    story.upload("2025-06-11T07:30", "band", hours);
    assert_eq!(story.end().totals[&("iwamizawa".to_owned(), "aiko".to_owned(), date("2025-06-10"))], 3_500);
}

#[test]
fn a_deletion_may_come_first_carry_only_the_id_or_follow_a_sample_that_moved() {
    let sample = |day: &str, steps: i64, version: i64| {
        json!({ "kind": "INTERVAL", "start": format!("{day}T09:00:00+09:00"), "end": format!("{day}T10:00:00+09:00"),
                "steps": steps, "id": "s-1", "version": version })
    };
    let deletion = json!({ "op": "DELETE", "id": "s-1", "version": 2 });
    let mut story = Story::of("iwamizawa", UNDER_75);
    story.upload("2025-06-11T07:00", "band", vec![deletion.clone()]);
    story.upload("2025-06-11T07:30", "band", vec![sample("2025-06-10", 5_000, 1)]);
    assert_eq!(story.points("IW-07"), 0, "deleted before it came");
    story.upload("2025-06-11T08:00", "band", vec![sample("2025-06-10", 5_000, 3)]);
    assert_eq!(story.points("IW-07"), 2, "a newer version lives");
    story.upload("2025-06-12T08:00", "band", vec![sample("2025-06-11", 3_000, 4)]);
    let mut by_period: Vec<_> = story.posted("IW-07").into_iter().map(|(period, points, _)| (period, points)).collect();
    by_period.sort();
    assert_eq!(by_period, [("2025-06-10".into(), -2), ("2025-06-10".into(), 2), ("2025-06-11".into(), 1)], "it moved");
    story.upload("2025-06-13T08:00", "band", vec![json!({ "op": "DELETE", "id": "s-1", "version": 5 })]);
    assert_eq!(story.points("IW-07"), 0, "gone for good");
}

#[test]
fn entries_by_hand_and_impossible_ones_earn_nothing() {
    let mut story = Story::of("kunitachi", UNDER_75);
    let mut by_hand = total("2025-06-10", 9_000);
    by_hand["recording"] = json!("MANUAL");
    story.upload("2025-06-11T07:30", "band", vec![by_hand, total("2025-06-09", 100_001), total("2025-06-08", -5)]);
    let core = story.end();
    assert_eq!(core.points("kunitachi", "aiko", "KU-40"), 0);
    let codes: Vec<&str> = core.rejections.iter().map(|(.., rejection)| rejection.reason.code()).collect();
    assert_eq!(codes, ["IMPLAUSIBLE", "NEGATIVE_STEPS"]);
}

#[test]
fn facts_wait_for_the_enrolment_and_are_given_up_after_thirty_days() {
    let mut story = Story { programme: "kunitachi", lines: Vec::new() };
    story.sends("2025-06-11T07:30", &[("2025-06-10", 9_000)]);
    story.member("ENROL", "2025-07-11", UNDER_75);
    // Effective from the day of the enrolment: the days before earn nothing, but nothing is refused.
    assert_eq!(story.end().rejections.len(), 0);
    let mut story = Story { programme: "kunitachi", lines: Vec::new() };
    story.sends("2025-06-11T07:30", &[("2025-06-10", 9_000)]);
    story.member("ENROL", "2025-07-12", UNDER_75);
    let core = story.end();
    let codes: Vec<&str> = core.rejections.iter().map(|(.., rejection)| rejection.reason.code()).collect();
    assert_eq!(codes, ["UNKNOWN_MEMBER"]);
}

#[test]
fn the_same_record_id_with_other_contents_is_refused() {
    let mut story = Story::of("kunitachi", UNDER_75);
    story.lines.push(story.lines[0].replace(UNDER_75, OVER_75).replace("T09:00", "T10:00"));
    story.member("ENROL", "2025-05-02", UNDER_75);
    let core = story.end();
    let codes: Vec<&str> = core.rejections.iter().map(|(.., rejection)| rejection.reason.code()).collect();
    assert_eq!(codes, ["ID_REUSED", "ALREADY_ENROLLED"]);
}
