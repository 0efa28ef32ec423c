//! Decides what an award worker's events mean for its metrics and its health.

use crate::kafka::worker::WorkerEvent;

use super::{Health, metrics};

/// Counts an event, and says whether the worker is ready from then on. All partitions come and go together.
pub fn observe(event: &WorkerEvent<'_>, health: &Health) {
    match event {
        WorkerEvent::Restored { records, .. } => metrics::restored(*records),
        WorkerEvent::Assigned { partitions, took } => {
            metrics::assigned(partitions.len(), *took);
            health.ready();
        }
        WorkerEvent::Revoked { .. } => {
            metrics::partitions(0);
            health.unready("without partitions: the group shares them out anew");
        }
        WorkerEvent::Committed { took, .. } => metrics::committed(*took),
        WorkerEvent::Restarted { reason } => {
            metrics::aborted();
            health.unready(format!("restoring the state, after a transaction that failed: {reason}"));
        }
        WorkerEvent::Noted { .. } => {}
    }
}
