//! Decides how records lie in the logs' sections. What a section belongs to is not said in it.

use std::ops::ControlFlow;
use std::sync::Arc;

use pipeline::state::Changes;

use super::damaged;
use crate::transport::{Format, InputRecord, InputTopic, OutputTopic, Outputs, TransportError};

/// Records to append to one input partition.
#[derive(Debug, Default)]
pub struct InputBatch {
    count: usize,
    bytes: Vec<u8>,
    file: Option<Arc<str>>,
}

/// Before a record's format: the records from here on come from another file.
const FILE_TAG: u8 = 0xff;

impl InputBatch {
    /// Adds a record. `line` is its line or number in `file`, 0 for none.
    pub fn push(&mut self, format: Format, file: Option<&Arc<str>>, line: u64, payload: &[u8]) {
        self.count += 1;
        if self.file.as_ref() != file {
            self.bytes.push(FILE_TAG);
            write_bytes(&mut self.bytes, file.map_or("", |file| file).as_bytes());
            self.file = file.cloned();
        }
        self.bytes.push(format as u8);
        write_varint(&mut self.bytes, line);
        write_bytes(&mut self.bytes, payload);
    }

    /// Bytes so far.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Moves the records to the end of a section, gives their number, and keeps the memory.
    pub(super) fn drain_into(&mut self, section: &mut Vec<u8>) -> usize {
        section.extend_from_slice(&self.bytes);
        self.bytes.clear();
        self.file = None;
        std::mem::take(&mut self.count)
    }
}

/// Reads the input records of a section whose first has the offset `base`, and hands over those from `from` on.
pub fn read_inputs(
    base: i64,
    count: u32,
    mut rest: &[u8],
    from: i64,
    each: &mut dyn FnMut(InputRecord<'_>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, TransportError> {
    let mut file = None;
    for offset in base..base + i64::from(count) {
        let mut tag = read_byte(&mut rest)?;
        if tag == FILE_TAG {
            file = std::str::from_utf8(read_bytes(&mut rest)?).ok().filter(|file| !file.is_empty());
            tag = read_byte(&mut rest)?;
        }
        let format = match tag {
            0 => Format::Avro,
            1 => Format::Json,
            2 => Format::TooLarge,
            _ => Format::Broken,
        };
        let line = Some(read_varint(&mut rest)? as i64).filter(|&line| line > 0);
        let payload = read_bytes(&mut rest)?;
        let record = InputRecord { topic: InputTopic::Inputs, offset, format, payload, file, line };
        if offset >= from && each(record).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Writes the records of one topic, and gives their number.
pub fn write_outputs(outputs: &Outputs, topic: OutputTopic, section: &mut Vec<u8>) -> usize {
    let payloads = outputs.iter().filter(|(of, _, _)| *of == topic).map(|(_, _, payload)| payload);
    payloads.map(|payload| write_bytes(section, payload)).count()
}

/// Reads the output records of a section whose first has the offset `base`, and hands over those from `from` on.
pub fn read_outputs(
    base: i64,
    count: u32,
    mut rest: &[u8],
    from: i64,
    each: &mut dyn FnMut(i64, &[u8]) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, TransportError> {
    for offset in base..base + i64::from(count) {
        let payload = read_bytes(&mut rest)?;
        if offset >= from && each(offset, payload).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Writes state changes: the lengths of the key and of the value, the latter and 1 or else 0, then both.
pub fn write_changes(changes: &Changes, section: &mut Vec<u8>) {
    for (key, value) in changes.iter() {
        write_varint(section, key.len() as u64);
        write_varint(section, value.map_or(0, |value| value.len() as u64 + 1));
        section.extend_from_slice(key);
        section.extend_from_slice(value.unwrap_or_default());
    }
}

/// A key, and its new value or none.
pub type Change<'a> = (&'a [u8], Option<&'a [u8]>);

/// Reads state changes.
pub fn read_changes(mut rest: &[u8]) -> Result<Vec<Change<'_>>, TransportError> {
    let mut changes = Vec::new();
    while !rest.is_empty() {
        let key_length = read_varint(&mut rest)?;
        let value_length = read_varint(&mut rest)?.checked_sub(1);
        let key = take(&mut rest, key_length)?;
        let value = value_length.map(|length| take(&mut rest, length)).transpose()?;
        changes.push((key, value));
    }
    Ok(changes)
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn read_varint(rest: &mut &[u8]) -> Result<u64, TransportError> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = read_byte(rest)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(damaged("a number is longer than 64 bits"))
}

fn read_byte(rest: &mut &[u8]) -> Result<u8, TransportError> {
    let (&byte, after) = rest.split_first().ok_or_else(|| damaged("a batch of records ends too early"))?;
    *rest = after;
    Ok(byte)
}

fn read_bytes<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], TransportError> {
    let length = read_varint(rest)?;
    take(rest, length)
}

fn take<'a>(rest: &mut &'a [u8], length: u64) -> Result<&'a [u8], TransportError> {
    let length = usize::try_from(length).map_err(|_| damaged("a length is out of range"))?;
    let (bytes, after) = rest.split_at_checked(length).ok_or_else(|| damaged("a batch of records ends too early"))?;
    *rest = after;
    Ok(bytes)
}
