//! Outputs: what is written is what apache-avro reads and would have written, lies in bytes as it always has, and comes
//! back as it was; what is broken is refused.

mod common;

use std::sync::Arc;

use common::{body, datum, json};
use pipeline::calendar::{CivilDate, Instant, Period};
use pipeline::fact::DeviceKind;
use pipeline::ledger::{Account, DailyTotal, Entry, EntryId, Notice, NoticeKind, Reason, SourceName, SourceSteps};
use pipeline::quantity::{Points, Steps};
use pipeline::rejection::{Rejection, RejectionReason};
use schemas::{
    AccountingRecord, DecodeError, Origin, RejectionRecord, Schema, decode_accounting, decode_daily_total,
    decode_entry, decode_notice, decode_rejection, encode_accounting, encode_daily_total, encode_entry, encode_notice,
    encode_rejection,
};
use serde_json::json as expected;

fn date(text: &str) -> CivilDate {
    CivilDate::parse(text).unwrap()
}

/// Everything that holds for every kind of output. Gives its bytes after the header, and what apache-avro reads in them.
fn held_to<T: PartialEq + std::fmt::Debug>(
    schema: Schema,
    record: &T,
    encode: fn(&T, &mut Vec<u8>),
    decode: fn(&[u8]) -> Result<T, DecodeError>,
) -> (String, serde_json::Value) {
    // What is in the buffer already stays.
    let mut payload = vec![7];
    encode(record, &mut payload);
    assert_eq!(payload.remove(0), 7);
    assert_eq!(decode(&payload).as_ref(), Ok(record));
    let value = datum(schema, &payload);
    assert_eq!(body(schema, value.clone()), payload[10..]);
    for length in 0..payload.len() {
        assert_eq!(decode(&payload[..length]).unwrap_err().reason, RejectionReason::Malformed, "{length} bytes");
    }
    for index in 0..payload.len() {
        for bit in 0..8 {
            let mut damaged = payload.clone();
            damaged[index] ^= 1 << bit;
            // It may still be a record, but then it can be written and read again.
            if let Ok(read) = decode(&damaged) {
                let mut again = Vec::new();
                encode(&read, &mut again);
                assert_eq!(decode(&again), Ok(read));
            }
        }
    }
    let hex = payload[10..].iter().map(|byte| format!("{byte:02x}")).collect();
    (hex, json(value))
}

fn entry() -> Entry {
    Entry {
        id: EntryId::of("kunitachi", "m-7", "KU-41", "", "2025-W23", 1),
        sequence: 3,
        programme: Arc::from("kunitachi"),
        member: Arc::from("m-7"),
        rule: Arc::from("KU-41"),
        rule_version: 1,
        item: "",
        period: Period::parse("2025-W23").unwrap(),
        revision: 1,
        points: Points::new(-50),
        debit: Account::Issued,
        credit: Account::Member,
        activity_date: date("2025-06-08"),
        arrival_date: date("2025-06-09"),
        posting_date: date("2025-06-10"),
        expires_on: Some(date("2026-01-31")),
        corrects: Some(EntryId::of("kunitachi", "m-7", "KU-41", "", "2025-W23", 0)),
        reason: Reason {
            steps: Some(62_999),
            days: Some(7),
            steps_min: Some(63_000),
            baseline_steps: Some(u32::MAX),
            is_older_class: Some(false),
            points_max: Some(400),
            entitled: Points::ZERO,
        },
    }
}

#[test]
fn entries() {
    let (hex, read) = held_to(Schema::Entry, &entry(), encode_entry, decode_entry);
    assert_eq!(hex, ENTRY);
    assert_eq!(
        read,
        expected!({
            "entry_id": entry().id.to_string(), "sequence": 3, "programme": "kunitachi", "member": "m-7", "rule": "KU-41",
            "rule_version": 1, "item": "", "period": "2025-W23", "revision": 1, "points": -50, "debit": "issued",
            "credit": "member", "activity_date": "2025-06-08", "arrival_date": "2025-06-09",
            "posting_date": "2025-06-10", "expires_on": "2026-01-31", "corrects": entry().corrects.unwrap().to_string(),
            "reason": {
                "steps": 62_999, "days": 7, "steps_min": 63_000, "baseline_steps": 4_294_967_295_u32,
                "is_older_class": false, "points_max": 400, "entitled": 0,
            },
        })
    );
    for period in [Period::Day(date("2025-06-03")), Period::Month(date("2025-06-03").month())] {
        let first = Entry { period, expires_on: None, corrects: None, reason: Reason::default(), ..entry() };
        let (_, read) = held_to(Schema::Entry, &first, encode_entry, decode_entry);
        assert_eq!(read["period"], period.to_string());
        assert_eq!(read["corrects"], serde_json::Value::Null);
    }
}

#[test]
fn an_entry_that_cannot_be_understood_is_refused() {
    let mut payload = Vec::new();
    encode_entry(&entry(), &mut payload);
    let with = |from: &[u8], to: &[u8]| {
        let at = payload.windows(from.len()).position(|bytes| bytes == from).unwrap();
        let mut changed = payload.clone();
        changed[at..at + to.len()].copy_from_slice(to);
        decode_entry(&changed).unwrap_err().detail
    };
    assert!(with(b"issued", b"vanish").contains("`vanish` is none of issued, member"));
    assert!(with(b"2025-W23", b"2025-W99").contains("`2025-W99` is none of 2025-06-03, 2025-W23, 2025-06"));
    assert_eq!(decode_notice(&payload).unwrap_err().detail, "entry.v1, where notice.v1 belongs");
}

#[test]
fn daily_totals() {
    let source = |device: &str, device_kind| SourceName {
        platform: "FITBIT".to_owned(),
        origin: "com.fitbit".to_owned(),
        device: device.to_owned(),
        device_kind,
    };
    let total = DailyTotal {
        programme: Arc::from("kunitachi"),
        member: Arc::from("m-7"),
        date: date("2025-06-03"),
        revision: 2,
        steps: Steps::new(9120),
        source_steps: vec![
            SourceSteps {
                source: Arc::new(source("b-7", DeviceKind::Watch)),
                is_merged: false,
                steps: Steps::new(u32::MAX),
            },
            SourceSteps { source: Arc::new(source("", DeviceKind::Unknown)), is_merged: true, steps: Steps::ZERO },
        ],
        wear: true,
        first_arrival_at: Instant::from_epoch_millis(1_748_989_800_000),
        last_arrival_at: Instant::from_epoch_millis(1_748_989_800_001),
    };
    let (hex, read) = held_to(Schema::DailyTotal, &total, encode_daily_total, decode_daily_total);
    assert_eq!(hex, DAILY_TOTAL);
    assert_eq!(
        read,
        expected!({
            "programme": "kunitachi", "member": "m-7", "date": "2025-06-03", "revision": 2, "steps": 9120,
            "source_steps": [
                {"platform": "FITBIT", "origin": "com.fitbit", "device": "b-7", "device_kind": "WATCH",
                 "is_merged": false, "steps": 4_294_967_295_u32},
                {"platform": "FITBIT", "origin": "com.fitbit", "device": "", "device_kind": "UNKNOWN",
                 "is_merged": true, "steps": 0},
            ],
            "wear": true, "first_arrival_at": "2025-06-04T07:30:00+09:00",
            "last_arrival_at": "2025-06-04T07:30:00.001+09:00",
        })
    );
    let deleted = DailyTotal { source_steps: Vec::new(), wear: false, ..total };
    held_to(Schema::DailyTotal, &deleted, encode_daily_total, decode_daily_total);
}

#[test]
fn notices() {
    let notice = Notice {
        programme: Arc::from("kunitachi"),
        member: Arc::from("m-7"),
        rule: Arc::from("KU-42"),
        kind: NoticeKind::BaselineFrozen { first_day: date("2025-06-03"), baseline_steps: 4000, is_older_class: false },
        date: date("2025-06-09"),
        revision: 0,
    };
    let (hex, read) = held_to(Schema::Notice, &notice, encode_notice, decode_notice);
    assert_eq!(hex, NOTICE);
    assert_eq!(
        read,
        expected!({
            "programme": "kunitachi", "member": "m-7", "rule": "KU-42", "kind": "BASELINE_FROZEN",
            "date": "2025-06-09", "revision": 0, "first_day": "2025-06-03", "baseline_steps": 4000,
            "is_older_class": false,
        })
    );
}

#[test]
fn rejections() {
    let sample = RejectionRecord {
        rejection: Rejection {
            reason: RejectionReason::BackfillLimit,
            sample: Some(3),
            activity_date: Some(date("2025-05-01")),
            detail: "day 31 of at most 30".to_owned(),
        },
        revision: 1,
        withdrawn: true,
        record_type: "upload".to_owned(),
        record_id: "u-81".to_owned(),
        programme: "iwamizawa".to_owned(),
        member: "m-7".to_owned(),
        received_at: Some(Instant::from_epoch_millis(1_748_989_800_000)),
        origin: Origin {
            topic: "ayumi.steps.v1".to_owned(),
            partition: 5,
            offset: 1_000_000,
            file: Some("april.jsonl.gz".to_owned()),
            line: Some(12),
        },
        payload: vec![0, 0xFF, b'{'],
    };
    let (hex, read) = held_to(Schema::Rejection, &sample, encode_rejection, decode_rejection);
    assert_eq!(hex, REJECTION);
    assert_eq!(
        read,
        expected!({
            "reason": "BACKFILL_LIMIT", "sample": 3, "activity_date": "2025-05-01", "detail": "day 31 of at most 30",
            "revision": 1, "withdrawn": true, "record_type": "upload", "record_id": "u-81", "programme": "iwamizawa",
            "member": "m-7", "received_at": "2025-06-04T07:30:00+09:00",
            "origin": {
                "topic": "ayumi.steps.v1", "partition": 5, "offset": 1_000_000, "file": "april.jsonl.gz", "line": 12,
            },
            "payload": "00ff7b",
        })
    );
    for reason in RejectionReason::ALL {
        let record = RejectionRecord {
            rejection: Rejection { reason, sample: None, activity_date: None, detail: String::new() },
            revision: 0,
            withdrawn: false,
            record_type: String::new(),
            record_id: String::new(),
            programme: String::new(),
            member: String::new(),
            received_at: None,
            origin: Origin { file: None, line: None, ..sample.origin.clone() },
            payload: Vec::new(),
        };
        let (_, read) = held_to(Schema::Rejection, &record, encode_rejection, decode_rejection);
        assert_eq!(read["reason"], reason.code());
    }
}

#[test]
fn accounting() {
    let record = AccountingRecord {
        topic: "inputs".into(),
        partition: i32::MAX,
        first_offset: 0,
        last_offset: i64::MAX,
        records_read: 1,
        records_accepted: 2,
        records_rejected: 3,
        records_duplicate: 4,
        records_parked: 5,
        records_unparked: 6,
        samples_read: 7,
        samples_accepted: 8,
        samples_rejected: 9,
        samples_duplicate: 10,
        samples_parked: 11,
    };
    let (hex, read) = held_to(Schema::Accounting, &record, encode_accounting, decode_accounting);
    assert_eq!(hex, ACCOUNTING);
    assert_eq!(
        read,
        expected!({
            "topic": "inputs", "partition": i32::MAX, "first_offset": 0, "last_offset": i64::MAX, "records_read": 1,
            "records_accepted": 2, "records_rejected": 3, "records_duplicate": 4, "records_parked": 5,
            "records_unparked": 6, "samples_read": 7, "samples_accepted": 8, "samples_rejected": 9,
            "samples_duplicate": 10, "samples_parked": 11,
        })
    );
}

// What follows the ten bytes of the header. Older releases wrote these bytes, so they must be read for ever.
const ENTRY: &str = "9ab8e6dccc809da169e30dea40c79e7a06126b756e697461636869066d2d370a4b552d3431020010323032352d5732330263\
    0c6973737565640c6d656d626572aebc02b0bc02b2bc020288c00202c9deedffde2fa3e8235d00f9a583861802aed807020e\
    02b0d80702feffffff1f020002a00600";
const DAILY_TOTAL: &str = "126b756e697461636869066d2d37a4bc0204c08e01040c46495442495414636f6d2e66697462697406622d370a5741544348\
    00feffffff1f0c46495442495414636f6d2e666974626974000e554e4b4e4f574e0100000180b9d3fee66582b9d3fee665";
const NOTICE: &str =
    "126b756e697461636869066d2d370a4b552d34321e424153454c494e455f46524f5a454eb0bc020002a4bc0202c03e0200";
const REJECTION: &str = "1c4241434b46494c4c5f4c494d4954020602e2bb0228646179203331206f66206174206d6f737420333002010c75706c6f61\
    6408752d3831126977616d697a617761066d2d370280b9d3fee6651c6179756d692e73746570732e76310a80897a021c6170\
    72696c2e6a736f6e6c2e677a02180600ff7b";
const ACCOUNTING: &str = "0c696e70757473feffffff0f00feffffffffffffffff01020406080a0c0e10121416";
