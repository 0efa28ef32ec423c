//! Decides what the core's enumerations are called on the wire, and in which order Avro numbers them.
//!
//! A symbol's place is its Avro index, so these lists and the schemas must agree; the tests with apache-avro hold them to
//! it. New symbols go to the end.

use pipeline::fact::{Channel, DeviceKind, MemberOperation, Operation, Recording};
use pipeline::ledger::Account;

/// Names and what they stand for, in Avro's order.
pub(crate) type Symbols<T> = &'static [(&'static str, T)];

pub(crate) const CHANNEL: Symbols<Channel> =
    &[("APP", Channel::App), ("READER", Channel::Reader), ("LOPPI", Channel::Loppi), ("IMPORT", Channel::Import)];

pub(crate) const PLATFORM: Symbols<&'static str> = &[
    ("HEALTH_KIT", "HEALTH_KIT"),
    ("HEALTH_CONNECT", "HEALTH_CONNECT"),
    ("FITBIT", "FITBIT"),
    ("PEDOMETER", "PEDOMETER"),
    ("OTHER", "OTHER"),
];

pub(crate) const DEVICE_KIND: Symbols<DeviceKind> = &[
    ("WATCH", DeviceKind::Watch),
    ("PHONE", DeviceKind::Phone),
    ("PEDOMETER", DeviceKind::Pedometer),
    ("SCALE", DeviceKind::Scale),
    ("UNKNOWN", DeviceKind::Unknown),
];

/// What a sample says it measures, before its times are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SampleKind {
    Interval,
    DailyTotal,
    MergedTotal,
}

pub(crate) const SAMPLE_KIND: Symbols<SampleKind> = &[
    ("INTERVAL", SampleKind::Interval),
    ("DAILY_TOTAL", SampleKind::DailyTotal),
    ("MERGED_TOTAL", SampleKind::MergedTotal),
];

pub(crate) const RECORDING: Symbols<Recording> = &[
    ("AUTO", Recording::Automatic),
    ("MANUAL", Recording::Manual),
    ("ACTIVE", Recording::Active),
    ("UNKNOWN", Recording::Unknown),
];

pub(crate) const OPERATION: Symbols<Operation> = &[("UPSERT", Operation::Upsert), ("DELETE", Operation::Delete)];

pub(crate) const SEX: Symbols<&'static str> = &[("F", "F"), ("M", "M")];

/// What this version applies. Every other name is `Unsupported`.
pub(crate) const MEMBER_OPERATION: Symbols<MemberOperation> =
    &[("ENROL", MemberOperation::Enrol), ("VERIFY", MemberOperation::Verify)];

pub(crate) const ACCOUNT: Symbols<Account> =
    &[(Account::Issued.name(), Account::Issued), (Account::Member.name(), Account::Member)];

/// What a name stands for, or `None` if it is none of these.
pub(crate) fn value<T: Copy>(symbols: Symbols<T>, name: &str) -> Option<T> {
    symbols.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

/// The place of a value.
///
/// # Panics
///
/// If it has none: the value did not come from these lists, which is a bug of whoever made it.
#[expect(clippy::panic, reason = "only a bug can get here")]
#[expect(clippy::needless_pass_by_value, reason = "values are small and `Copy`")]
pub(crate) fn index<T: PartialEq>(symbols: Symbols<T>, value: T) -> usize {
    match symbols.iter().position(|(_, known)| *known == value) {
        Some(index) => index,
        None => panic!("the value has no symbol among {}", names(symbols)),
    }
}

/// The place of a name. Panics as [`index`] does.
#[expect(clippy::panic, reason = "only a bug can get here")]
pub(crate) fn index_of_name<T>(symbols: Symbols<T>, name: &str) -> usize {
    match symbols.iter().position(|(known, _)| *known == name) {
        Some(index) => index,
        None => panic!("`{name}` is none of {}", names(symbols)),
    }
}

/// The name of a value. Panics as [`index`] does.
pub(crate) fn name<T: PartialEq>(symbols: Symbols<T>, value: T) -> &'static str {
    symbols[index(symbols, value)].0
}

/// All names, for a detail.
pub(crate) fn names<T>(symbols: Symbols<T>) -> String {
    symbols.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}
