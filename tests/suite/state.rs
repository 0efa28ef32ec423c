//! The state as it is stored: its bytes are those of `state/format_1.txt`, and a core goes on from them.
//!
//! A worker of the next release reads what one of this release wrote. Whoever changes the layout of a value raises the
//! format byte, lets the reader take both, and adds a file; `AYUMI_WRITE_STATE=1` writes it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::support::core::Core;

const FORMAT: &str = "format_1";

fn sample(kind: &str, rest: &str) -> String {
    format!(r#"{{"kind":"{kind}",{rest}}}"#)
}

fn hour(day: &str, hour: u32, steps: u32, rest: &str) -> String {
    let next = hour + 1;
    sample(
        "INTERVAL",
        &format!(r#""start":"{day}T{hour:02}:00:00+09:00","end":"{day}T{next:02}:00:00+09:00","steps":{steps}{rest}"#),
    )
}

fn total(day: &str, steps: u32) -> String {
    sample("DAILY_TOTAL", &format!(r#""date":"{day}","steps":{steps}"#))
}

fn upload(id: &str, programme: &str, member: &str, received: &str, device: &str, samples: &[String]) -> String {
    format!(
        r#"{{"type":"upload","id":"{id}","programme":"{programme}","member":"{member}","received_at":"{received}:00+09:00","login_at":null,"channel":"APP","source":{{"platform":"FITBIT","origin":"app","device":"{device}","device_kind":"WATCH"}},"samples":[{}]}}"#,
        samples.join(",")
    )
}

fn member(id: &str, programme: &str, member: &str, op: &str, day: &str) -> String {
    format!(
        r#"{{"type":"member","id":"{id}","programme":"{programme}","member":"{member}","op":"{op}","received_at":"{day}T09:00:00+09:00","effective_on":"{day}","birth_date":"1950-09-15"}}"#
    )
}

/// A few members of whom every kind of value is stored, up to the middle of June.
fn first_lines() -> Vec<String> {
    let mut lines = vec![
        member("e-1", "kunitachi", "m-1", "ENROL", "2025-05-01"),
        member("e-2", "hirosaki", "m-2", "ENROL", "2025-05-01"),
        member("v-2", "hirosaki", "m-2", "VERIFY", "2025-06-02"),
        member("e-3", "iwamizawa", "m-3", "ENROL", "2025-05-01"),
    ];
    for day in 2..=14 {
        let (walked, sent) = (format!("2025-06-{day:02}"), format!("2025-06-{:02}T07:30", day + 1));
        let samples = [hour(&walked, 9, 4_000, ""), hour(&walked, 10, 3_000, ""), total(&walked, 7_000 + 100 * day)];
        lines.push(upload(&format!("u-{day}"), "kunitachi", "m-1", &sent, "band", &samples));
    }
    let id =
        |id: &str, version: u32| format!(r#","id":"{id}","version":{version},"modified_at":"2025-06-03T00:00:00Z""#);
    let again = [hour("2025-06-02", 9, 4_000, ""), total("2025-06-02", 9_500)];
    lines.push(upload("u-again", "kunitachi", "m-1", "2025-06-15T08:00", "phone", &again));
    let with_ids =
        [hour("2025-06-10", 9, 5_200, &id("s-1", 1)), hour("2025-06-10", 9, 800, r#","recording":"MANUAL""#)];
    lines.push(upload("u-ids", "hirosaki", "m-2", "2025-06-11T08:00", "band", &with_ids));
    let moved =
        [hour("2025-06-11", 9, 5_300, &id("s-1", 2)), sample("INTERVAL", r#""op":"DELETE","id":"s-9","steps":0"#)];
    lines.push(upload("u-moved", "hirosaki", "m-2", "2025-06-12T08:00", "band", &moved));
    let too_old = [hour("2025-05-02", 9, 1_000, ""), hour("2025-06-11", 12, 12_345, "")];
    lines.push(upload("u-old", "iwamizawa", "m-3", "2025-06-12T09:00", "band", &too_old));
    lines.push(upload("u-waits", "iwamizawa", "m-4", "2025-06-12T10:00", "band", &[total("2025-06-11", 5_000)]));
    lines.sort_by_key(|line| line[line.find("received_at").unwrap()..][..30].to_owned());
    lines
}

/// What comes after.
fn later_lines() -> Vec<String> {
    let mut lines = vec![member("e-4", "iwamizawa", "m-4", "ENROL", "2025-06-16")];
    lines.push(upload("u-fewer", "kunitachi", "m-1", "2025-06-17T07:30", "band", &[total("2025-06-14", 100)]));
    let gone = [sample("INTERVAL", r#""op":"DELETE","id":"s-1","steps":0"#)];
    lines.push(upload("u-gone", "hirosaki", "m-2", "2025-06-18T08:00", "band", &gone));
    lines.push(upload("u-july", "kunitachi", "m-1", "2025-07-02T07:30", "band", &[total("2025-07-01", 11_000)]));
    lines
}

fn run(core: &mut Core, lines: &[String]) {
    lines.iter().for_each(|line| core.line(line));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("suite/state/{FORMAT}.txt"))
}

fn stored() -> BTreeMap<Vec<u8>, Vec<u8>> {
    let text = std::fs::read_to_string(file()).unwrap();
    text.lines().map(|line| line.split_once(' ').map(|(key, value)| (bytes(key), bytes(value))).unwrap()).collect()
}

#[test]
fn values_are_written_as_they_were() {
    let mut core = Core::new();
    core.commit_every = 5;
    run(&mut core, &first_lines());
    let state = core.state();
    if std::env::var_os("AYUMI_WRITE_STATE").is_some() {
        let text: String = state.iter().map(|(key, value)| format!("{} {}\n", hex(key), hex(value))).collect();
        std::fs::create_dir_all(file().parent().unwrap()).unwrap();
        std::fs::write(file(), text).unwrap();
    }
    for kind in [b'g', b'd', b'm', b'y'] {
        assert!(state.keys().any(|key| key[0] == kind), "no value of the kind {:?}", char::from(kind));
    }
    assert_eq!(state, stored());
}

#[test]
fn a_core_goes_on_from_what_an_earlier_one_wrote() {
    let mut undisturbed = Core::new();
    run(&mut undisturbed, &first_lines());
    let posted = undisturbed.entries.len();
    run(&mut undisturbed, &later_lines());
    undisturbed.finish();

    let mut restored = Core::from_state(stored());
    run(&mut restored, &later_lines());
    restored.finish();
    let rows = |entries: &[pipeline::ledger::Entry]| {
        let mut rows: Vec<String> = entries.iter().map(|entry| format!("{entry:?}")).collect();
        rows.sort();
        rows
    };
    assert!(!restored.entries.is_empty());
    assert_eq!(rows(&restored.entries), rows(&undisturbed.entries[posted..]));
}
