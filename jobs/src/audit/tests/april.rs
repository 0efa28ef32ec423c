//! Decides that the audit's SQL gives, for 940 real user-days, what two programs outside the project give for them: in
//! order, shuffled, and with a fifth of the records sent twice.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use serde_json::Value;

use super::fixture::Town;
use crate::audit::Recomputed;

const PROGRAMMES: [&str; 3] = ["hirosaki", "iwamizawa", "kunitachi"];
const CLOSED_ON: &str = "2025-12-31";

/// The folder of the shared data, or `None` with a line that says so.
fn data(name: &str) -> Option<PathBuf> {
    let crate_folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    // Beside the repository, or beside the folder that holds its worktrees.
    let beside = ["../../shared/data", "../../../shared/data"].map(|path| crate_folder.join(path));
    let roots = std::env::var_os("AYUMI_SHARED_DATA").map_or(beside.to_vec(), |root| vec![PathBuf::from(root)]);
    let found = roots.iter().map(|root| root.join(name)).find(|folder| folder.is_dir());
    if found.is_none() {
        eprintln!("not tested: {name} is in none of {roots:?}; set AYUMI_SHARED_DATA to the folder that has it");
    }
    found
}

fn town(folder: &std::path::Path) -> Town {
    let mut town = Town { closed_on: CLOSED_ON.into(), ..Town::default() };
    for programme in PROGRAMMES {
        town = town.with_rules(programme, &super::fixture::rules(programme));
        let file = std::fs::File::open(folder.join(format!("{programme}.jsonl.gz"))).expect("the records");
        let mut lines = String::new();
        flate2::read::GzDecoder::new(file).read_to_string(&mut lines).expect("gzipped text");
        town.records.extend(lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")));
    }
    town
}

/// Member by member, rule by rule, everything that `expected.json` tells.
fn compare(folder: &std::path::Path, found: &Recomputed) {
    let text = std::fs::read_to_string(folder.join("expected.json")).expect("the figures");
    let expected: Value = serde_json::from_str(&text).expect("JSON");
    let mut figures: BTreeMap<(&str, &str, &str), i64> = BTreeMap::new();
    for e in &found.entitlements {
        *figures.entry((&e.programme, &e.member, &e.rule)).or_default() += e.points;
    }
    for t in &found.totals {
        *figures.entry((&t.programme, &t.member, "steps")).or_default() += t.steps;
    }
    for (programme, member, baseline) in &found.baselines {
        figures.insert((programme, member, "baseline"), baseline.baseline_steps);
    }
    for r in found.refusals.iter().filter(|r| r.reason == "BACKFILL_LIMIT") {
        *figures.entry((&r.programme, &r.member, "rejected_days")).or_default() += 1;
    }
    let mut wrong = Vec::new();
    let mut compared = 0;
    for (programme, members) in expected["members"].as_object().expect("programmes") {
        for (member, rules) in members.as_object().expect("members") {
            for rule in
                ["KU-40", "KU-41", "KU-44", "KU-45", "baseline", "IW-07", "rejected_days", "HI-15", "HI-16", "steps"]
            {
                let told = &rules[rule];
                // `steps` also holds what the 30-day limit refuses.
                if rule == "steps"
                    && (told.is_null() || figures.contains_key(&(programme.as_str(), member.as_str(), "rejected_days")))
                {
                    continue;
                }
                let told = told.as_i64().unwrap_or(0);
                let got = figures.get(&(programme.as_str(), member.as_str(), rule)).copied().unwrap_or(0);
                compared += 1;
                if told != got {
                    wrong.push(format!("{programme} {member} {rule}: {told} told, {got} found"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {compared} figures differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 900, "only {compared} figures compared");
}

/// A fixed stream of numbers to shuffle by, so that a failure can be had again.
fn scramble(records: &mut Vec<Value>) {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let repeats: Vec<Value> = records.iter().filter(|_| next(5) == 0).cloned().collect();
    records.extend(repeats);
    for last in (1..records.len()).rev() {
        records.swap(last, next(last + 1));
    }
}

#[test]
fn april_gives_what_others_found() {
    let Some(folder) = data("april") else { return };
    compare(&folder, &town(&folder).recompute());
}

#[test]
fn april_made_hard_gives_what_others_found() {
    let Some(folder) = data("april-hard") else { return };
    compare(&folder, &town(&folder).recompute());
}

#[test]
fn neither_order_nor_repeats_matter() {
    let Some(folder) = data("april-hard") else { return };
    let mut town = town(&folder);
    scramble(&mut town.records);
    compare(&folder, &town.recompute());
}
