//! Decides how one file of a log is laid out, and which of it counts after a crash.
//!
//! A segment is a sequence of entries, each what one append made durable: for every stream of the log a section, which may
//! be empty, and marks. An entry begins with a header of fixed size: its checksum, the length and the checksum of the
//! marks, and for each stream the offset of the first record, the number of records, and the length and the checksum of
//! the section; sections and marks follow. All numbers have the least significant byte first. The first entry of a segment
//! has no records, and all marks of the log as they were.
//!
//! An entry is synced before the next is written. So after a crash only the last of the last segment can be incomplete,
//! and it was never reported as durable: it is cut off. An unreadable entry anywhere else is damage, and is reported.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use xxhash_rust::xxh3::xxh3_64;

use super::{damaged, io_error};
use crate::transport::TransportError;

/// One file of a log.
pub struct Segment {
    /// Its place. It is opened for each reading, so that a log of any length takes no file handles.
    pub path: PathBuf,
    /// The offsets of the next records of the streams when the segment was begun.
    pub begins: Vec<i64>,
    /// Bytes that are durable and may be read.
    length: AtomicU64,
    /// Where to begin to look for an offset. Filled by those who look.
    index: Mutex<Index>,
}

/// The places of some entries and the offsets of their records.
struct Index {
    points: Vec<(u64, Vec<i64>)>,
    /// The entries before this place have been looked at.
    end: u64,
}

/// Entries lie at most so far behind a point of the index.
const POINT_BYTES: u64 = 64 << 10;

/// What an entry says of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// The offset of the first record.
    pub base: i64,
    /// Records.
    pub count: u32,
    /// Bytes.
    pub length: u32,
    checksum: u64,
}

/// The beginning of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    marks_length: u32,
    marks_checksum: u64,
    /// Of each stream.
    pub sections: Vec<Section>,
}

const CHECKSUM_BYTES: usize = 8;
const MARKS_BYTES: usize = 12;
const SECTION_BYTES: usize = 24;

impl Header {
    /// Bytes of the header of an entry with so many streams.
    pub const fn bytes(streams: usize) -> usize {
        CHECKSUM_BYTES + MARKS_BYTES + streams * SECTION_BYTES
    }

    /// Bytes of the whole entry.
    pub fn entry_bytes(&self) -> u64 {
        Header::bytes(self.sections.len()) as u64 + self.marks_at() + u64::from(self.marks_length)
    }

    /// Where a section begins, after the header.
    fn section_at(&self, stream: usize) -> u64 {
        self.sections[..stream].iter().map(|section| u64::from(section.length)).sum()
    }

    fn marks_at(&self) -> u64 {
        self.section_at(self.sections.len())
    }

    fn decode(bytes: &[u8], streams: usize) -> Option<Header> {
        let (checksum, mut rest) = bytes.split_first_chunk()?;
        if u64::from_le_bytes(*checksum) != xxh3_64(rest) {
            return None;
        }
        let mut header = Header { marks_length: number(&mut rest)?, ..Header::default() };
        header.marks_checksum = u64::from_le_bytes(chunk(&mut rest)?);
        for _ in 0..streams {
            let base = i64::from_le_bytes(chunk(&mut rest)?);
            let (count, length) = (number(&mut rest)?, number(&mut rest)?);
            header.sections.push(Section { base, count, length, checksum: u64::from_le_bytes(chunk(&mut rest)?) });
        }
        Some(header)
    }
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(chunk(rest)?))
}

fn chunk<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (chunk, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*chunk)
}

/// An entry that is being put together, in memory that is used again.
#[derive(Default)]
pub struct Entry {
    bytes: Vec<u8>,
    sections: Vec<Section>,
    marks: usize,
}

impl Entry {
    /// Begins an entry behind these offsets.
    pub fn begin(&mut self, bases: impl Iterator<Item = i64>) {
        self.sections.clear();
        self.sections.extend(bases.map(|base| Section { base, ..Section::default() }));
        self.bytes.clear();
        self.bytes.resize(Header::bytes(self.sections.len()), 0);
        self.marks = self.bytes.len();
    }

    /// Writes the section of a stream: `write` appends the records and gives their number. Streams in order, before marks.
    pub fn section(&mut self, stream: usize, write: impl FnOnce(&mut Vec<u8>) -> usize) {
        debug_assert!(self.sections[stream..].iter().all(|section| section.length == 0), "a stream out of order");
        let begin = self.bytes.len();
        let count = write(&mut self.bytes);
        let section = &mut self.sections[stream];
        // An entry that is too large for these is not appended.
        section.count = count as u32;
        section.length = (self.bytes.len() - begin) as u32;
        section.checksum = xxh3_64(&self.bytes[begin..]);
        self.marks = self.bytes.len();
    }

    /// Notes a value under a key.
    pub fn mark(&mut self, key: &[u8], value: &[u8]) {
        for bytes in [key, value] {
            self.bytes.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// The whole entry.
    pub fn finish(&mut self) -> &[u8] {
        let marks = &self.bytes[self.marks..];
        let (marks_length, marks_checksum) = (marks.len() as u32, xxh3_64(marks));
        let mut header = Vec::with_capacity(Header::bytes(self.sections.len()) - CHECKSUM_BYTES);
        header.extend_from_slice(&marks_length.to_le_bytes());
        header.extend_from_slice(&marks_checksum.to_le_bytes());
        for section in &self.sections {
            header.extend_from_slice(&section.base.to_le_bytes());
            header.extend_from_slice(&section.count.to_le_bytes());
            header.extend_from_slice(&section.length.to_le_bytes());
            header.extend_from_slice(&section.checksum.to_le_bytes());
        }
        self.bytes[..CHECKSUM_BYTES].copy_from_slice(&xxh3_64(&header).to_le_bytes());
        self.bytes[CHECKSUM_BYTES..CHECKSUM_BYTES + header.len()].copy_from_slice(&header);
        &self.bytes
    }

    /// The offsets after the entry's records, for each stream.
    pub fn ends(&self) -> impl Iterator<Item = i64> {
        self.sections.iter().map(|section| section.base + i64::from(section.count))
    }

    /// The keys and values noted.
    pub fn marks(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        Marks(&self.bytes[self.marks..])
    }
}

/// Reads marks.
struct Marks<'a>(&'a [u8]);

impl<'a> Iterator for Marks<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let mut part = || {
            let length = number(&mut self.0)? as usize;
            let (part, after) = self.0.split_at_checked(length)?;
            self.0 = after;
            Some(part)
        };
        Some((part()?, part()?))
    }
}

impl Segment {
    /// A segment of which `length` bytes may be read.
    pub fn new(path: PathBuf, begins: Vec<i64>, length: u64) -> Segment {
        let index = Mutex::new(Index { points: Vec::new(), end: 0 });
        Segment { path, begins, length: AtomicU64::new(length), index }
    }

    /// Opens the file for reading; `None` if it has been deleted.
    pub fn open(&self) -> Result<Option<File>, TransportError> {
        match File::open(&self.path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error("read", error)),
        }
    }

    /// Bytes that may be read.
    pub fn length(&self) -> u64 {
        self.length.load(Ordering::Acquire)
    }

    /// More bytes have become durable.
    pub fn extend(&self, length: u64) {
        self.length.store(length, Ordering::Release);
    }

    /// The header of the entry at a place; `None` if it is not whole.
    pub fn header(file: &File, at: u64, streams: usize) -> Result<Option<Header>, TransportError> {
        let mut bytes = vec![0; Header::bytes(streams)];
        let is_whole = read_at(file, &mut bytes, at)?;
        Ok(is_whole.then(|| Header::decode(&bytes, streams)).flatten())
    }

    /// Whether the header of an entry is somewhere among these bytes.
    pub fn has_header(bytes: &[u8], streams: usize) -> bool {
        bytes.windows(Header::bytes(streams)).any(|window| Header::decode(window, streams).is_some())
    }

    /// Reads the records of a stream. `false` if they are not what was written.
    pub fn section(
        file: &File,
        at: u64,
        header: &Header,
        stream: usize,
        out: &mut Vec<u8>,
    ) -> Result<bool, TransportError> {
        let section = &header.sections[stream];
        out.resize(section.length as usize, 0);
        let at = at + Header::bytes(header.sections.len()) as u64 + header.section_at(stream);
        Ok(section.length == 0 || read_at(file, out, at)? && xxh3_64(out) == section.checksum)
    }

    /// Hands over the marks of an entry. `false` if they are not what was written.
    pub fn marks(
        file: &File,
        at: u64,
        header: &Header,
        each: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<bool, TransportError> {
        let mut bytes = vec![0; header.marks_length as usize];
        let at = at + Header::bytes(header.sections.len()) as u64 + header.marks_at();
        let is_whole = read_at(file, &mut bytes, at)? && xxh3_64(&bytes) == header.marks_checksum;
        if is_whole {
            Marks(&bytes).for_each(|(key, value)| each(key, value));
        }
        Ok(is_whole)
    }

    /// The place of the first entry that has records of a stream at or behind an offset, or the end.
    pub fn find(&self, file: &File, stream: usize, offset: i64) -> Result<u64, TransportError> {
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        let known = index.points.partition_point(|(_, bases)| bases[stream] <= offset);
        let mut at = known.checked_sub(1).map_or(0, |point| index.points[point].0);
        let end = self.length();
        while at < end {
            let header = self.entry(file, at)?;
            if at >= index.end {
                let last = index.points.last().map(|(place, _)| *place);
                if last.is_none_or(|place| at - place >= POINT_BYTES) {
                    index.points.push((at, header.sections.iter().map(|section| section.base).collect()));
                }
                index.end = at + header.entry_bytes();
            }
            let section = &header.sections[stream];
            if section.base + i64::from(section.count) > offset {
                break;
            }
            at += header.entry_bytes();
        }
        Ok(at)
    }

    /// The header of an entry that must be there.
    pub fn entry(&self, file: &File, at: u64) -> Result<Header, TransportError> {
        Segment::header(file, at, self.begins.len())?.ok_or_else(|| self.damaged(at))
    }

    /// Says where an entry can't be read.
    pub fn damaged(&self, at: u64) -> TransportError {
        damaged(&format!("{} can't be read at byte {at}", self.path.display()))
    }
}

/// Fills the buffer from a place in a file. `false` if the file ends before.
pub fn read_at(file: &File, buffer: &mut [u8], at: u64) -> Result<bool, TransportError> {
    match file.read_exact_at(buffer, at) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(io_error("read", error)),
    }
}
