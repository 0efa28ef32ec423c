//! Random histories of a few members: late, twice, corrected, deleted, moved, from two devices, by hand, before enrolment.

use pipeline::calendar::{CivilDate, Instant};
use proptest::prelude::*;
use serde_json::{Value, json};

/// One fact of a history.
#[derive(Clone, Debug)]
pub enum Event {
    /// An enrolment or, if `is_verification`, an identity verification.
    Member { who: u8, received_on: u16, effective_before: u16, is_verification: bool },
    /// An upload.
    Upload { who: u8, source: u8, received_on: u16, minute: u16, login_lag: u16, samples: Vec<Spec> },
}

/// One sample.
#[derive(Clone, Debug)]
pub struct Spec {
    days_back: u16,
    kind: u8,
    hour: u8,
    minutes: u16,
    steps: u32,
    id: Option<u8>,
    version: u8,
    is_deletion: bool,
    is_manual: bool,
}

/// The first day of a history: near the end of May, so that the season begins within it.
fn day(offset: u16) -> CivilDate {
    CivilDate::parse("2025-05-25").unwrap().plus_days(i32::from(offset))
}

fn at(offset: u16, minute: u16) -> Instant {
    Instant::from_epoch_millis(day(offset).start().epoch_millis() + i64::from(minute) * 60_000)
}

fn spec() -> impl Strategy<Value = Spec> {
    let kind = prop_oneof![4 => Just(0u8), 4 => Just(1), 1 => Just(2)];
    let minutes = prop_oneof![4 => Just(60u16), 1 => Just(15), 1 => Just(600)];
    let days_back = prop_oneof![5 => 0u16..4, 2 => 0u16..40];
    let steps = prop_oneof![3 => 0u32..1_500, 3 => 1_500u32..15_000, 1 => Just(400_000)];
    let id = prop_oneof![2 => Just(None), 1 => (0u8..4).prop_map(Some)];
    (days_back, kind, 0u8..24, minutes, steps, id, 0u8..3, prop::bool::weighted(0.1), prop::bool::weighted(0.1))
        .prop_map(|(days_back, kind, hour, minutes, steps, id, version, is_deletion, is_manual)| Spec {
            days_back,
            kind,
            hour,
            minutes,
            steps,
            id,
            version,
            is_deletion,
            is_manual,
        })
}

fn event() -> impl Strategy<Value = Event> {
    let upload = (
        0u8..3,
        0u8..2,
        0u16..110,
        0u16..1440,
        prop_oneof![4 => Just(0u16), 1 => 0u16..33],
        prop::collection::vec(spec(), 0..7),
    )
        .prop_map(|(who, source, received_on, minute, login_lag, samples)| Event::Upload {
            who,
            source,
            received_on,
            minute,
            login_lag,
            samples,
        });
    let member = (0u8..3, 0u16..60, 0u16..20, any::<bool>()).prop_map(
        |(who, received_on, effective_before, is_verification)| Event::Member {
            who,
            received_on,
            effective_before,
            is_verification,
        },
    );
    prop_oneof![8 => upload, 1 => member]
}

/// Histories as JSON lines, each for all three programmes; most members are enrolled and verified at the start.
pub fn history() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(event(), 1..40).prop_map(|mut events| {
        events.extend((0..2).flat_map(|who| {
            [false, true].map(|is_verification| Event::Member {
                who,
                received_on: 1,
                effective_before: 1,
                is_verification,
            })
        }));
        let lines = events.iter().enumerate().flat_map(|(number, event)| {
            ["kunitachi", "iwamizawa", "hirosaki"].map(|programme| line(number, event, programme))
        });
        lines.collect()
    })
}

/// By time of receipt.
pub fn in_order(lines: &[String]) -> Vec<String> {
    let mut sorted = lines.to_vec();
    sorted.sort_by_cached_key(|line| serde_json::from_str::<Value>(line).unwrap()["received_at"].to_string());
    sorted
}

/// The first turns 75 during the history, and so is of another age class if the first day moves.
const BIRTH_DATES: [&str; 3] = ["1950-07-01", "1980-01-01", "1940-01-01"];

fn line(number: usize, event: &Event, programme: &str) -> String {
    match event {
        Event::Member { who, received_on, effective_before, is_verification } => json!({
            "type": "member", "id": format!("r-{number}"), "programme": programme, "member": format!("m-{who}"),
            "op": if *is_verification { "VERIFY" } else { "ENROL" },
            "received_at": at(*received_on, 540).to_string(),
            "effective_on": day(*received_on).plus_days(-i32::from(*effective_before)).to_string(),
            "birth_date": BIRTH_DATES[usize::from(*who)],
        })
        .to_string(),
        Event::Upload { who, source, received_on, minute, login_lag, samples } => {
            let samples: Vec<Value> = samples.iter().map(|spec| sample(spec, *received_on)).collect();
            json!({
                "type": "upload", "id": format!("u-{number}"), "programme": programme, "member": format!("m-{who}"),
                "received_at": at(*received_on, *minute).to_string(),
                "login_at": at(received_on.saturating_sub(*login_lag), *minute / 2).to_string(),
                "channel": "APP",
                "source": { "platform": "HEALTH_CONNECT", "origin": "app", "device": format!("d-{source}"),
                            "device_kind": if *source == 0 { "WATCH" } else { "PHONE" } },
                "samples": samples,
            })
            .to_string()
        }
    }
}

fn sample(spec: &Spec, received_on: u16) -> Value {
    let offset = received_on.saturating_sub(spec.days_back);
    let mut sample = json!({
        "steps": spec.steps, "version": spec.version,
        "op": if spec.is_deletion { "DELETE" } else { "UPSERT" },
        "recording": if spec.is_manual { "MANUAL" } else { "AUTO" },
    });
    if spec.kind == 0 {
        let start = u16::from(spec.hour) * 60;
        sample["kind"] = json!("INTERVAL");
        sample["start"] = json!(at(offset, start).to_string());
        sample["end"] = json!(at(offset, start + spec.minutes).to_string());
    } else {
        sample["kind"] = json!(if spec.kind == 1 { "DAILY_TOTAL" } else { "MERGED_TOTAL" });
        sample["date"] = json!(day(offset).to_string());
    }
    if let Some(id) = spec.id {
        sample["id"] = json!(format!("s-{id}"));
        if spec.is_deletion && spec.hour % 2 == 0 {
            // A deletion that carries only the id.
            sample = json!({ "op": "DELETE", "id": format!("s-{id}"), "version": spec.version });
        }
    }
    sample
}
