//! Decides what a ledger entry is, and what its id is.
//!
//! The ledger only appends. An entry moves points from one account to another, so all accounts always sum to zero; a
//! correction is one more entry with the signed difference, between the same two accounts. Which entries to post is
//! decided in [`crate::settle`].

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::calendar::{CivilDate, Period};
use crate::quantity::{Points, Steps};

/// The accounts that points move between. Each but `Issued` belongs to one member in one programme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// The programme's own account: what it has given out, as a negative balance.
    Issued,
    /// What a member can use.
    Member,
}

impl Account {
    /// The account's name in the ledger.
    pub const fn name(self) -> &'static str {
        match self {
            Account::Issued => "issued",
            Account::Member => "member",
        }
    }
}

/// Identifies an entry: the same entitlement, revision by revision, always has the same ids, so posting twice is harmless.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId([u8; 16]);

impl EntryId {
    /// The first 16 bytes of the SHA-256 of the parts, each preceded by its length as four bytes, little-endian.
    ///
    /// `lot` (an expiry lot) and `leg` (of an entry with several) are empty and 0 for everything that is issued.
    pub fn of(programme: &str, member: &str, rule: &str, item: &str, period: &str, revision: u32) -> Self {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u32).to_le_bytes());
            hash.update(bytes);
        };
        let lot = "";
        for text in [programme, member, rule, item, period, lot] {
            part(text.as_bytes());
        }
        part(&revision.to_le_bytes());
        let leg = 0u32;
        part(&leg.to_le_bytes());
        let digest = hash.finalize();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        EntryId(id)
    }

    /// An id that was computed before, from its sixteen bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        EntryId(bytes)
    }

    /// The sixteen bytes.
    pub const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for EntryId {
    /// 32 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The figures that an entitlement was computed from. What a rule does not use is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reason {
    /// Steps of the day, or their sum over the days that counted.
    pub steps: Option<u64>,
    /// Days that counted towards `steps`.
    pub days: Option<u32>,
    /// The threshold that was reached, in the rule's own terms; the lowest one if none was.
    pub steps_min: Option<u32>,
    /// Baseline steps after the floor.
    pub baseline_steps: Option<u32>,
    /// Whether the member is in the older age class.
    pub is_older_class: Option<bool>,
    /// The cap that applies.
    pub points_max: Option<i64>,
    /// What the member is entitled to for this rule and period, by what was known on the arrival date.
    pub entitled: Points,
}

/// One posting of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// See [`EntryId::of`].
    pub id: EntryId,
    /// Counts the entries of this member in this programme from 1, without a gap.
    pub sequence: u64,
    /// The programme's id.
    pub programme: Arc<str>,
    /// The member's id.
    pub member: Arc<str>,
    /// The handbook's number of the rule.
    pub rule: Arc<str>,
    /// The programme version whose rule it was.
    pub rule_version: u32,
    /// What of several under one rule; empty where a rule has one thing only.
    pub item: &'static str,
    /// What it is for.
    pub period: Period,
    /// Counts the entries of this rule, item and period from 0.
    pub revision: u32,
    /// As the member sees it. A correction downward is negative, between the same accounts.
    pub points: Points,
    /// Where the points come from.
    pub debit: Account,
    /// Where the points go.
    pub credit: Account,
    /// The last day of the season that the period covers.
    pub activity_date: CivilDate,
    /// The arrival date of the facts that made it due.
    pub arrival_date: CivilDate,
    /// The date on which the rule posts it.
    pub posting_date: CivilDate,
    /// The last day on which the points can be used.
    pub expires_on: Option<CivilDate>,
    /// The entry before it for the same rule, item and period.
    pub corrects: Option<EntryId>,
    /// Where the figure came from.
    pub reason: Reason,
}

/// A member's total of one civil day, as of one more upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DailyTotal {
    /// The programme's id.
    pub programme: Arc<str>,
    /// The member's id.
    pub member: Arc<str>,
    /// The civil day.
    pub date: CivilDate,
    /// Counts the revisions from 0; the highest is current.
    pub revision: u32,
    /// What counts.
    pub steps: Steps,
    /// Each source's own day, by platform, origin and device.
    pub source_steps: Vec<SourceSteps>,
    /// Whether the device was worn: `steps` reaches the programme's `wear_steps_min`.
    pub wear: bool,
    /// When the first of the samples now known came, in epoch milliseconds' own type.
    pub first_arrival_at: crate::calendar::Instant,
    /// When the last came.
    pub last_arrival_at: crate::calendar::Instant,
}

/// One source's day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSteps {
    /// The source.
    pub source: Arc<SourceName>,
    /// Whether this is the phone's own total over all its sources.
    pub is_merged: bool,
    /// The larger of its daily total and the sum of its intervals.
    pub steps: Steps,
}

/// The identity of a source, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceName {
    /// See [`crate::fact::Source::platform`].
    pub platform: String,
    /// See [`crate::fact::Source::origin`].
    pub origin: String,
    /// See [`crate::fact::Source::device`].
    pub device: String,
    /// See [`crate::fact::Source::device_kind`]; that of the first upload.
    pub device_kind: crate::fact::DeviceKind,
}

/// Something to tell a member. Once for each `revision`, which counts from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The programme's id.
    pub programme: Arc<str>,
    /// The member's id.
    pub member: Arc<str>,
    /// The handbook's number.
    pub rule: Arc<str>,
    /// What it says.
    pub kind: NoticeKind,
    /// The close of this day made it due.
    pub date: CivilDate,
    /// A later revision replaces an earlier one.
    pub revision: u32,
}

/// What a notice says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeKind {
    /// The baseline is fixed for the year (KU-42, KU-A9).
    BaselineFrozen {
        /// The first day of the window.
        first_day: CivilDate,
        /// After the floor.
        baseline_steps: u32,
        /// The age class on D0.
        is_older_class: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_keeps_its_parts_apart() {
        let id = |rule, item| EntryId::of("kunitachi", "m-7", rule, item, "2025-06-03", 0);
        assert_eq!(id("KU-40", ""), id("KU-40", ""));
        assert_ne!(id("KU-4", "0"), id("KU-40", ""));
        assert_eq!(id("KU-40", "").to_string().len(), 32);
    }
}
