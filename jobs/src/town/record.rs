//! Decides how a simulated record is held: in buffers of its own that the next record can take over.
//!
//! A record here says what the public contract says and borrows out as the core's own facts. How it is encoded is the
//! `schemas` crate's to say; when and what is sent, [`super::Town`]'s and [`super::Load`]'s.

use pipeline::calendar::{CivilDate, Instant};
use pipeline::fact::{Channel, DeviceKind, MemberChange, MemberOperation, Sample, Source, Upload};

/// One thing that a gateway hands over.
// An upload is larger than the others, but one buffer serves a whole run: a box would only add a jump to each access.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq)]
pub enum TownRecord {
    /// Step samples of one source.
    Upload(OwnedUpload),
    /// An enrolment.
    Member(OwnedMember),
    /// Bytes that are no record at all: a line of broken JSON, to be refused as MALFORMED.
    Raw(Vec<u8>),
}

impl TownRecord {
    /// A record to be filled by [`RecordSource::next_into`].
    pub fn empty() -> Self {
        TownRecord::Upload(OwnedUpload::default())
    }

    /// This record's upload, to be overwritten: the buffers of the last one, if it was an upload.
    pub(super) fn upload_mut(&mut self) -> &mut OwnedUpload {
        if !matches!(self, TownRecord::Upload(_)) {
            *self = TownRecord::empty();
        }
        match self {
            TownRecord::Upload(upload) => upload,
            TownRecord::Member(_) | TownRecord::Raw(_) => unreachable!("just made an upload"),
        }
    }
}

/// A producer that writes each record over the last one, so that a million uploads need the memory of one.
pub trait RecordSource {
    /// Puts the next record, in order of `received_at`, in the place of `record`. False at the end, `record` being as it was.
    fn next_into(&mut self, record: &mut TownRecord) -> bool;
}

/// An upload that owns what it says.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnedUpload {
    /// Unique within programme and member; a repeat has the same.
    pub id: String,
    /// The programme's id.
    pub programme: String,
    /// The opaque member id.
    pub member: String,
    /// When the gateway took it in.
    pub received_at: Instant,
    /// The app launch or reader touch that brought it.
    pub login_at: Option<Instant>,
    /// How it came.
    pub channel: Channel,
    /// The source's platform, as the public contract names it.
    pub platform: &'static str,
    /// The package or reader that wrote the data.
    pub origin: &'static str,
    /// The device within platform and origin.
    pub device: String,
    /// What kind of device it is.
    pub device_kind: DeviceKind,
    /// The samples with empty ids; see `id_ends`.
    samples: Vec<Sample<'static>>,
    /// The ids of all samples, one after the other.
    ids: String,
    /// Where each sample's id ends in `ids`. Empty if no sample has one, which makes borrowing free of cost.
    id_ends: Vec<usize>,
}

impl Default for OwnedUpload {
    fn default() -> Self {
        OwnedUpload {
            id: String::new(),
            programme: String::new(),
            member: String::new(),
            received_at: Instant::from_epoch_millis(0),
            login_at: None,
            channel: Channel::App,
            platform: "OTHER",
            origin: "",
            device: String::new(),
            device_kind: DeviceKind::Unknown,
            samples: Vec::new(),
            ids: String::new(),
            id_ends: Vec::new(),
        }
    }
}

impl OwnedUpload {
    /// The upload as the core takes it.
    ///
    /// `samples` is a place for the samples that have ids of their own, since those borrow from this upload; hand in an
    /// empty vector. It stays empty, and nothing is copied, if no sample has an id.
    pub fn as_fact<'a>(&'a self, samples: &'a mut Vec<Sample<'a>>) -> Upload<'a> {
        samples.clear();
        let mut id_start = 0;
        samples.extend(self.samples.iter().zip(&self.id_ends).map(|(sample, &id_end)| {
            let id = &self.ids[id_start..id_end];
            id_start = id_end;
            Sample { id, ..*sample }
        }));
        Upload {
            id: &self.id,
            programme: &self.programme,
            member: &self.member,
            received_at: self.received_at,
            login_at: self.login_at,
            channel: self.channel,
            source: Source {
                platform: self.platform,
                origin: self.origin,
                device: &self.device,
                device_kind: self.device_kind,
            },
            samples: if self.id_ends.is_empty() { &self.samples } else { samples },
        }
    }

    /// How many samples it has.
    pub fn sample_count(&self) -> usize {
        self.samples.len()
    }

    /// Forgets the samples, not their memory.
    pub(super) fn clear_samples(&mut self) {
        self.samples.clear();
        self.ids.clear();
        self.id_ends.clear();
    }

    /// Adds a sample without an id. Samples with and without ids do not mix in one upload.
    pub(super) fn push(&mut self, sample: Sample<'static>) {
        debug_assert!(self.id_ends.is_empty(), "a sample without an id after one with an id");
        self.samples.push(sample);
    }

    /// Adds a sample whose id is the given number in hexadecimal.
    pub(super) fn push_with_id(&mut self, sample: Sample<'static>, id: u64) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digits: [u8; 16] = std::array::from_fn(|place| DIGITS[(id >> (60 - 4 * place)) as usize & 15]);
        self.ids.push_str(std::str::from_utf8(&digits).unwrap_or_default());
        self.id_ends.push(self.ids.len());
        self.samples.push(sample);
    }
}

/// A change of a member that owns what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedMember {
    /// Unique within programme and member.
    pub id: String,
    /// The programme's id.
    pub programme: String,
    /// The opaque member id.
    pub member: String,
    /// When the gateway took it in.
    pub received_at: Instant,
    /// The civil day from which it holds.
    pub effective_on: CivilDate,
    /// When the member was born.
    pub birth_date: CivilDate,
    /// `F`, `M` or not told.
    pub sex: Option<&'static str>,
    /// `APP` or `METER`.
    pub course: &'static str,
}

impl OwnedMember {
    /// The only operation that the town makes.
    pub const OPERATION_NAME: &'static str = "ENROL";

    /// The change as the core takes it. Sex and course, which no rule of the core asks for, are only in the record.
    pub fn as_fact(&self) -> MemberChange<'_> {
        MemberChange {
            id: &self.id,
            programme: &self.programme,
            member: &self.member,
            received_at: self.received_at,
            operation: MemberOperation::Enrol,
            operation_name: Self::OPERATION_NAME,
            effective_on: self.effective_on,
            birth_date: Some(self.birth_date),
        }
    }
}

/// Writes `prefix` and `number`, at least `digits_min` digits wide, over what `text` was.
///
/// Written out because a load generator names three things per upload and the formatting machinery would take a third
/// of its time.
pub(super) fn write_name(text: &mut String, prefix: &str, number: u32, digits_min: usize) {
    text.clear();
    push_name(text, prefix, number, digits_min);
}

/// Adds `prefix` and `number`, at least `digits_min` digits wide, to `text`.
pub(super) fn push_name(text: &mut String, prefix: &str, number: u32, digits_min: usize) {
    text.push_str(prefix);
    let (mut digits, mut start, mut rest) = ([b'0'; 10], 10, number);
    while rest > 0 {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let start = start.min(10 - digits_min.clamp(1, 10));
    text.extend(digits[start..].iter().copied().map(char::from));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_padded_never_cut() {
        let mut text = String::from("old");
        write_name(&mut text, "m-", 42, 4);
        push_name(&mut text, "/", 0, 1);
        push_name(&mut text, "/", u32::MAX, 4);
        assert_eq!(text, "m-0042/0/4294967295");
    }

    #[test]
    fn each_sample_gets_its_own_id_back() {
        let mut upload = OwnedUpload::default();
        let day = CivilDate::from_epoch_days(20_000);
        let sample = super::super::delivery::sample(pipeline::fact::SampleTime::DailyTotal(day), 7);
        upload.push_with_id(sample, 0x2a);
        upload.push_with_id(sample, u64::MAX);
        let mut samples = Vec::new();
        let ids: Vec<&str> = upload.as_fact(&mut samples).samples.iter().map(|s| s.id).collect();
        assert_eq!(ids, ["000000000000002a", "ffffffffffffffff"]);
    }
}
