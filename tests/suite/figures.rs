//! What real steps must come to: 33 people's April, plain and made hard, in order and shuffled with a fifth repeated.
//!
//! `expected.json` was worked out independently of the project. The figures are asked of the core here; the command gives
//! the same from files in `lake`.

use std::io::Read;
use std::path::Path;

use serde_json::Value;

use crate::support::core::Core;
use crate::support::{Random, shared_data};

const PROGRAMMES: [&str; 3] = ["kunitachi", "iwamizawa", "hirosaki"];

fn lines(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for programme in PROGRAMMES {
        let file = std::fs::File::open(folder.join(format!("{programme}.jsonl.gz"))).unwrap();
        let mut text = String::new();
        flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).unwrap();
        all.extend(text.lines().map(str::to_owned));
    }
    all
}

/// By time of receipt, as a replay merges its files.
fn in_order(mut lines: Vec<String>) -> Vec<String> {
    let received_at = |line: &String| serde_json::from_str::<Value>(line).unwrap()["received_at"].to_string();
    lines.sort_by_cached_key(received_at);
    lines
}

fn shuffled(mut lines: Vec<String>, seed: u64) -> Vec<String> {
    let mut random = Random(seed);
    for index in 0..lines.len() {
        if random.below(5) == 0 {
            lines.push(lines[index].clone());
        }
    }
    random.shuffle(&mut lines);
    lines
}

fn check(core: &Core, folder: &Path) {
    let expected: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("expected.json")).unwrap()).unwrap();
    let mut compared = 0;
    for (programme, members) in expected["members"].as_object().unwrap() {
        for (member, figures) in members.as_object().unwrap() {
            for (figure, value) in figures.as_object().unwrap() {
                let got = match figure.as_str() {
                    "days" | "steps" => continue, // Of the input, not of what counts.
                    "baseline" => {
                        core.baselines.get(&(programme.clone(), member.clone())).map_or(0, |&steps| steps.into())
                    }
                    "rejected_days" => core.refused_days(programme, member, "BACKFILL_LIMIT").len() as i64,
                    rule => core.points(programme, member, rule),
                };
                assert_eq!(got, value.as_i64().unwrap(), "{figure} of {member} in {programme}");
                compared += 1;
            }
        }
    }
    assert!(compared > 280, "only {compared} figures");
    for (programme, rules) in expected["total"].as_object().unwrap() {
        for (rule, points) in rules.as_object().unwrap().iter().filter(|(rule, _)| rule.contains('-')) {
            let of_rule = core.entries.iter().filter(|entry| *entry.programme == **programme && *entry.rule == **rule);
            assert_eq!(of_rule.map(|entry| entry.points.amount()).sum::<i64>(), points.as_i64().unwrap(), "{rule}");
        }
    }
    core.check_ledger();
    core.check_accounting();
}

fn check_in_every_order(name: &str) {
    let Some(data) = shared_data() else { return };
    let folder = data.join(name);
    let lines = lines(&folder);
    let plain = in_order(lines.clone());
    let core = Core::new().run(plain.iter().map(String::as_str));
    check(&core, &folder);
    for seed in 1..=3 {
        let shuffled = shuffled(lines.clone(), seed);
        let mut other = Core::new();
        other.cache_bytes_max = if seed == 2 { 0 } else { usize::MAX }; // Also with nothing kept in memory.
        let other = other.run(shuffled.iter().map(String::as_str));
        check(&other, &folder);
        assert!(core.equality() == other.equality(), "{name}, seed {seed}: another ledger in another order");
    }
}

#[test]
fn april_comes_to_its_figures_in_every_order() {
    check_in_every_order("april");
}

#[test]
fn april_made_hard_comes_to_its_figures_in_every_order() {
    check_in_every_order("april-hard");
}
