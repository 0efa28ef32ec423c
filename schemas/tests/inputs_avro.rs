//! Input records in Avro: what is written is what apache-avro reads and would have written, means the same as its JSON
//! form, and comes back as it was; what is broken is refused and never more than that.

mod common;

use apache_avro::types::Value;
use common::{body, datum, json_of, upload_strategy, with_upload};
use pipeline::calendar::{CivilDate, Instant};
use pipeline::fact::{MemberChange, MemberOperation, Operation, SampleTime, Upload};
use pipeline::rejection::RejectionReason;
use proptest::prelude::*;
use schemas::{
    ClockRecord, MemberRecord, ProgrammeRecord, Record, Schema, SchemaIds, Scratch, encode_clock, encode_member,
    encode_programme, encode_upload,
};

fn encoded(upload: &Upload<'_>) -> Vec<u8> {
    let mut payload = Vec::new();
    encode_upload(upload, &mut payload);
    payload
}

fn date(text: &str) -> CivilDate {
    CivilDate::parse(text).unwrap()
}

fn malformed(payload: &[u8]) -> String {
    let error = Scratch::default().decode_avro(payload).expect_err("these bytes are no record");
    assert_eq!(error.reason, RejectionReason::Malformed);
    error.detail
}

proptest! {
    #[test]
    fn uploads_mean_to_apache_avro_what_they_mean_here(upload in upload_strategy()) {
        with_upload(&upload, |upload| {
            let payload = encoded(upload);
            let mut scratch = Scratch::default();
            assert_eq!(scratch.decode_avro(&payload).unwrap(), Record::Upload(*upload));
            let value = datum(Schema::Upload, &payload);
            assert_eq!(body(Schema::Upload, value.clone()), payload[10..]);
            let line = json_of("upload", value);
            assert_eq!(scratch.decode_json(line.as_bytes()).unwrap(), Record::Upload(*upload), "{line}");
        });
    }

    #[test]
    fn damaged_uploads_are_refused_or_read_but_nothing_worse(
        upload in upload_strategy(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..4),
    ) {
        with_upload(&upload, |upload| {
            let mut payload = encoded(upload);
            for (index, bits) in flips {
                *index.get_mut(&mut payload) ^= bits;
            }
            match Scratch::default().decode_avro(&payload) {
                // Whatever could still be read can be written and read again.
                Ok(Record::Upload(read)) => {
                    assert_eq!(Scratch::default().decode_avro(&encoded(&read)), Ok(Record::Upload(read)));
                }
                Ok(_) => {}
                Err(error) => assert_eq!(error.reason, RejectionReason::Malformed),
            }
        });
    }

    #[test]
    fn bytes_of_any_kind_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut payload = vec![0xC3, 0x01];
        payload.extend(Schema::Upload.fingerprint().to_le_bytes());
        payload.extend(bytes);
        if let Err(error) = Scratch::default().decode_avro(&payload) {
            assert_eq!(error.reason, RejectionReason::Malformed);
        }
    }
}

/// One upload with one sample of each kind, of which every field is set somewhere.
fn example() -> common::OwnedUpload {
    let json = br#"{"type":"upload","id":"u-81","programme":"kunitachi","member":"m-7","received_at":"2025-06-04T07:30:00+09:00","login_at":"2025-06-04T07:29:30+09:00","channel":"READER","source":{"platform":"FITBIT","origin":"com.fitbit","device":"b-7","device_kind":"WATCH"},"samples":[{"kind":"INTERVAL","start":"2025-06-03T09:00:00+09:00","end":"2025-06-03T10:00:00+09:00","steps":812,"recording":"MANUAL","id":"s-1","version":3,"modified_at":"2025-06-03T11:00:00.250Z"},{"kind":"DAILY_TOTAL","date":"2025-06-03","steps":-9120},{"op":"DELETE","id":"s-0"}]}"#;
    let mut scratch = Scratch::default();
    let Record::Upload(upload) = scratch.decode_json(json).unwrap() else { panic!("this is an upload") };
    common::OwnedUpload::of(&upload)
}

#[test]
fn an_upload_lies_in_bytes_as_it_always_has() {
    with_upload(&example(), |upload| {
        let golden = "c301a8425a6f51f0f40808752d3831126b756e697461636869066d2d3780b9d3fee66502a0e4cffee665020414636f6d2e66\
            697462697406622d37000602000280e0b3b1e66502809aebb4e66500d80c02000206732d310602f4e195d7e6650202000002\
            a4bc02bf8e010000000000000000000000020206732d30000000";
        let hex: String = encoded(upload).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, golden);
    });
}

#[test]
fn a_record_that_ends_early_or_late_is_refused_at_every_byte() {
    with_upload(&example(), |upload| {
        let mut payload = encoded(upload);
        for length in 0..payload.len() {
            malformed(&payload[..length]);
        }
        payload.push(0);
        assert!(malformed(&payload).contains("1 bytes follow its last field"));
    });
}

#[test]
fn a_refusal_names_the_field_the_place_and_what_is_right() {
    with_upload(&example(), |upload| {
        let payload = encoded(upload);
        let channel = 10 + 5 + 10 + 4 + 6 + 7;
        assert_eq!(payload[channel], 2, "the channel READER is symbol 1, in zigzag 2");
        let mut changed = payload.clone();
        changed[channel] = 8;
        let detail = malformed(&changed);
        assert_eq!(detail, "channel at byte 43: symbol 4 of APP, READER, LOPPI, IMPORT");
        let id_of_sample = payload.windows(3).position(|bytes| bytes == b"s-1").unwrap();
        let mut changed = payload.clone();
        changed[id_of_sample] = 0xFF;
        let detail = malformed(&changed);
        assert!(detail.starts_with("samples[0].id at byte ") && detail.contains("not UTF-8"), "{detail}");
    });
}

#[test]
fn arrays_in_several_blocks_with_sizes_are_read() {
    with_upload(&example(), |upload| {
        let first = Upload { samples: &upload.samples[..1], ..*upload };
        let without = Upload { samples: &[], ..*upload };
        let head = encoded(&without).len() - 1;
        let sample = |index: usize| {
            let one = encoded(&Upload { samples: &upload.samples[index..=index], ..*upload });
            one[head + 1..one.len() - 1].to_vec()
        };
        let mut payload = encoded(&first);
        payload.pop();
        // Two more samples in a block that states its size: -2, then the bytes.
        payload.push(3);
        let more = [sample(1), sample(2)].concat();
        payload.push(u8::try_from(more.len() * 2).unwrap());
        payload.extend(more);
        payload.push(0);
        assert_eq!(Scratch::default().decode_avro(&payload).unwrap(), Record::Upload(*upload));
    });
}

#[test]
fn few_bytes_cannot_announce_many_samples() {
    with_upload(&example(), |upload| {
        let mut payload = encoded(&Upload { samples: &[], ..*upload });
        payload.pop();
        for announced in [[0xfe, 0xff, 0xff, 0xff, 0x0f].as_slice(), &[0xff; 9], &[2]] {
            let mut changed = payload.clone();
            changed.extend(announced);
            malformed(&changed);
        }
    });
}

#[test]
fn the_framing_of_a_registry_is_read_once_its_ids_are_known() {
    with_upload(&example(), |upload| {
        let mut payload = vec![0, 0, 0, 1, 4];
        payload.extend(&encoded(upload)[10..]);
        assert_eq!(malformed(&payload), "no schema with the registry id 260 is known");
        let mut ids = SchemaIds::default();
        ids.insert(260, Schema::Clock);
        ids.insert(260, Schema::Upload);
        assert_eq!(Scratch::new(ids).decode_avro(&payload).unwrap(), Record::Upload(*upload));
    });
}

#[test]
fn what_is_framed_in_no_known_way_is_refused() {
    assert!(malformed(b"").contains("0 bytes"));
    assert!(malformed(b"{\"type\":\"upload\"}").contains("[7b, 22, 74, 79]"));
    let unknown = malformed(&[0xC3, 1, 8, 7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(unknown, "no schema with the fingerprint 0102030405060708 is known to this version");
    let mut notice = vec![0xC3, 1];
    notice.extend(Schema::Notice.fingerprint().to_le_bytes());
    assert_eq!(malformed(&notice), "notice.v1 is an output, not an input");
}

#[test]
fn what_the_core_refuses_alone_is_passed_on() {
    with_upload(&example(), |upload| {
        let mut samples = upload.samples.to_vec();
        let last = Instant::from_epoch_millis(253_402_300_799_999);
        samples[0].time = SampleTime::Interval { start: last, end: Instant::from_epoch_millis(0) };
        samples[0].steps = i64::MIN;
        samples[1].time = SampleTime::MergedTotal(date("9999-12-31"));
        samples[1].steps = i64::MAX;
        samples[2].operation = Operation::Upsert;
        let upload = Upload { samples: &samples, ..*upload };
        assert_eq!(Scratch::default().decode_avro(&encoded(&upload)).unwrap(), Record::Upload(upload));
        let mut unwritable = samples.clone();
        unwritable[0].time = SampleTime::Interval { start: Instant::from_epoch_millis(253_402_300_800_000), end: last };
        let detail = malformed(&encoded(&Upload { samples: &unwritable, ..upload }));
        assert!(detail.starts_with("samples[0].start at byte"), "{detail}");
    });
}

#[test]
fn a_kind_without_its_times_is_unstated() {
    with_upload(&example(), |upload| {
        let payload = encoded(&Upload { samples: &upload.samples[1..2], ..*upload });
        let Value::Record(mut fields) = datum(Schema::Upload, &payload) else { panic!("a record") };
        let Some((_, Value::Array(samples))) = fields.last_mut() else { panic!("samples") };
        let Value::Record(sample) = &mut samples[0] else { panic!("a sample") };
        sample.iter_mut().find(|(name, _)| name == "date").unwrap().1 = Value::Union(0, Box::new(Value::Null));
        let mut changed = payload[..10].to_vec();
        changed.extend(body(Schema::Upload, Value::Record(fields)));
        let mut scratch = Scratch::default();
        let Record::Upload(read) = scratch.decode_avro(&changed).unwrap() else { panic!("an upload") };
        assert_eq!(read.samples[0].time, SampleTime::Unstated);
    });
}

#[test]
fn members_clocks_and_programmes_come_back_as_they_were() {
    let change = MemberChange {
        id: "enrol-m-7",
        programme: "kunitachi",
        member: "m-7",
        received_at: Instant::from_epoch_millis(1_746_057_600_000),
        operation: MemberOperation::Enrol,
        operation_name: "ENROL",
        effective_on: date("2025-05-01"),
        birth_date: Some(date("1950-09-15")),
    };
    let bare = MemberRecord {
        change: MemberChange {
            operation: MemberOperation::Unsupported,
            operation_name: "WITHDRAW",
            birth_date: None,
            ..change
        },
        birth_date_quality: None,
        sex: None,
        course: None,
        residence: None,
        insurance: None,
        identity_route: None,
    };
    let full = MemberRecord {
        change,
        birth_date_quality: Some("DOCUMENT"),
        sex: Some("F"),
        course: Some("APP"),
        residence: Some("国立市"),
        insurance: Some("NATIONAL"),
        identity_route: Some("COUNTER"),
    };
    let mut scratch = Scratch::default();
    for member in [bare, full, MemberRecord { sex: Some("M"), ..bare }] {
        let mut payload = Vec::new();
        encode_member(&member, &mut payload);
        assert_eq!(scratch.decode_avro(&payload).unwrap(), Record::Member(member));
        let value = datum(Schema::Member, &payload);
        assert_eq!(body(Schema::Member, value.clone()), payload[10..]);
        let line = json_of("member", value);
        assert_eq!(scratch.decode_json(line.as_bytes()).unwrap(), Record::Member(member), "{line}");
        (0..payload.len()).for_each(|length| drop(malformed(&payload[..length])));
    }

    let mut payload = Vec::new();
    encode_clock(ClockRecord { date: date("2025-06-03"), parked_wait: true }, &mut payload);
    assert_eq!(
        scratch.decode_avro(&payload).unwrap(),
        Record::DayClosed(ClockRecord { date: date("2025-06-03"), parked_wait: true })
    );
    let line = json_of("clock", datum(Schema::Clock, &payload));
    assert_eq!(
        scratch.decode_json(line.as_bytes()).unwrap(),
        Record::DayClosed(ClockRecord { date: date("2025-06-03"), parked_wait: true })
    );

    let source = "id = \"kunitachi\"\nname = \"くにたち\"\n";
    let programme = ProgrammeRecord { id: "kunitachi", version: u32::MAX, effective_on: date("2025-04-01"), source };
    payload.clear();
    encode_programme(&programme, &mut payload);
    assert_eq!(scratch.decode_avro(&payload).unwrap(), Record::Programme(programme));
    let line = json_of("programme", datum(Schema::Programme, &payload));
    assert_eq!(scratch.decode_json(line.as_bytes()).unwrap(), Record::Programme(programme), "{line}");
}

#[test]
fn one_scratch_serves_many_records() {
    with_upload(&example(), |upload| {
        let long = encoded(upload);
        let short = encoded(&Upload { id: "u-82", samples: &upload.samples[..1], ..*upload });
        let mut scratch = Scratch::default();
        for _ in 0..3 {
            assert_eq!(scratch.decode_avro(&long).unwrap(), Record::Upload(*upload));
            malformed(&long[..50]);
            let Record::Upload(read) = scratch.decode_avro(&short).unwrap() else { panic!("an upload") };
            assert_eq!((read.id, read.samples), ("u-82", &upload.samples[..1]));
        }
    });
}
