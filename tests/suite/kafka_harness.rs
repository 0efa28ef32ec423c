//! The harness of the tests on a real Kafka, held to what it promises: brokers that start, die and come back.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::support::broker::{Cluster, Options};

fn broker_count(addresses: &str) -> usize {
    let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", addresses).create().unwrap();
    client.fetch_metadata(None, Duration::from_secs(20)).unwrap().brokers().len()
}

#[test]
fn a_broker_that_was_killed_comes_back_on_its_address() {
    let cluster = Cluster::start(&Options::default());
    assert_eq!(broker_count(&cluster.brokers()), 1);
    cluster.kill(1);
    cluster.restart(1);
    assert_eq!(broker_count(&cluster.brokers()), 1);
}

#[test]
fn three_brokers_are_one_cluster_that_survives_one() {
    let cluster = Cluster::start(&Options { brokers: 3, ..Options::default() });
    assert_eq!(broker_count(&cluster.brokers()), 3);
    cluster.kill(2);
    assert!(broker_count(&cluster.brokers()) >= 2);
    cluster.restart(2);
    assert_eq!(broker_count(&cluster.brokers()), 3);
}

#[test]
fn a_secured_broker_lets_in_whom_it_knows() {
    let cluster = Cluster::shared_secured();
    let secured = cluster.secured.as_ref().unwrap();
    let mut with_certificate = ClientConfig::new();
    with_certificate.set("bootstrap.servers", cluster.addresses(|ports| ports.tls)).set("security.protocol", "ssl");
    with_certificate.set("ssl.ca.location", secured.ca().to_str().unwrap());
    with_certificate.set("ssl.certificate.location", secured.certificate("award").to_str().unwrap());
    with_certificate.set("ssl.key.location", secured.key("award").to_str().unwrap());
    let client: BaseConsumer = with_certificate.create().unwrap();
    client.fetch_metadata(None, Duration::from_secs(20)).unwrap();
}
