//! Decides how a worker ends: with its last transaction, out of the group, and soon, whatever hangs.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;

use super::assignment::GroupNews;
use super::partition::Processor;
use super::worker::Worker;
use super::worker_settings::WorkerEvent;

/// How long the transaction that is under way may take, and the last one; what is not committed then is decided again by
/// whoever comes next.
const COMMIT_WAIT_MAX: Duration = Duration::from_millis(2_500);
/// How long giving the partitions back may take, and closing the clients: 10 s at most in all.
const LEAVE_WAIT_MAX: Duration = Duration::from_secs(2);
const POLL_INTERVAL: Duration = Duration::from_millis(250);

impl<P: Processor> Worker<P> {
    /// Commits, leaves the group so that others take over at once, and closes, all within 10 s.
    pub(super) fn close(mut self) {
        let partitions = self.owned.numbers();
        if self.settle(COMMIT_WAIT_MAX).is_err() {
            self.forget(); // As after a crash: the next worker goes on from what is committed.
        }
        // A member with an instance id does not leave by closing, only by giving up its subscription.
        self.consumer.unsubscribe();
        let until = Instant::now() + LEAVE_WAIT_MAX;
        let mut is_given_back = partitions.is_empty();
        while !is_given_back && Instant::now() < until {
            let _ = self.consumer.poll(POLL_INTERVAL);
            while let Some(news) = self.consumer.context().news() {
                is_given_back |= matches!(news, GroupNews::Revoked);
                let _ = self.consumer.unassign(); // Closing does it again.
            }
        }
        self.owned.forget();
        self.observe(&WorkerEvent::Revoked { partitions: &partitions, is_lost: false });
        self.consumer.context().close();
        // Closing a client has been seen to hang: it must not keep the process.
        let (closed, is_closed) = channel::<()>();
        let Worker { consumer, committer, changelog, .. } = self;
        let closing = std::thread::Builder::new().name("award-close".to_owned()).spawn(move || {
            drop((committer, changelog, consumer));
            drop(closed);
        });
        if closing.is_ok() {
            let _ = is_closed.recv_timeout(LEAVE_WAIT_MAX);
        }
    }
}
