//! Decides how a cluster's topics are compared with what they must be, and how they are made so.
//!
//! Guarantees: a topic that is there is changed only by [`Topics::apply`], and its partitions never are, since a member's
//! records are found by them. On failure: what was created stays, and the same call goes on from there.

use std::collections::BTreeMap;

use rdkafka::ClientContext;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewTopic, OwnedResourceSpecifier, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::Client;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use thiserror::Error;

use super::client::{ClientError, Connection};
use super::config::KafkaConfig;
use super::topic_specs::{TopicSpec, specs};

/// How long the cluster may take for one request.
const REQUEST_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

/// Why topics could not be compared, created or changed.
#[derive(Debug, Error)]
pub enum TopicsError {
    /// The cluster can't be reached.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Topics that have another number of partitions than the configuration.
    #[error(
        "{}; a member's records are found by their partition, so the number can't be changed under a ledger: set \
         kafka.partitions to what is there, or give new topics another kafka.topic_prefix and replay into them",
        partitions.join("; ")
    )]
    Partitions {
        /// Which, how many, and how many it should be.
        partitions: Vec<String>,
    },
    /// A topic that is not there.
    #[error("the topic {0} is missing on the cluster: `ayumi topics create` creates it")]
    Missing(String),
    /// A topic that this user has no right to.
    #[error("this user may not use the topic {0}: `ayumi topics acls` lists the rights of each role")]
    Forbidden(String),
    /// The cluster refuses.
    #[error("{doing}: {source}; {remedy}")]
    Refused {
        /// What was being done.
        doing: String,
        /// What the cluster says.
        source: Box<KafkaError>,
        /// What would help.
        remedy: String,
    },
}

/// Waits for the cluster, and makes sure that a role's topics are there, open to this user, and all have as many
/// partitions as each other; gives that number. `serve` and `is_stopping` are as for [`Connection::metadata`].
///
/// # Errors
///
/// What is wrong with which topic, and what to do about it.
pub fn require<C: ClientContext>(
    connection: &Connection,
    client: &Client<C>,
    names: &[&str],
    serve: &dyn Fn(),
    is_stopping: &dyn Fn() -> bool,
) -> Result<i32, TopicsError> {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for name in names {
        // Asked after by name: among all topics, those that this user may not use are left out.
        let metadata = connection.metadata(client, Some(name), serve, is_stopping)?;
        let Some(topic) = metadata.topics().first() else { return Err(TopicsError::Missing((*name).to_owned())) };
        match topic.error().map(RDKafkaErrorCode::from) {
            None => counts.push((name, topic.partitions().len())),
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
                return Err(TopicsError::Forbidden((*name).to_owned()));
            }
            Some(_) => return Err(TopicsError::Missing((*name).to_owned())),
        }
    }
    let count = counts.first().map_or(0, |(_, count)| *count);
    let others: Vec<String> = counts
        .iter()
        .filter(|(_, other)| *other != count)
        .map(|(name, other)| format!("{name} has {other} partitions and {} has {count}", names[0]))
        .collect();
    match i32::try_from(count) {
        Ok(count) if others.is_empty() => Ok(count),
        _ => Err(TopicsError::Partitions { partitions: others }),
    }
}

/// One thing about a topic that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The topic.
    pub topic: String,
    /// Kafka's name of the setting, or `replication factor`.
    pub setting: String,
    /// What it is.
    pub is: String,
    /// What it should be.
    pub should_be: String,
}

impl Difference {
    /// The number of copies is changed by moving data between brokers, which is not done from here.
    pub fn is_applicable(&self) -> bool {
        self.setting != REPLICATION
    }
}

const REPLICATION: &str = "replication factor";

/// How a cluster's topics compare with the configuration.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Topics that are there.
    pub present: Vec<String>,
    /// Topics that are not.
    pub missing: Vec<TopicSpec>,
    /// What is not as it should be.
    pub differences: Vec<Difference>,
    /// The settings that topics with differences have been given, ours and others'.
    given: BTreeMap<String, BTreeMap<String, String>>,
}

/// The topics of one configuration, on its cluster.
pub struct Topics<'c> {
    config: &'c KafkaConfig,
    connection: Connection,
    admin: AdminClient<Connection>,
}

impl<'c> Topics<'c> {
    /// Makes the client. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// If the configuration makes no client.
    pub fn on(config: &'c KafkaConfig, connection: Connection) -> Result<Self, TopicsError> {
        let admin = config.admin_client().create_with_context(connection.clone()).map_err(ClientError::Setup)?;
        Ok(Topics { config, connection, admin })
    }

    /// Compares the cluster's topics with the configuration. Waits for the cluster if it is away.
    ///
    /// # Errors
    ///
    /// If a topic has another number of partitions, or the cluster refuses.
    pub async fn compare(&self) -> Result<Comparison, TopicsError> {
        // This client polls itself.
        let metadata = self.connection.metadata(self.admin.inner(), None, &|| (), &|| false)?;
        let wanted = specs(self.config);
        let (present, missing): (Vec<TopicSpec>, Vec<TopicSpec>) =
            wanted.into_iter().partition(|spec| shape(&metadata, &spec.name).is_some());
        let mut comparison = Comparison { missing, ..Comparison::default() };
        let mut partitions = Vec::new();
        for spec in &present {
            let Some((found, copies)) = shape(&metadata, &spec.name) else { continue };
            if found != spec.partitions {
                let should_be = format!("{} has {found} partitions and should have {}", spec.name, spec.partitions);
                partitions.push(should_be);
            }
            if copies != spec.replication_factor {
                let (is, should_be) = (copies.to_string(), spec.replication_factor.to_string());
                let setting = REPLICATION.to_owned();
                comparison.differences.push(Difference { topic: spec.name.clone(), setting, is, should_be });
            }
        }
        if !partitions.is_empty() {
            return Err(TopicsError::Partitions { partitions });
        }
        self.compare_settings(&present, &mut comparison).await?;
        comparison.present = present.into_iter().map(|spec| spec.name).collect();
        Ok(comparison)
    }

    async fn compare_settings(&self, present: &[TopicSpec], comparison: &mut Comparison) -> Result<(), TopicsError> {
        if present.is_empty() {
            return Ok(());
        }
        let resources: Vec<ResourceSpecifier<'_>> =
            present.iter().map(|spec| ResourceSpecifier::Topic(&spec.name)).collect();
        let described = self.admin.describe_configs(&resources, &options()).await;
        for resource in described.map_err(|error| self.refused("describing the topics", error))? {
            let resource = resource.map_err(|code| self.refused("describing a topic", KafkaError::AdminOp(code)))?;
            let OwnedResourceSpecifier::Topic(name) = &resource.specifier else { continue };
            let Some(spec) = present.iter().find(|spec| spec.name == *name) else { continue };
            for (setting, should_be) in &spec.settings {
                let is = resource.get(setting).and_then(|entry| entry.value.clone()).unwrap_or_default();
                if is != *should_be {
                    let (topic, setting, should_be) = (name.clone(), (*setting).to_owned(), should_be.clone());
                    comparison.differences.push(Difference { topic, setting, is, should_be });
                }
            }
            let given = resource.entries.iter().filter(|entry| entry.source == ConfigSource::DynamicTopic);
            let given = given.filter_map(|entry| Some((entry.name.clone(), entry.value.clone()?))).collect();
            comparison.given.insert(name.clone(), given);
        }
        Ok(())
    }

    /// Creates the missing topics, and gives their names.
    ///
    /// # Errors
    ///
    /// If the cluster refuses one; those before it are there then.
    pub async fn create(&self, comparison: &Comparison) -> Result<Vec<String>, TopicsError> {
        let topics: Vec<NewTopic<'_>> = comparison.missing.iter().map(new_topic).collect();
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let results = self.admin.create_topics(&topics, &options()).await;
        let mut created = Vec::new();
        for result in results.map_err(|error| self.refused("creating the topics", error))? {
            match result {
                // Someone else was faster.
                Ok(name) | Err((name, RDKafkaErrorCode::TopicAlreadyExists)) => created.push(name),
                Err((name, code)) => return Err(self.refused(&format!("creating {name}"), KafkaError::AdminOp(code))),
            }
        }
        Ok(created)
    }

    /// Gives the topics the settings that they should have. What else they have been given, they keep. The brokers learn
    /// of it a moment later.
    ///
    /// # Errors
    ///
    /// If the cluster refuses.
    pub async fn apply(&self, comparison: &Comparison) -> Result<(), TopicsError> {
        // The request replaces all that a topic has been given, so what was there goes with it.
        let mut settings: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
        for difference in comparison.differences.iter().filter(|difference| difference.is_applicable()) {
            let given = comparison.given.get(&difference.topic).into_iter().flatten();
            let all = settings
                .entry(&difference.topic)
                .or_insert_with(|| given.map(|(name, value)| (name.as_str(), value.as_str())).collect());
            all.insert(&difference.setting, &difference.should_be);
        }
        let changes: Vec<AlterConfig<'_>> = settings
            .into_iter()
            .map(|(topic, settings)| AlterConfig {
                specifier: ResourceSpecifier::Topic(topic),
                entries: settings.into_iter().collect(),
            })
            .collect();
        if changes.is_empty() {
            return Ok(());
        }
        let results = self.admin.alter_configs(&changes, &options()).await;
        for result in results.map_err(|error| self.refused("changing the topics", error))? {
            result.map_err(|(topic, code)| self.refused(&format!("changing {topic:?}"), KafkaError::AdminOp(code)))?;
        }
        Ok(())
    }

    fn refused(&self, doing: &str, source: KafkaError) -> TopicsError {
        let brokers = &self.config.brokers;
        let code = match source {
            KafkaError::AdminOp(code) => Some(code),
            _ => source.rdkafka_error_code(),
        };
        let remedy = match code {
            Some(RDKafkaErrorCode::InvalidReplicationFactor) => {
                "there are fewer brokers than copies: set kafka.replication_factor to at most their number".to_owned()
            }
            Some(
                RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::ClusterAuthorizationFailed
                | RDKafkaErrorCode::GroupAuthorizationFailed,
            ) => "this user lacks rights: `ayumi topics acls --role topics` lists them".to_owned(),
            _ => format!("look at the log of the brokers at {brokers}, and run the same command again"),
        };
        TopicsError::Refused { doing: doing.to_owned(), source: Box::new(source), remedy }
    }
}

fn new_topic(spec: &TopicSpec) -> NewTopic<'_> {
    let replication = TopicReplication::Fixed(spec.replication_factor);
    let mut topic = NewTopic::new(&spec.name, spec.partitions, replication);
    topic.config = spec.settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    topic
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT)).operation_timeout(Some(REQUEST_TIMEOUT))
}

/// How many partitions and copies a topic has; `None` if there is no such topic, or none that this user may see.
fn shape(metadata: &Metadata, name: &str) -> Option<(i32, i32)> {
    let topic = metadata.topics().iter().find(|topic| topic.name() == name)?;
    if topic.partitions().is_empty() {
        return None;
    }
    let copies = topic.partitions().iter().map(|partition| partition.replicas().len()).min()?;
    Some((i32::try_from(topic.partitions().len()).ok()?, i32::try_from(copies).ok()?))
}
