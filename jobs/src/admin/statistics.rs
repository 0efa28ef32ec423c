//! Decides which of librdkafka's statistics become metrics, and what "not yet read" means.

use metrics::{counter, gauge};
use rdkafka::Statistics;
use rdkafka::statistics::Partition;

/// Publishes a client's statistics under its name: `award consumer`.
pub fn publish(client: &'static str, statistics: &Statistics) {
    let is_up = statistics.brokers.values().any(|broker| broker.state == "UP");
    gauge!("ayumi_kafka_up", "client" => client).set(if is_up { 1.0 } else { 0.0 });
    gauge!("ayumi_kafka_queued_records", "client" => client).set(statistics.msg_cnt as f64);
    counter!("ayumi_kafka_sent_bytes_total", "client" => client).absolute(absolute(statistics.tx_bytes));
    counter!("ayumi_kafka_received_bytes_total", "client" => client).absolute(absolute(statistics.rx_bytes));
    brokers(client, statistics);
    partitions(client, statistics);
    if let Some(group) = &statistics.cgrp {
        counter!("ayumi_kafka_rebalances_total", "client" => client).absolute(absolute(group.rebalance_cnt));
    }
}

fn brokers(client: &'static str, statistics: &Statistics) {
    // Others are where the addresses came from, or no machine at all, as the group's coordinator.
    for broker in statistics.brokers.values().filter(|broker| broker.nodeid >= 0 && broker.source != "logical") {
        let name = broker.nodeid.to_string();
        let errors = broker.txerrs + broker.rxerrs;
        counter!("ayumi_kafka_request_errors_total", "client" => client, "broker" => name.clone()).absolute(errors);
        let timeouts = broker.req_timeouts;
        counter!("ayumi_kafka_request_timeouts_total", "client" => client, "broker" => name.clone()).absolute(timeouts);
        let connects = absolute(broker.connects.unwrap_or_default());
        counter!("ayumi_kafka_connects_total", "client" => client, "broker" => name.clone()).absolute(connects);
        if let Some(round_trip) = &broker.rtt {
            let seconds = round_trip.p99 as f64 / 1e6;
            gauge!("ayumi_kafka_round_trip_p99_seconds", "client" => client, "broker" => name).set(seconds);
        }
    }
}

fn partitions(client: &'static str, statistics: &Statistics) {
    let mut prefetched = 0;
    for topic in statistics.topics.values() {
        for partition in topic.partitions.values() {
            prefetched += partition.fetchq_size;
            let Some(lag) = lag(partition) else { continue };
            let (topic, number) = (topic.topic.clone(), partition.partition.to_string());
            let labels = [("client", client.to_owned()), ("topic", topic), ("partition", number)];
            gauge!("ayumi_kafka_lag_records", &labels).set(lag as f64);
        }
    }
    gauge!("ayumi_kafka_prefetched_bytes", "client" => client).set(prefetched as f64);
}

/// Records of a partition that is being read which are committed there and have not been handed over. A partition that is
/// not read here has none. Positions are committed by the producer, of which the consumer's own figures know nothing; and
/// behind the last record there may be a transaction's marker, which is fetched and never handed over.
fn lag(partition: &Partition) -> Option<i64> {
    if partition.fetch_state != "active" || partition.ls_offset < 0 {
        return None;
    }
    let read = if partition.fetchq_cnt == 0 { partition.next_offset } else { partition.app_offset };
    (read >= 0).then(|| (partition.ls_offset - read).max(0))
}

fn absolute(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}
