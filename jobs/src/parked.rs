//! Decides how a record is kept while it waits for the enrolment of its member: as it came, with where it came from.

use std::sync::Arc;

use crate::award::Provenance;
use crate::transport::{Format, InputTopic};

/// A record that waited.
pub struct Parked {
    /// How to read it.
    pub format: Format,
    /// Its bytes.
    pub payload: Vec<u8>,
    /// Where it came from.
    pub provenance: Provenance,
}

impl Parked {
    /// Offset, line and the file's length as numbers of eight bytes, the file, the topic, the format, the payload.
    pub fn encode(format: Format, payload: &[u8], provenance: &Provenance) -> Vec<u8> {
        let file = provenance.file.as_deref().unwrap_or_default();
        let mut bytes = Vec::with_capacity(26 + file.len() + payload.len());
        for number in [provenance.offset, provenance.line.unwrap_or(0), file.len() as i64] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(file.as_bytes());
        bytes.push(provenance.topic as u8);
        bytes.push(format as u8);
        bytes.extend_from_slice(payload);
        bytes
    }

    /// Reads it back; `None` if it is damaged.
    pub fn decode(bytes: &[u8]) -> Option<Parked> {
        let number = |at: usize| Some(i64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let (offset, line, length) = (number(0)?, number(8)?, usize::try_from(number(16)?).ok()?);
        let (file, rest) = bytes.get(24..)?.split_at_checked(length)?;
        let (&[topic, format], payload) = rest.split_first_chunk()?;
        let file = std::str::from_utf8(file).ok()?;
        Some(Parked {
            format: if format == Format::Avro as u8 { Format::Avro } else { Format::Json },
            payload: payload.to_vec(),
            provenance: Provenance {
                topic: InputTopic::from_number(topic)?,
                offset,
                file: (!file.is_empty()).then(|| Arc::from(file)),
                line: (line > 0).then_some(line),
            },
        })
    }
}
