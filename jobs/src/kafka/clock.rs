//! Decides when a civil day is declared over on a cluster that runs day by day: some minutes after midnight in Japan, once,
//! by one process.
//!
//! Guarantees: each day is written once into each partition, also over restarts, as the partitions themselves say what they
//! have; days that were missed are written in order. Does not guarantee that only one clock runs: two at once may write a
//! day twice, which workers take once. On failure: it ends with the reason; started again, it goes on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pipeline::calendar::{CivilDate, Instant};

use super::config::KafkaConfig;
use super::feed::{Feed, FeedError};

/// What was received before midnight has this long to get into the topics.
const GRACE_MILLIS: i64 = 5 * 60_000;

/// How often the time is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Declares days over until `stop` is set. `told` hears of each time that it did.
pub fn run(config: &KafkaConfig, stop: &AtomicBool, told: &dyn Fn(CivilDate, u64)) -> Result<(), FeedError> {
    let feed = Feed::open(config)?;
    let mut written_to = None;
    while !stop.load(Ordering::Acquire) {
        let over = last_day_over(SystemTime::now());
        if written_to != Some(over) {
            // A cluster that has never closed a day begins with yesterday.
            let records = feed.close_days(over, over)?;
            written_to = Some(over);
            told(over, records);
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
    Ok(())
}

/// The last civil day that is over, with the time that its last records have.
fn last_day_over(now: SystemTime) -> CivilDate {
    let millis = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let millis = i64::try_from(millis).unwrap_or(i64::MAX).saturating_sub(GRACE_MILLIS);
    Instant::from_epoch_millis(millis).civil_date().plus_days(-1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_over_five_minutes_after_midnight_in_japan() {
        let at = |text: &str| {
            let millis = chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis();
            last_day_over(UNIX_EPOCH + Duration::from_millis(millis as u64)).to_string()
        };
        assert_eq!(at("2025-06-04T00:04:59+09:00"), "2025-06-02");
        assert_eq!(at("2025-06-04T00:05:00+09:00"), "2025-06-03");
    }
}
