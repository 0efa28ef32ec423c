//! Decides how the audit's SQL answers the handbook's worked examples (rules.md 5.6) and the corners of intake:
//! overlap, midnight, deletion, moved samples, days that come late.

use serde_json::{Value, json};

use super::fixture::{Town, rules};
use crate::audit::Recomputed;

const KUNITACHI: &str = "kunitachi";
const YOUNGER: &str = "1950-09-15";
const OLDER: &str = "1948-03-01";

fn enrol(programme: &str, birth_date: &str) -> Value {
    json!({"type": "member", "id": "enrol", "programme": programme, "member": "m", "op": "ENROL",
           "received_at": "2025-05-01T09:00:00+09:00", "effective_on": "2025-05-01", "birth_date": birth_date})
}

fn upload_at(programme: &str, id: &str, received_at: &str, samples: Vec<Value>) -> Value {
    json!({"type": "upload", "id": id, "programme": programme, "member": "m", "received_at": received_at,
           "channel": "APP", "samples": samples,
           "source": {"platform": "FITBIT", "origin": "o", "device": "band", "device_kind": "WATCH"}})
}

fn upload(received_at: &str, samples: Vec<Value>) -> Value {
    upload_at(KUNITACHI, &format!("u-{received_at}"), received_at, samples)
}

fn total(date: &str, steps: i64) -> Value {
    json!({"kind": "DAILY_TOTAL", "date": date, "steps": steps})
}

fn interval(start: &str, end: &str, steps: i64) -> Value {
    json!({"kind": "INTERVAL", "start": start, "end": end, "steps": steps})
}

/// `sample` with further fields.
fn with(mut sample: Value, fields: Value) -> Value {
    for (name, value) in fields.as_object().expect("an object") {
        sample[name] = value.clone();
    }
    sample
}

fn town(birth_date: &str, uploads: Vec<Value>) -> Town {
    let mut town = Town::new(KUNITACHI, "2025-12-31");
    town.records.push(enrol(KUNITACHI, birth_date));
    town.records.extend(uploads);
    town
}

/// Daily totals of consecutive days, each sent the next morning at seven; `None` is a day without data.
fn days(year_month: &str, first: u32, steps: &[Option<i64>]) -> Vec<Value> {
    let days = steps.iter().zip(first..);
    let send = |(steps, day): (&Option<i64>, u32)| {
        let date = format!("{year_month}-{day:02}");
        steps.map(|steps| upload(&format!("{year_month}-{:02}T07:00:00+09:00", day + 1), vec![total(&date, steps)]))
    };
    days.filter_map(send).collect()
}

fn points(found: &Recomputed, rule: &str) -> i64 {
    found.entitlements.iter().filter(|e| e.rule == rule).map(|e| e.points).sum()
}

fn points_on(found: &Recomputed, rule: &str, period: &str) -> i64 {
    found.entitlements.iter().filter(|e| e.rule == rule && e.period == period).map(|e| e.points).sum()
}

fn steps_on(found: &Recomputed, date: &str) -> i64 {
    found.totals.iter().filter(|t| t.date == date).map(|t| t.steps).sum()
}

fn baseline(found: &Recomputed) -> (String, i64, bool) {
    let (_, _, frozen) = found.baselines.first().expect("a frozen baseline");
    (frozen.first_day.clone(), frozen.baseline_steps, frozen.is_older_class)
}

#[test]
fn worked_example_1_tiers() {
    let steps = [999, 1000, 2999, 3000, 4999, 5000, 5999, 6000, 7999, 8000].map(Some);
    let found = town(YOUNGER, days("2025-06", 2, &steps)).recompute();
    for (day, points) in (2..).zip([0, 2, 2, 5, 5, 10, 10, 20, 20, 25]) {
        assert_eq!(points_on(&found, "KU-40", &format!("2025-06-{day:02}")), points);
    }
}

#[test]
fn worked_example_2_a_week() {
    let week = |birth_date, steps: [Option<i64>; 7]| {
        let found = town(birth_date, days("2025-06", 2, &steps)).recompute();
        assert_eq!(points(&found, "KU-41"), points_on(&found, "KU-41", "2025-W23"));
        points(&found, "KU-40") + points(&found, "KU-41")
    };
    assert_eq!(week(YOUNGER, [Some(9000); 7]), 225);
    let mut one_less = [Some(9000); 7];
    one_less[3] = Some(8999);
    assert_eq!(week(YOUNGER, one_less), 175);
    assert_eq!(week(OLDER, [Some(7000); 7]), 190);
}

#[test]
fn worked_example_3_baseline() {
    let steps = [Some(1000), Some(1001), Some(250), Some(4000), None, Some(6000), Some(8000), Some(300)];
    let found = |birth_date| baseline(&town(birth_date, days("2025-06", 2, &steps)).recompute());
    assert_eq!(found(YOUNGER), ("2025-06-03".into(), 4000, false));
    assert_eq!(found(OLDER), ("2025-06-03".into(), 3860, true));
}

/// Two weeks of June, and a transmission in July.
fn two_weeks(first: i64, second: i64) -> Vec<Value> {
    let steps: Vec<Option<i64>> = [[Some(first); 7], [Some(second); 7]].concat();
    let mut uploads = days("2025-06", 2, &steps);
    uploads.push(upload("2025-07-02T07:00:00+09:00", vec![total("2025-07-01", 100)]));
    uploads
}

#[test]
fn worked_example_4_month() {
    let june = |uploads| {
        let found = town(YOUNGER, uploads).recompute();
        (points_on(&found, "KU-44", "2025-06"), points_on(&found, "KU-45", "2025-06"))
    };
    assert_eq!(june(two_weeks(4000, 6000)), (100, 0));
    let mut one_less = two_weeks(4000, 6000);
    one_less[10]["samples"][0]["steps"] = json!(5999);
    assert_eq!(june(one_less), (0, 0));
    assert_eq!(june(two_weeks(6500, 12_300)), (150, 150));
    let mut never_sent_in_july = two_weeks(4000, 6000);
    never_sent_in_july.pop();
    assert_eq!(june(never_sent_in_july), (0, 0));
}

#[test]
fn worked_example_5_the_class_of_d0_stays() {
    let mut uploads = days("2025-06", 3, &[Some(2000)]);
    uploads.extend(days("2025-10", 6, &[Some(7000); 7]));
    uploads.push(upload("2025-11-02T07:00:00+09:00", vec![]));
    let found = town(YOUNGER, uploads.clone()).recompute();
    assert_eq!((points(&found, "KU-41"), points(&found, "KU-45")), (0, 0));
    assert_eq!(points_on(&found, "KU-44", "2025-10"), 250);
    let found = town(OLDER, uploads).recompute();
    assert_eq!((points(&found, "KU-41"), points(&found, "KU-45")), (50, 150));
}

#[test]
fn worked_example_12_last_transmission() {
    let sent = |received_at| town(YOUNGER, vec![upload(received_at, vec![total("2025-12-20", 8000)])]).recompute();
    assert_eq!(points(&sent("2025-12-26T23:59:59.999+09:00"), "KU-40"), 25);
    assert_eq!(points(&sent("2025-12-27T00:00:00+09:00"), "KU-40"), 0);
}

#[test]
fn overlap_in_one_source_counts_once() {
    let samples = vec![
        interval("2025-06-03T09:00:00+09:00", "2025-06-03T10:00:00+09:00", 600),
        interval("2025-06-03T09:30:00+09:00", "2025-06-03T10:30:00+09:00", 700),
        interval("2025-06-03T10:00:00+09:00", "2025-06-03T11:00:00+09:00", 300),
    ];
    let found = town(YOUNGER, vec![upload("2025-06-04T07:00:00+09:00", samples)]).recompute();
    assert_eq!(steps_on(&found, "2025-06-03"), 900);
}

#[test]
fn a_sample_across_midnight_is_split() {
    let night = interval("2025-06-03T23:30:00+09:00", "2025-06-04T00:30:00+09:00", 1001);
    let found = town(YOUNGER, vec![upload("2025-06-04T07:00:00+09:00", vec![night])]).recompute();
    assert_eq!((steps_on(&found, "2025-06-03"), steps_on(&found, "2025-06-04")), (500, 501));
    // Before the season only the later day's piece counts.
    let night = interval("2025-06-01T23:00:00+09:00", "2025-06-02T03:00:00+09:00", 1000);
    let found = town(YOUNGER, vec![upload("2025-06-04T07:00:00+09:00", vec![night])]).recompute();
    assert_eq!((steps_on(&found, "2025-06-01"), steps_on(&found, "2025-06-02")), (0, 750));
}

#[test]
fn a_correction_refused_on_one_day_leaves_that_day_alone() {
    let night = |steps, version| {
        let sample = interval("2025-06-03T23:00:00+09:00", "2025-06-04T01:00:00+09:00", steps);
        with(sample, json!({"version": version}))
    };
    let mut town = Town::new("iwamizawa", "2025-12-31");
    town.records = vec![
        enrol("iwamizawa", YOUNGER),
        upload_at("iwamizawa", "u-1", "2025-06-05T07:00:00+09:00", vec![night(8000, 1)]),
        // With login day 3 July as day 1, day 30 is 4 June.
        upload_at("iwamizawa", "u-2", "2025-07-03T07:00:00+09:00", vec![night(2000, 2)]),
    ];
    let found = town.recompute();
    assert_eq!((steps_on(&found, "2025-06-03"), steps_on(&found, "2025-06-04")), (4000, 1000));
}

#[test]
fn a_deletion_may_come_before_its_sample() {
    let sample = with(total("2025-06-03", 9000), json!({"id": "x", "version": 1}));
    let deletion = json!({"kind": "DAILY_TOTAL", "op": "DELETE", "id": "x", "version": 2});
    let uploads =
        vec![upload("2025-06-04T07:00:00+09:00", vec![deletion]), upload("2025-06-05T07:00:00+09:00", vec![sample])];
    let found = town(YOUNGER, uploads).recompute();
    assert_eq!((steps_on(&found, "2025-06-03"), points(&found, "KU-40"), points(&found, "KU-60")), (0, 0, 2));
}

#[test]
fn a_moved_sample_counts_where_it_is_now() {
    let at = |date, version| with(total(date, 9000), json!({"id": "x", "version": version}));
    let uploads = vec![
        upload("2025-06-05T07:00:00+09:00", vec![at("2025-06-04", 2)]),
        upload("2025-06-06T07:00:00+09:00", vec![at("2025-06-03", 1)]),
    ];
    let found = town(YOUNGER, uploads).recompute();
    assert_eq!((steps_on(&found, "2025-06-03"), steps_on(&found, "2025-06-04")), (0, 9000));
}

#[test]
fn entries_by_hand_earn_nothing_and_displace_nothing() {
    let by_hand = with(total("2025-06-03", 20_000), json!({"recording": "MANUAL", "version": 9}));
    let uploads = vec![upload("2025-06-04T07:00:00+09:00", vec![total("2025-06-03", 5000), by_hand])];
    let earning = rules(KUNITACHI).replace("manual_steps_earn = false", "manual_steps_earn = true");
    let mut town = town(YOUNGER, uploads);
    assert_eq!(steps_on(&town.recompute(), "2025-06-03"), 5000);
    town.programmes.clear();
    assert_eq!(steps_on(&town.with_rules(KUNITACHI, &earning).recompute(), "2025-06-03"), 20_000);
}

#[test]
fn a_late_low_day_takes_nothing_back_but_a_correction_does() {
    let late = upload("2025-07-10T07:00:00+09:00", vec![total("2025-06-20", 1000)]);
    let found = town(YOUNGER, [two_weeks(4000, 6000), vec![late]].concat()).recompute();
    assert_eq!(points_on(&found, "KU-44", "2025-06"), 100);
    let lower = upload("2025-07-10T07:00:00+09:00", vec![total("2025-06-15", 5999)]);
    let found = town(YOUNGER, [two_weeks(4000, 6000), vec![lower]].concat()).recompute();
    assert_eq!(points_on(&found, "KU-44", "2025-06"), 0);
    let high = upload("2025-07-10T07:00:00+09:00", vec![total("2025-06-20", 20_000)]);
    let found = town(YOUNGER, [two_weeks(4000, 6000), vec![high]].concat()).recompute();
    assert_eq!(points_on(&found, "KU-44", "2025-06"), 150);
}

#[test]
fn a_frozen_baseline_keeps_what_was_known_then() {
    // D0 + 6 + 30 is 8 July; a higher first day comes on the 9th.
    let mut uploads = days("2025-06", 2, &[Some(5000); 7]);
    let late = |received_at| upload(received_at, vec![total("2025-06-02", 12_000)]);
    uploads.push(late("2025-07-09T07:00:00+09:00"));
    uploads[7]["samples"][0]["version"] = json!(1);
    let frozen = baseline(&town(YOUNGER, uploads[..7].to_vec()).recompute());
    assert_eq!(frozen.1, 5000);
    assert_eq!(baseline(&town(YOUNGER, uploads.clone()).recompute()).1, 5000);
    uploads[7] = late("2025-06-30T07:00:00+09:00");
    uploads[7]["samples"][0]["version"] = json!(1);
    assert_eq!(baseline(&town(YOUNGER, uploads).recompute()).1, 6000);
}

#[test]
fn a_preferred_kind_of_device_comes_first() {
    let phone = json!({"platform": "HEALTH_CONNECT", "origin": "o", "device": "p", "device_kind": "PHONE"});
    let mut by_phone = upload("2025-06-04T08:00:00+09:00", vec![total("2025-06-03", 9000)]);
    by_phone["source"] = phone;
    let uploads = vec![upload("2025-06-04T07:00:00+09:00", vec![total("2025-06-03", 5000)]), by_phone];
    let mut town = town(YOUNGER, uploads);
    assert_eq!(steps_on(&town.recompute(), "2025-06-03"), 9000);
    let preferring = rules(KUNITACHI).replace("combine = \"best\"", "combine = { priority = [\"WATCH\"] }");
    town.programmes.clear();
    assert_eq!(steps_on(&town.with_rules(KUNITACHI, &preferring).recompute(), "2025-06-03"), 5000);
}

#[test]
fn uploads_wait_for_an_enrolment_for_thirty_days() {
    let mut town = town(YOUNGER, vec![upload("2025-06-04T07:00:00+09:00", vec![total("2025-06-03", 9000)])]);
    town.records[0]["received_at"] = json!("2025-07-04T07:00:00+09:00");
    assert_eq!(points(&town.recompute(), "KU-40"), 25);
    town.records[0]["received_at"] = json!("2025-07-04T07:00:01+09:00");
    assert_eq!(points(&town.recompute(), "KU-40"), 0);
}
