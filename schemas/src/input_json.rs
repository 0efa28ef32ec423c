//! Decides how input records are read from JSON: which fields each type has, which must be there, and their defaults.
//!
//! Fields that this version does not know are passed over, so that a newer producer can be read. How single values are
//! read is in [`crate::json_value`].

use std::fmt;
use std::marker::PhantomData;

use pipeline::calendar::{CivilDate, Instant};
use pipeline::fact::Sample;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::error::Category;

use crate::error::{DecodeError, quoted};
use crate::input::{ClockRecord, ProgrammeRecord, Record};
use crate::input_json_member::MemberFields;
use crate::input_json_upload::UploadFields;
use crate::json_value::{Context, DATE, INSTANT, Nullable, Text, Whole};

/// The contract's record types that this version does not process.
const OTHER_TYPES: [&str; 6] = ["checkin", "measurement", "activity", "order", "application", "decision"];

/// Reads one record. `room` and `samples` are buffers.
pub(crate) fn decode<'s>(
    line: &'s [u8],
    room: &'s mut Vec<u8>,
    samples: &'s mut Vec<Sample<'s>>,
) -> Result<Record<'s>, DecodeError> {
    let text = std::str::from_utf8(line).map_err(|error| DecodeError::malformed(format_args!("not UTF-8: {error}")))?;
    // Twice, because the line may have to be read twice: once for its type, once for the rest.
    if line.contains(&b'\\') && room.len() < 2 * line.len() {
        room.resize(2 * line.len(), 0);
    }
    let context = Context::new(room);
    let type_name = match leading_type(text) {
        Some(type_name) => type_name,
        None => read(text, &context, TypeOnly::default())?,
    };
    match type_name {
        "upload" => read(text, &context, UploadFields::new(samples)).map(Record::Upload),
        "member" => read(text, &context, MemberFields::default()).map(Record::Member),
        "clock" => read(text, &context, ClockFields::default()).map(Record::DayClosed),
        "programme" => read(text, &context, ProgrammeFields::default()).map(Record::Programme),
        other if OTHER_TYPES.contains(&other) => read(text, &context, OtherFields::default()),
        other => Err(DecodeError::malformed(format_args!(
            "type: {} is none of upload, member, clock, programme, {}",
            quoted(other),
            OTHER_TYPES.join(", ")
        ))),
    }
}

/// The type of a line that begins with it, as almost every line does; otherwise the whole line must be searched.
fn leading_type(text: &str) -> Option<&str> {
    let (type_name, _) = text.strip_prefix("{\"type\":\"")?.split_once('"')?;
    (!type_name.contains('\\')).then_some(type_name)
}

/// The fields of one type of JSON object, while it is read.
pub(crate) trait Fields<'s> {
    /// What the object is, once it has been read.
    type Value;

    /// Reads the value of this field, or passes over it.
    fn field<A: MapAccess<'s>>(&mut self, context: &Context<'s>, name: &str, map: &mut A) -> Result<(), A::Error>;

    /// The object, if everything is there that must be.
    fn finish<E: Error>(self, context: &Context<'s>) -> Result<Self::Value, E>;
}

/// Passes over a value that this version does not know.
pub(crate) fn pass_over<'s, A: MapAccess<'s>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(|_| ())
}

/// Reads an object field by field.
pub(crate) struct Object<'c, 's, F> {
    pub(crate) context: &'c Context<'s>,
    pub(crate) fields: F,
}

impl<'s, F: Fields<'s>> DeserializeSeed<'s> for Object<'_, 's, F> {
    type Value = F::Value;
    fn deserialize<D: Deserializer<'s>>(self, deserializer: D) -> Result<F::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'s, F: Fields<'s>> Visitor<'s> for Object<'_, 's, F> {
    type Value = F::Value;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }
    fn visit_map<A: MapAccess<'s>>(mut self, mut map: A) -> Result<F::Value, A::Error> {
        while let Some(name) = map.next_key_seed(Text(self.context))? {
            self.fields.field(self.context, name, &mut map)?;
        }
        self.fields.finish(self.context)
    }
}

fn read<'s, F: Fields<'s>>(text: &'s str, context: &Context<'s>, fields: F) -> Result<F::Value, DecodeError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Object { context, fields }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| refusal(context, &error))
}

#[cold]
fn refusal(context: &Context<'_>, error: &serde_json::Error) -> DecodeError {
    let text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    let found = text.strip_suffix(position.as_str()).unwrap_or(&text);
    let place = match error.classify() {
        Category::Data => context.place(),
        Category::Syntax | Category::Eof | Category::Io => "not JSON".to_owned(),
    };
    let colon = if place.is_empty() { "" } else { ": " };
    DecodeError::malformed(format_args!("{place}{colon}{found} (column {})", error.column()))
}

/// What every record but `clock` and `programme` begins with.
#[derive(Default)]
pub(crate) struct Head<'s> {
    type_name: Option<&'s str>,
    id: Option<&'s str>,
    programme: Option<&'s str>,
    member: Option<&'s str>,
    received_at: Option<Option<Instant>>,
}

/// A [`Head`] of which nothing is missing.
pub(crate) struct WholeHead<'s> {
    pub(crate) id: &'s str,
    pub(crate) programme: &'s str,
    pub(crate) member: &'s str,
    pub(crate) received_at: Instant,
}

impl<'s> Head<'s> {
    /// Reads one of these fields, or passes over what is none of them.
    pub(crate) fn field<A: MapAccess<'s>>(
        &mut self,
        context: &Context<'s>,
        name: &str,
        map: &mut A,
    ) -> Result<(), A::Error> {
        let text = Text(context);
        match name {
            "type" => context.fill(map, &mut self.type_name, "type", text),
            "id" => context.fill(map, &mut self.id, "id", text),
            "programme" => context.fill(map, &mut self.programme, "programme", text),
            "member" => context.fill(map, &mut self.member, "member", text),
            "received_at" => context.fill(map, &mut self.received_at, "received_at", Nullable(INSTANT)),
            _ => pass_over(map),
        }
    }

    /// The head, if nothing is missing.
    pub(crate) fn whole<E: Error>(self, context: &Context<'s>) -> Result<WholeHead<'s>, E> {
        Ok(WholeHead {
            id: context.required(self.id, "id")?,
            programme: context.required(self.programme, "programme")?,
            member: context.required(self.member, "member")?,
            received_at: context.required(self.received_at.flatten(), "received_at")?,
        })
    }
}

/// The type alone.
#[derive(Default)]
struct TypeOnly<'s>(Option<&'s str>);

impl<'s> Fields<'s> for TypeOnly<'s> {
    type Value = &'s str;

    fn field<A: MapAccess<'s>>(&mut self, context: &Context<'s>, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "type" => context.fill(map, &mut self.0, "type", Text(context)),
            _ => pass_over(map),
        }
    }

    fn finish<E: Error>(self, context: &Context<'s>) -> Result<&'s str, E> {
        context.required(self.0, "type")
    }
}

/// A record that this version does not process: what can be told of it.
#[derive(Default)]
struct OtherFields<'s>(Head<'s>);

impl<'s> Fields<'s> for OtherFields<'s> {
    type Value = Record<'s>;

    fn field<A: MapAccess<'s>>(&mut self, context: &Context<'s>, name: &str, map: &mut A) -> Result<(), A::Error> {
        self.0.field(context, name, map)
    }

    fn finish<E: Error>(self, context: &Context<'s>) -> Result<Record<'s>, E> {
        Ok(Record::Other {
            type_name: context.required(self.0.type_name, "type")?,
            id: self.0.id.unwrap_or_default(),
            programme: self.0.programme.unwrap_or_default(),
            member: self.0.member.unwrap_or_default(),
            received_at: self.0.received_at.flatten(),
        })
    }
}

/// A civil day is over. Its id says no more than its date.
#[derive(Default)]
struct ClockFields<'s> {
    head: Head<'s>,
    date: Option<CivilDate>,
    parked_wait: Option<bool>,
}

impl<'s> Fields<'s> for ClockFields<'s> {
    type Value = ClockRecord;

    fn field<A: MapAccess<'s>>(&mut self, context: &Context<'s>, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "date" => context.fill(map, &mut self.date, "date", DATE),
            "parked_wait" => context.fill(map, &mut self.parked_wait, "parked_wait", PhantomData::<bool>),
            _ => self.head.field(context, name, map),
        }
    }

    fn finish<E: Error>(self, context: &Context<'s>) -> Result<ClockRecord, E> {
        let date = context.required(self.date, "date")?;
        Ok(ClockRecord { date, parked_wait: self.parked_wait.unwrap_or(false) })
    }
}

/// One version of a programme's rules.
#[derive(Default)]
struct ProgrammeFields<'s> {
    head: Head<'s>,
    version: Option<i64>,
    effective_on: Option<CivilDate>,
    source: Option<&'s str>,
}

impl<'s> Fields<'s> for ProgrammeFields<'s> {
    type Value = ProgrammeRecord<'s>;

    fn field<A: MapAccess<'s>>(&mut self, context: &Context<'s>, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "version" => context.fill(map, &mut self.version, "version", Whole),
            "effective_on" => context.fill(map, &mut self.effective_on, "effective_on", DATE),
            "source" => context.fill(map, &mut self.source, "source", Text(context)),
            _ => self.head.field(context, name, map),
        }
    }

    fn finish<E: Error>(self, context: &Context<'s>) -> Result<ProgrammeRecord<'s>, E> {
        let version = context.required(self.version, "version")?;
        Ok(ProgrammeRecord {
            id: context.required(self.head.id, "id")?,
            version: u32::try_from(version)
                .map_err(|_| E::custom(format_args!("version {version} is not from 0 to {}", u32::MAX)))?,
            effective_on: context.required(self.effective_on, "effective_on")?,
            source: context.required(self.source, "source")?,
        })
    }
}
