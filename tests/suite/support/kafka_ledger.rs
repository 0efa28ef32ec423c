//! Decides how the tests look at what workers wrote to Kafka: through a consumer of committed records that shares no code
//! with the writer, while the writer is at work.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

/// All topics of a worker.
pub const TOPICS: [&str; 12] = [
    "steps",
    "checkins",
    "records",
    "members",
    "clock",
    "programmes",
    "entries",
    "daily-totals",
    "rejections",
    "notices",
    "accounting",
    "state",
];

/// A topic's name under a test's prefix.
pub fn topic(name: &str, topic: &str) -> String {
    format!("{name}.{topic}.v1")
}

/// Makes all topics with so many partitions, except those left out.
pub fn make_topics(brokers: &str, name: &str, partitions: i32, replicas: i32, left_out: &[&str]) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let names: Vec<String> = TOPICS.iter().filter(|of| !left_out.contains(of)).map(|of| topic(name, of)).collect();
    let topics: Vec<NewTopic<'_>> = names
        .iter()
        .map(|name| {
            let new = NewTopic::new(name, partitions, TopicReplication::Fixed(replicas));
            if name.ends_with("state.v1") { new.set("cleanup.policy", "compact") } else { new }
        })
        .collect();
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
    let made = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(admin.create_topics(&topics, &options))
        .unwrap();
    made.into_iter().for_each(|result| _ = result.unwrap());
    // The controller has them; brokers that are busy hear of it a little later.
    let is_known = |name: &String| {
        let metadata = admin.inner().fetch_metadata(None, Duration::from_secs(30)).unwrap();
        metadata.topics().iter().any(|topic| topic.name() == name && topic.partitions().len() == partitions as usize)
    };
    while !names.iter().all(is_known) {
        std::thread::sleep(Duration::from_millis(50)); // Kafka tells nobody by itself.
    }
}

/// Writes numbered records of members. They go out by themselves.
pub struct Feeder {
    producer: ThreadedProducer<DefaultProducerContext>,
    name: String,
    partitions: i32,
    counts: HashMap<(u32, bool), u64>,
    sent: u64,
}

impl Feeder {
    /// Nothing sent yet.
    pub fn new(brokers: &str, name: &str, partitions: i32) -> Feeder {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("enable.idempotence", "true")
            .set("linger.ms", "2")
            .create()
            .unwrap();
        Feeder { producer, name: name.to_owned(), partitions, counts: HashMap::new(), sent: 0 }
    }

    /// Sends so many records, of `members` members in turn, every third on a second topic.
    pub fn send(&mut self, records: u64, members: u32) {
        for _ in 0..records {
            let member = (self.sent % u64::from(members)) as u32;
            let is_checkin = (self.sent / u64::from(members)) % 3 == 2;
            let count = self.counts.entry((member, is_checkin)).or_default();
            *count += 1;
            let (key, payload) = (format!("m{member}"), format!("m{member} {count}"));
            let topic = topic(&self.name, if is_checkin { "checkins" } else { "steps" });
            self.put(&topic, (member as i32) % self.partitions, &key, &payload);
            self.sent += 1;
        }
    }

    /// Sends one member's next records of steps.
    pub fn send_steps(&mut self, member: u32, records: u64) {
        for _ in 0..records {
            let count = self.counts.entry((member, false)).or_default();
            *count += 1;
            let (key, payload) = (format!("m{member}"), format!("m{member} {count}"));
            self.put(&topic(&self.name, "steps"), (member as i32) % self.partitions, &key, &payload);
            self.sent += 1;
        }
    }

    /// Sends a clock record that waits for the offsets of topics.
    pub fn put_clock(&self, partition: i32, payload: &str, ends: &[(&str, i64)]) {
        let mut headers = OwnedHeaders::new();
        for (name, end) in ends {
            headers = headers.insert(Header { key: &format!("end:{name}"), value: Some(&end.to_string()) });
        }
        let topic = topic(&self.name, "clock");
        let record = BaseRecord::<(), str>::to(&topic).partition(partition).payload(payload).headers(headers);
        self.producer.send(record).map_err(|(error, _)| error).unwrap();
    }

    /// Sends one record as it is.
    pub fn put(&self, topic: &str, partition: i32, key: &str, payload: &str) {
        let mut record = BaseRecord::to(topic).partition(partition).key(key).payload(payload);
        while let Err((_, returned)) = self.producer.send(record) {
            record = returned; // The queue is full.
            std::thread::yield_now();
        }
    }

    /// Waits until all are acknowledged.
    pub fn finish(&self) {
        self.producer.flush(Duration::from_secs(60)).unwrap();
    }

    /// Records sent so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }
}

/// Reads committed entries as they come, and panics at the first repeat, gap or refusal.
pub struct LedgerReader {
    consumer: BaseConsumer,
    name: String,
    sequences: HashMap<(String, String), u64>,
    records: u64,
}

impl LedgerReader {
    /// From the beginning.
    pub fn new(brokers: &str, name: &str, partitions: i32) -> LedgerReader {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("group.id", format!("{name}-reader"))
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        for of in ["entries", "daily-totals", "rejections"] {
            for partition in 0..partitions {
                list.add_partition_offset(&topic(name, of), partition, Offset::Beginning).unwrap();
            }
        }
        consumer.assign(&list).unwrap();
        LedgerReader { consumer, name: name.to_owned(), sequences: HashMap::new(), records: 0 }
    }

    /// Reads until there are so many entries, and as many day totals.
    pub fn read_until(&mut self, entries: u64, timeout: Duration) {
        let until = Instant::now() + timeout;
        while self.records < 2 * entries {
            assert!(Instant::now() < until, "{} of {} records within {timeout:?}", self.records, 2 * entries);
            self.read_some();
        }
        assert_eq!(self.records, 2 * entries, "more than was sent");
    }

    /// Reads for a moment.
    pub fn read_some(&mut self) {
        let until = Instant::now() + Duration::from_millis(200);
        let rejections = topic(&self.name, "rejections");
        while Instant::now() < until {
            let Some(Ok(message)) = self.consumer.poll(Duration::from_millis(50)) else { return };
            let payload = std::str::from_utf8(message.payload().unwrap()).unwrap();
            assert_ne!(message.topic(), rejections, "a record was lost or repeated: {payload}");
            let (member, sequence) = payload.split_once(' ').unwrap();
            let known = self.sequences.entry((message.topic().to_owned(), member.to_owned())).or_default();
            *known += 1;
            assert_eq!(sequence.parse(), Ok(*known), "a repeat or a gap of {member} on {}", message.topic());
            self.records += 1;
        }
    }

    /// Entries and day totals so far.
    pub fn entries(&self) -> u64 {
        self.records / 2
    }
}

/// Committed records of one topic, all that there are now.
pub fn committed_records(brokers: &str, topic: &str, partitions: i32) -> Vec<(i32, Option<String>)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", format!("{topic}-counter"))
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    (0..partitions).for_each(|partition| list.add_partition_offset(topic, partition, Offset::Beginning).unwrap());
    consumer.assign(&list).unwrap();
    let (mut ended, mut records) = (0, Vec::new());
    while ended < partitions {
        match consumer.poll(Duration::from_secs(30)) {
            Some(Ok(message)) => {
                let payload = message.payload().map(|payload| String::from_utf8_lossy(payload).into_owned());
                records.push((message.partition(), payload));
            }
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => ended += 1,
            other => panic!("{topic}: {:?}", other.map(|result| result.map(drop))),
        }
    }
    records
}
