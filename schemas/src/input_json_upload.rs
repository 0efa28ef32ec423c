//! Decides which fields an upload, its source and its samples have in JSON.
//!
//! What the core can refuse of one sample alone (times that its kind needs, absurd steps) does not fail the upload here.

use std::fmt;

use pipeline::calendar::{CivilDate, Instant};
use pipeline::fact::{Channel, DeviceKind, Operation, Recording, Sample, Source, Upload};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::input_avro::sample_time;
use crate::input_json::{Fields, Head, Object, pass_over};
use crate::json_value::{Context, DATE, INSTANT, Nullable, Text, Whole, symbol};
use crate::symbols::{CHANNEL, DEVICE_KIND, OPERATION, PLATFORM, RECORDING, SAMPLE_KIND, SampleKind};

/// The fields of an `upload` record.
pub(crate) struct UploadFields<'s> {
    head: Head<'s>,
    login_at: Option<Option<Instant>>,
    channel: Option<Channel>,
    source: Option<Source<'s>>,
    samples: Option<&'s [Sample<'s>]>,
    buffer: Option<&'s mut Vec<Sample<'s>>>,
}

impl<'s> UploadFields<'s> {
    /// None read yet. The samples will be put into `buffer`.
    pub(crate) fn new(buffer: &'s mut Vec<Sample<'s>>) -> Self {
        UploadFields {
            head: Head::default(),
            login_at: None,
            channel: None,
            source: None,
            samples: None,
            buffer: Some(buffer),
        }
    }
}

impl<'s> Fields<'s> for UploadFields<'s> {
    type Value = Upload<'s>;

    fn field<A: MapAccess<'s>>(&mut self, context: &Context<'s>, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "login_at" => context.fill(map, &mut self.login_at, "login_at", Nullable(INSTANT)),
            "channel" => context.fill(map, &mut self.channel, "channel", symbol(CHANNEL)),
            "source" => {
                let source = Object { context, fields: SourceFields::default() };
                context.fill(map, &mut self.source, "source", source)
            }
            "samples" => {
                let samples = Samples { context, buffer: self.buffer.take() };
                context.fill(map, &mut self.samples, "samples", samples)
            }
            _ => self.head.field(context, name, map),
        }
    }

    fn finish<E: Error>(self, context: &Context<'s>) -> Result<Upload<'s>, E> {
        let head = self.head.whole(context)?;
        Ok(Upload {
            id: head.id,
            programme: head.programme,
            member: head.member,
            received_at: head.received_at,
            login_at: self.login_at.flatten(),
            channel: context.required(self.channel, "channel")?,
            source: context.required(self.source, "source")?,
            samples: context.required(self.samples, "samples")?,
        })
    }
}

#[derive(Default)]
struct SourceFields<'s> {
    platform: Option<&'static str>,
    origin: Option<Option<&'s str>>,
    device: Option<Option<&'s str>>,
    device_kind: Option<Option<DeviceKind>>,
}

impl<'s> Fields<'s> for SourceFields<'s> {
    type Value = Source<'s>;

    fn field<A: MapAccess<'s>>(&mut self, context: &Context<'s>, name: &str, map: &mut A) -> Result<(), A::Error> {
        let text = Nullable(Text(context));
        match name {
            "platform" => context.fill(map, &mut self.platform, "source.platform", symbol(PLATFORM)),
            "origin" => context.fill(map, &mut self.origin, "source.origin", text),
            "device" => context.fill(map, &mut self.device, "source.device", text),
            "device_kind" => {
                context.fill(map, &mut self.device_kind, "source.device_kind", Nullable(symbol(DEVICE_KIND)))
            }
            _ => pass_over(map),
        }
    }

    fn finish<E: Error>(self, context: &Context<'s>) -> Result<Source<'s>, E> {
        Ok(Source {
            platform: context.required(self.platform, "source.platform")?,
            origin: self.origin.flatten().unwrap_or_default(),
            device: self.device.flatten().unwrap_or_default(),
            device_kind: self.device_kind.flatten().unwrap_or(DeviceKind::Unknown),
        })
    }
}

/// The array of samples, read into the buffer. Without a buffer the array is there for a second time.
struct Samples<'c, 's> {
    context: &'c Context<'s>,
    buffer: Option<&'s mut Vec<Sample<'s>>>,
}

impl<'s> DeserializeSeed<'s> for Samples<'_, 's> {
    type Value = &'s [Sample<'s>];
    fn deserialize<D: Deserializer<'s>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'s> Visitor<'s> for Samples<'_, 's> {
    type Value = &'s [Sample<'s>];
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of samples")
    }
    fn visit_seq<A: SeqAccess<'s>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let Some(buffer) = self.buffer else {
            return Err(A::Error::custom("is there twice"));
        };
        let context = self.context;
        context.enter_sample(Some(0));
        while let Some(sample) = items.next_element_seed(Object { context, fields: SampleFields::default() })? {
            buffer.push(sample);
            context.enter_sample(Some(buffer.len()));
        }
        context.enter_sample(None);
        Ok(buffer)
    }
}

#[derive(Default)]
struct SampleFields<'s> {
    kind: Option<Option<SampleKind>>,
    start: Option<Option<Instant>>,
    end: Option<Option<Instant>>,
    date: Option<Option<CivilDate>>,
    steps: Option<Option<i64>>,
    recording: Option<Option<Recording>>,
    operation: Option<Option<Operation>>,
    id: Option<Option<&'s str>>,
    version: Option<Option<i64>>,
    modified_at: Option<Option<Instant>>,
}

impl<'s> Fields<'s> for SampleFields<'s> {
    type Value = Sample<'s>;

    fn field<A: MapAccess<'s>>(&mut self, context: &Context<'s>, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "kind" => context.fill(map, &mut self.kind, "kind", Nullable(symbol(SAMPLE_KIND))),
            "start" => context.fill(map, &mut self.start, "start", Nullable(INSTANT)),
            "end" => context.fill(map, &mut self.end, "end", Nullable(INSTANT)),
            "date" => context.fill(map, &mut self.date, "date", Nullable(DATE)),
            "steps" => context.fill(map, &mut self.steps, "steps", Nullable(Whole)),
            "recording" => context.fill(map, &mut self.recording, "recording", Nullable(symbol(RECORDING))),
            "op" => context.fill(map, &mut self.operation, "op", Nullable(symbol(OPERATION))),
            "id" => context.fill(map, &mut self.id, "id", Nullable(Text(context))),
            "version" => context.fill(map, &mut self.version, "version", Nullable(Whole)),
            "modified_at" => context.fill(map, &mut self.modified_at, "modified_at", Nullable(INSTANT)),
            _ => pass_over(map),
        }
    }

    fn finish<E: Error>(self, context: &Context<'s>) -> Result<Sample<'s>, E> {
        let operation = self.operation.flatten().unwrap_or(Operation::Upsert);
        let steps = match (self.steps.flatten(), operation) {
            (None, Operation::Delete) => 0,
            (steps, _) => context.required(steps, "steps")?,
        };
        Ok(Sample {
            time: sample_time(self.kind.flatten(), self.start.flatten(), self.end.flatten(), self.date.flatten()),
            steps,
            recording: self.recording.flatten().unwrap_or(Recording::Automatic),
            operation,
            id: self.id.flatten().unwrap_or_default(),
            version: self.version.flatten().unwrap_or(0),
            modified_at: self.modified_at.flatten(),
        })
    }
}
