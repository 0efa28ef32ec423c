//! The configuration for Kafka: what is refused and with what remedy, what goes before what, and that no secret shows.

use jobs::kafka::config::{Config, ConfigError, SaslLogin};

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse("ayumi.toml", text, &[], &[])
}

fn problems(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn brokers_are_enough() {
    let config = parse("[kafka]\nbrokers = [\"a:9092\", \"b:9092\"]").unwrap();
    assert_eq!(config.kafka.brokers, "a:9092,b:9092");
    assert_eq!((config.kafka.partitions, config.kafka.replication_factor, config.kafka.min_insync_replicas), (8, 3, 2));
    assert_eq!(config.kafka.topic("ayumi.steps.v1"), "ayumi.steps.v1");
}

#[test]
fn the_configuration_of_the_containers_is_in_order() {
    let text = include_str!("../../docker/ayumi.toml");
    let config = parse(text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.admin_listen.as_deref(), Some("0.0.0.0:9464"));
    assert!(config.schema_registry.is_some());
}

#[test]
fn a_flag_goes_before_the_environment_and_that_before_the_file() {
    let text = "[kafka]\nbrokers = \"file:1\"\ngroup_id = \"file\"\nclient_id = \"file\"";
    let environment = environment(&[("AYUMI_KAFKA_BROKERS", "variable:1"), ("AYUMI_KAFKA_GROUP_ID", "variable")]);
    let flags = [("kafka.brokers", "flag:1".to_owned())];
    let kafka = Config::parse("ayumi.toml", text, &environment, &flags).unwrap().kafka;
    assert_eq!((&*kafka.brokers, &*kafka.group_id, &*kafka.client_id), ("flag:1", "variable", "file"));
}

#[test]
fn without_brokers_it_is_said_how_to_give_them() {
    let said = problems("");
    assert!(said.contains("`kafka.brokers` is missing"), "{said}");
    assert!(said.contains("AYUMI_KAFKA_BROKERS"), "{said}");
}

#[test]
fn a_wrong_value_has_its_line_and_column_and_what_would_be_right() {
    let said = problems("[kafka]\nbrokers = \"a:9092\"\npartitions = 0\n");
    assert!(said.contains("ayumi.toml:3:14: `kafka.partitions` is `0`"), "{said}");
    assert!(said.contains("write a whole number from 1 to 1000, such as 8"), "{said}");
}

#[test]
fn a_misspelt_name_is_refused_with_the_likely_one_wherever_it_stands() {
    let said = problems("[kafka]\nbrokers = \"a:9092\"\ngruop_id = \"x\"\n");
    assert!(said.contains("ayumi.toml:3:"), "{said}");
    assert!(said.contains("did you mean `kafka.group_id`?"), "{said}");

    let environment = environment(&[("AYUMI_KAFKA_BROKER", "a:9092"), ("AYUMI_OTHER", "is not ours")]);
    let said = Config::parse("", "[kafka]\nbrokers = \"a:9092\"", &environment, &[]).unwrap_err().to_string();
    assert!(said.contains("`AYUMI_KAFKA_BROKER` is not known here; did you mean `AYUMI_KAFKA_BROKERS`?"), "{said}");
    assert!(!said.contains("AYUMI_OTHER"), "{said}");
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_the_file() {
    let said =
        problems("[kafka]\nbrokers = \"nonsense\"\npartitions = -1\nreplication_factor = 2\nmin_insync_replicas = 3\n");
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("ayumi.toml:")).collect();
    let places: Vec<&str> = lines.iter().map(|line| line.split(':').nth(1).unwrap()).collect();
    assert_eq!(places, ["2", "3", "5"], "{said}");
    assert!(said.contains("3 copies must be written, but there are 2"), "{said}");
}

#[test]
fn what_is_no_toml_is_refused_with_its_place() {
    let said = problems("[kafka]\nbrokers = \n");
    assert!(said.contains("ayumi.toml:2:"), "{said}");
    assert!(said.contains("not TOML"), "{said}");
}

#[test]
fn librdkafka_gets_what_ayumi_does_not_own() {
    let text =
        "[kafka]\nbrokers = \"a:1\"\n[kafka.librdkafka]\n\"fetch.min.bytes\" = 10\nsocket.keepalive.enable = true\n";
    let settings = parse(text).unwrap().kafka.librdkafka;
    let expected = [("fetch.min.bytes", "10"), ("socket.keepalive.enable", "true")];
    assert_eq!(settings, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn what_exactly_once_rests_on_can_not_be_configured_away() {
    for setting in
        ["enable.auto.commit = true", "isolation.level = \"read_uncommitted\"", "transactional.id = \"x\"", "acks = 1"]
    {
        let said = problems(&format!("[kafka]\nbrokers = \"a:1\"\n[kafka.librdkafka]\n{setting}\n"));
        assert!(said.contains("ayumi.toml:4:"), "{said}");
        assert!(said.contains("is Ayumi's to set"), "{said}");
    }
}

#[test]
fn librdkafka_itself_refuses_what_it_does_not_know() {
    let said = problems("[kafka]\nbrokers = \"a:1\"\n[kafka.librdkafka]\nfetch.mni.bytes = 1\n");
    assert!(said.contains("ayumi.toml:4:"), "{said}");
    assert!(said.contains("No such configuration property"), "{said}");
}

#[test]
fn a_secret_in_the_file_is_refused_and_not_repeated() {
    let text = "[kafka]\nbrokers = \"a:1\"\nsecurity_protocol = \"sasl_ssl\"\n[kafka.sasl]\nmechanism = \"SCRAM-SHA-512\"\n\
                username = \"award\"\npassword = \"tiger\"\n";
    let said = problems(text);
    assert!(said.contains("ayumi.toml:7:"), "{said}");
    assert!(said.contains("AYUMI_KAFKA_SASL_PASSWORD"), "{said}");
    assert!(!said.contains("tiger"), "{said}");
    let said = problems("[kafka]\nbrokers = \"a:1\"\n[kafka.librdkafka]\n\"sasl.password\" = \"tiger\"\n");
    assert!(!said.contains("tiger"), "{said}");
}

#[test]
fn a_secret_comes_from_a_file_or_the_environment_and_never_shows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    std::fs::write(&path, "tiger\n").unwrap();
    let head = "[kafka]\nbrokers = \"a:1\"\nsecurity_protocol = \"sasl_ssl\"\n[kafka.sasl]\nmechanism = \"SCRAM-SHA-512\"\n\
                username = \"award\"\n";
    let by_file = parse(&format!("{head}password_file = \"{}\"\n", path.display())).unwrap();
    let variables = environment(&[("AYUMI_KAFKA_SASL_PASSWORD", "tiger")]);
    let by_variable = Config::parse("ayumi.toml", head, &variables, &[]).unwrap();
    for config in [by_file, by_variable] {
        let SaslLogin::Password { password, .. } = &config.kafka.sasl.as_ref().unwrap().login else { panic!() };
        assert_eq!(password.expose(), "tiger");
        assert!(!format!("{config:?}").contains("tiger"));
        assert!(!format!("{:?}", config.kafka.award_consumer()).contains("tiger"));
    }
    let said = problems(&format!("{head}password_file = \"{}\"\n", folder.path().join("absent").display()));
    assert!(said.contains("can't be read"), "{said}");
}

#[test]
fn what_belongs_together_is_asked_for_together() {
    let said = problems("[kafka]\nbrokers = \"a:1\"\nsecurity_protocol = \"sasl_ssl\"\n");
    assert!(said.contains("sasl_ssl needs a login"), "{said}");
    let said = problems("[kafka]\nbrokers = \"a:1\"\n[kafka.sasl]\nmechanism = \"OAUTHBEARER\"\n");
    assert!(said.contains("a login is given, but the connection is plaintext"), "{said}");
    assert!(said.contains("OAUTHBEARER without a token"), "{said}");
    let folder = tempfile::tempdir().unwrap();
    let certificate = folder.path().join("certificate.pem");
    std::fs::write(&certificate, "").unwrap();
    let tls = format!("[kafka.tls]\ncertificate_file = \"{}\"\n", certificate.display());
    let said = problems(&format!("[kafka]\nbrokers = \"a:1\"\nsecurity_protocol = \"ssl\"\n{tls}"));
    assert!(said.contains("a certificate and its key belong together"), "{said}");
    let said = problems(
        "[kafka]\nbrokers = \"a:1\"\nsecurity_protocol = \"sasl_plaintext\"\n[kafka.sasl]\nmechanism = \"PLAIN\"\n\
         username = \"a\"\n",
    );
    assert!(said.contains("PLAIN would send the password where anyone can read it"), "{said}");
}
