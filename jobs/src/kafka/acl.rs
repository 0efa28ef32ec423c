//! Decides which rights on a cluster each role needs, as one table, and writes them as commands for Kafka's own tool.
//!
//! A right is listed where the role fails without it, and nowhere else: Kafka itself adds to Read and Write the right to
//! describe. `sql`, `audit`, `export` and `explain` read the lake only and need none.

use clap::ValueEnum;

use crate::transport::{InputTopic, OutputTopic};

use super::config::KafkaConfig;
use super::topic_names::CHANGELOG;

/// What a user of the cluster does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Decides points: `ayumi run --role award`
    Award,
    /// Writes the lake: `ayumi run --role lake`
    Lake,
    /// Ends the days: `ayumi run --role clock`
    Clock,
    /// Takes in uploads
    Gateway,
    /// Feeds files to the topics, with their days and programmes: `ayumi replay`, `ayumi load`
    Replay,
    /// Creates and changes the topics: `ayumi topics`
    Topics,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 6] = [Role::Award, Role::Lake, Role::Clock, Role::Gateway, Role::Replay, Role::Topics];
}

/// What may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Kafka's `Read`.
    Read,
    /// Kafka's `Write`.
    Write,
    /// Kafka's `Describe`.
    Describe,
    /// Kafka's `Create`.
    Create,
    /// Kafka's `DescribeConfigs`.
    DescribeConfigs,
    /// Kafka's `AlterConfigs`.
    AlterConfigs,
}

/// What it may be done to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// These topics.
    Topics(Vec<String>),
    /// All topics whose names begin so.
    TopicPrefix(String),
    /// A consumer group.
    Group(String),
    /// All transactional ids that begin so.
    TransactionalIdPrefix(String),
}

/// A right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What it may be done to.
    pub resource: Resource,
    /// What may be done.
    pub operations: &'static [Operation],
    /// What it is for.
    pub purpose: &'static str,
}

/// The rights of a role.
pub fn grants(role: Role, config: &KafkaConfig) -> Vec<Grant> {
    use Operation::{AlterConfigs, Create, Describe, DescribeConfigs, Read, Write};
    let topics = |names: &[&str]| Resource::Topics(names.iter().map(|name| config.topic(name)).collect());
    let inputs = || topics(&InputTopic::ALL.map(InputTopic::name));
    let outputs = || topics(&OutputTopic::ALL.map(OutputTopic::name));
    let facts: Vec<&str> = InputTopic::ALL.into_iter().filter(|topic| is_fact(*topic)).map(InputTopic::name).collect();
    let clock = || topics(&[InputTopic::Clock.name()]);
    let transactions = || Resource::TransactionalIdPrefix(format!("{}-", config.group_id));
    let grant = |resource, operations, purpose| Grant { resource, operations, purpose };
    let group_seen = || {
        let group = Resource::Group(config.group_id.clone());
        grant(group, &[Describe], "read without joining the group, which the client asks after all the same")
    };
    match role {
        Role::Award => vec![
            grant(inputs(), &[Read], "read the facts"),
            grant(outputs(), &[Write], "write what is decided"),
            grant(topics(&[CHANGELOG]), &[Read, Write], "keep the state and restore it"),
            grant(Resource::Group(config.group_id.clone()), &[Read], "share the partitions and commit positions"),
            grant(transactions(), &[Write], "do all of that in one transaction"),
        ],
        Role::Lake => vec![
            grant(inputs(), &[Read], "read the facts"),
            grant(outputs(), &[Read], "read what was decided"),
            grant(Resource::Group(config.lake_group_id()), &[Read], "share the partitions"),
        ],
        Role::Clock => vec![
            grant(inputs(), &[Describe], "see how far the inputs are"),
            grant(clock(), &[Read, Write], "see which days are over, and end the next"),
            group_seen(),
            grant(transactions(), &[Write], "end a day in all partitions or in none"),
        ],
        Role::Gateway => vec![grant(topics(&facts), &[Write], "write the facts that are taken in")],
        Role::Replay => vec![
            grant(inputs(), &[Write], "write facts, programmes and the ends of days"),
            grant(clock(), &[Read], "see which days are over"),
            group_seen(),
            grant(transactions(), &[Write], "end a day in all partitions or in none"),
        ],
        Role::Topics => vec![grant(
            Resource::TopicPrefix(config.topic_prefix.clone()),
            &[Create, Describe, DescribeConfigs, AlterConfigs],
            "create, compare and change the topics",
        )],
    }
}

/// What a gateway takes in.
fn is_fact(topic: InputTopic) -> bool {
    match topic {
        InputTopic::Steps | InputTopic::Checkins | InputTopic::Records | InputTopic::Members => true,
        InputTopic::Clock | InputTopic::Programmes | InputTopic::Inputs => false,
    }
}

/// A role's rights as commands of Kafka's `kafka-acls.sh`, one for each right.
pub fn commands(role: Role, principal: &str, config: &KafkaConfig) -> Vec<String> {
    let command = |grant: Grant| {
        let arguments = arguments(&grant, principal).join(" ");
        format!("kafka-acls.sh --bootstrap-server {} --add {arguments}  # {}", config.brokers, grant.purpose)
    };
    grants(role, config).into_iter().map(command).collect()
}

/// What Kafka's tool is told of a right, but where the cluster is and whether to add or to remove it.
pub fn arguments(grant: &Grant, principal: &str) -> Vec<String> {
    let mut words = vec!["--allow-principal".to_owned(), principal.to_owned()];
    for operation in grant.operations {
        words.extend(["--operation".to_owned(), format!("{operation:?}")]);
    }
    let prefixed = || ["--resource-pattern-type".to_owned(), "prefixed".to_owned()];
    match &grant.resource {
        Resource::Topics(names) => words.extend(names.iter().flat_map(|name| ["--topic".to_owned(), name.clone()])),
        Resource::TopicPrefix(prefix) => {
            words.extend(["--topic".to_owned(), prefix.clone()]);
            words.extend(prefixed());
        }
        Resource::Group(name) => words.extend(["--group".to_owned(), name.clone()]),
        Resource::TransactionalIdPrefix(prefix) => {
            words.extend(["--transactional-id".to_owned(), prefix.clone()]);
            words.extend(prefixed());
        }
    }
    words
}
