//! `ayumi topics` on a real Kafka: what it creates, what it shows, and what it changes only when told to.

use std::process::Output;

use crate::support::broker::{Cluster, unique};
use crate::support::command::{Said, ayumi};

/// The command on a cluster, for topics of this test's own.
fn topics(cluster: &Cluster, prefix: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Said {
    let brokers = cluster.brokers();
    let mut command = ayumi(&["topics"]);
    command.args(arguments).args(["--brokers", &brokers, "--topic-prefix", prefix]);
    command.env("AYUMI_KAFKA_REPLICATION_FACTOR", "1").env("AYUMI_KAFKA_PARTITIONS", "2");
    command.envs(environment.iter().copied());
    let Output { status, stdout, stderr } = command.output().unwrap();
    Said {
        code: status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&stdout).into_owned(),
        err: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

fn configs(cluster: &Cluster, arguments: &[&str]) -> String {
    cluster.tool("kafka.admin.ConfigCommand", arguments)
}

#[test]
fn what_is_missing_is_created_as_configured_and_once() {
    let cluster = Cluster::shared();
    let prefix = unique("topics") + ".";
    let before = topics(cluster, &prefix, &["describe"], &[]);
    assert_eq!(before.code, 1, "{}{}", before.out, before.err);
    assert!(before.out.contains(&format!("{prefix}steps.v1 is missing")), "{}", before.out);

    let created = topics(cluster, &prefix, &["create"], &[]);
    assert_eq!(created.code, 0, "{}{}", created.out, created.err);
    assert_eq!(created.out.lines().filter(|line| line.starts_with("created ")).count(), 12, "{}", created.out);

    let again = topics(cluster, &prefix, &["create"], &[]);
    assert_eq!((again.code, &*again.out), (0, "12 topics are as configured\n"), "{}", again.err);
    let described = topics(cluster, &prefix, &["describe"], &[]);
    assert_eq!((described.code, &*described.out), (0, "12 topics are as configured\n"), "{}", described.err);

    // Seen by Kafka's own tool, not by what created it.
    let steps =
        configs(cluster, &["--describe", "--entity-type", "topics", "--entity-name", &format!("{prefix}steps.v1")]);
    assert!(steps.contains("retention.ms=39312000000 "), "{steps}");
    assert!(steps.contains("message.timestamp.type=LogAppendTime"), "{steps}");
    let state =
        configs(cluster, &["--describe", "--entity-type", "topics", "--entity-name", &format!("{prefix}state.v1")]);
    assert!(state.contains("cleanup.policy=compact"), "{state}");
    assert!(state.contains("delete.retention.ms=604800000"), "{state}");
}

#[test]
fn what_differs_is_shown_and_changed_only_when_told_to() {
    let cluster = Cluster::shared();
    let prefix = unique("differing") + ".";
    assert_eq!(topics(cluster, &prefix, &["create"], &[]).code, 0);
    let steps = format!("{prefix}steps.v1");
    // One setting that is ours, and one that is the operator's and must stay.
    let change = "retention.ms=1000,flush.messages=12345";
    configs(cluster, &["--alter", "--entity-type", "topics", "--entity-name", &steps, "--add-config", change]);

    let shown = topics(cluster, &prefix, &["create"], &[]);
    assert_eq!(shown.code, 0, "{}", shown.err);
    let row: Vec<&str> = shown.out.lines().find(|line| line.starts_with(&steps)).unwrap().split_whitespace().collect();
    assert_eq!(row, [&*steps, "retention.ms", "1000", "39312000000"], "{}", shown.out);
    assert!(shown.out.contains("--apply changes it"), "{}", shown.out);
    assert_eq!(topics(cluster, &prefix, &["describe"], &[]).code, 1);

    let applied = topics(cluster, &prefix, &["create", "--apply"], &[]);
    assert_eq!(applied.code, 0, "{}{}", applied.out, applied.err);
    let now = configs(cluster, &["--describe", "--entity-type", "topics", "--entity-name", &steps]);
    assert!(now.contains("flush.messages=12345"), "{now}");
    assert!(now.contains("retention.ms=39312000000 "), "{now}");
    assert!(now.contains("message.timestamp.type=LogAppendTime"), "{now}");
    assert_eq!(topics(cluster, &prefix, &["describe"], &[]).code, 0);
}

#[test]
fn another_number_of_partitions_is_refused_with_the_remedy_and_nothing_is_created() {
    let cluster = Cluster::shared();
    let prefix = unique("partitions") + ".";
    let steps = format!("{prefix}steps.v1");
    cluster.tool("org.apache.kafka.tools.TopicCommand", &["--create", "--topic", &steps, "--partitions", "3"]);
    let refused = topics(cluster, &prefix, &["create", "--apply"], &[]);
    assert_eq!(refused.code, 1, "{}", refused.out);
    assert!(refused.err.contains(&format!("{steps} has 3 partitions and should have 2")), "{}", refused.err);
    assert!(refused.err.contains("set kafka.partitions"), "{}", refused.err);
    let there = cluster.tool("org.apache.kafka.tools.TopicCommand", &["--list"]);
    assert_eq!(there.lines().filter(|line| line.starts_with(&prefix)).count(), 1, "{there}");
}

#[test]
fn more_copies_than_brokers_are_refused_with_the_remedy() {
    let prefix = unique("copies") + ".";
    let refused = topics(Cluster::shared(), &prefix, &["create"], &[("AYUMI_KAFKA_REPLICATION_FACTOR", "3")]);
    assert_eq!(refused.code, 1, "{}", refused.out);
    assert!(refused.err.contains("set kafka.replication_factor to at most their number"), "{}", refused.err);
}
