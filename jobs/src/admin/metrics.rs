//! Decides what is measured, under which names. The names are a contract: dashboards and alerts are built on them.
//!
//! Counters and gauges are written through the functions here or by [`super::statistics`]; where no admin port is open,
//! that does nothing.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

/// One thing that is measured.
pub struct Metric {
    /// Its name in Prometheus, with the unit.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it is.
    pub help: &'static str,
}

/// How a measure behaves.
#[derive(Clone, Copy)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Seconds, counted in these buckets.
    Histogram(&'static [f64]),
}

/// From a commit on an idle machine to one that is about to be given up.
const SECONDS: &[f64] = &[0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

const fn metric(name: &'static str, kind: Kind, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind, labels, help }
}

/// All of them.
pub const METRICS: [Metric; 23] = [
    metric("ayumi_records_read_total", Kind::Counter, &["topic"], "Input records processed and committed"),
    metric("ayumi_uploads_total", Kind::Counter, &[], "Uploads among them"),
    metric("ayumi_records_total", Kind::Counter, &["disposition"], "Records by what became of them"),
    metric("ayumi_rejections_total", Kind::Counter, &["reason"], "Facts refused, by reason code"),
    metric("ayumi_entries_total", Kind::Counter, &[], "Ledger entries posted"),
    metric("ayumi_transactions_committed_total", Kind::Counter, &[], "Transactions committed"),
    metric(
        "ayumi_transactions_aborted_total",
        Kind::Counter,
        &[],
        "Transactions given up, their outcome unknown or failed",
    ),
    metric(
        "ayumi_producer_reinitialised_total",
        Kind::Counter,
        &[],
        "Transactional producers made anew after a failure",
    ),
    metric(
        "ayumi_commit_duration_seconds",
        Kind::Histogram(SECONDS),
        &[],
        "From handing a transaction over to its commit",
    ),
    metric("ayumi_partitions_assigned", Kind::Gauge, &[], "Partitions that this worker has"),
    metric("ayumi_state_restored_records_total", Kind::Counter, &[], "Changelog records read to restore state"),
    metric("ayumi_takeover_duration_seconds", Kind::Histogram(SECONDS), &[], "From an assignment to the first read"),
    metric("ayumi_kafka_up", Kind::Gauge, &["client"], "1 while a broker can be reached"),
    metric("ayumi_kafka_lag_records", Kind::Gauge, &["client", "topic", "partition"], "Records not yet read"),
    metric("ayumi_kafka_queued_records", Kind::Gauge, &["client"], "Records waiting to be sent or acknowledged"),
    metric("ayumi_kafka_prefetched_bytes", Kind::Gauge, &["client"], "Bytes fetched and not yet read"),
    metric("ayumi_kafka_sent_bytes_total", Kind::Counter, &["client"], "Bytes sent to brokers"),
    metric("ayumi_kafka_received_bytes_total", Kind::Counter, &["client"], "Bytes received from brokers"),
    metric("ayumi_kafka_request_errors_total", Kind::Counter, &["client", "broker"], "Requests that failed"),
    metric("ayumi_kafka_request_timeouts_total", Kind::Counter, &["client", "broker"], "Requests without an answer"),
    metric("ayumi_kafka_connects_total", Kind::Counter, &["client", "broker"], "Connections opened"),
    metric("ayumi_kafka_round_trip_p99_seconds", Kind::Gauge, &["client", "broker"], "Round trip, 99th percentile"),
    metric("ayumi_kafka_rebalances_total", Kind::Counter, &["client"], "Rebalances of the group that it took part in"),
];

/// A transaction was committed: so many input records of a topic were in it.
pub fn records_read(topic: &str, count: u64) {
    counter!("ayumi_records_read_total", "topic" => topic.to_owned()).increment(count);
}

/// Uploads were committed.
pub fn uploads(count: u64) {
    counter!("ayumi_uploads_total").increment(count);
}

/// Records were `accepted`, `rejected`, `duplicate` or `parked`.
pub fn records(disposition: &'static str, count: u64) {
    counter!("ayumi_records_total", "disposition" => disposition).increment(count);
}

/// Facts were refused for a reason, by its stable code.
pub fn rejections(reason: &'static str, count: u64) {
    counter!("ayumi_rejections_total", "reason" => reason).increment(count);
}

/// Entries were posted.
pub fn entries(count: u64) {
    counter!("ayumi_entries_total").increment(count);
}

/// A transaction was committed, so long after it was handed over.
pub fn committed(took: Duration) {
    counter!("ayumi_transactions_committed_total").increment(1);
    histogram!("ayumi_commit_duration_seconds").record(took);
}

/// A transaction was given up and its producer is made anew.
pub fn aborted() {
    counter!("ayumi_transactions_aborted_total").increment(1);
    counter!("ayumi_producer_reinitialised_total").increment(1);
}

/// A partition's state was restored from so many records.
pub fn restored(records: u64) {
    counter!("ayumi_state_restored_records_total").increment(records);
}

/// Partitions were taken over, so long after they were assigned; the worker now has `count`.
pub fn assigned(count: usize, took: Duration) {
    partitions(count);
    histogram!("ayumi_takeover_duration_seconds").record(took);
}

/// The worker now has so many partitions.
pub fn partitions(count: usize) {
    gauge!("ayumi_partitions_assigned").set(count as f64);
}
