//! Decides the shape of what the core is told: uploads of step samples, changes of a member, the end of a day.
//!
//! These are the records of the public contract in the core's own types. Decoding, framing and the check that a
//! record is well-formed at all are the `schemas` crate's. Text is borrowed from the decoded payload, so that a fact
//! costs no allocation.

use crate::calendar::{CivilDate, Instant};

/// How an upload came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// The member's phone.
    App,
    /// A card or pedometer reader at a spot.
    Reader,
    /// A shop terminal (KU-31).
    Loppi,
    /// An operator's import.
    Import,
}

/// What kind of device counted the steps. A programme may rank sources by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceKind {
    /// A watch or band.
    Watch,
    /// A phone.
    Phone,
    /// A pedometer.
    Pedometer,
    /// A body scale with a step display.
    Scale,
    /// Not told.
    Unknown,
}

/// Where samples come from. `platform`, `origin` and `device` together are the identity of a source; `device_kind` is a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source<'a> {
    /// `HEALTH_KIT`, `HEALTH_CONNECT`, `FITBIT`, `PEDOMETER`, `OTHER`.
    pub platform: &'a str,
    /// The package or bundle that wrote the data.
    pub origin: &'a str,
    /// The device, as the gateway names it.
    pub device: &'a str,
    /// What kind of device it is.
    pub device_kind: DeviceKind,
}

/// What a sample measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SampleTime {
    /// Steps between two instants.
    Interval {
        /// Inclusive start.
        start: Instant,
        /// Exclusive end.
        end: Instant,
    },
    /// The source's own total of a civil day.
    DailyTotal(CivilDate),
    /// The phone's own total of a civil day over all its sources.
    MergedTotal(CivilDate),
    /// Neither: only a deletion by `id` may come so.
    Unstated,
}

/// How a sample was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recording {
    /// By a sensor.
    Automatic,
    /// Typed in by hand; has an identity of its own and earns nothing unless the programme says so (G8).
    Manual,
    /// During a workout that the user started.
    Active,
    /// Not told; counts as automatic.
    Unknown,
}

/// Whether a sample is stated or taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// The sample is so.
    Upsert,
    /// The sample is not, or no longer.
    Delete,
}

/// One raw step sample of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample<'a> {
    /// What it measures.
    pub time: SampleTime,
    /// Steps as they came; intake refuses what is negative or absurd.
    pub steps: i64,
    /// How it was recorded.
    pub recording: Recording,
    /// Stated or taken back.
    pub operation: Operation,
    /// The source's own id for the sample; empty if it has none.
    pub id: &'a str,
    /// A greater version replaces a smaller one of the same identity.
    pub version: i64,
    /// Second to `version` in deciding which report is newer; `None` is the lowest.
    pub modified_at: Option<Instant>,
}

/// Raw step samples of one source, as a gateway handed them in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upload<'a> {
    /// Chosen by the producer.
    pub id: &'a str,
    /// The programme's id.
    pub programme: &'a str,
    /// The opaque member id.
    pub member: &'a str,
    /// When the gateway took it in: its date is the arrival date.
    pub received_at: Instant,
    /// The app launch or reader touch that brought it.
    pub login_at: Option<Instant>,
    /// How it came.
    pub channel: Channel,
    /// Where the samples come from.
    pub source: Source<'a>,
    /// The samples, in the order of the record.
    pub samples: &'a [Sample<'a>],
}

impl Upload<'_> {
    /// The login that brought it: `login_at`, else `received_at` (IW-A3).
    pub fn login(&self) -> Instant {
        self.login_at.unwrap_or(self.received_at)
    }
}

/// What happened to a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemberOperation {
    /// Joined the programme.
    Enrol,
    /// Identity verified (本人確認, HI-04).
    Verify,
    /// A change that this version of Ayumi does not know how to apply: refused, with its name.
    Unsupported,
}

/// Enrolment, or a change of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberChange<'a> {
    /// Chosen by the producer, unique within programme, member and record type.
    pub id: &'a str,
    /// The programme's id.
    pub programme: &'a str,
    /// The opaque member id.
    pub member: &'a str,
    /// When the gateway took it in.
    pub received_at: Instant,
    /// What happened.
    pub operation: MemberOperation,
    /// The operation's name as it came: `ENROL`, `WITHDRAW`, ….
    pub operation_name: &'a str,
    /// The civil day from which it holds.
    pub effective_on: CivilDate,
    /// Needed by programmes whose rules depend on age.
    pub birth_date: Option<CivilDate>,
}
