//! Decides which schema a payload was written with, from its first bytes.
//!
//! Two framings are read: Avro's single-object encoding (`C3 01`, then the schema's CRC-64-AVRO fingerprint,
//! little-endian), which is also what Ayumi writes, and that of the Confluent registry (`00`, then the schema's id,
//! big-endian). How the fields that follow are read is each record's own file's.

use crate::error::DecodeError;

/// The schemas of Ayumi's topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Schema {
    /// Input: raw step samples of one source.
    Upload,
    /// Input: enrolment, or a change of it.
    Member,
    /// Input: a civil day is over.
    Clock,
    /// Input: one version of a programme's rules.
    Programme,
    /// Output: one posting of the ledger.
    Entry,
    /// Output: a member's total of a civil day.
    DailyTotal,
    /// Output: a refused fact.
    Rejection,
    /// Output: something to tell a member.
    Notice,
    /// Output: what became of the records of a stretch of a partition.
    Accounting,
}

/// Every fingerprint that can be read, and its schema; first those of the current schemas, in the order of [`Schema`]. An
/// older schema whose fields still lie in the same order gets a line of its own at the end; one whose fields do not needs
/// a reader of its own.
const FINGERPRINTS: [(u64, Schema); 13] = [
    (0x08f4_f051_6f5a_42a8, Schema::Upload),
    (0xf9a2_f276_dd22_a598, Schema::Member),
    (0x0ffe_bb49_fbb7_83fd, Schema::Clock),
    (0xf3d8_1a57_4c06_1b3e, Schema::Programme),
    (0x194d_43d9_b13b_9986, Schema::Entry),
    (0x2d8f_4697_ea94_d27e, Schema::DailyTotal),
    (0xec22_3f68_cfb4_83a7, Schema::Rejection),
    (0x1ce6_dedc_b686_e451, Schema::Notice),
    (0x4649_0747_c8e5_deab, Schema::Accounting),
    // The crate apache-avro leaves `{"type":"long"}` in the canonical form where the specification has `"long"`, so what
    // is written with it carries other fingerprints for the same schemas.
    (0x243d_3482_85ce_464e, Schema::Upload),
    (0x1cca_2108_6da0_9674, Schema::Member),
    (0x6ecd_7e5c_873e_64d7, Schema::Clock),
    (0xb2b0_ebb9_72de_167f, Schema::Programme),
];

const SINGLE_OBJECT: [u8; 2] = [0xC3, 0x01];
const SINGLE_OBJECT_HEADER_BYTES: usize = 10;
const CONFLUENT_HEADER_BYTES: usize = 5;

impl Schema {
    /// All schemas.
    pub const ALL: [Schema; 9] = [
        Schema::Upload,
        Schema::Member,
        Schema::Clock,
        Schema::Programme,
        Schema::Entry,
        Schema::DailyTotal,
        Schema::Rejection,
        Schema::Notice,
        Schema::Accounting,
    ];

    /// The name of the schema and, with `.avsc`, of its file: `upload.v1`.
    pub const fn name(self) -> &'static str {
        match self {
            Schema::Upload => "upload.v1",
            Schema::Member => "member.v1",
            Schema::Clock => "clock.v1",
            Schema::Programme => "programme.v1",
            Schema::Entry => "entry.v1",
            Schema::DailyTotal => "daily_total.v1",
            Schema::Rejection => "rejection.v1",
            Schema::Notice => "notice.v1",
            Schema::Accounting => "accounting.v1",
        }
    }

    /// The schema itself, as JSON: what a registry is given and an Avro file carries.
    pub const fn text(self) -> &'static str {
        match self {
            Schema::Upload => include_str!("../avro/upload.v1.avsc"),
            Schema::Member => include_str!("../avro/member.v1.avsc"),
            Schema::Clock => include_str!("../avro/clock.v1.avsc"),
            Schema::Programme => include_str!("../avro/programme.v1.avsc"),
            Schema::Entry => include_str!("../avro/entry.v1.avsc"),
            Schema::DailyTotal => include_str!("../avro/daily_total.v1.avsc"),
            Schema::Rejection => include_str!("../avro/rejection.v1.avsc"),
            Schema::Notice => include_str!("../avro/notice.v1.avsc"),
            Schema::Accounting => include_str!("../avro/accounting.v1.avsc"),
        }
    }

    /// The CRC-64-AVRO fingerprint of the schema's canonical form, as the single-object encoding has it.
    pub const fn fingerprint(self) -> u64 {
        FINGERPRINTS[self as usize].0
    }

    /// Appends the header of the single-object encoding.
    #[inline]
    pub(crate) fn put_header(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&SINGLE_OBJECT);
        out.extend_from_slice(&self.fingerprint().to_le_bytes());
    }
}

/// What a schema registry's ids stand for. Empty until the registry has been asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchemaIds(Vec<(u32, Schema)>);

impl SchemaIds {
    /// Says what an id stands for; a later word for the same id replaces an earlier one.
    pub fn insert(&mut self, id: u32, schema: Schema) {
        self.0.retain(|(known, _)| *known != id);
        self.0.push((id, schema));
    }

    /// The schema of a payload and the number of bytes of its header.
    #[inline]
    pub(crate) fn open(&self, payload: &[u8]) -> Result<(Schema, usize), DecodeError> {
        if let [0xC3, 0x01, a, b, c, d, e, f, g, h, ..] = *payload {
            let fingerprint = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
            return match FINGERPRINTS.iter().find(|(known, _)| *known == fingerprint) {
                Some((_, schema)) => Ok((*schema, SINGLE_OBJECT_HEADER_BYTES)),
                None => Err(DecodeError::malformed(format_args!(
                    "no schema with the fingerprint {fingerprint:016x} is known to this version"
                ))),
            };
        }
        if let [0x00, a, b, c, d, ..] = *payload {
            let id = u32::from_be_bytes([a, b, c, d]);
            return match self.0.iter().find(|(known, _)| *known == id) {
                Some((_, schema)) => Ok((*schema, CONFLUENT_HEADER_BYTES)),
                None => Err(DecodeError::malformed(format_args!("no schema with the registry id {id} is known"))),
            };
        }
        Err(DecodeError::malformed(format_args!(
            "{} bytes that begin {:02x?}: neither c3 01 and a fingerprint nor 00 and a registry id",
            payload.len(),
            &payload[..payload.len().min(4)]
        )))
    }
}
