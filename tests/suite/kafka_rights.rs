//! The rights that `ayumi topics acls` lists, on a broker that asks for rights: with them each role can do its work, and
//! without any one of them it can't, and says what it lacks.

use std::time::Duration;

use jobs::kafka::acl::{Grant, Role, arguments, commands, grants};
use jobs::kafka::client::Connection;
use jobs::kafka::config::{Config, KafkaConfig};
use jobs::kafka::topics::require;
use jobs::transport::{InputTopic, OutputTopic};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Message, Offset, TopicPartitionList};

use crate::support::broker::{Cluster, unique};
use crate::support::command::ayumi;
use crate::support::kafka_security::users;

const PATIENCE: Duration = Duration::from_secs(15);

/// What a piece of work came to: done, or what the broker refused.
type Outcome = Result<(), String>;

struct Stage {
    cluster: &'static Cluster,
    /// By the name of the user.
    config: Box<dyn Fn(&str) -> KafkaConfig>,
}

/// Topics with one record in each, on the secured broker, made by its super user.
fn stage(name: &str) -> Stage {
    let cluster = Cluster::shared_secured();
    let prefix = unique(name);
    let text = move |login: &str, brokers: &str| {
        format!(
            "[kafka]\nbrokers = \"{brokers}\"\ntopic_prefix = \"{prefix}.\"\ngroup_id = \"{prefix}\"\npartitions = 1\n\
             replication_factor = 1\n{login}"
        )
    };
    let open = Config::parse("test", &text("", &cluster.brokers()), &[], &[]).unwrap().kafka;
    let mut create = ayumi(&["topics", "create", "--brokers", &open.brokers, "--topic-prefix", &open.topic_prefix]);
    create.env("AYUMI_KAFKA_PARTITIONS", "1").env("AYUMI_KAFKA_REPLICATION_FACTOR", "1");
    let output = create.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let producer: BaseProducer = open.input_producer().create().unwrap();
    let names = InputTopic::ALL.map(InputTopic::name).into_iter().chain(OutputTopic::ALL.map(OutputTopic::name));
    for name in names {
        producer.send(BaseRecord::to(&open.topic(name)).key("m-1").payload("x")).unwrap();
    }
    producer.flush(PATIENCE).unwrap();

    let sasl = cluster.addresses(|ports| ports.sasl);
    let config = move |user: &str| {
        let user = users().iter().find(|known| known.name == user).unwrap();
        let login = format!(
            "security_protocol = \"sasl_plaintext\"\n[kafka.sasl]\nmechanism = \"SCRAM-SHA-512\"\nusername = \"{}\"\n",
            user.name
        );
        let password = [("AYUMI_KAFKA_SASL_PASSWORD".to_owned(), user.password.to_owned())];
        Config::parse("test", &text(&login, &sasl), &password, &[]).unwrap().kafka
    };
    Stage { cluster, config: Box::new(config) }
}

impl Stage {
    fn acls(&self, words: &[String]) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.cluster.tool("org.apache.kafka.tools.AclCommand", &words);
    }

    fn add(&self, grant: &Grant, principal: &str) {
        self.acls(&[vec!["--add".to_owned()], arguments(grant, principal)].concat());
    }

    fn remove(&self, grant: &Grant, principal: &str) {
        self.acls(&[vec!["--remove".to_owned(), "--force".to_owned()], arguments(grant, principal)].concat());
    }

    /// With all its rights a role does its work; without any one of them it can't.
    fn each_right_is_needed(&self, role: Role, user: &str, work: impl Fn(&KafkaConfig) -> Outcome) {
        let config = (self.config)(user);
        let principal = format!("User:{user}");
        let all = grants(role, &config);
        for grant in &all[1..] {
            self.add(grant, &principal);
        }
        for (index, grant) in all.iter().enumerate() {
            let refused = work(&config).expect_err(&format!("{role:?} does not need to {}", grant.purpose));
            let is_clear = refused.contains("uthoriz") || refused.contains("`ayumi topics acls`");
            assert!(is_clear, "{role:?} without the right to {}: {refused}", grant.purpose);
            self.add(grant, &principal);
            if let Some(next) = all.get(index + 1) {
                self.remove(next, &principal);
            }
        }
        work(&config).unwrap_or_else(|refused| panic!("{role:?} can't work with its rights: {refused}"));
    }
}

fn said(error: KafkaError) -> String {
    error.to_string()
}

/// What each role does first: makes sure of its topics.
fn may_use(config: &KafkaConfig, topics: &[String]) -> Outcome {
    let connection = Connection::saying(config, "test", |_| ());
    let consumer: BaseConsumer<Connection> =
        config.partition_reader().create_with_context(connection.clone()).map_err(said)?;
    let names: Vec<&str> = topics.iter().map(String::as_str).collect();
    let serve = || drop(consumer.poll(Duration::ZERO));
    let count = require(&connection, consumer.client(), &names, &serve, &|| false);
    count.map(drop).map_err(|error| error.to_string())
}

/// Reads one record of each topic, as a member of a group.
fn read_in_group(consumer: &BaseConsumer, topics: &[String]) -> Outcome {
    let names: Vec<&str> = topics.iter().map(String::as_str).collect();
    consumer.subscribe(&names).map_err(said)?;
    read_all(consumer, topics)
}

fn read_all(consumer: &BaseConsumer, topics: &[String]) -> Outcome {
    let mut left: Vec<&String> = topics.iter().collect();
    let deadline = std::time::Instant::now() + PATIENCE;
    while !left.is_empty() {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(record)) => left.retain(|topic| *topic != record.topic()),
            Some(Err(error)) => return Err(said(error)),
            None if std::time::Instant::now() > deadline => return Err(format!("nothing was read of {left:?}")),
            None => {}
        }
    }
    Ok(())
}

/// Waits until all that was sent is acknowledged.
fn send(producer: &BaseProducer<Deliveries>, topics: &[String]) -> Outcome {
    for topic in topics {
        producer.send(BaseRecord::to(topic).key("m-1").payload("x").partition(0)).map_err(|(error, _)| said(error))?;
    }
    let flushed = producer.flush(PATIENCE);
    match producer.context().0.lock().unwrap().take() {
        Some(error) => Err(said(error)),
        None => flushed.map_err(said),
    }
}

/// Remembers the first record that was not delivered.
#[derive(Default)]
struct Deliveries(std::sync::Mutex<Option<KafkaError>>);

impl rdkafka::ClientContext for Deliveries {}

impl rdkafka::producer::ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &rdkafka::producer::DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.0.lock().unwrap().get_or_insert(error.clone());
        }
    }
}

fn named(config: &KafkaConfig, names: &[&str]) -> Vec<String> {
    names.iter().map(|name| config.topic(name)).collect()
}

fn inputs(config: &KafkaConfig) -> Vec<String> {
    named(config, &InputTopic::ALL.map(InputTopic::name))
}

fn outputs(config: &KafkaConfig) -> Vec<String> {
    named(config, &OutputTopic::ALL.map(OutputTopic::name))
}

/// A transaction that writes to the topics and commits the positions of a group's member, if there is one.
fn transaction(config: &KafkaConfig, topics: &[String], consumer: Option<&BaseConsumer>) -> Outcome {
    let id = format!("{}-{}", config.group_id, unique("id"));
    let producer: BaseProducer<Deliveries> =
        config.transactional_producer(&id).create_with_context(Deliveries::default()).map_err(said)?;
    producer.init_transactions(PATIENCE).map_err(said)?;
    producer.begin_transaction().map_err(said)?;
    send(&producer, topics)?;
    if let Some(consumer) = consumer {
        let mut positions = TopicPartitionList::new();
        for topic in inputs(config) {
            positions.add_partition_offset(&topic, 0, Offset::Offset(1)).map_err(said)?;
        }
        let group = consumer.group_metadata().unwrap();
        producer.send_offsets_to_transaction(&positions, &group, PATIENCE).map_err(said)?;
    }
    producer.commit_transaction(PATIENCE).map_err(said)
}

#[test]
fn the_award_worker() {
    stage("award").each_right_is_needed(Role::Award, "award", |config| {
        let mut fresh = config.clone();
        // What was committed before is no matter here.
        fresh.librdkafka.push(("session.timeout.ms".to_owned(), "6000".to_owned()));
        let state = named(config, &["ayumi.state.v1"]);
        let changelog: BaseConsumer = config.partition_reader().create().map_err(said)?;
        may_use(config, &state)?;
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(&state[0], 0, Offset::Beginning).map_err(said)?;
        changelog.assign(&assignment).map_err(said)?;
        match changelog.poll(PATIENCE) {
            Some(Ok(_) | Err(KafkaError::PartitionEOF(_))) => {}
            Some(Err(error)) => return Err(said(error)),
            None => return Err("the changelog does not answer".to_owned()),
        }
        let consumer: BaseConsumer = fresh.award_consumer().create().map_err(said)?;
        let topics = inputs(config);
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        consumer.subscribe(&names).map_err(said)?;
        // An assignment, or a refusal.
        let deadline = std::time::Instant::now() + PATIENCE;
        while consumer.assignment().map_err(said)?.count() < topics.len() {
            match consumer.poll(Duration::from_millis(200)) {
                Some(Err(error)) => return Err(said(error)),
                _ if std::time::Instant::now() > deadline => return Err("nothing was assigned".to_owned()),
                _ => {}
            }
        }
        transaction(config, &[outputs(config), state].concat(), Some(&consumer))
    });
}

#[test]
fn the_lake() {
    stage("lake").each_right_is_needed(Role::Lake, "lake", |config| {
        let consumer: BaseConsumer = config.lake_consumer().create().map_err(said)?;
        read_in_group(&consumer, &[inputs(config), outputs(config)].concat())
    });
}

#[test]
fn the_clock_and_a_replay() {
    let ends = |config: &KafkaConfig, consumer: &BaseConsumer| -> Outcome {
        may_use(config, &inputs(config))?;
        for topic in inputs(config) {
            consumer.fetch_watermarks(&topic, 0, PATIENCE).map_err(said)?;
        }
        Ok(())
    };
    let read_clock = |config: &KafkaConfig, consumer: &BaseConsumer| {
        let clock = named(config, &["ayumi.clock.v1"]);
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(&clock[0], 0, Offset::Beginning).map_err(said)?;
        consumer.assign(&assignment).map_err(said)?;
        read_all(consumer, &clock)
    };
    let stage = stage("clock");
    stage.each_right_is_needed(Role::Clock, "clock", |config| {
        let consumer: BaseConsumer = config.partition_reader().create().map_err(said)?;
        ends(config, &consumer)?;
        read_clock(config, &consumer)?;
        transaction(config, &named(config, &["ayumi.clock.v1"]), None)
    });
    stage.each_right_is_needed(Role::Replay, "replay", |config| {
        let consumer: BaseConsumer = config.partition_reader().create().map_err(said)?;
        ends(config, &consumer)?;
        read_clock(config, &consumer)?;
        let producer: BaseProducer<Deliveries> =
            config.input_producer().create_with_context(Deliveries::default()).map_err(said)?;
        send(&producer, &inputs(config))?;
        transaction(config, &inputs(config), None)
    });
}

#[test]
fn a_gateway_writes_facts_and_nothing_else() {
    let stage = stage("gateway");
    let write = |config: &KafkaConfig, topics: &[String]| {
        let producer: BaseProducer<Deliveries> =
            config.input_producer().create_with_context(Deliveries::default()).map_err(said)?;
        send(&producer, topics)
    };
    let facts = ["ayumi.steps.v1", "ayumi.checkins.v1", "ayumi.records.v1", "ayumi.members.v1"];
    stage.each_right_is_needed(Role::Gateway, "gateway", |config| write(config, &named(config, &facts)));
    let config = (stage.config)("gateway");
    let refused = write(&config, &outputs(&config)).unwrap_err();
    assert!(refused.contains("uthoriz"), "{refused}");
}

#[test]
fn the_topics_command_says_which_rights_it_lacks() {
    let stage = stage("rights");
    let create = |prefix: &str| {
        let config = (stage.config)("topics");
        let mut command = ayumi(&["topics", "create", "--brokers", &config.brokers, "--topic-prefix", prefix]);
        command.env("AYUMI_KAFKA_PARTITIONS", "1").env("AYUMI_KAFKA_REPLICATION_FACTOR", "1");
        command.env("AYUMI_KAFKA_SECURITY_PROTOCOL", "sasl_plaintext");
        command.env("AYUMI_KAFKA_SASL_MECHANISM", "SCRAM-SHA-512").env("AYUMI_KAFKA_SASL_USERNAME", "topics");
        command.env("AYUMI_KAFKA_SASL_PASSWORD", "topics-secret");
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let prefix = unique("made") + ".";
    let (is_done, said) = create(&prefix);
    assert!(!is_done && said.contains("`ayumi topics acls --role topics` lists them"), "{said}");
    let mut config = (stage.config)("topics");
    config.topic_prefix.clone_from(&prefix);
    for grant in grants(Role::Topics, &config) {
        stage.add(&grant, "User:topics");
    }
    let (is_done, said) = create(&prefix);
    assert!(is_done, "{said}");
    let (is_done, said) = create(&prefix);
    assert!(is_done, "{said}");
}

#[test]
fn rights_are_printed_as_commands_of_kafkas_own_tool() {
    let config = Config::parse("test", "[kafka]\nbrokers = \"kafka-1:9092\"\n", &[], &[]).unwrap().kafka;
    let lines = commands(Role::Award, "User:award", &config);
    assert_eq!(
        lines.last().unwrap(),
        "kafka-acls.sh --bootstrap-server kafka-1:9092 --add --allow-principal User:award --operation Write \
         --transactional-id ayumi-award- --resource-pattern-type prefixed  # do all of that in one transaction"
    );
    for role in Role::ALL {
        assert!(!commands(role, "User:x", &config).is_empty(), "{role:?}");
    }
}
