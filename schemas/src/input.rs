//! Decides what an input record is once it has been read, and where its parts live.
//!
//! A record borrows from the bytes that it was read from and from a [`Scratch`], so reading one allocates nothing in the
//! steady state. The two forms that it can have are read in the files beside this one.

use pipeline::calendar::{CivilDate, Instant};
use pipeline::fact::{MemberChange, Upload};

use crate::error::DecodeError;
use crate::sample_buffer::SampleBuffer;
use crate::schema::SchemaIds;
use crate::{input_avro, input_json};

/// One well-formed input record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// Raw step samples of one source.
    Upload(Upload<'a>),
    /// Enrolment, or a change of it.
    Member(MemberRecord<'a>),
    /// A civil day is over.
    DayClosed(ClockRecord),
    /// One version of a programme's rules.
    Programme(ProgrammeRecord<'a>),
    /// A record of the contract that this version does not process. What can be told of it; text is empty if absent.
    Other {
        /// `checkin`, `measurement`, `activity`, `order`, `application` or `decision`.
        type_name: &'a str,
        /// The record's id.
        id: &'a str,
        /// The programme's id.
        programme: &'a str,
        /// The member's id.
        member: &'a str,
        /// When the gateway took it in.
        received_at: Option<Instant>,
    },
}

/// A change of a member: what the core applies, and what only the lake keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberRecord<'a> {
    /// What the core applies.
    pub change: MemberChange<'a>,
    /// How the birth date is known.
    pub birth_date_quality: Option<&'a str>,
    /// `F` or `M`.
    pub sex: Option<&'a str>,
    /// The programme's course that the member takes.
    pub course: Option<&'a str>,
    /// The municipality.
    pub residence: Option<&'a str>,
    /// The kind of health insurance.
    pub insurance: Option<&'a str>,
    /// How the identity was verified.
    pub identity_route: Option<&'a str>,
}

/// The end of a civil day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockRecord {
    /// The day that is over.
    pub date: CivilDate,
    /// Facts that wait for an enrolment go on waiting: a replay gives them up only at its end.
    pub parked_wait: bool,
}

/// One version of a programme's rules, as published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgrammeRecord<'a> {
    /// The programme's id.
    pub id: &'a str,
    /// Counts the versions of this programme from 1.
    pub version: u32,
    /// The first activity date to which this version applies.
    pub effective_on: CivilDate,
    /// The whole text of `programme.toml`.
    pub source: &'a str,
}

/// Buffers that every record uses again, and what is known of schemas. One for each thread that decodes.
#[derive(Default)]
pub struct Scratch {
    samples: SampleBuffer,
    text: Vec<u8>,
    schema_ids: SchemaIds,
}

impl Scratch {
    /// Empty buffers. `schema_ids` says what the ids of a schema registry stand for; without one it is empty.
    pub fn new(schema_ids: SchemaIds) -> Self {
        Scratch { schema_ids, ..Scratch::default() }
    }

    /// Reads one record from its Avro form, in either framing.
    ///
    /// # Errors
    ///
    /// `Malformed`, if the schema is not known or not that of an input, or the bytes do not follow it to the last one.
    pub fn decode_avro<'s>(&'s mut self, payload: &'s [u8]) -> Result<Record<'s>, DecodeError> {
        let (schema, header_bytes) = self.schema_ids.open(payload)?;
        input_avro::decode(schema, payload, header_bytes, &mut self.samples)
    }

    /// Reads one record from its JSON form, such as one line of a file.
    ///
    /// # Errors
    ///
    /// `Malformed`, if this is not JSON, the `type` is not one of the contract's, or a field is missing, there twice, or
    /// of a wrong type.
    pub fn decode_json<'s>(&'s mut self, line: &'s [u8]) -> Result<Record<'s>, DecodeError> {
        input_json::decode(line, &mut self.text, self.samples.lend())
    }
}
