//! What others see: the command's answers from real files, the lake as foreign tools read it, and who may write to it.
//!
//! The figures of `figures` are asked here of the whole path, from gzipped files to SQL, and the audit must find the same
//! by itself. What the lake guarantees through crashes is in `crashes`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::crashes::{assert_same, generated_lines, outcome};
use crate::support::command::{ayumi, run, sql, succeed};
use crate::support::{Random, shared_data};

const PROGRAMMES: [&str; 3] = ["hirosaki", "iwamizawa", "kunitachi"];

/// (programme, member, figure) to its value.
type Figures = BTreeMap<(String, String, String), i64>;

/// The figures of `expected.json`, where a rule that a member's entry does not list is left out, as 0 is.
fn expected_figures(folder: &Path) -> Figures {
    let expected: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("expected.json")).unwrap()).unwrap();
    let mut figures = Figures::new();
    for (programme, members) in expected["members"].as_object().unwrap() {
        for (member, values) in members.as_object().unwrap() {
            // Of the input, not of what counts.
            for (figure, value) in
                values.as_object().unwrap().iter().filter(|(name, _)| *name != "days" && *name != "steps")
            {
                figures.insert((programme.clone(), member.clone(), figure.clone()), value.as_i64().unwrap());
            }
        }
    }
    figures.retain(|_, value| *value != 0);
    figures
}

/// The same figures as the lake has them.
fn figures_of(data: &Path) -> Figures {
    let questions = [
        // KU-60 and HI-14 earn on the same facts, but `expected.json` leaves them out.
        "SELECT programme, member, rule, sum(points) FROM entries WHERE rule NOT IN ('KU-60', 'HI-14') \
         GROUP BY programme, member, rule HAVING sum(points) <> 0",
        "SELECT programme, member, 'baseline', baseline_steps FROM (SELECT *, row_number() OVER \
         (PARTITION BY programme, member ORDER BY revision DESC) AS place FROM notices WHERE kind = 'BASELINE_FROZEN') WHERE place = 1",
        "SELECT programme, member, 'rejected_days', count(DISTINCT activity_date) FROM rejections \
         WHERE reason = 'BACKFILL_LIMIT' GROUP BY programme, member",
    ];
    let mut figures = Figures::new();
    for row in questions.iter().flat_map(|question| sql(data, question)) {
        let [programme, member, figure, value] = row.split(',').collect::<Vec<_>>()[..] else { panic!("{row}") };
        figures.insert((programme.to_owned(), member.to_owned(), figure.to_owned()), value.parse().unwrap());
    }
    figures
}

fn assert_figures(folder: &Path, data: &Path) {
    let (expected, got) = (expected_figures(folder), figures_of(data));
    assert!(expected.len() > 200, "only {} figures in {}", expected.len(), folder.display());
    let wrong: Vec<String> = expected
        .keys()
        .chain(got.keys())
        .filter(|key| expected.get(key) != got.get(key))
        .map(|key| format!("{key:?}: {:?} in the lake, {:?} expected", got.get(key), expected.get(key)))
        .collect();
    assert!(wrong.is_empty(), "{} figures of {} are wrong:\n{}", wrong.len(), folder.display(), wrong.join("\n"));
}

/// Replays files into a folder.
fn replay(data: &Path, files: &[PathBuf]) {
    let mut arguments = vec!["replay", "--quiet", "--data", data.to_str().unwrap()];
    arguments.extend(files.iter().map(|file| file.to_str().unwrap()));
    succeed(&arguments);
}

fn assert_clean_audit(data: &Path) {
    let audit = run(&["audit", "--data", data.to_str().unwrap()]);
    assert_eq!(audit.code, 0, "the audit finds differences:\n{}{}", audit.out, audit.err);
}

fn real_files_come_to_their_figures(name: &str) {
    let Some(shared) = shared_data() else { return };
    let folder = shared.join(name);
    let home = tempfile::tempdir().unwrap();

    let data = home.path().join("in-order");
    let files = PROGRAMMES.map(|programme| folder.join(format!("{programme}.jsonl.gz")));
    replay(&data, &files);
    assert_figures(&folder, &data);
    assert_clean_audit(&data);

    let before = outcome(&data);
    replay(&data, &files);
    assert_same(&before, &outcome(&data), "the same files for a second time");

    let shuffled = home.path().join("shuffled.jsonl");
    std::fs::write(&shuffled, shuffled_with_repeats(&files)).unwrap();
    let data = home.path().join("shuffled");
    replay(&data, &[shuffled]);
    assert_figures(&folder, &data);
    assert_clean_audit(&data);
}

/// All lines of the files in another order, a fifth of them twice.
fn shuffled_with_repeats(files: &[PathBuf]) -> String {
    let mut random = Random(3);
    let mut lines = Vec::new();
    for file in files {
        let mut text = String::new();
        flate2::read::MultiGzDecoder::new(std::fs::File::open(file).unwrap()).read_to_string(&mut text).unwrap();
        for line in text.lines() {
            let copies = 1 + usize::from(random.below(5) == 0);
            lines.extend(std::iter::repeat_n(line.to_owned(), copies));
        }
    }
    random.shuffle(&mut lines);
    lines.join("\n") + "\n"
}

#[test]
fn april_replayed_from_its_files_comes_to_its_figures_and_the_audit_agrees() {
    real_files_come_to_their_figures("april");
}

#[test]
fn april_made_hard_replayed_from_its_files_comes_to_its_figures_and_the_audit_agrees() {
    real_files_come_to_their_figures("april-hard");
}

#[test]
fn a_second_replay_of_the_same_contents_says_so_and_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (file, renamed, data) = (home.path().join("a.jsonl"), home.path().join("b.jsonl"), home.path().join("data"));
    std::fs::write(&file, generated_lines(11, 10, 20)).unwrap();
    std::fs::copy(&file, &renamed).unwrap();
    replay(&data, &[file]);
    let before = outcome(&data);
    let said = run(&["replay", "--data", data.to_str().unwrap(), renamed.to_str().unwrap()]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(
        said.err.contains("b.jsonl") && said.err.contains("in the data folder already"),
        "it does not say so: {}",
        said.err
    );
    assert_same(&before, &outcome(&data), "the same contents under another name");
}

/// Python with the packages of `lake_readers.txt`, in a folder under target/, or `None` with the reason printed.
fn python() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lake-readers");
    let python = folder.join("bin/python3");
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("lake_readers.txt");
    let mut make = Command::new("python3");
    make.args(["-m", "venv"]).arg(&folder);
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "-r"]).arg(&packages);
    for (what, mut command) in [("python3 -m venv", make), ("pip install", install)] {
        let problem = match command.stdin(Stdio::null()).output() {
            Ok(Output { status, .. }) if status.success() => continue,
            Ok(Output { stderr, .. }) => String::from_utf8_lossy(&stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        eprintln!("SKIPPED: no foreign reader, because `{what}` fails: {problem}");
        return None;
    }
    Some(python)
}

fn foreign_reader(python: &Path, arguments: &[&str]) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("lake_readers.py");
    let Output { status, stdout, stderr } = Command::new(python).arg(script).args(arguments).output().unwrap();
    assert!(status.success(), "lake_readers.py {arguments:?}: {}", String::from_utf8_lossy(&stderr));
    serde_json::from_slice(&stdout).unwrap()
}

/// The answer of a foreign reader against `ayumi sql`'s.
fn assert_foreign_reader_agrees(data: &Path, found: &Value) {
    let points: Vec<String> = found["points"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            format!("{},{},{}", row["programme"].as_str().unwrap(), row["rule"].as_str().unwrap(), row["points"])
        })
        .collect();
    let own =
        sql(data, "SELECT programme, rule, sum(points) FROM entries GROUP BY programme, rule ORDER BY programme, rule");
    assert!(own.len() >= 3, "points under {} rules only", own.len());
    assert_eq!(points, own, "points per rule, as a foreign tool reads them and as Ayumi does");
    let samples = sql(data, "SELECT sum(cardinality(samples)) FROM facts_uploads");
    assert_eq!(samples, [found["samples"].to_string()], "samples in facts_uploads");
    let rows = found["rows"].as_object().unwrap();
    let counts: Vec<String> =
        rows.keys().map(|table| format!("SELECT '{table}' AS t, count(*) AS n FROM {table}")).collect();
    let own = sql(data, &(counts.join(" UNION ALL ") + " ORDER BY t"));
    let mut foreign: Vec<String> = rows.iter().map(|(table, count)| format!("{table},{count}")).collect();
    foreign.sort();
    assert_eq!(foreign, own, "rows per table");
}

#[test]
fn foreign_tools_read_the_lake_and_an_export_as_ayumi_does() {
    let Some(python) = python() else { return };
    let home = tempfile::tempdir().unwrap();
    let (file, data, export) = (home.path().join("a.jsonl"), home.path().join("data"), home.path().join("export"));
    std::fs::write(&file, generated_lines(12, 20, 40)).unwrap();
    replay(&data, &[file]);
    let delta = foreign_reader(&python, &[data.join("lake").to_str().unwrap()]);
    assert_foreign_reader_agrees(&data, &delta);
    succeed(&["export", "--data", data.to_str().unwrap(), export.to_str().unwrap()]);
    let parquet = foreign_reader(&python, &["--export", export.to_str().unwrap()]);
    assert_foreign_reader_agrees(&data, &parquet);
    let tables = |found: &Value| found["rows"].as_object().unwrap().len();
    assert!(tables(&delta) >= 10, "only {} Delta tables", tables(&delta));
    assert!(tables(&parquet) >= tables(&delta), "the export has {} tables of {}", tables(&parquet), tables(&delta));
}

#[test]
fn an_export_never_writes_over_what_is_there() {
    let home = tempfile::tempdir().unwrap();
    let (file, data, export) = (home.path().join("a.jsonl"), home.path().join("data"), home.path().join("export"));
    std::fs::write(&file, generated_lines(13, 2, 3)).unwrap();
    replay(&data, &[file]);
    std::fs::create_dir(&export).unwrap();
    std::fs::write(export.join("mine.txt"), "mine").unwrap();
    let said = run(&["export", "--data", data.to_str().unwrap(), export.to_str().unwrap()]);
    assert_eq!(said.code, 1, "{}", said.out);
    assert!(said.err.contains("not empty"), "it does not say why: {}", said.err);
    assert_eq!(std::fs::read_dir(&export).unwrap().count(), 1, "it wrote into the folder");
}

#[test]
fn a_second_process_on_the_same_data_folder_is_refused_while_the_first_runs() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let arguments = ["demo", "--members", "300", "--data", data.to_str().unwrap()];
    let mut first = ayumi(&arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // What it says first, it says when it has the folder.
    let mut said = String::new();
    BufReader::new(first.stderr.as_mut().unwrap()).read_line(&mut said).unwrap();
    let second = run(&["demo", "--members", "300", "--quiet", "--data", data.to_str().unwrap()]);
    let is_running = first.try_wait().unwrap().is_none();
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(is_running, "the first process had ended before the second was refused; it had said: {said}");
    assert_eq!(second.code, 1, "the second process was let in");
    let why = "another ayumi process uses it";
    assert!(second.err.contains(why) && second.err.contains("--data"), "no clear message: {}", second.err);
}

#[test]
fn a_place_without_a_lake_is_an_error_that_says_so() {
    let home = tempfile::tempdir().unwrap();
    let said = run(&["sql", "--data", home.path().join("nothing").to_str().unwrap(), "SELECT 1"]);
    assert_eq!(said.code, 1, "{}", said.out);
    assert!(said.err.contains("nothing"), "it does not name the place: {}", said.err);
    assert!(!home.path().join("nothing").exists(), "asking made a folder");
}
