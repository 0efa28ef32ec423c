//! Decides how Ayumi is configured for Kafka: which settings there are, what holds if they are left out, and what must
//! agree among them. Where a setting comes from is `sources`' to know, what it means to librdkafka `client`'s.
//!
//! Guarantees: what gets through is complete and without contradiction, files named in it can be read, and no secret is
//! ever part of a message.

mod passthrough;
mod secret;
mod security;
mod sources;

use std::path::Path;
use std::time::Duration;

pub use self::secret::Secret;
pub use self::security::{Sasl, SaslLogin, SecurityProtocol, Tls, TokenSource};
pub use self::sources::ConfigError;
use self::sources::{Form, Place, Sources};

/// All that a configuration file holds.
#[derive(Clone, Debug)]
pub struct Config {
    /// The cluster, and how to use it.
    pub kafka: KafkaConfig,
    /// The schema registry, if records are framed for one.
    pub schema_registry: Option<SchemaRegistryConfig>,
    /// Where metrics and health are served, if anywhere: `127.0.0.1:9464`.
    pub admin_listen: Option<String>,
}

/// A Kafka cluster, and how to use it.
#[derive(Clone, Debug)]
pub struct KafkaConfig {
    /// The first brokers to ask, `host:port`, with commas.
    pub brokers: String,
    /// What this process calls itself, in the brokers' logs and quotas.
    pub client_id: String,
    /// What the names of all topics begin with.
    pub topic_prefix: String,
    /// The consumer group of the award workers. Others derive theirs from it.
    pub group_id: String,
    /// Which worker of the group this is, across restarts: it gets its partitions back at once.
    pub instance_id: Option<String>,
    /// Partitions of every topic.
    pub partitions: i32,
    /// Copies of every partition.
    pub replication_factor: i32,
    /// Copies that must have a record before it counts as written.
    pub min_insync_replicas: i32,
    /// How long records are kept.
    pub retention: Retention,
    /// How connections are secured.
    pub security_protocol: SecurityProtocol,
    /// Certificates.
    pub tls: Tls,
    /// The login.
    pub sasl: Option<Sasl>,
    /// Further settings of librdkafka, for all clients.
    pub librdkafka: Vec<(String, String)>,
}

/// How long records are kept; `None` is for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Input topics that hold members' facts.
    pub inputs: Option<Duration>,
    /// Output topics but the ledger's.
    pub outputs: Option<Duration>,
    /// The ledger's entries.
    pub entries: Option<Duration>,
    /// Tombstones of the changelog. A worker that was away for longer restores its state from the beginning.
    pub tombstones: Duration,
}

/// A registry that speaks Confluent's REST protocol.
#[derive(Clone, Debug)]
pub struct SchemaRegistryConfig {
    /// Its address, without a path unless the registry has one.
    pub url: String,
    /// Name and password, if it asks for them.
    pub login: Option<(String, Secret)>,
    /// The authority that signed its certificate, if it is none that the system knows.
    pub ca_file: Option<std::path::PathBuf>,
}

const TEXT: Form<String> = Form {
    belongs: "text that is not empty",
    example: "\"…\"",
    read: |text| Some(text.to_owned()).filter(|text| !text.is_empty()),
};

const BROKERS: Form<String> = Form {
    belongs: "host and port of one broker or several",
    example: "[\"kafka-1:9092\", \"kafka-2:9092\"]",
    read: |text| {
        let is_address = |address: &str| {
            let (host, port) = address.trim().rsplit_once(':')?;
            (!host.is_empty() && port.parse::<u16>().is_ok()).then(|| address.trim().to_owned())
        };
        let addresses: Option<Vec<String>> = text.split(',').map(is_address).collect();
        addresses.map(|addresses| addresses.join(","))
    },
};

/// A name that Kafka takes for a group, and within a topic's name.
const NAME: Form<String> = Form {
    belongs: "letters, digits, `.`, `-` and `_`, at most 100 of them",
    example: "\"ayumi\"",
    read: |text| {
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        Some(text.to_owned()).filter(|text| (1..=100).contains(&text.len()) && text.bytes().all(is_fit))
    },
};

const PARTITIONS: Form<i32> = Form {
    belongs: "a whole number from 1 to 1000",
    example: "8",
    read: |text| text.parse().ok().filter(|count| (1..=1000).contains(count)),
};

const REPLICAS: Form<i32> = Form {
    belongs: "a whole number from 1 to 9",
    example: "3",
    read: |text| text.parse().ok().filter(|count| (1..=9).contains(count)),
};

const DAYS_SECONDS: u64 = 24 * 60 * 60;
const DAYS_MAX: u64 = 3653;

const DAYS_OR_FOREVER: Form<Option<Duration>> = Form {
    belongs: "a number of days from 1 to 3653, or \"forever\"",
    example: "455",
    read: |text| if text == "forever" { Some(None) } else { (DAYS.read)(text).map(Some) },
};

const DAYS: Form<Duration> = Form {
    belongs: "a number of days from 1 to 3653",
    example: "7",
    read: |text| {
        let days = text.parse().ok().filter(|days| (1..=DAYS_MAX).contains(days));
        days.map(|days: u64| Duration::from_secs(days * DAYS_SECONDS))
    },
};

/// A season of a year and 90 days: what may still be corrected can be read again.
const INPUT_RETENTION: Duration = Duration::from_secs((365 + 90) * DAYS_SECONDS);
/// As long as a machine may stand still over a long weekend without restoring everything.
const TOMBSTONE_RETENTION: Duration = Duration::from_secs(7 * DAYS_SECONDS);

impl Config {
    /// Reads the file, if there is one; what the environment and the flags say goes before it. A flag is the name of a
    /// setting, such as `kafka.brokers`, and its value.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, each with its place and what would be right.
    pub fn load(file: Option<&Path>, flags: &[(&'static str, String)]) -> Result<Config, ConfigError> {
        let text = match file {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path).map_err(|error| {
                let fix = "give the path of a TOML file with --config, or leave it out and set AYUMI_KAFKA_BROKERS";
                ConfigError::one(format!("{} can't be read: {error}; {fix}\n", path.display()))
            })?,
        };
        let name = file.map_or_else(String::new, |path| path.display().to_string());
        let environment: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Config::parse(&name, &text, &environment, flags)
    }

    /// Reads a file's text under a name that problems are told with, an environment and flags.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, each with its place and what would be right.
    pub fn parse(
        file: &str,
        text: &str,
        environment: &[(String, String)],
        flags: &[(&'static str, String)],
    ) -> Result<Config, ConfigError> {
        let mut sources = Sources::new(file, text, environment, flags);
        let kafka = kafka(&mut sources);
        let schema_registry = schema_registry(&mut sources);
        let admin_listen = sources.optional("admin.listen", &LISTEN).map(|found| found.value);
        sources.finish()?;
        Ok(Config { kafka, schema_registry, admin_listen })
    }
}

const LISTEN: Form<String> = Form {
    belongs: "an address and a port to listen on",
    example: "\"0.0.0.0:9464\"",
    read: |text| text.parse::<std::net::SocketAddr>().ok().map(|address| address.to_string()),
};

fn kafka(sources: &mut Sources<'_>) -> KafkaConfig {
    let brokers = sources.required("kafka.brokers", &BROKERS, ": there is no Kafka to go to");
    let replication_factor = sources.or("kafka.replication_factor", &REPLICAS, 3);
    let min_insync = sources.optional("kafka.min_insync_replicas", &REPLICAS);
    // One broker may be away: all copies but one, unless there is one only.
    let min_insync_replicas = min_insync.as_ref().map_or((replication_factor - 1).clamp(1, 2), |found| found.value);
    if min_insync_replicas > replication_factor {
        let place = min_insync.map_or(Place::Absent, |found| found.place);
        let message = format!("{min_insync_replicas} copies must be written, but there are {replication_factor}");
        let fix = "make it smaller than `kafka.replication_factor`, or no record could ever be written";
        sources.add(&place, "kafka.min_insync_replicas", &message, fix);
    }
    let retention = Retention {
        inputs: sources.or("kafka.retention_days.inputs", &DAYS_OR_FOREVER, Some(INPUT_RETENTION)),
        outputs: sources.or("kafka.retention_days.outputs", &DAYS_OR_FOREVER, Some(INPUT_RETENTION)),
        entries: sources.or("kafka.retention_days.entries", &DAYS_OR_FOREVER, None),
        tombstones: sources.or("kafka.retention_days.tombstones", &DAYS, TOMBSTONE_RETENTION),
    };
    let (security_protocol, tls, sasl) = security::read(sources);
    KafkaConfig {
        brokers,
        client_id: sources.or("kafka.client_id", &NAME, "ayumi".to_owned()),
        topic_prefix: sources.or("kafka.topic_prefix", &NAME, "ayumi.".to_owned()),
        group_id: sources.or("kafka.group_id", &NAME, "ayumi-award".to_owned()),
        instance_id: sources.optional("kafka.instance_id", &NAME).map(|found| found.value),
        partitions: sources.or("kafka.partitions", &PARTITIONS, 8),
        replication_factor,
        min_insync_replicas,
        retention,
        security_protocol,
        tls,
        sasl,
        librdkafka: passthrough::read(sources),
    }
}

impl KafkaConfig {
    /// The name that a topic has on this cluster: `ayumi.steps.v1` with the configured prefix in place of `ayumi.`.
    pub fn topic(&self, name: &str) -> String {
        format!("{}{}", self.topic_prefix, name.strip_prefix("ayumi.").unwrap_or(name))
    }
}

fn schema_registry(sources: &mut Sources<'_>) -> Option<SchemaRegistryConfig> {
    const URL: Form<String> = Form {
        belongs: "an http or https address",
        example: "\"https://registry:8081\"",
        read: |text| {
            let is_fit = |url: &url::Url| matches!(url.scheme(), "http" | "https") && url.has_host();
            url::Url::parse(text).ok().filter(is_fit).map(|_| text.trim_end_matches('/').to_owned())
        },
    };
    let url = sources.optional("schema_registry.url", &URL);
    let username = sources.optional("schema_registry.username", &TEXT);
    let password = sources.secret("schema_registry.password", "schema_registry.password_file");
    let ca_file = sources.file("schema_registry.ca_file").map(|found| found.value);
    let login = match (username, password) {
        (Some(name), Some(password)) => Some((name.value, password)),
        (Some(name), None) => {
            let message = "a name for the registry without a password";
            sources.add(&name.place, "", message, "add `password_file`, or set AYUMI_SCHEMA_REGISTRY_PASSWORD");
            None
        }
        _ => None,
    };
    url.map(|url| SchemaRegistryConfig { url: url.value, login, ca_file })
}
