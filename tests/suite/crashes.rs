//! What a crash changes: nothing. Law 7 on the embedded default, and with it that the same seed gives the same ledger.
//!
//! A run is killed with SIGKILL at seeded instants and started again with the same command, until it ends by itself; then
//! the lake must answer as that of a run which nobody disturbed. The instants are shares of the time that the undisturbed
//! run took, so they fall on all of its parts on any machine; nothing that is asserted depends on where they fall. A full
//! disk is a crash that announces itself.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::Random;
use crate::support::command::{run, start, succeed};

/// What two runs must answer alike, as text.
const QUESTIONS: [(&str, &str); 8] = [
    ("entries", "SELECT * FROM entries ORDER BY entry_id"),
    ("daily totals", "SELECT * FROM daily_totals ORDER BY programme, member, date"),
    ("revisions of day totals", "SELECT count(*), sum(revision), sum(steps) FROM daily_total_revisions"),
    ("rejections by reason", "SELECT reason, count(*) AS facts FROM rejections GROUP BY reason ORDER BY reason"),
    (
        "rejections",
        "SELECT reason, record_id, member, sample_index, detail, origin, payload FROM rejections \
         ORDER BY origin['partition'], origin['offset'], sample_index",
    ),
    ("notices", "SELECT * FROM notices ORDER BY programme, member, date, revision"),
    (
        // How the records fell into transactions is chance, so there are only sums to compare.
        "accounting",
        "SELECT partition, max(last_offset), sum(records_read), sum(records_accepted), sum(records_rejected), \
         sum(records_duplicate), sum(records_parked), sum(records_unparked), sum(samples_read), sum(samples_accepted), \
         sum(samples_rejected), sum(samples_duplicate), sum(samples_parked) FROM accounting GROUP BY partition ORDER BY partition",
    ),
    // Their places are summed too, so that one fact lost and another twice is seen.
    (
        "facts",
        "SELECT 'uploads' AS facts, count(*) AS n, sum((origin['offset'] + 1) * (origin['partition'] + 1)) AS places FROM facts_uploads \
         UNION ALL SELECT 'members', count(*), sum((origin['offset'] + 1) * (origin['partition'] + 1)) FROM facts_members \
         UNION ALL SELECT 'records', count(*), sum((origin['offset'] + 1) * (origin['partition'] + 1)) FROM facts_records \
         UNION ALL SELECT 'programmes', count(*), sum((origin['offset'] + 1) * (origin['partition'] + 1)) FROM facts_programmes \
         UNION ALL SELECT 'clocks', count(*), sum((origin['offset'] + 1) * (origin['partition'] + 1)) FROM facts_clocks ORDER BY facts",
    ),
];

/// Everything that a run came to, as `ayumi sql` writes it.
pub fn outcome(data: &Path) -> Vec<(&'static str, String)> {
    let data = data.to_str().unwrap();
    let ask = |&(name, sql): &(&'static str, &str)| (name, succeed(&["sql", "--data", data, "--format", "csv", sql]));
    QUESTIONS.iter().map(ask).collect()
}

/// Holds two outcomes against each other, and shows the first line in which they differ.
pub fn assert_same(expected: &[(&str, String)], got: &[(&str, String)], what: &str) {
    for ((name, expected), (_, got)) in expected.iter().zip(got) {
        if expected == got {
            continue;
        }
        let (lines, others) = (expected.lines().count(), got.lines().count());
        let differing = expected.lines().zip(got.lines()).find(|(line, other)| line != other);
        panic!("{what}: other {name} ({lines} lines, now {others}); the first that differs: {differing:#?}");
    }
}

/// Records of members over a June and more: hours and a daily total each morning, some twice, some corrected, some wrong.
pub fn generated_lines(seed: u64, members: usize, days: usize) -> String {
    let mut random = Random(seed);
    let mut lines = Vec::new();
    for member in 0..members {
        let enrolment = json!({
            "type": "member", "id": format!("enrol-{member}"), "programme": "kunitachi", "member": format!("m-{member}"),
            "op": "ENROL", "received_at": "2025-06-01T09:00:00+09:00", "effective_on": "2025-06-01",
            "birth_date": if member % 2 == 0 { "1945-01-15" } else { "1980-08-31" }, "sex": "F", "course": "APP",
        });
        lines.push(enrolment.to_string());
    }
    for day in 0..days {
        for member in 0..members {
            let upload = generated_upload(&mut random, day, member);
            if random.below(20) == 0 {
                lines.push(upload.clone());
            }
            if random.below(100) == 0 {
                lines.push(upload[..upload.len() / 2].to_owned());
            }
            lines.push(upload);
        }
    }
    lines.join("\n") + "\n"
}

fn generated_upload(random: &mut Random, day: usize, member: usize) -> String {
    let date = |offset: usize| format!("2025-{:02}-{:02}", 6 + offset / 30, 1 + offset % 30);
    let (walked_on, received_on) = (date(day), date(day + 1));
    let mut samples = Vec::new();
    let mut total = 0;
    for hour in 0..23 {
        let steps = random.below(900);
        total += steps;
        samples.push(json!({
            "kind": "INTERVAL", "steps": steps, "start": format!("{walked_on}T{hour:02}:00:00+09:00"),
            "end": format!("{walked_on}T{:02}:00:00+09:00", hour + 1),
        }));
    }
    let total = if random.below(50) == 0 { -1 } else { (total + random.below(2_000)) as i64 };
    samples.push(json!({ "kind": "DAILY_TOTAL", "date": walked_on, "steps": total }));
    if day > 2 && random.below(10) == 0 {
        samples.push(
            json!({ "kind": "DAILY_TOTAL", "date": date(day - 2), "steps": random.below(20_000), "version": day }),
        );
    }
    json!({
        "type": "upload", "id": format!("u-{day}-{member}"), "programme": "kunitachi", "member": format!("m-{member}"),
        "received_at": format!("{received_on}T{:02}:{:02}:00+09:00", 6 + member % 12, random.below(60)), "channel": "APP",
        "source": { "platform": "FITBIT", "origin": "com.fitbit", "device": "b-1", "device_kind": "WATCH" },
        "samples": samples,
    })
    .to_string()
}

/// Runs a command undisturbed, and then in folder after folder with kills, until so many kills have hit a running process.
fn survive(kills: usize, seed: u64, command: &dyn Fn(&Path) -> Vec<String>) {
    let home = tempfile::tempdir().unwrap();
    let undisturbed = home.path().join("undisturbed");
    let began = Instant::now();
    succeed(&borrowed(&command(&undisturbed)));
    let mut lasted = began.elapsed();
    let expected = outcome(&undisturbed);
    assert!(
        expected.iter().all(|(_, answer)| answer.lines().count() > 1),
        "a run with nothing to compare: {expected:?}"
    );

    let mut random = Random(seed);
    let (mut killed, mut folders) = (0, 0);
    while killed < kills {
        folders += 1;
        assert!(folders <= 2 * kills, "only {killed} of {folders} runs could be killed within {lasted:?}");
        let data = home.path().join(folders.to_string());
        let killed_before = killed;
        // A few kills to a folder, so that all parts of the work are hit in turn and not always its last.
        let kills_here = (1 + random.below(8)).min(kills - killed);
        while killed - killed_before < kills_here {
            let pause = lasted.mul_f64(0.9 * random.below(1_000) as f64 / 1_000.0);
            if !is_killed(&borrowed(&command(&data)), pause) {
                // A whole run within the pause: the machine was busier when it was measured.
                lasted = if killed == killed_before { lasted.min(pause) } else { lasted };
                break;
            }
            killed += 1;
        }
        // What is left of the work, if anything is.
        succeed(&borrowed(&command(&data)));
        assert_same(
            &expected,
            &outcome(&data),
            &format!("seed {seed}, folder {folders}, after {} kills", killed - killed_before),
        );
        std::fs::remove_dir_all(&data).unwrap();
    }
    println!("{killed} kills in {folders} folders; an undisturbed run took {lasted:?}");
}

/// Starts a command and kills it after a pause. `false` if it had ended by itself, which must have been well.
fn is_killed(arguments: &[&str], pause: Duration) -> bool {
    let mut child = start(arguments);
    std::thread::sleep(pause);
    child.kill().unwrap();
    let status = child.wait().unwrap();
    let is_killed = status.signal() == Some(9);
    if !is_killed && !status.success() {
        let again = run(arguments);
        panic!("ayumi {arguments:?} ended with {status} after an earlier kill; once more, it says: {}", again.err);
    }
    is_killed
}

fn borrowed(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

fn demo(data: &Path, seed: u64) -> Vec<String> {
    let data = data.to_str().unwrap();
    ["demo", "--members", "40", "--seed", &seed.to_string(), "--quiet", "--data", data].map(str::to_owned).to_vec()
}

fn replay(data: &Path, file: &Path) -> Vec<String> {
    ["replay", "--quiet", "--data", data.to_str().unwrap(), file.to_str().unwrap()].map(str::to_owned).to_vec()
}

#[test]
fn law_7_a_demo_killed_at_any_instant_comes_to_the_same_ledger_and_lake() {
    survive(30, 7, &|data| demo(data, 7));
}

#[test]
fn law_7_a_replay_killed_at_any_instant_comes_to_the_same_ledger_and_lake() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("generated.jsonl");
    std::fs::write(&file, generated_lines(7, 200, 45)).unwrap();
    survive(20, 8, &|data| replay(data, &file));
}

#[test]
fn the_same_seed_gives_the_same_entries_byte_for_byte_and_another_seed_others() {
    let home = tempfile::tempdir().unwrap();
    let entries = |name: &str, seed| {
        let data = home.path().join(name);
        succeed(&borrowed(&demo(&data, seed)));
        let sql = "SELECT * FROM entries ORDER BY entry_id";
        succeed(&["sql", "--data", data.to_str().unwrap(), "--format", "csv", sql])
    };
    let (first, second, other) = (entries("first", 7), entries("second", 7), entries("other", 8));
    assert!(first == second, "two runs with seed 7 differ");
    assert!(first != other, "seeds 7 and 8 give the same entries");
}

/// A small disk in memory, mounted for as long as this lives.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where mounting is not permitted, with the reason printed.
    fn mount(folder: PathBuf, mib: u32) -> Option<SmallDisk> {
        std::fs::create_dir(&folder).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "ayumi-test"])
            .arg(&folder)
            .output();
        let problem = match mounted {
            Ok(output) if output.status.success() => return Some(SmallDisk(folder)),
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        eprintln!("SKIPPED: no small disk can be mounted, so a full one is not tested: {problem}");
        None
    }

    fn resize(&self, mib: u32) {
        let status = Command::new("mount").args(["-o", &format!("remount,size={mib}m")]).arg(&self.0).status().unwrap();
        assert!(status.success(), "remounting with {mib} MiB: {status}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let status = Command::new("umount").arg(&self.0).status();
        if !status.as_ref().is_ok_and(std::process::ExitStatus::success) {
            eprintln!("{} could not be unmounted: {status:?}", self.0.display());
        }
    }
}

#[test]
fn a_full_disk_stops_the_replay_cleanly_and_with_room_it_goes_on_without_loss() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("generated.jsonl");
    std::fs::write(&file, generated_lines(21, 200, 45)).unwrap();
    let undisturbed = home.path().join("undisturbed");
    succeed(&borrowed(&replay(&undisturbed, &file)));
    let expected = outcome(&undisturbed);

    let Some(disk) = SmallDisk::mount(home.path().join("disk"), 2) else { return };
    let data = disk.0.join("data");
    // In small steps, so that the disk is full at one part of the work after another.
    let mut unclear = Vec::new();
    let mut failures = 0;
    for mib in 2..200 {
        disk.resize(mib);
        let said = run(&borrowed(&replay(&data, &file)));
        if said.code == 0 {
            break;
        }
        failures += 1;
        let is_clear = said.err.contains("disk is full") || said.err.contains("No space left");
        if said.code != 1 || !is_clear {
            unclear.push(format!("{mib} MiB, exit code {}: {}", said.code, said.err));
        }
    }
    assert!(failures >= 2, "the disk was never full");
    assert_same(&expected, &outcome(&data), &format!("after {failures} full disks"));
    assert!(
        unclear.is_empty(),
        "on {} of {failures} full disks it does not say clearly what to do:\n{}",
        unclear.len(),
        unclear.join("\n")
    );
}
