//! Input records in JSON: what may be left out, what is passed on for the core to refuse, and what is refused at once,
//! with a detail that says where and what would have been right.

use pipeline::calendar::{CivilDate, Instant};
use pipeline::fact::{Channel, DeviceKind, MemberOperation, Operation, Recording, SampleTime};
use pipeline::rejection::RejectionReason;
use schemas::{Record, Scratch};

const CONTRACT: &str = r#"{"type":"upload","id":"u-81","programme":"kunitachi","member":"m-7","received_at":"2025-06-04T07:30:00+09:00","login_at":"2025-06-04T07:29:30+09:00","channel":"APP","source":{"platform":"FITBIT","origin":"com.fitbit","device":"b-7","device_kind":"WATCH"},"samples":[{"kind":"INTERVAL","start":"2025-06-03T09:00:00+09:00","end":"2025-06-03T10:00:00+09:00","steps":812},{"kind":"DAILY_TOTAL","date":"2025-06-03","steps":9120}]}"#;
const BARE: &str = r#"{"type":"upload","id":"u","programme":"p","member":"m","received_at":"2025-06-04T07:30:00Z","channel":"APP","source":{"platform":"OTHER"},"samples":[SAMPLES]}"#;
const ENROLMENT: &str = r#"{"type":"member","id":"enrol-m-7","programme":"kunitachi","member":"m-7","op":"ENROL","received_at":"2025-05-01T09:00:00+09:00","effective_on":"2025-05-01","birth_date":"1950-09-15","sex":"F","course":"APP"}"#;

fn read(line: &str, see: impl FnOnce(Record<'_>)) {
    let mut scratch = Scratch::default();
    let record = scratch.decode_json(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error}"));
    see(record);
}

fn read_sample(sample: &str, see: impl FnOnce(pipeline::fact::Sample<'_>)) {
    read(&BARE.replace("SAMPLES", sample), |record| match record {
        Record::Upload(upload) => see(upload.samples[0]),
        other => panic!("{other:?}"),
    });
}

fn malformed(line: &str) -> String {
    let mut scratch = Scratch::default();
    let error = scratch.decode_json(line.as_bytes()).map(|record| panic!("{record:?}")).unwrap_err();
    assert_eq!(error.reason, RejectionReason::Malformed);
    error.detail
}

/// The contract's upload with one edit is refused, and the detail says all of this.
fn refused(from: &str, to: &str, says: &[&str]) {
    assert!(CONTRACT.contains(from), "{from}");
    let detail = malformed(&CONTRACT.replacen(from, to, 1));
    for part in says {
        assert!(detail.contains(part), "`{detail}` does not say `{part}`");
    }
}

fn date(text: &str) -> CivilDate {
    CivilDate::parse(text).unwrap()
}

/// Milliseconds since the epoch.
fn at(text: &str) -> Instant {
    schemas::parse_instant(text).unwrap()
}

#[test]
fn the_contracts_upload_is_read() {
    read(CONTRACT, |record| {
        let Record::Upload(upload) = record else { panic!("{record:?}") };
        assert_eq!((upload.id, upload.programme, upload.member), ("u-81", "kunitachi", "m-7"));
        assert_eq!(upload.received_at, Instant::from_epoch_millis(1_748_989_800_000));
        assert_eq!(upload.login_at, Some(at("2025-06-03T22:29:30Z")));
        assert_eq!(upload.channel, Channel::App);
        let source = upload.source;
        assert_eq!((source.platform, source.origin, source.device), ("FITBIT", "com.fitbit", "b-7"));
        assert_eq!(source.device_kind, DeviceKind::Watch);
        let interval = upload.samples[0];
        let (start, end) = (at("2025-06-03T09:00:00+09:00"), at("2025-06-03T10:00:00+09:00"));
        assert_eq!((interval.time, interval.steps), (SampleTime::Interval { start, end }, 812));
        assert_eq!(upload.samples[1].time, SampleTime::DailyTotal(date("2025-06-03")));
        assert_eq!(upload.samples.len(), 2);
    });
}

#[test]
fn what_is_left_out_or_null_has_its_default() {
    for absent in ["", r#","login_at":null"#] {
        let line = BARE.replace("SAMPLES", "").replacen(r#","channel""#, &format!(r#"{absent},"channel""#), 1);
        read(&line, |record| {
            let Record::Upload(upload) = record else { panic!("{record:?}") };
            assert_eq!((upload.login_at, upload.samples), (None, [].as_slice()));
            assert_eq!((upload.source.origin, upload.source.device), ("", ""));
            assert_eq!(upload.source.device_kind, DeviceKind::Unknown);
        });
    }
    let null =
        r#","recording":null,"op":null,"id":null,"version":null,"modified_at":null,"start":null,"new":[{"x":1}]"#;
    for rest in ["", null] {
        read_sample(&format!(r#"{{"kind":"MERGED_TOTAL","date":"2025-06-03","steps":5{rest}}}"#), |sample| {
            assert_eq!(sample.time, SampleTime::MergedTotal(date("2025-06-03")));
            assert_eq!((sample.recording, sample.operation), (Recording::Automatic, Operation::Upsert));
            assert_eq!((sample.id, sample.version, sample.modified_at), ("", 0, None));
        });
    }
}

#[test]
fn what_the_core_can_refuse_alone_is_passed_on() {
    for steps in [i64::MIN, -1, i64::MAX] {
        let sample = format!(r#"{{"kind":"DAILY_TOTAL","date":"9999-12-31","steps":{steps}}}"#);
        read_sample(&sample, |sample| {
            assert_eq!((sample.steps, sample.time), (steps, SampleTime::DailyTotal(date("9999-12-31"))));
        });
    }
    let backwards = r#"{"kind":"INTERVAL","start":"2025-06-03T10:00:00Z","end":"2025-06-03T09:00:00Z","steps":1}"#;
    read_sample(backwards, |sample| {
        let (start, end) = (at("2025-06-03T10:00:00Z"), at("2025-06-03T09:00:00Z"));
        assert_eq!(sample.time, SampleTime::Interval { start, end });
    });
    for untimed in [
        r#"{"kind":"INTERVAL","start":"2025-06-03T10:00:00Z","steps":1}"#,
        r#"{"kind":"INTERVAL","date":"2025-06-03","steps":1}"#,
        r#"{"kind":"DAILY_TOTAL","start":"2025-06-03T10:00:00Z","end":"2025-06-03T11:00:00Z","steps":1}"#,
        r#"{"date":"2025-06-03","steps":1}"#,
    ] {
        read_sample(untimed, |sample| assert_eq!(sample.time, SampleTime::Unstated, "{untimed}"));
    }
    read_sample(r#"{"op":"DELETE","id":"s-1"}"#, |sample| {
        assert_eq!((sample.time, sample.operation, sample.id), (SampleTime::Unstated, Operation::Delete, "s-1"));
        assert_eq!(sample.steps, 0);
    });
}

#[test]
fn fields_may_come_in_any_order_and_text_may_be_escaped() {
    let line = "{\"samples\":[{\"id\":\"s\\n1\",\"steps\":1,\"k\\u0069nd\":\"DAILY_TOTAL\",\"date\":\"2025-06-03\"}],\
        \"source\":{\"device\":\"\\u6b69\\\"\",\"platform\":\"OTHER\",\"origin\":\"\\ud83d\\udeb6\"},\"member\":\"m\\/7\",\
        \"channel\":\"\\u0041PP\",\"received_at\":\"2025-06-04T07:30:00\\u005a\",\"programme\":\"p\",\"id\":\"歩み\",\
        \"type\":\"up\\u006coad\"}";
    let mut scratch = Scratch::default();
    for _ in 0..2 {
        let record = scratch.decode_json(line.as_bytes()).unwrap();
        let Record::Upload(upload) = record else { panic!("{record:?}") };
        assert_eq!((upload.id, upload.member, upload.channel), ("歩み", "m/7", Channel::App));
        assert_eq!((upload.source.device, upload.source.origin), ("歩\"", "🚶"));
        assert_eq!(
            (upload.samples[0].id, upload.samples[0].time),
            ("s\n1", SampleTime::DailyTotal(date("2025-06-03")))
        );
    }
}

#[test]
fn a_missing_field_is_named() {
    for (name, text) in [
        ("id", r#""id":"u-81","#),
        ("programme", r#""programme":"kunitachi","#),
        ("member", r#""member":"m-7","#),
        ("received_at", r#""received_at":"2025-06-04T07:30:00+09:00","#),
        ("channel", r#""channel":"APP","#),
        ("source.platform", r#""platform":"FITBIT","#),
        ("samples[0].steps", r#","steps":812"#),
    ] {
        refused(text, "", &[&format!("{name}: is missing")]);
    }
    refused(r#""type":"upload","#, "", &["type: is missing"]);
    refused(r#""received_at":"2025-06-04T07:30:00+09:00""#, r#""received_at":null"#, &["received_at: is missing"]);
}

#[test]
fn a_wrong_type_or_value_says_where_and_what_is_right() {
    refused(":812", ":812.0", &["samples[0].steps: ", "floating point `812.0`", "a whole number", "(column 3"]);
    refused(":9120", ":\"9120\"", &["samples[1].steps: ", "string \"9120\"", "a whole number"]);
    refused(":9120", ":9223372036854775808", &["samples[1].steps: ", "is above 9223372036854775807"]);
    refused("\"m-7\"", "7", &["member: ", "integer `7`", "text"]);
    refused("\"APP\"", "\"FAX\"", &["channel: `FAX` is none of APP, READER, LOPPI, IMPORT"]);
    refused("FITBIT", "GARMIN", &["source.platform: `GARMIN` is none of HEALTH_KIT, HEALTH_CONNECT, FITBIT"]);
    refused("WATCH", "CAR", &["source.device_kind: `CAR` is none of"]);
    refused("INTERVAL", "HOUR", &["samples[0].kind: `HOUR` is none of"]);
    refused("2025-06-03\"", "2025-02-30\"", &["samples[1].date: `2025-02-30` is not a day of the calendar"]);
    refused("2025-06-03\"", "12025-02-30\"", &["samples[1].date: ", "not a civil date such as 2025-06-03"]);
    refused("2025-06-03T09:00:00+09:00", "yesterday", &["samples[0].start: `yesterday` is not an instant such as"]);
    refused("2025-06-04T07:30:00+09:00", "2025-06-04T07:30:00", &["received_at: ", "has no offset", "07:30:00+09:00"]);
    refused("\"2025-06-04T07:29:30+09:00\"", "1748989770", &["login_at: ", "an instant such as"]);
    refused("[{", "{\"x\":[{", &["samples: ", "an array of samples"]);
    refused("\"member\":\"m-7\"", "\"member\":\"m-7\",\"member\":\"m-8\"", &["member: is there twice"]);
    refused("\"type\":\"upload\"", "\"type\":\"upload\",\"type\":\"clock\"", &["type: is there twice"]);
    refused("\"steps\":812", "\"steps\":812,\"steps\":813", &["samples[0].steps: is there twice"]);
    refused("\"samples\":", "\"samples\":[],\"samples\":", &["samples: is there twice"]);
}

#[test]
fn what_is_not_json_is_refused() {
    for length in 0..CONTRACT.len() {
        malformed(&CONTRACT[..length]);
    }
    assert!(malformed(&format!("{CONTRACT}x")).starts_with("not JSON: trailing characters"));
    assert!(malformed("[1]").contains("expected a JSON object"));
    assert!(malformed("nonsense").starts_with("not JSON"));
    assert!(malformed(&"[".repeat(100_000)).len() < 200);
    let mut bytes = CONTRACT.as_bytes().to_vec();
    bytes[30] = 0xFF;
    let error = Scratch::default().decode_json(&bytes).unwrap_err();
    assert!(error.detail.contains("not UTF-8: invalid utf-8 sequence of 1 bytes from index 30"), "{}", error.detail);
    assert!(malformed(&CONTRACT.replace("m-7", "\\ud800")).starts_with("not JSON: "));
}

#[test]
fn members_are_read_and_unknown_operations_keep_their_name() {
    read(ENROLMENT, |record| {
        let Record::Member(member) = record else { panic!("{record:?}") };
        assert_eq!((member.change.operation, member.change.operation_name), (MemberOperation::Enrol, "ENROL"));
        assert_eq!(member.change.effective_on, date("2025-05-01"));
        assert_eq!(member.change.birth_date, Some(date("1950-09-15")));
        assert_eq!((member.sex, member.course, member.residence), (Some("F"), Some("APP"), None));
    });
    let nulls = ENROLMENT.replace("\"1950-09-15\"", "null").replace("\"F\"", "null").replace("ENROL", "VERIFY");
    read(&nulls, |record| {
        let Record::Member(member) = record else { panic!("{record:?}") };
        assert_eq!((member.change.operation, member.change.birth_date), (MemberOperation::Verify, None));
        assert_eq!(member.sex, None);
    });
    read(&ENROLMENT.replace("ENROL", "EMIGRATE"), |record| {
        let Record::Member(member) = record else { panic!("{record:?}") };
        assert_eq!((member.change.operation, member.change.operation_name), (MemberOperation::Unsupported, "EMIGRATE"));
    });
    assert!(malformed(&ENROLMENT.replace("\"F\"", "\"f\"")).starts_with("sex: `f` is none of F, M"));
    assert!(malformed(&ENROLMENT.replace("\"op\":\"ENROL\",", "")).starts_with("op: is missing"));
    assert!(malformed(&ENROLMENT.replace("1950-09-15", "1950-9-15")).starts_with("birth_date: "));
}

#[test]
fn clocks_and_programmes_are_read() {
    let clock = r#"{"type":"clock","id":"clock-2025-06-03","date":"2025-06-03"}"#;
    read(clock, |record| {
        assert_eq!(record, Record::DayClosed(schemas::ClockRecord { date: date("2025-06-03"), parked_wait: false }))
    });
    assert!(malformed(r#"{"type":"clock"}"#).starts_with("date: is missing"));
    let programme = r#"{"type":"programme","id":"p","version":2,"effective_on":"2025-04-01","source":"id = \"p\"\n"}"#;
    read(programme, |record| {
        let Record::Programme(programme) = record else { panic!("{record:?}") };
        assert_eq!((programme.id, programme.version, programme.source), ("p", 2, "id = \"p\"\n"));
        assert_eq!(programme.effective_on, date("2025-04-01"));
    });
    assert!(malformed(&programme.replace(":2", ":-2")).contains("version -2 is not from 0 to 4294967295"));
}

#[test]
fn other_records_of_the_contract_say_who_they_are() {
    for name in ["checkin", "measurement", "activity", "order", "application", "decision"] {
        let line = format!(
            r#"{{"type":"{name}","id":"x","programme":"p","member":"m","received_at":"2025-06-04T07:30:00Z","source":[1],"samples":"any"}}"#
        );
        read(&line, |record| {
            let received_at = Some(at("2025-06-04T07:30:00Z"));
            assert_eq!(record, Record::Other { type_name: name, id: "x", programme: "p", member: "m", received_at });
        });
    }
    let bare = r#"{"type":"order"}"#;
    let other = Record::Other { type_name: "order", id: "", programme: "", member: "", received_at: None };
    read(bare, |record| assert_eq!(record, other));
    assert!(malformed(r#"{"type":"telepathy"}"#).starts_with("type: `telepathy` is none of upload, member"));
    assert!(malformed(&format!(r#"{{"type":"{}"}}"#, "x".repeat(1000))).len() < 250);
}
