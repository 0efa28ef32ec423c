//! The award worker on a real Kafka: through `kill -9`, rebalances and a broker that bounces, readers of committed records
//! see each effect once, in sequence, and restores read only what is missing.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::broker::{Cluster, Options, unique};
use crate::support::counting::CLOSE_STEPS;
use crate::support::kafka_ledger::{Feeder, LedgerReader, committed_records, make_topics, topic};
use crate::support::kafka_worker_process::{WorkerPlace, WorkerProcess, run_if_asked};

const PARTITIONS: i32 = 4;

/// Is the worker in processes that other tests start; as a test it does nothing.
#[test]
fn worker_process() {
    run_if_asked();
}

struct Group {
    brokers: String,
    name: String,
    folder: TempDir,
}

impl Group {
    fn new(cluster: &Cluster, replicas: i32) -> Group {
        let group = Group { brokers: cluster.brokers(), name: unique("worker"), folder: TempDir::new().unwrap() };
        make_topics(&group.brokers, &group.name, PARTITIONS, replicas, &[]);
        group
    }

    fn place(&self, instance: &str) -> WorkerPlace {
        let (brokers, name) = (self.brokers.clone(), self.name.clone());
        WorkerPlace { brokers, name, instance: instance.to_owned(), folder: self.state_folder(instance) }
    }

    fn state_folder(&self, instance: &str) -> PathBuf {
        self.folder.path().join(instance)
    }

    fn start(&self, instance: &str) -> WorkerProcess {
        let test = concat!(module_path!(), "::worker_process");
        let test = test.split_once("::").unwrap().1; // Without the crate's name.
        WorkerProcess::start(test, &self.place(instance))
    }

    fn feeder(&self) -> Feeder {
        Feeder::new(&self.brokers, &self.name, PARTITIONS)
    }

    fn reader(&self) -> LedgerReader {
        LedgerReader::new(&self.brokers, &self.name, PARTITIONS)
    }

    fn committed(&self, of: &str) -> Vec<(i32, Option<String>)> {
        committed_records(&self.brokers, &topic(&self.name, of), PARTITIONS)
    }
}

/// Records read back by a worker that begins with so many partitions.
fn restored(worker: &WorkerProcess, partitions: i32) -> u64 {
    let counts = (0..partitions).map(|_| worker.await_line("restored "));
    counts.map(|line| line.split(' ').nth(1).unwrap().parse::<u64>().unwrap()).sum()
}

/// Feeds at some rate while `trouble` is made, and at least so many records; all the while a reader looks for repeats and
/// gaps, and at the end everything must be there.
fn under_load(group: &Group, records_min: u64, batch: u64, trouble: impl FnOnce()) {
    let (is_over, sent) = (AtomicBool::new(false), AtomicU64::new(u64::MAX));
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut reader = group.reader();
            while reader.entries() < sent.load(Ordering::Acquire) {
                reader.read_some();
            }
        });
        let feeding = scope.spawn(|| {
            let mut feeder = group.feeder();
            while feeder.sent() < records_min || !is_over.load(Ordering::Acquire) {
                feeder.send(batch, 997);
                std::thread::sleep(Duration::from_millis(20)); // The rate of the load.
            }
            feeder.finish();
            sent.store(feeder.sent(), Ordering::Release);
        });
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(trouble));
        is_over.store(true, Ordering::Release);
        feeding.join().unwrap();
        if let Err(panic) = result {
            sent.store(0, Ordering::Release);
            std::panic::resume_unwind(panic);
        }
        let until = Instant::now() + Duration::from_secs(120);
        while !reading.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(50));
        }
        if !reading.is_finished() {
            sent.store(0, Ordering::Release);
            panic!("records are missing");
        }
        reading.join().unwrap();
    });
    let mut reader = group.reader();
    reader.read_until(sent.load(Ordering::Acquire), Duration::from_secs(60));
}

#[test]
fn workers_killed_in_turn_under_load_lose_and_double_nothing() {
    let group = Group::new(Cluster::shared(), 1);
    let mut workers = vec![Some(group.start("a")), Some(group.start("b"))];
    under_load(&group, 100_000, 100, || {
        for round in 0..10 {
            let which = round % 2;
            workers[1 - which].as_ref().unwrap().await_line("committed ");
            workers[which].as_ref().unwrap().await_line("committed ");
            workers[which].take().unwrap().kill();
            let killed_at = Instant::now();
            let again = group.start(["a", "b"][which]);
            let assigned = again.await_line("assigned ");
            again.await_line("committed ");
            eprintln!("round {round}: next commit {:?} after the kill; {assigned}", killed_at.elapsed());
            workers[which] = Some(again);
        }
    });
}

#[test]
fn workers_join_and_leave_under_load() {
    let group = Group::new(Cluster::shared(), 1);
    let first = group.start("a");
    first.await_line("assigned [0, 1, 2, 3]");
    under_load(&group, 40_000, 100, || {
        for _ in 0..3 {
            first.await_line("committed ");
            let second = group.start("b");
            second.await_line("assigned [");
            second.await_line("committed ");
            first.await_line("revoked ");
            first.await_line("assigned [");
            let (took, _) = second.stop();
            assert!(took < Duration::from_secs(10), "stopping took {took:?}");
            let left_at = Instant::now();
            first.await_line("assigned [0, 1, 2, 3]");
            eprintln!("stopped in {took:?}, taken over {:?} later", left_at.elapsed());
            assert!(left_at.elapsed() < Duration::from_secs(5), "the group was not left");
        }
    });
}

#[test]
fn a_worker_goes_on_after_the_broker_was_killed_and_came_back() {
    let cluster = Cluster::start(&Options::default());
    let group = Group::new(&cluster, 1);
    let worker = group.start("a");
    under_load(&group, 30_000, 100, || {
        for _ in 0..2 {
            worker.await_line("committed ");
            cluster.kill(1);
            std::thread::sleep(Duration::from_secs(1)); // For how long it is away.
            cluster.restart(1);
            _ = worker.lines();
            worker.await_line("committed ");
        }
    });
    let (took, lines) = worker.stop();
    assert!(took < Duration::from_secs(10), "{took:?} {lines:?}");
}

#[test]
fn a_restart_reads_back_only_what_the_disk_lacks() {
    let group = Group::new(Cluster::shared(), 1);
    let (mut feeder, mut reader) = (group.feeder(), group.reader());
    let worker = group.start("a");
    feeder.send(30_000, 1_000);
    reader.read_until(30_000, Duration::from_secs(60));
    worker.stop();
    let written = group.committed("state").iter().filter(|(_, payload)| payload.as_deref() != Some("")).count() as u64;
    assert!(written >= 1_000, "{written} changes");

    let again = group.start("a");
    assert_eq!(restored(&again, PARTITIONS), 0, "everything was on disk");
    feeder.send(5_000, 1_000);
    reader.read_until(35_000, Duration::from_secs(60));
    again.kill();

    let after_crash = group.start("a");
    let lacking = restored(&after_crash, PARTITIONS);
    let all = group.committed("state").iter().filter(|(_, payload)| payload.as_deref() != Some("")).count() as u64;
    assert!(lacking <= all - written, "{lacking} read back where {} are new", all - written);
    after_crash.stop();

    std::fs::remove_dir_all(group.state_folder("a")).unwrap();
    let from_nothing = group.start("a");
    assert_eq!(restored(&from_nothing, PARTITIONS), all);
    feeder.send(1_000, 1_000);
    reader.read_until(36_000, Duration::from_secs(60));
}

#[test]
fn a_store_that_is_not_known_to_be_fresh_is_emptied() {
    let group = Group::new(Cluster::shared(), 1);
    let (mut feeder, mut reader) = (group.feeder(), group.reader());
    let worker = group.start("a");
    feeder.send(3_000, 100);
    reader.read_until(3_000, Duration::from_secs(60));
    worker.stop();
    let all = group.committed("state").iter().filter(|(_, payload)| payload.as_deref() != Some("")).count() as u64;
    std::fs::remove_dir_all(group.state_folder("a").join("fresh")).unwrap();
    let again = group.start("a");
    assert_eq!(restored(&again, PARTITIONS), all);
    feeder.send(3_000, 100);
    reader.read_until(6_000, Duration::from_secs(60));
}

#[test]
fn a_worker_that_was_suspended_until_others_took_over_commits_nothing_more() {
    let group = Group::new(Cluster::shared(), 1);
    let first = group.start("a");
    first.await_line("assigned [0, 1, 2, 3]");
    under_load(&group, 40_000, 40, || {
        first.await_line("committed ");
        first.signal("STOP");
        let second = group.start("b");
        second.await_line("committed ");
        first.signal("CONT");
        first.await_line("assigned [");
        first.await_line("committed ");
    });
}

#[test]
fn a_second_worker_of_the_same_name_replaces_the_first() {
    let group = Group::new(Cluster::shared(), 1);
    let mut feeder = group.feeder();
    let first = group.start("a");
    first.await_line("assigned [0, 1, 2, 3]");
    feeder.send(1_000, 10);
    first.await_line("committed ");
    let mut second = group.place("a");
    second.folder = group.state_folder("a2");
    let second = WorkerProcess::start("kafka_worker::worker_process", &second);
    second.await_line("assigned [0, 1, 2, 3]");
    let reason = first.await_line("stopped: ");
    assert!(reason.contains("another worker has the instance id a"), "{reason}");
    feeder.send(1_000, 10);
    group.reader().read_until(2_000, Duration::from_secs(60));
}

#[test]
fn a_clock_record_waits_for_the_inputs_that_it_names() {
    let group = Group::new(Cluster::shared(), 1);
    let mut feeder = group.feeder();
    let worker = group.start("a");
    worker.await_line("assigned [0, 1, 2, 3]");
    // Member 0 is of partition 0; its tenth record is the one waited for.
    feeder.put_clock(0, "2025-06-02", &[("ayumi.steps.v1", 10)]);
    feeder.put_clock(0, "2025-06-03", &[("ayumi.steps.v1", 12)]);
    feeder.send_steps(0, 9);
    let mut reader = group.reader();
    reader.read_until(9, Duration::from_secs(60));
    worker.stop();
    assert_eq!(group.committed("notices"), []);

    let again = group.start("a");
    feeder.send_steps(0, 2);
    reader.read_until(11, Duration::from_secs(60));
    feeder.send_steps(0, 1);
    reader.read_until(12, Duration::from_secs(60));
    again.stop();
    let notices: Vec<String> = group.committed("notices").into_iter().filter_map(|(_, payload)| payload).collect();
    let closed = |day: &str| {
        let steps = (0..CLOSE_STEPS).rev().map(|left| format!("closed, {left} to go"));
        std::iter::once(format!("{day} begins")).chain(steps).collect::<Vec<_>>()
    };
    assert_eq!(notices, [closed("2025-06-02"), closed("2025-06-03")].concat());
}

#[test]
fn topics_that_do_not_fit_together_stop_the_worker_with_the_remedy() {
    let cluster = Cluster::shared();
    let name = unique("worker");
    make_topics(&cluster.brokers(), &name, PARTITIONS, 1, &["checkins", "entries"]);
    let folder = TempDir::new().unwrap();
    let start = |folder: &Path| {
        let (brokers, name) = (cluster.brokers(), name.clone());
        let place = WorkerPlace { brokers, name, instance: "a".to_owned(), folder: folder.to_owned() };
        WorkerProcess::start("kafka_worker::worker_process", &place)
    };
    let reason = start(folder.path()).await_line("stopped: ");
    assert!(reason.contains("checkins.v1, ") && reason.contains("entries.v1"), "{reason}");
    assert!(reason.contains("ayumi topics create"), "{reason}");

    let others: Vec<&str> =
        crate::support::kafka_ledger::TOPICS.into_iter().filter(|of| !["checkins", "entries"].contains(of)).collect();
    make_topics(&cluster.brokers(), &name, PARTITIONS + 1, 1, &others);
    let reason = start(folder.path()).await_line("stopped: ");
    assert!(reason.contains("checkins.v1 has 5"), "{reason}");
}
