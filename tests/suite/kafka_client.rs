//! Clients on a real Kafka: every kind of login, a login that is refused, and a broker that is away and comes back.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use jobs::kafka::client::{ClientError, Connection};
use jobs::kafka::config::{Config, KafkaConfig};
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::support::broker::{Cluster, Options};
use crate::support::kafka_security::{User, users};

fn config(text: &str) -> KafkaConfig {
    Config::parse("test", text, &[], &[]).unwrap_or_else(|error| panic!("{error}\n{text}")).kafka
}

/// What a connection says, as it says it.
fn connection(config: &KafkaConfig) -> (Connection, mpsc::Receiver<String>) {
    let (said, lines) = mpsc::channel();
    let said = Mutex::new(said);
    (Connection::saying(config, "test", move |line| _ = said.lock().unwrap().send(line.to_owned())), lines)
}

fn brokers_seen(config: &KafkaConfig) -> Result<usize, ClientError> {
    let (connection, _lines) = connection(config);
    let client: BaseConsumer<Connection> =
        config.partition_reader().create_with_context(connection.clone()).map_err(ClientError::Setup)?;
    let serve = || drop(client.poll(Duration::ZERO));
    let metadata = connection.metadata(client.client(), None, &serve, &|| false)?;
    Ok(metadata.brokers().len())
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn award() -> &'static User {
    users().iter().find(|user| user.name == "award").unwrap()
}

fn sasl(cluster: &Cluster, protocol: &str, login: &str) -> String {
    let secured = cluster.secured.as_ref().unwrap();
    let port = |ports: &crate::support::broker::Ports| if protocol == "sasl_ssl" { ports.sasl_tls } else { ports.sasl };
    let mut text = format!("[kafka]\nbrokers = \"{}\"\nsecurity_protocol = \"{protocol}\"\n", cluster.addresses(port));
    if protocol == "sasl_ssl" {
        _ = write!(text, "[kafka.tls]\nca_file = \"{}\"\n", secured.ca().display());
    }
    text + "[kafka.sasl]\n" + login
}

#[test]
fn scram_over_tls_and_without() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::shared_secured();
    let password = write(folder.path(), "password", award().password);
    let login = format!("mechanism = \"SCRAM-SHA-512\"\nusername = \"award\"\npassword_file = \"{password}\"\n");
    for protocol in ["sasl_plaintext", "sasl_ssl"] {
        assert_eq!(brokers_seen(&config(&sasl(cluster, protocol, &login))).unwrap(), 1, "{protocol}");
    }
}

#[test]
fn a_wrong_password_is_told_at_once_with_what_to_check() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::shared_secured();
    let password = write(folder.path(), "password", "wrong-tiger");
    let login = format!("mechanism = \"SCRAM-SHA-512\"\nusername = \"award\"\npassword_file = \"{password}\"\n");
    let error = brokers_seen(&config(&sasl(cluster, "sasl_plaintext", &login))).unwrap_err();
    let said = error.to_string();
    assert!(matches!(error, ClientError::Refused(_)), "{said}");
    assert!(said.contains("[kafka.sasl]"), "{said}");
    assert!(!said.contains("tiger"), "{said}");
}

#[test]
fn a_client_certificate_is_a_login() {
    let cluster = Cluster::shared_secured();
    let secured = cluster.secured.as_ref().unwrap();
    let text = |certificate: bool| {
        let mut text = format!(
            "[kafka]\nbrokers = \"{}\"\nsecurity_protocol = \"ssl\"\n[kafka.tls]\nca_file = \"{}\"\n",
            cluster.addresses(|ports| ports.tls),
            secured.ca().display()
        );
        if certificate {
            let (certificate, key) = (secured.certificate("award"), secured.key("award"));
            _ = write!(text, "certificate_file = \"{}\"\nkey_file = \"{}\"\n", certificate.display(), key.display());
        }
        text
    };
    assert_eq!(brokers_seen(&config(&text(true))).unwrap(), 1);
    let error = brokers_seen(&config(&text(false))).unwrap_err();
    assert!(matches!(error, ClientError::Refused(_)), "{error}");
}

#[test]
fn a_broker_whose_certificate_nobody_vouches_for_is_not_spoken_to() {
    let cluster = Cluster::shared_secured();
    let text =
        format!("[kafka]\nbrokers = \"{}\"\nsecurity_protocol = \"ssl\"\n", cluster.addresses(|ports| ports.tls));
    let error = brokers_seen(&config(&text)).unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
}

/// A token that says whom it stands for and is signed by nobody; the test's broker believes it.
fn unsecured_token(subject: &str) -> String {
    use base64::Engine as _;
    let part = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let claims = format!("{{\"sub\":\"{subject}\",\"iat\":{now},\"exp\":{}}}", now + 3600);
    format!("{}.{}.", part("{\"alg\":\"none\"}"), part(&claims))
}

#[test]
fn a_bearer_token_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let token = write(folder.path(), "token", &unsecured_token("award"));
    let login = format!("mechanism = \"OAUTHBEARER\"\ntoken_file = \"{token}\"\n");
    assert_eq!(brokers_seen(&config(&sasl(Cluster::shared_secured(), "sasl_plaintext", &login))).unwrap(), 1);
}

#[test]
fn a_bearer_token_from_an_endpoint() {
    let folder = tempfile::tempdir().unwrap();
    let secret = write(folder.path(), "secret", "tiger");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let url = crate::support::http_stub::serve({
        let asked = Arc::clone(&asked);
        move |request| {
            asked.lock().unwrap().push(request.clone());
            (200, format!("{{\"access_token\":\"{}\",\"token_type\":\"Bearer\"}}", unsecured_token("award")))
        }
    });
    let login = format!(
        "mechanism = \"OAUTHBEARER\"\ntoken_endpoint = \"{url}/token\"\nclient_id = \"award\"\n\
         client_secret_file = \"{secret}\"\nscope = \"kafka\"\n"
    );
    assert_eq!(brokers_seen(&config(&sasl(Cluster::shared_secured(), "sasl_plaintext", &login))).unwrap(), 1);
    let request = asked.lock().unwrap().first().unwrap().clone();
    assert_eq!((&*request.method, &*request.path), ("POST", "/token"));
    assert_eq!(request.body, "grant_type=client_credentials&scope=kafka");
    // `award:tiger`
    assert_eq!(request.header("authorization"), Some("Basic YXdhcmQ6dGlnZXI="));
}

#[test]
fn a_token_endpoint_that_refuses_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let secret = write(folder.path(), "secret", "tiger");
    let url = crate::support::http_stub::serve(|_| (401, "{\"error\":\"invalid_client\"}".to_owned()));
    let login = format!(
        "mechanism = \"OAUTHBEARER\"\ntoken_endpoint = \"{url}/token\"\nclient_id = \"award\"\n\
         client_secret_file = \"{secret}\"\n"
    );
    let said =
        brokers_seen(&config(&sasl(Cluster::shared_secured(), "sasl_plaintext", &login))).unwrap_err().to_string();
    assert!(said.contains("401"), "{said}");
    assert!(!said.contains("tiger"), "{said}");
}

#[test]
fn that_kafka_is_away_is_said_once_and_that_it_is_back_once() {
    let cluster = Cluster::start(&Options::default());
    let config = config(&format!("[kafka]\nbrokers = \"{}\"\n", cluster.brokers()));
    cluster.kill(1);

    let (connection, lines) = connection(&config);
    let client: &BaseConsumer<Connection> = &config.partition_reader().create_with_context(connection.clone()).unwrap();
    std::thread::scope(|scope| {
        let serve = || drop(client.poll(Duration::ZERO));
        let waiting = scope.spawn(move || connection.metadata(client.client(), None, &serve, &|| false).unwrap());
        let away = lines.recv_timeout(Duration::from_secs(30)).unwrap();
        assert!(away.starts_with("Kafka is away"), "{away}");
        assert!(away.contains(&cluster.brokers()), "{away}");
        cluster.restart(1);
        assert_eq!(waiting.join().unwrap().brokers().len(), 1);
    });
    let rest: Vec<String> = lines.try_iter().collect();
    assert_eq!(rest.len(), 1, "{rest:?}");
    assert!(rest[0].starts_with("Kafka is back"), "{rest:?}");
}

#[test]
fn waiting_for_kafka_ends_when_told_to_stop() {
    let config = config("[kafka]\nbrokers = \"127.0.0.1:9\"\n");
    let (connection, _lines) = connection(&config);
    let client: BaseConsumer = config.partition_reader().create().unwrap();
    let stopped = connection.metadata(client.client(), None, &|| (), &|| true);
    assert!(matches!(stopped, Err(ClientError::Stopped)), "{stopped:?}", stopped = stopped.err());
}
