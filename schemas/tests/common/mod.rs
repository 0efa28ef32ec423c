//! What several tests of the wire need: uploads of all kinds, and apache-avro as the judge.

#![allow(dead_code, reason = "each test file uses a part of it")]

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use pipeline::calendar::{CivilDate, Instant};
use pipeline::fact::{Channel, DeviceKind, Operation, Recording, Sample, SampleTime, Source, Upload};
use proptest::prelude::*;
use schemas::Schema;

/// An upload that owns its text.
#[derive(Clone, Debug)]
pub struct OwnedUpload {
    texts: [String; 6],
    received_at: Instant,
    login_at: Option<Instant>,
    channel: Channel,
    device_kind: DeviceKind,
    samples: Vec<(Sample<'static>, String)>,
}

impl OwnedUpload {
    pub fn of(upload: &Upload<'_>) -> Self {
        let source = upload.source;
        let texts = [upload.id, upload.programme, upload.member, source.platform, source.origin, source.device];
        OwnedUpload {
            texts: texts.map(str::to_owned),
            received_at: upload.received_at,
            login_at: upload.login_at,
            channel: upload.channel,
            device_kind: source.device_kind,
            samples: upload.samples.iter().map(|sample| (Sample { id: "", ..*sample }, sample.id.to_owned())).collect(),
        }
    }
}

/// Shows the upload as the core sees it.
pub fn with_upload(owned: &OwnedUpload, see: impl FnOnce(&Upload<'_>)) {
    let samples: Vec<Sample<'_>> = owned.samples.iter().map(|(sample, id)| Sample { id, ..*sample }).collect();
    let [id, programme, member, platform, origin, device] = &owned.texts;
    see(&Upload {
        id,
        programme,
        member,
        received_at: owned.received_at,
        login_at: owned.login_at,
        channel: owned.channel,
        source: Source { platform, origin, device, device_kind: owned.device_kind },
        samples: &samples,
    });
}

fn instants() -> impl Strategy<Value = Instant> {
    // Years 1 to 9998 in any zone; most of them near the present.
    let millis = prop_oneof![1_700_000_000_000..1_800_000_000_000i64, -62_104_000_000_000..253_370_000_000_000i64];
    millis.prop_map(Instant::from_epoch_millis)
}

fn dates() -> impl Strategy<Value = CivilDate> {
    (-719_528..=2_932_896i32).prop_map(CivilDate::from_epoch_days)
}

fn sample_times() -> impl Strategy<Value = SampleTime> {
    prop_oneof![
        6 => (instants(), instants()).prop_map(|(start, end)| SampleTime::Interval { start, end }),
        2 => dates().prop_map(SampleTime::DailyTotal),
        2 => dates().prop_map(SampleTime::MergedTotal),
        1 => Just(SampleTime::Unstated),
    ]
}

fn samples() -> impl Strategy<Value = (Sample<'static>, String)> {
    let recording = [Recording::Automatic, Recording::Manual, Recording::Active, Recording::Unknown];
    let steps = prop_oneof![0..20_000i64, any::<i64>()];
    let operation = prop::sample::select(&[Operation::Upsert, Operation::Delete]);
    let rest = (any::<i64>(), prop::option::of(instants()), "\\PC{0,8}|[a-z\"\\\\\n]{0,8}");
    (sample_times(), steps, prop::sample::select(recording.to_vec()), operation, rest).prop_map(
        |(time, steps, recording, operation, (version, modified_at, id))| {
            (Sample { time, steps, recording, operation, id: "", version, modified_at }, id)
        },
    )
}

/// Uploads of all kinds, with what the core would refuse and text that JSON must escape.
pub fn upload_strategy() -> impl Strategy<Value = OwnedUpload> {
    let channels = vec![Channel::App, Channel::Reader, Channel::Loppi, Channel::Import];
    let kinds =
        vec![DeviceKind::Watch, DeviceKind::Phone, DeviceKind::Pedometer, DeviceKind::Scale, DeviceKind::Unknown];
    let platforms = vec!["HEALTH_KIT", "HEALTH_CONNECT", "FITBIT", "PEDOMETER", "OTHER"];
    let texts = prop::array::uniform5("\\PC{0,12}|[a-z\"\\\\\t]{0,12}");
    (
        (texts, prop::sample::select(platforms)),
        instants(),
        prop::option::of(instants()),
        prop::sample::select(channels),
        prop::sample::select(kinds),
        prop::collection::vec(samples(), 0..6),
    )
        .prop_map(|((texts, platform), received_at, login_at, channel, device_kind, samples)| {
            let [id, programme, member, origin, device] = texts;
            let texts = [id, programme, member, platform.to_owned(), origin, device];
            OwnedUpload { texts, received_at, login_at, channel, device_kind, samples }
        })
}

fn avro(schema: Schema) -> apache_avro::Schema {
    apache_avro::Schema::parse_str(schema.text()).unwrap()
}

/// What apache-avro reads after the ten bytes of the header, which must be all there is.
pub fn datum(schema: Schema, payload: &[u8]) -> Value {
    assert_eq!(payload[..2], [0xC3, 0x01]);
    assert_eq!(payload[2..10], schema.fingerprint().to_le_bytes());
    let avro = avro(schema);
    let mut rest = &payload[10..];
    let value = GenericDatumReader::builder(&avro).build().unwrap().read_value(&mut rest).unwrap();
    assert!(rest.is_empty(), "{} bytes are left", rest.len());
    value
}

/// What apache-avro writes after the header.
pub fn body(schema: Schema, value: Value) -> Vec<u8> {
    let avro = avro(schema);
    GenericDatumWriter::builder(&avro).build().unwrap().write_value_to_vec(value).unwrap()
}

/// The JSON form of an Avro record, by its field names alone.
pub fn json_of(type_name: &str, value: Value) -> String {
    let mut json = json(value);
    let fields = json.as_object_mut().unwrap();
    fields.insert("type".to_owned(), type_name.into());
    if let Some(serde_json::Value::Object(personal)) = fields.remove("personal") {
        fields.extend(personal);
    }
    json.to_string()
}

/// A value of Avro in JSON: names for symbols, RFC 3339 for times, hexadecimal digits for bytes.
pub fn json(value: Value) -> serde_json::Value {
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Boolean(flag) => flag.into(),
        Value::Int(number) => number.into(),
        Value::Long(number) => number.into(),
        Value::String(text) | Value::Enum(_, text) => text.into(),
        Value::Bytes(bytes) | Value::Fixed(_, bytes) => hex(bytes).into(),
        Value::Date(days) => CivilDate::from_epoch_days(days).to_string().into(),
        Value::TimestampMillis(millis) => Instant::from_epoch_millis(millis).to_string().into(),
        Value::Union(_, value) => json(*value),
        Value::Array(items) => items.into_iter().map(json).collect(),
        Value::Record(fields) => fields.into_iter().map(|(name, value)| (name, json(value))).collect(),
        other => panic!("no schema of ours has {other:?}"),
    }
}
