//! Decides how each role's clients are set up, and what is said while Kafka is away.
//!
//! Guarantees: what exactly-once rests on (acknowledgements, isolation, assignment, partitioner) is set here and nowhere
//! else, and can't be configured away. On failure: librdkafka itself tries again with growing pauses; [`Connection`] says
//! once that Kafka is away and once that it is back. A refused login is kept as [`Connection::refusal`], since trying
//! again does not mend it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::{Client, OAuthToken};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::{ClientContext, Statistics};
use thiserror::Error;

use super::config::{KafkaConfig, Sasl, SaslLogin, TokenSource};
use super::token::{self, TokenError};

/// A record of 1 MiB and what goes around it; rejections and state hold such records whole.
pub const PRODUCED_BYTES_MAX: usize = 2 * 1024 * 1024 + 64 * 1024;
/// How long a dead worker's open transaction may hold up readers.
const TRANSACTION_TIMEOUT_MILLIS: u32 = 10_000;
/// A record that can't be written within its transaction is given up before the transaction is.
const MESSAGE_TIMEOUT_MILLIS: u32 = 8_000;

impl KafkaConfig {
    /// For creating and describing topics.
    pub fn admin_client(&self) -> ClientConfig {
        self.client(&[])
    }

    /// For writing facts into the input topics: acknowledged by all copies, in order, placed by key as Java clients do.
    pub fn input_producer(&self) -> ClientConfig {
        self.client(&[
            ("acks", "all"),
            ("enable.idempotence", "true"),
            ("partitioner", "murmur2_random"),
            ("compression.type", "lz4"),
            ("linger.ms", "5"),
            ("message.max.bytes", &PRODUCED_BYTES_MAX.to_string()),
        ])
    }

    /// For writing in transactions. `transactional_id` is the same after a restart and no other process's.
    pub fn transactional_producer(&self, transactional_id: &str) -> ClientConfig {
        self.client(&[
            ("transactional.id", transactional_id),
            ("transaction.timeout.ms", &TRANSACTION_TIMEOUT_MILLIS.to_string()),
            ("message.timeout.ms", &MESSAGE_TIMEOUT_MILLIS.to_string()),
            ("acks", "all"),
            ("enable.idempotence", "true"),
            ("partitioner", "murmur2_random"),
            ("compression.type", "lz4"),
            ("linger.ms", "5"),
            ("message.max.bytes", &PRODUCED_BYTES_MAX.to_string()),
        ])
    }

    /// For reading input as a member of the award workers' group.
    pub fn award_consumer(&self) -> ClientConfig {
        self.group_consumer(&self.group_id)
    }

    /// For reading inputs and outputs as a member of the lake writers' group.
    pub fn lake_consumer(&self) -> ClientConfig {
        self.group_consumer(&self.lake_group_id())
    }

    /// The consumer group of the lake writers.
    pub fn lake_group_id(&self) -> String {
        format!("{}-lake", self.group_id)
    }

    /// For reading partitions that are assigned by hand, up to their end: a changelog, or where the inputs end.
    pub fn partition_reader(&self) -> ClientConfig {
        // It never joins the group, but librdkafka assigns nothing without one.
        let mut config = self.client(&[("enable.partition.eof", "true"), ("group.id", &self.group_id)]);
        set_all(&mut config, CONSUMER);
        config
    }

    /// Partitions of one group's input come to one member (range), all at once (eager), and come back to it after a
    /// restart (static membership, where an instance id is configured).
    fn group_consumer(&self, group_id: &str) -> ClientConfig {
        let mut config = self.client(&[
            ("group.id", group_id),
            ("group.protocol", "classic"),
            ("partition.assignment.strategy", "range"),
        ]);
        if let Some(instance_id) = &self.instance_id {
            config.set("group.instance.id", instance_id);
        }
        set_all(&mut config, CONSUMER);
        config
    }

    /// What all clients have, then what this one has, then what the operator adds.
    fn client(&self, own: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("client.id", &self.client_id);
        config.set("security.protocol", self.security_protocol.name());
        // The state of the connections, for metrics and for saying that Kafka is back.
        config.set("statistics.interval.ms", "1000");
        config.set("reconnect.backoff.ms", "100").set("reconnect.backoff.max.ms", "2000");
        // Only what goes to `Connection`, which decides what is worth a line.
        config.set("log.connection.close", "false").set_log_level(RDKafkaLogLevel::Warning);
        self.set_security(&mut config);
        set_all(&mut config, own);
        for (name, value) in &self.librdkafka {
            config.set(name, value);
        }
        config
    }

    fn set_security(&self, config: &mut ClientConfig) {
        if self.security_protocol.has_tls() {
            // `probe` finds the system's authorities also where OpenSSL was built elsewhere.
            let ca = self.tls.ca_file.as_ref().map_or("probe".into(), |path| path.to_string_lossy());
            config.set("ssl.ca.location", ca);
        }
        if let Some((certificate, key)) = &self.tls.certificate {
            config.set("ssl.certificate.location", certificate.to_string_lossy());
            config.set("ssl.key.location", key.to_string_lossy());
        }
        if let Some(password) = &self.tls.key_password {
            config.set("ssl.key.password", password.expose());
        }
        if let Some(Sasl { mechanism, login }) = &self.sasl {
            config.set("sasl.mechanism", *mechanism);
            if let SaslLogin::Password { username, password } = login {
                config.set("sasl.username", username).set("sasl.password", password.expose());
            }
        }
    }
}

/// What all that read have in common. Positions are committed with the transaction that they belong to, never by the
/// client; a consumer that is slower than its fetcher asks again at once instead of after a second.
const CONSUMER: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "earliest"),
    ("isolation.level", "read_committed"),
    ("fetch.queue.backoff.ms", "5"),
    ("queued.max.messages.kbytes", "32768"),
];

fn set_all(config: &mut ClientConfig, settings: &[(&str, &str)]) {
    for (name, value) in settings {
        config.set(*name, *value);
    }
}

/// Why nothing can be done on the cluster.
#[derive(Debug, Error)]
pub enum ClientError {
    /// A client could not even be made.
    #[error("the Kafka client can't be set up: {0}; check [kafka.tls], [kafka.sasl] and [kafka.librdkafka]")]
    Setup(KafkaError),
    /// The brokers do not let this client in. Trying again does not mend it.
    #[error("{0}")]
    Refused(String),
    /// Told to stop while waiting.
    #[error("stopped while waiting for Kafka")]
    Stopped,
    /// The brokers answered with something else.
    #[error("Kafka at {brokers} does not answer as it should: {source}")]
    Answer {
        /// The configured addresses.
        brokers: String,
        /// What it said.
        source: KafkaError,
    },
}

/// What is known of a client's connections. Clones are the same; it serves as the context of any client, or a context of
/// its own hands the callbacks on to it.
#[derive(Clone)]
pub struct Connection {
    shared: Arc<Shared>,
}

struct Shared {
    /// What this client is for: `award consumer`.
    name: &'static str,
    brokers: String,
    token: Option<TokenSource>,
    say: Box<dyn Fn(&str) + Send + Sync>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    away_since: Option<Instant>,
    /// The last word on each broker's failure, until it is up.
    failures: BTreeMap<String, String>,
    refusal: Option<String>,
    /// The last statistics.
    statistics: Option<Arc<Statistics>>,
}

impl Connection {
    /// Nothing known yet. What is said goes to standard error.
    pub fn new(config: &KafkaConfig, name: &'static str) -> Self {
        Connection::saying(config, name, |line| eprintln!("{line}"))
    }

    /// As [`Connection::new`]; what is said goes elsewhere.
    pub fn saying(config: &KafkaConfig, name: &'static str, say: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let token = match config.sasl.as_ref().map(|sasl| &sasl.login) {
            Some(SaslLogin::Token(source)) => Some(source.clone()),
            _ => None,
        };
        let brokers = config.brokers.clone();
        let shared = Shared { name, brokers, token, say: Box::new(say), state: Mutex::default() };
        Connection { shared: Arc::new(shared) }
    }

    /// Whether no broker can be reached, as far as is known.
    pub fn is_away(&self) -> bool {
        self.state().away_since.is_some()
    }

    /// Why the brokers do not let this client in, if they do not.
    pub fn refusal(&self) -> Option<String> {
        self.state().refusal.clone()
    }

    /// The client's last statistics, at most a second old while it is polled.
    pub fn statistics(&self) -> Option<Arc<Statistics>> {
        self.state().statistics.clone()
    }

    /// Waits for the cluster's metadata: all topics, or one. librdkafka tries the brokers again with growing pauses.
    /// `serve` polls the client, which is how it comes by its token and says what is wrong; nothing to do for one that
    /// polls itself.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] if the brokers do not let this client in, and [`ClientError::Stopped`] if `is_stopping`
    /// says so.
    pub fn metadata<C: ClientContext>(
        &self,
        client: &Client<C>,
        topic: Option<&str>,
        serve: &dyn Fn(),
        is_stopping: &dyn Fn() -> bool,
    ) -> Result<Metadata, ClientError> {
        loop {
            serve();
            match client.fetch_metadata(topic, Duration::from_secs(1)) {
                Ok(metadata) => {
                    self.note_up();
                    return Ok(metadata);
                }
                Err(_) if is_stopping() => return Err(ClientError::Stopped),
                Err(KafkaError::MetadataFetch(code)) if is_transient(code) => self.note_away(),
                Err(source) => {
                    let brokers = self.shared.brokers.clone();
                    return Err(self.refused().unwrap_or(ClientError::Answer { brokers, source }));
                }
            }
            serve();
            if let Some(refused) = self.refused() {
                return Err(refused);
            }
        }
    }

    fn refused(&self) -> Option<ClientError> {
        self.refusal().map(ClientError::Refused)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What is known is no invariant that a panic elsewhere could break.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_away(&self) {
        let mut state = self.state();
        if state.away_since.is_some() {
            return;
        }
        state.away_since = Some(Instant::now());
        let why: Vec<&str> = state.failures.values().map(String::as_str).collect();
        let why = if why.is_empty() { "no answer".to_owned() } else { why.join("; ") };
        let Shared { name, brokers, .. } = &*self.shared;
        let line = format!("Kafka is away ({name}, {brokers}): {why}. Trying again until it is back");
        drop(state);
        (self.shared.say)(&line);
    }

    fn note_up(&self) {
        let mut state = self.state();
        state.failures.clear();
        state.refusal = None;
        let Some(since) = state.away_since.take() else { return };
        drop(state);
        let Shared { name, .. } = &*self.shared;
        (self.shared.say)(&format!("Kafka is back ({name}), after {} s", since.elapsed().as_secs()));
    }

    fn note_refusal(&self, reason: &str) {
        let mut state = self.state();
        if state.refusal.is_some() {
            return;
        }
        let Shared { name, brokers, .. } = &*self.shared;
        let line = format!(
            "Kafka at {brokers} does not let the {name} in: {reason}; check `kafka.security_protocol`, [kafka.tls] and \
             [kafka.sasl], and that the cluster knows this user"
        );
        state.refusal = Some(line.clone());
        drop(state);
        (self.shared.say)(&line);
    }
}

/// What goes away by itself.
fn is_transient(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::OperationTimedOut
            | Code::TimedOutQueue
            | Code::Resolve
            | Code::RequestTimedOut
            | Code::LeaderNotAvailable
            | Code::BrokerNotAvailable
            // What a broker that does not let the client in looks like from here: see `refusal`.
            | Code::Authentication
            | Code::SSL
    )
}

impl ClientContext for Connection {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn stats(&self, statistics: Statistics) {
        crate::admin::statistics::publish(self.shared.name, &statistics);
        let is_up = statistics.brokers.values().any(|broker| broker.state == "UP");
        self.state().statistics = Some(Arc::new(statistics));
        if is_up {
            self.note_up();
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown) => self.note_away(),
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL) => self.note_refusal(reason),
            // A broker tells that it does not take the client's certificate after the handshake is done.
            Some(RDKafkaErrorCode::BrokerTransportFailure) if reason.contains("SSL alert number") => {
                self.note_refusal(reason);
            }
            Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::Resolve) => {
                // `host:port/id: what happened (after 3ms in state CONNECT)`
                let (broker, what) = reason.split_once(": ").unwrap_or(("a broker", reason));
                let what = what.split(" (after ").next().unwrap_or(what);
                self.state().failures.insert(broker.to_owned(), what.to_owned());
            }
            // Whoever polls gets the others as errors, and decides.
            _ => {}
        }
    }

    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, _message: &str) {
        // All that matters comes as an error, to here or to the caller; the rest would be said a hundred times.
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        let source = self.shared.token.as_ref().ok_or(TokenError::NotConfigured)?;
        let token = token::obtain(source).inspect_err(|error| self.note_refusal(&error.to_string()))?;
        Ok(OAuthToken { token: token.text, principal_name: token.principal, lifetime_ms: token.expires_at_millis })
    }
}

impl ConsumerContext for Connection {}

impl ProducerContext for Connection {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): Self::DeliveryOpaque) {}
}
