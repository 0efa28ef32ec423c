//! The whole pipeline on a real Kafka: files in, two award workers that come and go, a lake writer; the ledger is that of
//! the embedded core, and the audit finds nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use jobs::award::{AwardPartition, AwardSettings};
use jobs::kafka::config::KafkaConfig;
use jobs::kafka::lake::{self, LakeEvent, LakeSettings};
use jobs::kafka::owned::TransactionBounds;
use jobs::kafka::worker::{self, WorkerEvent, WorkerSettings};
use jobs::transport::InputTopic;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::support::Random;
use crate::support::broker::{Cluster, unique};
use crate::support::command::ayumi;
use crate::support::core::{Core, Equality};
use crate::support::kafka_worker_process::kafka_config;

const PARTITIONS: i32 = 4;
const WAIT_MAX: Duration = Duration::from_secs(120);

/// 150 members over five weeks: a total a day, some late, some again, some corrected, some before their enrolment.
fn lines() -> Vec<String> {
    let mut random = Random(7);
    let mut lines = Vec::new();
    for member in 0..150 {
        lines.push(format!(
            r#"{{"type":"member","id":"e","programme":"kunitachi","member":"m-{member}","op":"ENROL","received_at":"2025-06-0{}T09:00:00+09:00","effective_on":"2025-06-01","birth_date":"1950-09-15"}}"#,
            1 + member % 4
        ));
        for day in 2..=30 {
            let times = 1 + usize::from(random.below(6) == 0);
            for time in 0..times {
                let received = day + 1 + random.below(1 + 4 * time) as u32;
                let (month, received) = if received > 30 { (7, received - 30) } else { (6, received) };
                let steps = 5_000 + random.below(8_000);
                lines.push(format!(
                    r#"{{"type":"upload","id":"u-{day}-{time}","programme":"kunitachi","member":"m-{member}","received_at":"2025-{month:02}-{received:02}T07:{time:02}:00+09:00","login_at":null,"channel":"APP","source":{{"platform":"FITBIT","origin":"app","device":"band","device_kind":"WATCH"}},"samples":[{{"kind":"DAILY_TOTAL","date":"2025-06-{day:02}","steps":{steps}}}]}}"#
                ));
            }
        }
    }
    random.shuffle(&mut lines);
    lines
}

fn run(arguments: &[&str], config: &KafkaConfig) {
    let mut command = ayumi(arguments);
    command.args(["--brokers", &config.brokers, "--topic-prefix", &config.topic_prefix]);
    command.env("AYUMI_KAFKA_REPLICATION_FACTOR", "1").env("AYUMI_KAFKA_PARTITIONS", PARTITIONS.to_string());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An award worker on a thread.
struct Worker {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// `committed` hears of each commit, by the worker's name.
    fn start(config: &KafkaConfig, instance: &'static str, folder: &Path, committed: &Sender<&'static str>) -> Worker {
        let folder = folder.join(instance);
        std::fs::create_dir_all(&folder).unwrap();
        let committed = Mutex::new(committed.clone());
        let settings = WorkerSettings {
            kafka: config.clone(),
            instance_id: instance.to_owned(),
            database: jobs::state_store::open_database(&folder.join("state"), 1 << 20).unwrap(),
            folder,
            bounds: TransactionBounds {
                commit_interval: Duration::from_millis(20),
                input_bytes_max: 20_000,
                ..TransactionBounds::default()
            },
            overlay_bytes_max: 1 << 18,
            flush_interval: Duration::from_millis(200),
            processing: AwardSettings { cache_bytes_max: 100_000, close_members_max: 7, ..AwardSettings::default() },
            observer: Arc::new(move |event| {
                if matches!(event, WorkerEvent::Committed { .. }) {
                    let _ = committed.lock().unwrap().send(instance); // Nobody may listen any more.
                }
            }),
        };
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let thread = std::thread::spawn(move || worker::run::<AwardPartition>(settings, asked).unwrap());
        Worker { stop, thread }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Release);
        self.thread.join().unwrap();
    }
}

fn consumer(config: &KafkaConfig, group: &str) -> BaseConsumer {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", &config.brokers).set("group.id", group).set("isolation.level", "read_committed");
    client.set("enable.partition.eof", "true").set("enable.auto.commit", "false").create().unwrap()
}

/// Whether the workers' group has committed positions at the end of all inputs.
fn is_all_processed(config: &KafkaConfig, consumer: &BaseConsumer) -> bool {
    let mut list = TopicPartitionList::new();
    for topic in InputTopic::ALL {
        (0..PARTITIONS).for_each(|partition| drop(list.add_partition(&config.topic(topic.name()), partition)));
    }
    let committed = consumer.committed_offsets(list, Duration::from_secs(30)).unwrap();
    committed.elements().iter().all(|element| {
        let (_, end) =
            consumer.fetch_watermarks(element.topic(), element.partition(), Duration::from_secs(30)).unwrap();
        end == 0 || element.offset() == Offset::Offset(end)
    })
}

/// The committed entries as law 2 compares them; no entry twice, sequences without a gap.
fn ledger(config: &KafkaConfig) -> (Equality, u64) {
    let consumer = consumer(config, &unique("reader"));
    let topic = config.topic("ayumi.entries.v1");
    let mut list = TopicPartitionList::new();
    (0..PARTITIONS).for_each(|part| list.add_partition_offset(&topic, part, Offset::Beginning).unwrap());
    consumer.assign(&list).unwrap();
    let (mut sums, mut sequences, mut entries, mut ends) = (Equality::new(), BTreeMap::new(), 0, 0);
    while ends < PARTITIONS {
        match consumer.poll(WAIT_MAX) {
            Some(Ok(message)) => {
                let entry = schemas::decode_entry(message.payload().unwrap()).unwrap();
                let sequence: &mut u64 = sequences.entry((entry.programme.clone(), entry.member.clone())).or_default();
                *sequence += 1;
                assert_eq!(entry.sequence, *sequence, "{entry:?}");
                let key = (
                    entry.programme.to_string(),
                    entry.member.to_string(),
                    entry.rule.to_string(),
                    entry.item.to_owned(),
                    entry.period.to_string(),
                    entry.debit.name(),
                    entry.credit.name(),
                    entry.posting_date.to_string(),
                );
                *sums.entry(key).or_default() += entry.points.amount();
                entries += 1;
            }
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => ends += 1,
            other => panic!("{:?}", other.map(|result| result.map(|_| ()))),
        }
    }
    sums.retain(|_, points| *points != 0);
    (sums, entries)
}

/// Lands what there is, and stops when there is no more for the moment.
fn land(config: &KafkaConfig, url: &str) {
    let stop = Arc::new(AtomicBool::new(false));
    let caught_up = Arc::clone(&stop);
    let settings = LakeSettings {
        kafka: config.clone(),
        url: url.to_owned(),
        observer: Arc::new(move |event| {
            if matches!(event, LakeEvent::CaughtUp(_)) {
                caught_up.store(true, Ordering::Release);
            }
        }),
    };
    lake::run(&settings, &stop).unwrap();
}

#[test]
fn two_workers_that_come_and_go_give_the_embedded_ledger_and_a_lake_that_the_audit_accepts() {
    let cluster = Cluster::shared();
    let config = kafka_config(&cluster.brokers(), &unique("pipeline"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("june.jsonl");
    std::fs::write(&file, lines().join("\n")).unwrap();
    run(&["topics", "create"], &config);
    run(&["replay", "--quiet", file.to_str().unwrap()], &config);

    let (committed, commits) = channel();
    let next = |of: &str| while commits.recv_timeout(WAIT_MAX).unwrap() != of {};
    let first = Worker::start(&config, "one", folder.path(), &committed);
    next("one");
    next("one");
    let second = Worker::start(&config, "two", folder.path(), &committed);
    next("two");
    first.stop();
    let watcher = consumer(&config, &config.group_id);
    while !is_all_processed(&config, &watcher) {
        next("two");
    }
    second.stop();

    let (sums, entries) = ledger(&config);
    let core = Core::new().run(lines().iter().map(String::as_str));
    assert!(core.entries.len() > 1_000);
    assert!(sums == core.equality(), "another ledger than the embedded one");

    let lake = folder.path().join("lake");
    let lake = lake.to_str().unwrap();
    let mut landed = 0;
    while landed < entries {
        land(&config, lake);
        let counted = ayumi(&["sql", "--lake", lake, "--format", "csv", "SELECT count(*) AS n FROM entries"]).output();
        landed = String::from_utf8(counted.unwrap().stdout).unwrap().lines().nth(1).unwrap().parse().unwrap();
    }
    assert_eq!(landed, entries);
    let audit = ayumi(&["audit", "--lake", lake]).output().unwrap();
    assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stdout));
}
