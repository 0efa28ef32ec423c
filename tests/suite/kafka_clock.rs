//! The clock role and the input producer on a real Kafka: each day once in each partition, behind the inputs that there
//! were; facts of one member in one partition of all topics.

use std::time::Duration;

use jobs::kafka::clock::Clock;
use jobs::kafka::headers;
use jobs::kafka::producer::{Fact, InputProducer};
use jobs::transport::{Format, InputTopic};
use pipeline::calendar::CivilDate;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Message, OwnedMessage};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use schemas::{Record, Scratch};

use crate::support::broker::{Cluster, unique};
use crate::support::kafka_ledger::{make_topics, topic};
use crate::support::kafka_worker_process::kafka_config;

const PARTITIONS: i32 = 4;

fn records(brokers: &str, topic: &str) -> Vec<OwnedMessage> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "looks-only")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    (0..PARTITIONS).for_each(|partition| list.add_partition_offset(topic, partition, Offset::Beginning).unwrap());
    consumer.assign(&list).unwrap();
    let (mut ended, mut records) = (0, Vec::new());
    while ended < PARTITIONS {
        match consumer.poll(Duration::from_secs(30)) {
            Some(Ok(message)) => records.push(message.detach()),
            Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
            other => panic!("{topic}: {:?}", other.map(|result| result.map(drop))),
        }
    }
    records
}

fn days(brokers: &str, name: &str, partition: i32) -> Vec<CivilDate> {
    let date = |message: &OwnedMessage| match Scratch::default().decode_avro(message.payload().unwrap()) {
        Ok(Record::DayClosed(clock)) => clock.date,
        other => panic!("{other:?}"),
    };
    let clock = records(brokers, &topic(name, "clock"));
    clock.iter().filter(|message| message.partition() == partition).map(date).collect()
}

#[test]
fn each_day_is_declared_over_once_in_each_partition_whoever_has_the_role() {
    let (brokers, name) = (Cluster::shared().brokers(), unique("clock"));
    make_topics(&brokers, &name, PARTITIONS, 1, &[]);
    let kafka = kafka_config(&brokers, &name);
    let open = || Clock::open(&kafka, &|| false).unwrap();
    let day = |number| CivilDate::from_epoch_days(20_241 + number);

    let mut first = open();
    assert_eq!(first.closed(), None);
    assert_eq!(first.close_until(day(0), false).unwrap(), 1);
    assert_eq!(first.close_until(day(0), false).unwrap(), 0);
    let mut second = open();
    assert_eq!(second.closed(), Some(day(0)));
    assert_eq!(second.close_until(day(3), false).unwrap(), 3);
    assert!(first.close_until(day(1), false).is_err(), "it was replaced");
    assert_eq!(open().close_until(day(3), false).unwrap(), 0);
    for partition in 0..PARTITIONS {
        assert_eq!(days(&brokers, &name, partition), [day(0), day(1), day(2), day(3)]);
    }
}

#[test]
fn a_day_waits_for_the_last_record_of_each_input_and_for_no_mark_of_a_transaction() {
    let (brokers, name) = (Cluster::shared().brokers(), unique("clock"));
    make_topics(&brokers, &name, PARTITIONS, 1, &[]);
    let steps = topic(&name, "steps");
    let gateway: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &brokers)
        .set("transactional.id", unique("gateway"))
        .create()
        .unwrap();
    gateway.init_transactions(Duration::from_secs(30)).unwrap();
    let send = |count: i32| {
        gateway.begin_transaction().unwrap();
        for _ in 0..count {
            gateway.send(BaseRecord::<(), str>::to(&steps).partition(1).payload("x")).map_err(|error| error.0).unwrap();
        }
    };
    send(5);
    gateway.commit_transaction(Duration::from_secs(30)).unwrap();
    for _ in 0..3 {
        send(7);
        gateway.flush(Duration::from_secs(30)).unwrap();
        gateway.abort_transaction(Duration::from_secs(30)).unwrap();
    }

    let kafka = kafka_config(&brokers, &name);
    Clock::open(&kafka, &|| false).unwrap().close_until(CivilDate::from_epoch_days(20_241), false).unwrap();
    for message in records(&brokers, &topic(&name, "clock")) {
        let ends = headers::input_ends(message.headers().map(|headers| headers.as_borrowed()));
        let expected = (message.partition() == 1).then_some(5);
        assert_eq!(ends[InputTopic::Steps as usize], expected, "partition {}", message.partition());
        assert_eq!(ends[InputTopic::Members as usize], None);
    }
}

#[test]
fn facts_of_a_member_are_where_other_producers_put_them_in_every_topic_with_their_origin() {
    let (brokers, name) = (Cluster::shared().brokers(), unique("facts"));
    make_topics(&brokers, &name, PARTITIONS, 1, &[]);
    let mut producer = InputProducer::open(&kafka_config(&brokers, &name)).unwrap();
    for topic in [InputTopic::Steps, InputTopic::Checkins, InputTopic::Members] {
        for member in ["21", "foobar"] {
            let (file, line) = (Some("april.jsonl"), Some(3));
            producer.send(&Fact { topic, member, format: Format::Json, file, line, payload: b"{}" }).unwrap();
        }
    }
    producer.broadcast(InputTopic::Programmes, b"rules", &|| false).unwrap();
    producer.flush().unwrap();
    for of in ["steps", "checkins", "members"] {
        let mut found: Vec<(String, i32)> = Vec::new();
        for message in records(&brokers, &topic(&name, of)) {
            let described = headers::describe(message.headers().map(|headers| headers.as_borrowed()));
            assert_eq!(
                (described.format, described.file, described.line),
                (Format::Json, Some("april.jsonl"), Some(3))
            );
            found.push((String::from_utf8(message.key().unwrap().to_vec()).unwrap(), message.partition()));
        }
        found.sort();
        // What Kafka's own producer makes of these keys: murmur2 gives -973932308 and -790332482.
        assert_eq!(found, [("21".to_owned(), 0), ("foobar".to_owned(), 2)], "{of}");
    }
    let mut programmes: Vec<i32> =
        records(&brokers, &topic(&name, "programmes")).iter().map(Message::partition).collect();
    programmes.sort();
    assert_eq!(programmes, [0, 1, 2, 3]);
}
