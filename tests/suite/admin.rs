//! The admin port: what it answers, when it is ready, and that what it measures is documented.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use jobs::admin::{Admin, Health, metrics};
use jobs::kafka::client::Connection;
use jobs::kafka::config::Config;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::support::broker::{Cluster, unique};
use crate::support::command::ayumi;

/// Status and body.
fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split_whitespace().nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[test]
fn it_is_ready_from_when_it_can_work_until_it_stops() {
    let health = Health::new();
    let admin = Admin::start("127.0.0.1:0", health.clone()).unwrap();
    assert_eq!(get(admin.address(), "/livez"), (200, "alive\n".to_owned()));
    assert_eq!(get(admin.address(), "/readyz"), (503, "not ready: starting\n".to_owned()));
    health.unready("restoring partition 3");
    assert_eq!(get(admin.address(), "/readyz"), (503, "not ready: restoring partition 3\n".to_owned()));
    health.ready();
    assert_eq!(get(admin.address(), "/readyz"), (200, "ready\n".to_owned()));
    health.unready("stopping");
    assert_eq!(get(admin.address(), "/readyz").0, 503);
    assert_eq!(get(admin.address(), "/").0, 404);
}

#[test]
fn a_port_that_is_taken_is_told_with_the_remedy() {
    let first = Admin::start("127.0.0.1:0", Health::new()).unwrap();
    let error = Admin::start(&first.address().to_string(), Health::new()).err().unwrap().to_string();
    assert!(error.contains("give a free address as `admin.listen`"), "{error}");
}

#[test]
fn what_happens_is_counted() {
    let admin = Admin::start("127.0.0.1:0", Health::new()).unwrap();
    let counts = || {
        let text = get(admin.address(), "/metrics").1;
        let value = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.map_or(0.0, |value| value.parse().unwrap())
        };
        [
            value("ayumi_commit_duration_seconds_bucket{le=\"0.01\"}"),
            value("ayumi_transactions_aborted_total"),
            value("ayumi_producer_reinitialised_total"),
            value("ayumi_state_restored_records_total"),
            value("ayumi_rejections_total{reason=\"SEASON_OVER\"}"),
        ]
    };
    let before = counts();
    metrics::committed(Duration::from_millis(7));
    metrics::aborted();
    metrics::restored(12);
    metrics::rejections("SEASON_OVER", 3);
    // Other tests of this process count too.
    for ((before, after), by) in before.into_iter().zip(counts()).zip([1.0, 1.0, 1.0, 12.0, 3.0]) {
        assert!(after >= before + by, "{before} {after} {by}");
    }
    let text = get(admin.address(), "/metrics").1;
    let help = "# HELP ayumi_commit_duration_seconds From handing a transaction over to its commit";
    assert!(text.lines().any(|line| line == help), "{text}");
}

#[test]
fn what_librdkafka_knows_is_published_with_the_lag() {
    let cluster = Cluster::shared();
    let prefix = unique("metrics") + ".";
    let environment = [("AYUMI_KAFKA_REPLICATION_FACTOR", "1"), ("AYUMI_KAFKA_PARTITIONS", "1")];
    let brokers = cluster.brokers();
    let mut create = ayumi(&["topics", "create", "--brokers", &brokers, "--topic-prefix", &prefix]);
    assert!(create.envs(environment).output().unwrap().status.success());
    let text = format!("[kafka]\nbrokers = \"{brokers}\"\ntopic_prefix = \"{prefix}\"\ngroup_id = \"{prefix}\"\n");
    let config = Config::parse("test", &text, &[], &[]).unwrap().kafka;
    let topic = config.topic("ayumi.steps.v1");
    let producer: BaseProducer = config.input_producer().create().unwrap();
    let send = |count: usize| {
        for _ in 0..count {
            producer.send(BaseRecord::to(&topic).key("m").payload("x")).unwrap();
        }
        producer.flush(Duration::from_secs(10)).unwrap();
    };
    send(100);

    let admin = Admin::start("127.0.0.1:0", Health::new()).unwrap();
    let connection = Connection::saying(&config, "lag test", |_| ());
    let consumer: BaseConsumer<Connection> = config.award_consumer().create_with_context(connection.clone()).unwrap();
    consumer.subscribe(&[&topic]).unwrap();
    let mut read = 0;
    // Read all, and go on until the statistics have been told after that.
    let lag = format!("ayumi_kafka_lag_records{{client=\"lag test\",topic=\"{topic}\",partition=\"0\"}}");
    let mut text = String::new();
    for _ in 0..300 {
        read += usize::from(matches!(consumer.poll(Duration::from_millis(100)), Some(Ok(_))));
        text = get(admin.address(), "/metrics").1;
        if read == 100 && text.contains(&format!("{lag} 0\n")) {
            break;
        }
    }
    assert_eq!(read, 100);
    assert!(text.contains(&format!("{lag} 0\n")), "{text}");
    assert!(text.contains("ayumi_kafka_up{client=\"lag test\"} 1\n"), "{text}");
    assert!(text.contains("ayumi_kafka_round_trip_p99_seconds{client=\"lag test\",broker=\"1\"}"), "{text}");

    // What comes while nothing is read is lag, prefetched or not.
    send(50);
    let mut statistics = connection.statistics();
    for _ in 0..100 {
        // Paused, so that statistics go on and records do not.
        consumer.pause(&consumer.assignment().unwrap()).unwrap();
        _ = consumer.poll(Duration::from_millis(100));
        statistics = connection.statistics();
        if get(admin.address(), "/metrics").1.contains(&format!("{lag} 50\n")) {
            return;
        }
    }
    panic!("{}\n{:?}", get(admin.address(), "/metrics").1, statistics.map(|statistics| statistics.topics.clone()));
}

#[test]
fn every_metric_is_documented_and_the_dashboard_shows_only_those() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let read = |path: &str| std::fs::read_to_string(format!("{root}/{path}")).unwrap();
    let documented = read("docker/README.md");
    for metric in &metrics::METRICS {
        assert!(documented.contains(&format!("`{}`", metric.name)), "{} is not in docker/README.md", metric.name);
    }
    let dashboard = read("docker/grafana/dashboards/ayumi.json");
    let names = dashboard
        .split(|character: char| !character.is_ascii_lowercase() && character != '_' && !character.is_ascii_digit());
    for name in names.filter(|word| word.starts_with("ayumi_")) {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let is_known = metrics::METRICS.iter().any(|metric| metric.name == name || metric.name == base);
        assert!(is_known, "the dashboard shows {name}, which is not measured");
    }
}
