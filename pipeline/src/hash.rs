//! Decides the short hashes that the state keeps instead of texts. They are stored, so they never change.

use std::hash::Hasher;

use twox_hash::XxHash64;

use crate::fact::{MemberChange, Sample, SampleTime, Source};
use crate::rejection::Rejection;

/// Sixty-four bits: among the ten thousand sample ids that one source of one member may have, two agree by chance once
/// in 10¹¹ members.
#[derive(Debug)]
pub struct Hash64(XxHash64);

impl Hash64 {
    /// Of a sample's id; never 0, which means that there is none.
    pub fn of_id(id: &str) -> u64 {
        XxHash64::oneshot(0, id.as_bytes()).max(1)
    }

    /// Of a refused sample: what it says, of which source, and why it was refused; not when it came.
    pub fn of_refused(source: &Source<'_>, sample: &Sample<'_>, rejection: &Rejection) -> u64 {
        let mut hash = Hash64::default();
        for text in [source.platform, source.origin, source.device, sample.id, rejection.reason.code()] {
            hash.text(text);
        }
        match sample.time {
            SampleTime::Interval { start, end } => hash.numbers(&[0, start.epoch_millis(), end.epoch_millis()]),
            SampleTime::DailyTotal(date) => hash.numbers(&[1, date.epoch_days().into()]),
            SampleTime::MergedTotal(date) => hash.numbers(&[2, date.epoch_days().into()]),
            SampleTime::Unstated => hash.numbers(&[3]),
        }
        let modified_at = sample.modified_at.map_or(i64::MIN, crate::calendar::Instant::epoch_millis);
        let date = rejection.activity_date.map_or(i64::MIN, |date| date.epoch_days().into());
        let (recording, operation) = (sample.recording as i64, sample.operation as i64);
        hash.numbers(&[sample.steps, recording, operation, sample.version, modified_at, date]);
        hash.0.finish()
    }

    /// Of everything that a change of a member says, but when it came.
    pub fn of_change(change: &MemberChange<'_>) -> u64 {
        let mut hash = Hash64::default();
        hash.text(change.operation_name);
        let birth_date = change.birth_date.map_or(i64::MIN, |date| date.epoch_days().into());
        hash.numbers(&[change.effective_on.epoch_days().into(), birth_date]);
        hash.0.finish()
    }

    fn text(&mut self, text: &str) {
        self.numbers(&[text.len() as i64]);
        self.0.write(text.as_bytes());
    }

    fn numbers(&mut self, numbers: &[i64]) {
        numbers.iter().for_each(|number| self.0.write(&number.to_le_bytes()));
    }
}

impl Default for Hash64 {
    fn default() -> Self {
        Hash64(XxHash64::with_seed(0))
    }
}
