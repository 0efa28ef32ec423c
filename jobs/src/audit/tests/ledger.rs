//! Decides that an audit finds nothing in a ledger that is right, and everything in one that was tampered with.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::fixture::{Town, run};
use crate::audit::{AuditError, AuditReport, LedgerFault, audit};

/// A member with a week of steps, and the ledger that the rules make of it.
fn honest() -> Town {
    let mut town = Town::new("kunitachi", "2025-12-31");
    town.records.push(json!({"type": "member", "id": "e", "programme": "kunitachi", "member": "m", "op": "ENROL",
        "received_at": "2025-05-01T09:00:00+09:00", "effective_on": "2025-05-01", "birth_date": "1950-09-15"}));
    for day in 2..9 {
        town.records.push(json!({"type": "upload", "id": format!("u-{day}"), "programme": "kunitachi", "member": "m",
            "received_at": format!("2025-06-{:02}T07:00:00+09:00", day + 1), "channel": "APP",
            "source": {"platform": "FITBIT", "origin": "o", "device": "b", "device_kind": "WATCH"},
            "samples": [{"kind": "DAILY_TOTAL", "date": format!("2025-06-{day:02}"), "steps": 9000}]}));
    }
    let found = town.recompute();
    let mut sequences: BTreeMap<String, i64> = BTreeMap::new();
    for e in &found.entitlements {
        let sequence = sequences.entry(e.member.clone()).or_default();
        *sequence += 1;
        town.entries.push(json!({"entry_id": format!("{}-{}-0", e.rule, e.period), "sequence": *sequence,
            "programme": e.programme, "member": e.member, "rule": e.rule, "rule_version": 1, "item": "",
            "period": e.period, "revision": 0, "points": e.points, "debit": "issued", "credit": "member",
            "arrival_date": "2025-06-10"}));
    }
    for t in &found.totals {
        town.totals.push(json!({"programme": t.programme, "member": t.member, "date": t.date, "revision": 0,
            "steps": t.steps}));
    }
    for (programme, member, frozen) in &found.baselines {
        town.notices.push(json!({"programme": programme, "member": member, "rule": "KU-42",
            "kind": "BASELINE_FROZEN", "date": frozen.frozen_on, "revision": 0, "first_day": frozen.first_day,
            "baseline_steps": frozen.baseline_steps, "is_older_class": frozen.is_older_class}));
    }
    town
}

fn audited(town: &Town) -> AuditReport {
    run(audit(&town.tables())).expect("an audit")
}

/// The entry that gives the weekly bonus.
fn bonus(town: &mut Town) -> &mut Value {
    town.entries.iter_mut().find(|entry| entry["rule"] == "KU-41").expect("a weekly bonus")
}

#[test]
fn an_honest_ledger_is_clean_and_repeats_change_nothing() {
    let mut town = honest();
    let report = audited(&town);
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.programmes[0].members, report.programmes[0].days), (1, 7));
    assert!(report.to_string().contains("KU-41"), "{report}");
    town.records.extend(town.records.clone());
    assert!(audited(&town).is_clean());
}

#[test]
fn a_point_too_many_is_found() {
    let mut town = honest();
    bonus(&mut town)["points"] = json!(51);
    let report = audited(&town);
    assert_eq!(report.differences.len(), 1, "{report}");
    let difference = &report.differences[0];
    assert_eq!((difference.rule.as_str(), difference.period.as_str()), ("KU-41", "2025-W23"));
    assert_eq!((difference.expected, difference.posted), (50, 51));
    assert_eq!(report.findings(), 1);
}

#[test]
fn points_for_nobody_and_points_forgotten_are_found() {
    let mut town = honest();
    bonus(&mut town)["member"] = json!("nobody");
    let report = audited(&town);
    let found: Vec<_> = report.differences.iter().map(|d| (d.member.as_str(), d.expected, d.posted)).collect();
    assert_eq!(found, [("m", 50, 0), ("nobody", 0, 50)]);
    assert!(report.ledger_faults.iter().any(|fault| matches!(fault, LedgerFault::Sequence { .. })), "{report}");
}

#[test]
fn a_wrong_total_and_a_wrong_baseline_are_found() {
    let mut town = honest();
    town.totals[2]["steps"] = json!(9001);
    town.notices[0]["baseline_steps"] = json!(9001);
    let report = audited(&town);
    assert_eq!((report.daily_total_differences.len(), report.baseline_differences.len()), (1, 1), "{report}");
    assert_eq!(report.daily_total_differences[0].date, "2025-06-04");
    assert_eq!(report.findings(), 2);
}

#[test]
fn what_came_after_the_last_close_is_left_out() {
    let mut town = honest();
    town.closed_on = "2025-06-20".into();
    let mut late = town.records[3].clone();
    late["id"] = json!("late");
    late["received_at"] = json!("2025-06-21T07:00:00+09:00");
    late["samples"][0]["steps"] = json!(3);
    town.records.push(late);
    assert!(audited(&town).is_clean());
    // Whether the total was recorded before the late upload or after it, the day is not compared.
    town.totals[2]["steps"] = json!(3);
    assert!(audited(&town).is_clean());
    town.totals[3]["steps"] = json!(3);
    assert_eq!(audited(&town).daily_total_differences.len(), 1);
}

#[test]
fn a_broken_chain_a_repeated_id_and_a_one_sided_entry_are_found() {
    let mut town = honest();
    let first = bonus(&mut town).clone();
    let mut correction = first.clone();
    correction["entry_id"] = json!("second");
    correction["sequence"] = json!(town.entries.len() + 1);
    correction["revision"] = json!(1);
    correction["points"] = json!(0);
    correction["corrects"] = first["entry_id"].clone();
    town.entries.push(correction);
    assert!(audited(&town).is_clean());
    let last = town.entries.len() - 1;
    town.entries[last]["corrects"] = json!("another");
    assert!(matches!(audited(&town).ledger_faults[..], [LedgerFault::Chain { revision: 1, is_link_wrong: true, .. }]));
    town.entries[last]["corrects"] = first["entry_id"].clone();
    town.entries[last]["credit"] = json!("issued");
    assert!(matches!(audited(&town).ledger_faults[..], [LedgerFault::Accounts { one_sided: 1, .. }]));
    town.entries[last]["credit"] = json!("member");
    town.entries[last]["entry_id"] = first["entry_id"].clone();
    assert!(matches!(audited(&town).ledger_faults[..], [LedgerFault::RepeatedEntry { entries: 2, .. }]));
}

#[test]
fn what_cannot_be_audited_is_refused_with_a_reason() {
    let mut town = honest();
    town.programmes.push(town.programmes[0].clone());
    assert!(audited(&town).is_clean(), "published twice, it is one version");
    town.programmes[1]["version"] = json!(2);
    let refused = run(audit(&town.tables())).expect_err("two versions");
    assert!(matches!(refused, AuditError::SeveralVersions { .. }), "{refused}");
    let refused = run(audit(&datafusion::prelude::SessionContext::new())).expect_err("no tables");
    assert!(matches!(refused, AuditError::Table { table: "facts_uploads", .. }), "{refused}");
}
