//! Decides the words under which the core's closed lists stand in the lake: those of the public contract.

use pipeline::fact::{Channel, DeviceKind, Operation, Recording};

pub(super) const fn channel(channel: Channel) -> &'static str {
    match channel {
        Channel::App => "APP",
        Channel::Reader => "READER",
        Channel::Loppi => "LOPPI",
        Channel::Import => "IMPORT",
    }
}

pub(super) const fn device_kind(kind: DeviceKind) -> &'static str {
    match kind {
        DeviceKind::Watch => "WATCH",
        DeviceKind::Phone => "PHONE",
        DeviceKind::Pedometer => "PEDOMETER",
        DeviceKind::Scale => "SCALE",
        DeviceKind::Unknown => "UNKNOWN",
    }
}

pub(super) const fn recording(recording: Recording) -> &'static str {
    match recording {
        Recording::Automatic => "AUTO",
        Recording::Manual => "MANUAL",
        Recording::Active => "ACTIVE",
        Recording::Unknown => "UNKNOWN",
    }
}

pub(super) const fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::Upsert => "UPSERT",
        Operation::Delete => "DELETE",
    }
}
