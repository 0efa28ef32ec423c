//! What bad input comes to: a stable reason, its place, its bytes, and everything around it still counts. Law 5 through the
//! command.
//!
//! Also what is refused before anything is written: files that can't be replayed, bad programme files, statements that
//! are not reading. And a full disk, which is bad news, but no loss.

use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use schemas::{Record, Schema, Scratch};
use serde_json::{Value, json};

use crate::support::command::{Said, run, succeed};

/// A folder for input files and, in it, the data folder.
struct Place {
    home: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        Place { home: tempfile::tempdir().unwrap() }
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.home.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Replays files, quietly.
    fn replay(&self, files: &[&Path]) -> Said {
        let data = self.data();
        let mut arguments = vec!["replay", "--quiet", "--data", data.to_str().unwrap()];
        arguments.extend(files.iter().map(|file| file.to_str().unwrap()));
        run(&arguments)
    }

    /// Replays files, which must succeed and account for everything. Gives what was refused.
    fn refused(&self, files: &[&Path]) -> Vec<Refused> {
        let said = self.replay(files);
        assert_eq!(said.code, 0, "bad input stopped the replay: {}", said.err);
        self.assert_all_is_accounted_for();
        let rows = self.ask(
            "SELECT reason, record_type, sample_index, detail, origin['file'] AS file, origin['line'] AS line, \
             encode(payload, 'hex') AS payload FROM rejections ORDER BY file, line, sample_index",
        );
        rows.iter().map(Refused::read).collect()
    }

    fn ask(&self, statement: &str) -> Vec<Value> {
        let answer = succeed(&["sql", "--data", self.data().to_str().unwrap(), "--format", "json", statement]);
        answer.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn assert_all_is_accounted_for(&self) {
        let partitions = self.ask(
            "SELECT partition, sum(records_read) AS records, sum(records_accepted + records_rejected + records_duplicate \
             + records_parked - records_unparked) AS records_decided, sum(samples_read) AS samples, \
             sum(samples_accepted + samples_rejected + samples_duplicate + samples_parked) AS samples_decided \
             FROM accounting GROUP BY partition",
        );
        assert!(!partitions.is_empty(), "no accounting");
        for row in &partitions {
            assert_eq!(row["records"], row["records_decided"], "records of a partition: {row}");
            assert_eq!(row["samples"], row["samples_decided"], "samples of a partition: {row}");
        }
        let rows = self.ask(
            "SELECT (SELECT sum(records_rejected) FROM accounting) AS counted, \
             (SELECT count(*) FROM rejections WHERE sample_index IS NULL) AS shown",
        );
        assert_eq!(rows[0]["counted"], rows[0]["shown"], "records counted as rejected, and rows in rejections");
    }

    /// The days of June that count for m-1, each with the steps that the good uploads say.
    fn days_that_count(&self) -> Vec<u64> {
        let rows = self
            .ask("SELECT CAST(date AS VARCHAR) AS date, steps FROM daily_totals WHERE member = 'm-1' ORDER BY date");
        let days = rows.iter().map(|row| {
            assert_eq!(row["steps"], 8000, "{row}");
            row["date"].as_str().unwrap().strip_prefix("2025-06-").unwrap().parse().unwrap()
        });
        days.collect()
    }
}

/// A row of `rejections`.
#[derive(Debug)]
struct Refused {
    reason: String,
    sample: Option<u64>,
    detail: String,
    file: String,
    line: u64,
    payload: Vec<u8>,
}

impl Refused {
    fn read(row: &Value) -> Refused {
        let text = |name: &str| row[name].as_str().unwrap_or_else(|| panic!("{name} in {row}")).to_owned();
        let hex = text("payload");
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        Refused {
            reason: text("reason"),
            sample: row["sample_index"].as_u64(),
            detail: text("detail"),
            file: text("file"),
            line: row["line"].as_u64().unwrap_or_else(|| panic!("line in {row}")),
            payload: (0..hex.len()).step_by(2).map(byte).collect(),
        }
    }
}

fn enrolment() -> String {
    json!({
        "type": "member", "id": "enrol-m-1", "programme": "kunitachi", "member": "m-1", "op": "ENROL",
        "received_at": "2025-05-01T09:00:00+09:00", "effective_on": "2025-05-01", "birth_date": "1950-09-15", "sex": "F",
    })
    .to_string()
}

/// An upload of 8,000 steps on a day of June, received the morning after.
fn good(day: u32) -> String {
    upload(json!({
        "id": format!("good-{day}"), "received_at": format!("2025-06-{:02}T07:00:00+09:00", day + 1),
        "samples": [total(day)],
    }))
}

fn total(day: u32) -> Value {
    json!({ "kind": "DAILY_TOTAL", "date": format!("2025-06-{day:02}"), "steps": 8000 })
}

/// An upload of m-1, with these fields instead of its own.
fn upload(changes: Value) -> String {
    let mut upload = json!({
        "type": "upload", "id": "u-1", "programme": "kunitachi", "member": "m-1", "channel": "APP",
        "received_at": "2025-06-20T07:00:00+09:00",
        "source": { "platform": "FITBIT", "origin": "com.fitbit", "device": "b-7", "device_kind": "WATCH" },
        "samples": [],
    });
    upload.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    upload.to_string()
}

fn interval(start: &str, end: &str, steps: Value) -> Value {
    json!({ "kind": "INTERVAL", "start": start, "end": end, "steps": steps })
}

fn jsonl<L: AsRef<[u8]>>(lines: &[L]) -> Vec<u8> {
    lines.iter().flat_map(|line| [line.as_ref(), b"\n"].concat()).collect()
}

/// One good day before the bad lines, one after.
fn between_good_days(bad: &[Vec<u8>]) -> Vec<u8> {
    let mut lines = vec![enrolment().into_bytes(), good(10).into_bytes()];
    lines.extend_from_slice(bad);
    lines.push(good(25).into_bytes());
    jsonl(&lines)
}

/// The line of the first of the bad ones.
const FIRST_BAD_LINE: u64 = 3;

#[test]
fn a_line_that_is_no_record_is_malformed_with_its_place_and_its_bytes() {
    let hour = interval("2025-06-18T09:00:00+09:00", "2025-06-18T10:00:00+09:00", json!(8_765));
    let steps = |steps: &str| upload(json!({ "samples": [hour] })).replace("8765", steps);
    let mut not_utf8 = good(12).into_bytes();
    not_utf8.insert(30, 0xff);
    // What is wrong, the line, and what the detail must name.
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("JSON that breaks off", br#"{"type":"upload","id":"#.to_vec(), "not JSON"),
        ("no JSON at all", b"steps;8000".to_vec(), "not JSON"),
        ("JSON that is no object", b"[1, 2]".to_vec(), ""),
        ("steps as text", steps("\"812\"").into_bytes(), "samples[0].steps"),
        ("half a step", steps("1.5").into_bytes(), "samples[0].steps"),
        ("more steps than 64 bits hold", steps("10000000000000000000").into_bytes(), "samples[0].steps"),
        ("invalid UTF-8", not_utf8, "not UTF-8"),
        ("an unknown type", br#"{"type":"telepathy","id":"t-1","member":"m-1"}"#.to_vec(), "telepathy"),
        ("no member", good(13).replace(r#""member":"m-1","#, "").into_bytes(), "member"),
        ("no such day", good(14).replace("2025-06-14", "2025-02-30").into_bytes(), "2025-02-30"),
        ("a time without an offset", good(15).replace("07:00:00+09:00", "07:00:00").into_bytes(), "received_at"),
        ("an unknown channel", good(16).replace("APP", "FAX").into_bytes(), "FAX"),
        ("a registry's framing with an unknown id, in a file of lines", b"\0\0\0\0\x07abc".to_vec(), "not JSON"),
    ];
    let place = Place::new();
    let bad: Vec<Vec<u8>> = cases.iter().map(|(_, line, _)| line.clone()).collect();
    let file = place.write("lines.jsonl", &between_good_days(&bad));
    let refused = place.refused(&[&file]);
    assert_eq!(refused.len(), cases.len(), "{refused:#?}");
    for ((what, line, detail), (number, refused)) in cases.iter().zip((FIRST_BAD_LINE..).zip(&refused)) {
        assert_eq!((refused.reason.as_str(), refused.sample), ("MALFORMED", None), "{what}: {refused:?}");
        assert_eq!((refused.file.as_str(), refused.line), (file.to_str().unwrap(), number), "{what}");
        assert!(refused.payload == *line, "{what}: kept as {:?}", String::from_utf8_lossy(&refused.payload));
        assert!(!refused.detail.is_empty() && refused.detail.contains(detail), "{what}: {}", refused.detail);
    }
    assert_eq!(place.days_that_count(), [10, 25]);
}

#[test]
fn a_bad_sample_is_refused_alone_and_the_rest_of_its_upload_counts() {
    let (nine, ten) = ("2025-06-18T09:00:00+09:00", "2025-06-18T10:00:00+09:00");
    let cases = [
        ("steps below zero", interval(nine, ten, json!(-5)), "NEGATIVE_STEPS"),
        ("10^18 steps", interval(nine, ten, json!(10_i64.pow(18))), "IMPLAUSIBLE"),
        (
            "10^18 steps in a day",
            json!({ "kind": "DAILY_TOTAL", "date": "2025-06-18", "steps": 10_i64.pow(18) }),
            "IMPLAUSIBLE",
        ),
        ("an end before its start", interval(ten, nine, json!(5)), "INTERVAL_INVALID"),
        ("an end at its start", interval(ten, ten, json!(5)), "INTERVAL_INVALID"),
        (
            "a day of the year 9999",
            json!({ "kind": "DAILY_TOTAL", "date": "9999-12-30", "steps": 5 }),
            "DATE_OUT_OF_RANGE",
        ),
        (
            "an hour of the year 9999",
            interval("9999-12-30T09:00:00+09:00", "9999-12-30T10:00:00+09:00", json!(5)),
            "DATE_OUT_OF_RANGE",
        ),
        ("a sample without a time", json!({ "steps": 5 }), "SAMPLE_TIME_MISSING"),
    ];
    let place = Place::new();
    let bad = (1..).zip(&cases).map(|(day, (_, sample, _))| {
        upload(json!({ "id": format!("u-{day}"), "samples": [total(10 + day), sample] })).into_bytes()
    });
    let file = place.write("samples.jsonl", &between_good_days(&bad.collect::<Vec<_>>()));
    let refused = place.refused(&[&file]);
    assert_eq!(refused.len(), cases.len(), "{refused:#?}");
    for ((what, sample, reason), (number, refused)) in cases.iter().zip((FIRST_BAD_LINE..).zip(&refused)) {
        assert_eq!((refused.reason.as_str(), refused.sample), (*reason, Some(1)), "{what}: {refused:?}");
        assert_eq!((refused.file.as_str(), refused.line), (file.to_str().unwrap(), number), "{what}");
        assert!(!refused.detail.is_empty(), "{what}: no detail");
        let kept: Value =
            serde_json::from_slice(&refused.payload).unwrap_or_else(|error| panic!("{what}: {error}: {refused:?}"));
        for (field, value) in sample.as_object().unwrap() {
            assert_eq!(&kept[field], value, "{what}: {field} as it is kept in {kept}");
        }
    }
    let with_its_neighbours: Vec<u64> = (10..=10 + cases.len() as u64).chain([25]).collect();
    assert_eq!(place.days_that_count(), with_its_neighbours);
}

#[test]
fn a_sample_that_lacks_a_time_is_kept_with_the_fields_that_it_had() {
    let samples = [
        json!({ "kind": "INTERVAL", "start": "2025-06-18T09:00:00+09:00", "steps": 5 }),
        json!({ "kind": "DAILY_TOTAL", "steps": 6 }),
        json!({ "start": "2025-06-18T09:00:00+09:00", "end": "2025-06-18T10:00:00+09:00", "steps": 7 }),
    ];
    let place = Place::new();
    let file = place.write("samples.jsonl", &between_good_days(&[upload(json!({ "samples": samples })).into_bytes()]));
    let refused = place.refused(&[&file]);
    let reasons: Vec<&str> = refused.iter().map(|refused| refused.reason.as_str()).collect();
    assert_eq!(reasons, ["SAMPLE_TIME_MISSING"; 3], "{refused:?}");
    for (sample, refused) in samples.iter().zip(&refused) {
        let kept: Value = serde_json::from_slice(&refused.payload).unwrap();
        let lost: Vec<_> =
            sample.as_object().unwrap().iter().filter(|(field, value)| kept[*field] != **value).collect();
        assert!(lost.is_empty(), "{lost:?} of {sample} is lost in {kept}");
    }
}

/// Records in good form that are refused as a whole: what is wrong, the line, the reason.
fn refused_records() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let member = |op: &str, id: &str| enrolment().replace("ENROL", op).replace("enrol-m-1", id);
    let checkin = json!({
        "type": "checkin", "id": "c-1", "programme": "kunitachi", "member": "m-1", "received_at": "2025-06-20T07:00:00+09:00",
        "spot": "s-1", "method": "QR",
    });
    let samples = json!([total(18)]);
    vec![
        (
            "an unknown programme",
            upload(json!({ "programme": "kunitati", "samples": samples, "note": "unlisted" })),
            "UNKNOWN_PROGRAMME",
        ),
        ("an unknown member", upload(json!({ "member": "m-404", "samples": samples })), "UNKNOWN_MEMBER"),
        (
            "a login after the receipt",
            upload(json!({ "login_at": "2025-06-20T07:00:01+09:00", "samples": samples })),
            "LOGIN_AFTER_RECEIPT",
        ),
        (
            "a receipt in the year 9999",
            upload(json!({ "received_at": "9999-12-30T07:00:00+09:00", "samples": samples })),
            "DATE_OUT_OF_RANGE",
        ),
        ("a check-in", checkin.to_string(), "UNSUPPORTED_RECORD_TYPE"),
        ("a withdrawal", member("WITHDRAW", "w-1"), "UNSUPPORTED_OPERATION"),
    ]
    .into_iter()
    .map(|(what, line, reason)| (what, line.into_bytes(), reason))
    .collect()
}

#[test]
fn a_record_that_can_not_be_applied_has_its_reason_and_its_place() {
    let cases = refused_records();
    let place = Place::new();
    let bad: Vec<Vec<u8>> = cases.iter().map(|(_, line, _)| line.clone()).collect();
    let file = place.write("records.jsonl", &between_good_days(&bad));
    let refused = place.refused(&[&file]);
    assert_eq!(refused.len(), cases.len(), "{refused:#?}");
    for ((what, _, reason), (number, refused)) in cases.iter().zip((FIRST_BAD_LINE..).zip(&refused)) {
        assert_eq!((refused.reason.as_str(), refused.sample), (*reason, None), "{what}: {refused:?}");
        assert_eq!((refused.file.as_str(), refused.line), (file.to_str().unwrap(), number), "{what}");
        assert!(!refused.detail.is_empty() && !refused.payload.is_empty(), "{what}: {refused:?}");
    }
    assert_eq!(place.days_that_count(), [10, 25]);
}

#[test]
fn a_refused_record_is_kept_byte_for_byte_as_it_stood_in_its_file() {
    let cases = refused_records();
    let place = Place::new();
    let bad: Vec<Vec<u8>> = cases.iter().map(|(_, line, _)| line.clone()).collect();
    let file = place.write("records.jsonl", &between_good_days(&bad));
    let refused = place.refused(&[&file]);
    let altered: Vec<&str> = cases
        .iter()
        .zip(&refused)
        .filter(|((_, line, _), refused)| refused.payload != *line)
        .map(|((what, ..), _)| *what)
        .collect();
    assert!(altered.is_empty(), "the payload is not the line that was refused: {altered:?}");
}

#[test]
fn a_file_can_declare_neither_a_day_over_nor_a_programme() {
    let programme = include_str!("../../programmes/kunitachi/programme.toml").replacen("version = 1", "version = 9", 1);
    let bad = [
        json!({ "type": "clock", "id": "clock-2025-12-31", "date": "2025-12-31" }),
        json!({ "type": "programme", "id": "kunitachi", "version": 9, "effective_on": "2025-04-01", "source": programme }),
    ]
    .map(|record| record.to_string().into_bytes());
    let place = Place::new();
    let file = place.write("orders.jsonl", &between_good_days(&bad));
    let refused = place.refused(&[&file]);
    let lines: Vec<u64> = refused.iter().map(|refused| refused.line).collect();
    assert_eq!(lines, [3, 4], "the lines that are refused: {refused:?}");
    assert_eq!(place.days_that_count(), [10, 25]);
    let versions = place.ask("SELECT count(*) AS n FROM facts_programmes WHERE version = 9");
    assert_eq!(versions[0]["n"], 0, "a programme was published from a file of facts");
}

#[test]
fn a_line_of_10_mb_leaves_its_length_its_hash_and_its_beginning() {
    // As `head -c 10000000 /dev/zero | tr '\0' x | sha256sum` gives it.
    let sha256 = "0c9a42b3d065a64063eca67e98c932fa2e9a077bc7973a421a964a11304c998c";
    let place = Place::new();
    let file = place.write("large.jsonl", &between_good_days(&[vec![b'x'; 10_000_000]]));
    let refused = place.refused(&[&file]);
    let [large] = &refused[..] else { panic!("{} rejections", refused.len()) };
    assert_eq!((large.reason.as_str(), large.line), ("RECORD_TOO_LARGE", FIRST_BAD_LINE), "{}", large.detail);
    assert!(large.detail.contains("10000000") && large.detail.contains(sha256), "{}", large.detail);
    assert!(large.payload == vec![b'x'; 64 * 1024], "{} bytes are kept", large.payload.len());
    assert_eq!(place.days_that_count(), [10, 25]);
}

#[test]
fn a_file_that_ends_in_mid_line_loses_only_that_line() {
    let whole = jsonl(&[enrolment(), good(10)]);
    let half = &good(11).into_bytes()[..90];
    let place = Place::new();
    let file = place.write("cut.jsonl", &[&whole, half].concat());
    let refused = place.refused(&[&file]);
    let [cut] = &refused[..] else { panic!("{refused:?}") };
    assert_eq!((cut.reason.as_str(), cut.line), ("MALFORMED", 3), "{}", cut.detail);
    assert!(cut.payload == half, "kept as {:?}", String::from_utf8_lossy(&cut.payload));
    assert_eq!(place.days_that_count(), [10]);
}

#[test]
fn a_last_line_without_a_line_feed_counts() {
    let place = Place::new();
    let file = place.write("no-line-feed.jsonl", [&enrolment(), "\n\n", &good(10)].concat().as_bytes());
    let refused = place.refused(&[&file]);
    assert!(refused.is_empty(), "{refused:?}");
    assert_eq!(place.days_that_count(), [10]);
}

/// A gzip stream that breaks off in the middle of its third line, and the part of that line that is in it.
fn broken_gzip() -> (Vec<u8>, Vec<u8>) {
    let half = good(11).into_bytes()[..90].to_vec();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&jsonl(&[enrolment(), good(10)])).unwrap();
    encoder.write_all(&half).unwrap();
    encoder.flush().unwrap();
    // Everything so far is in the stream; its end is not.
    (encoder.get_ref().clone(), half)
}

#[test]
fn a_gzip_stream_that_breaks_off_loses_only_the_line_in_which_it_does() {
    let (bytes, half) = broken_gzip();
    let place = Place::new();
    let file = place.write("cut.jsonl.gz", &bytes);
    let refused = place.refused(&[&file]);
    let [cut] = &refused[..] else { panic!("{refused:?}") };
    assert_eq!((cut.reason.as_str(), cut.line), ("MALFORMED", 3), "{}", cut.detail);
    assert_eq!(cut.file, file.to_str().unwrap());
    assert!(cut.payload.starts_with(&half), "kept as {:?}", String::from_utf8_lossy(&cut.payload));
    assert_eq!(place.days_that_count(), [10]);
}

/// An upload as it lies in an Avro container file.
fn datum(line: &str) -> Vec<u8> {
    let mut payload = Vec::new();
    match Scratch::default().decode_json(line.as_bytes()).unwrap() {
        Record::Upload(upload) => schemas::encode_upload(&upload, &mut payload),
        other => panic!("{other:?}"),
    }
    payload.split_off(10) // What follows the header of the single-object encoding.
}

/// An Avro container file, written by hand: the specification of Avro 1.12, "Object Container Files".
fn container(schema: &str, blocks: &[&[Vec<u8>]]) -> Vec<u8> {
    const SYNC: [u8; 16] = *b"sixteen bytes :)";
    let mut file = b"Obj\x01".to_vec();
    long(&mut file, 2);
    for text in ["avro.schema", schema, "avro.codec", "null"] {
        long(&mut file, text.len() as u64);
        file.extend_from_slice(text.as_bytes());
    }
    long(&mut file, 0);
    file.extend_from_slice(&SYNC);
    for block in blocks {
        let data = block.concat();
        long(&mut file, block.len() as u64);
        long(&mut file, data.len() as u64);
        file.extend_from_slice(&data);
        file.extend_from_slice(&SYNC);
    }
    file
}

fn long(out: &mut Vec<u8>, value: u64) {
    let mut bits = value << 1;
    while bits >= 0x80 {
        out.push(bits as u8 | 0x80);
        bits >>= 7;
    }
    out.push(bits as u8);
}

#[test]
fn an_avro_file_that_breaks_off_loses_only_the_block_in_which_it_does() {
    let place = Place::new();
    let members = place.write("members.jsonl", &jsonl(&[enrolment()]));
    let whole = container(Schema::Upload.text(), &[&[datum(&good(10)), datum(&good(11))], &[datum(&good(12))]]);
    let file = place.write("cut.avro", &whole[..whole.len() - 40]);
    let refused = place.refused(&[&members, &file]);
    let [cut] = &refused[..] else { panic!("{refused:?}") };
    assert_eq!(
        (cut.reason.as_str(), cut.file.as_str(), cut.line),
        ("MALFORMED", file.to_str().unwrap(), 3),
        "{}",
        cut.detail
    );
    assert_eq!(place.days_that_count(), [10, 11]);
}

#[test]
fn what_a_broken_file_still_held_is_kept_as_it_came() {
    let place = Place::new();
    let (gzip, half) = broken_gzip();
    let gzip = place.write("1.jsonl.gz", &gzip);
    let last = datum(&good(12));
    let whole = container(Schema::Upload.text(), &[&[datum(&good(11))], &[last.clone()]]);
    let avro = place.write("2.avro", &whole[..whole.len() - 20]);
    let refused = place.refused(&[&gzip, &avro]);
    let [line, block] = &refused[..] else { panic!("{refused:?}") };
    let shown = [line, block].map(|refused| String::from_utf8_lossy(&refused.payload).into_owned());
    let tail = &last[..last.len() - 4];
    let holds_tail = block.payload.windows(tail.len()).any(|window| window == tail);
    assert!(line.payload == half && holds_tail, "not the bytes that came: {shown:#?}");
    assert!(
        !block.detail.contains("JSON"),
        "the detail speaks of JSON where an Avro file breaks off: {}",
        block.detail
    );
}

/// Uploads and something else, as a gateway of another maker might mix them.
fn foreign_schema() -> String {
    format!(
        r#"[{}, {{"type":"record","name":"Heartbeat","fields":[{{"name":"at","type":"string"}}]}}]"#,
        Schema::Upload.text()
    )
}

fn heartbeat() -> Vec<u8> {
    let mut record = Vec::new();
    long(&mut record, 1);
    long(&mut record, 4);
    record.extend_from_slice(b"noon");
    record
}

#[test]
fn an_avro_record_of_a_foreign_schema_is_malformed_and_costs_only_itself() {
    let upload = |day| [vec![0], datum(&good(day))].concat();
    let place = Place::new();
    let members = place.write("members.jsonl", &jsonl(&[enrolment()]));
    let records = [upload(10), heartbeat(), upload(11), heartbeat(), upload(12)];
    let file = place.write("foreign.avro", &container(&foreign_schema(), &[&records]));
    let refused = place.refused(&[&members, &file]);
    assert!(
        refused.iter().all(|refused| refused.reason == "MALFORMED" && refused.file == file.to_str().unwrap()),
        "{refused:?}"
    );
    let records: Vec<u64> = refused.iter().map(|refused| refused.line).collect();
    assert_eq!(
        (records, place.days_that_count()),
        (vec![2, 4], vec![10, 11, 12]),
        "(records refused, days that count): {refused:?}"
    );
}

#[test]
fn a_file_that_is_no_avro_at_all_is_one_malformed_record() {
    let place = Place::new();
    let lines = place.write("lines.jsonl", &jsonl(&[enrolment(), good(10)]));
    let file = place.write("photo.avro", b"\x89PNG this is no container");
    let refused = place.refused(&[&lines, &file]);
    let [photo] = &refused[..] else { panic!("{refused:?}") };
    assert_eq!((photo.reason.as_str(), photo.file.as_str(), photo.line), ("MALFORMED", file.to_str().unwrap(), 1));
    assert!(photo.payload == b"\x89PNG this is no container", "kept as {:?}", String::from_utf8_lossy(&photo.payload));
    assert_eq!(place.days_that_count(), [10]);
}

#[test]
fn an_empty_file_is_said_to_be_empty_and_is_no_failure() {
    let place = Place::new();
    let mut unsaid = Vec::new();
    for name in ["empty.jsonl", "empty.jsonl.gz", "empty.avro"] {
        let file = place.write(name, b"");
        let data = place.home.path().join(format!("data of {name}"));
        let said = run(&["replay", "--data", data.to_str().unwrap(), file.to_str().unwrap()]);
        assert_eq!(said.code, 0, "{name}: {}", said.err);
        if !said.err.lines().any(|line| line.contains("FILE_EMPTY") && line.contains(name)) {
            unsaid.push(format!("{name}: {}{}", said.err, said.out));
        }
    }
    assert!(unsaid.is_empty(), "FILE_EMPTY is not said of {}", unsaid.join("\n"));
}

#[test]
fn a_file_that_can_not_be_replayed_at_all_is_refused_before_anything_is_written() {
    let place = Place::new();
    let good = place.write("good.jsonl", &jsonl(&[enrolment(), good(10)]));
    let folder = place.home.path().join("folder.jsonl");
    std::fs::create_dir(&folder).unwrap();
    let unknown = place.write("steps.xlsx", b"PK");
    let missing = place.home.path().join("missing.jsonl");
    for (file, code) in [(folder, "FILE_IS_DIRECTORY"), (unknown, "FILE_KIND_UNKNOWN"), (missing, "FILE_UNREADABLE")] {
        let said = place.replay(&[&good, &file]);
        assert_eq!(said.code, 1, "{code}: {}", said.out);
        assert!(said.err.contains(code) && said.err.contains(file.to_str().unwrap()), "{code}: {}", said.err);
        assert!(!place.data().exists(), "{code}: something was written before the files were looked at");
    }
}

#[test]
fn a_bad_programme_file_is_refused_with_every_problem_and_its_place() {
    let place = Place::new();
    let good = include_str!("../../programmes/hirosaki/programme.toml");
    let bad = good.replace("years_after = 1", "years_after = \"x\"").replace("kind = \"login\"", "kind = \"logon\"");
    let file = place.write("programme.toml", bad.as_bytes());
    let said = run(&["check", file.to_str().unwrap()]);
    assert_eq!(said.code, 1, "{}", said.out);
    for (found, right) in [("\"x\"", "a whole number"), ("\"logon\"", "did you mean \"login\"?")] {
        let (line, text) = (1..).zip(bad.lines()).find(|(_, text)| text.contains(found)).unwrap();
        let at = format!("{}:{line}:{}:", file.display(), text.find(found).unwrap() + 1);
        assert!(said.err.contains(&at), "no {at} in: {}", said.err);
        assert!(said.err.contains(right), "it does not say what would be right ({right}): {}", said.err);
    }

    let text = place.write("notes.toml", b"this is no TOML");
    let said = run(&["check", text.to_str().unwrap()]);
    assert_eq!(said.code, 1, "{}", said.out);
    assert!(said.err.contains("notes.toml:1:"), "{}", said.err);
}

#[test]
fn the_programmes_that_come_with_ayumi_are_in_order() {
    let programmes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../programmes");
    let files = ["hirosaki", "iwamizawa", "kunitachi"].map(|id| programmes.join(id).join("programme.toml"));
    let mut arguments = vec!["check"];
    arguments.extend(files.iter().map(|file| file.to_str().unwrap()));
    let said = succeed(&arguments);
    assert_eq!(said.lines().filter(|line| line.contains("in order")).count(), 3, "{said}");
}

#[test]
fn a_statement_that_would_change_something_is_refused() {
    let place = Place::new();
    let file = place.write("a.jsonl", &jsonl(&[enrolment(), good(10)]));
    assert!(place.refused(&[&file]).is_empty());
    let entries = place.ask("SELECT count(*) AS n FROM entries");
    for statement in [
        "DROP TABLE entries",
        "INSERT INTO entries SELECT * FROM entries",
        "DELETE FROM entries",
        "UPDATE entries SET points = 1",
        "CREATE TABLE mine AS SELECT 1",
        "COPY (SELECT 1) TO 'mine.csv'",
    ] {
        let said = run(&["sql", "--data", place.data().to_str().unwrap(), statement]);
        assert_eq!(said.code, 1, "{statement}: {}", said.out);
        assert!(said.err.contains("only reading is allowed"), "{statement}: {}", said.err);
    }
    assert_eq!(place.ask("SELECT count(*) AS n FROM entries"), entries);
}
