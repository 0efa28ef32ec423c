//! Decides how files become records: JSON lines, gzipped or not, and Avro container files.
//!
//! Nothing in a file stops a replay. What can't be read becomes a record all the same, as it stands, and the award worker
//! refuses it with its file and line; what is too large becomes its length, its hash and its beginning. Which file's
//! record comes next is [`crate::replay`]'s.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;
use pipeline::calendar::{CivilDate, Instant};
use schemas::{Record, Scratch};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::transport::{Format, InputTopic, RECORD_BYTES_MAX, TooLarge};

/// A file that can't be replayed at all.
#[derive(Debug, Error)]
pub enum FileError {
    /// It is a folder.
    #[error("FILE_IS_DIRECTORY: {0} is a folder; name the files in it, for instance {0}/*.jsonl.gz")]
    Directory(PathBuf),
    /// Its name does not say what it is.
    #[error("FILE_KIND_UNKNOWN: {0} is none of .jsonl, .jsonl.gz, .json, .avro; rename it after what it holds")]
    Kind(PathBuf),
    /// It can't be opened or read.
    #[error("FILE_UNREADABLE: {path} can't be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// The next record of a file.
#[derive(Debug)]
pub struct Item {
    /// Its line, or its number in an Avro file, from 1.
    pub line: u64,
    /// How to read `payload`.
    pub format: Format,
    /// Its bytes.
    pub payload: Vec<u8>,
    /// Decides its partition; empty if it could not be told.
    pub member: String,
    /// When it was received, if that could be told.
    pub received_at: Option<Instant>,
    /// The topic of its kind on Kafka. What is no record goes where records of all kinds go, to be refused there.
    pub topic: InputTopic,
}

impl Item {
    /// Its arrival date.
    pub fn arrived_on(&self) -> Option<CivilDate> {
        self.received_at.map(Instant::civil_date)
    }
}

/// An open file.
pub struct InputFile {
    /// The file's name as it was given.
    pub name: Arc<str>,
    /// SHA-256 of its contents in hexadecimal: the same contents are not replayed twice.
    pub sha256: String,
    /// Its size in bytes.
    pub bytes: u64,
    kind: Kind,
    line: u64,
    scratch: Scratch,
}

enum Kind {
    Lines(Box<dyn BufRead + Send>),
    Avro(Box<apache_avro::Reader<'static, BufReader<File>>>),
    /// Nothing can be read any more.
    Ended,
}

impl InputFile {
    /// Opens a file; its name decides what it is.
    pub fn open(path: &Path) -> Result<InputFile, FileError> {
        let unreadable = |source| FileError::Unreadable { path: path.to_owned(), source };
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(FileError::Directory(path.to_owned()));
        }
        let sha256 = sha256_of(File::open(path).map_err(unreadable)?).map_err(unreadable)?;
        let reader = BufReader::with_capacity(256 * 1024, File::open(path).map_err(unreadable)?);
        let name = path.to_string_lossy();
        let kind = if metadata.len() == 0 {
            Kind::Ended
        } else if name.ends_with(".gz") {
            Kind::Lines(Box::new(BufReader::with_capacity(256 * 1024, MultiGzDecoder::new(reader))))
        } else if name.ends_with(".jsonl") || name.ends_with(".json") || name.ends_with(".ndjson") {
            Kind::Lines(Box::new(reader))
        } else if name.ends_with(".avro") {
            return InputFile::open_avro(path, reader, sha256, metadata.len());
        } else {
            return Err(FileError::Kind(path.to_owned()));
        };
        Ok(InputFile {
            name: name.as_ref().into(),
            sha256,
            bytes: metadata.len(),
            kind,
            line: 0,
            scratch: Scratch::default(),
        })
    }

    fn open_avro(path: &Path, reader: BufReader<File>, sha256: String, bytes: u64) -> Result<InputFile, FileError> {
        let name: Arc<str> = path.to_string_lossy().as_ref().into();
        // A header that can't be read makes the whole file one malformed record.
        let kind = match apache_avro::Reader::new(reader) {
            Ok(reader) => Kind::Avro(Box::new(reader)),
            Err(_) => {
                let unreadable = |source| FileError::Unreadable { path: path.to_owned(), source };
                Kind::Lines(Box::new(BufReader::new(WholeFile::open(path).map_err(unreadable)?)))
            }
        };
        Ok(InputFile { name, sha256, bytes, kind, line: 0, scratch: Scratch::default() })
    }

    /// Passes over records that were replayed before.
    pub fn skip(&mut self, records: u64) {
        while self.line < records && self.next().is_some() {}
    }

    fn next_line(&mut self) -> Option<Item> {
        let Kind::Lines(reader) = &mut self.kind else { return None };
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = read_line(reader, &mut line);
            let is_end = matches!(read, Ok(Line::End));
            if is_end {
                return None;
            }
            self.line += 1;
            return Some(match read {
                Ok(Line::Whole) if line.iter().all(u8::is_ascii_whitespace) => continue,
                Ok(Line::Whole) => self.parsed(line),
                Ok(Line::TooLarge(what)) => raw(self.line, Format::TooLarge, what.encode()),
                Ok(Line::End) => return None,
                Err(error) => {
                    // A gzip stream that breaks off: why there is no more, and what came of the line.
                    self.kind = Kind::Ended;
                    broken(self.line, &error.to_string(), &line)
                }
            });
        }
    }

    /// Finds out whose record a line is and when it was received. The line itself goes on as it is: a record that is
    /// refused is kept byte for byte (law 5), and what is wrong with it is the award worker's to say.
    fn parsed(&mut self, line: Vec<u8>) -> Item {
        let (topic, member, received_at) = match self.scratch.decode_json(&line) {
            Ok(record) => whose(&record),
            Err(_) => (InputTopic::Records, String::new(), None),
        };
        Item { line: self.line, format: Format::Json, payload: line, member, received_at, topic }
    }

    fn next_avro(&mut self) -> Option<Item> {
        let Kind::Avro(reader) = &mut self.kind else { return None };
        let value = reader.next()?;
        self.line += 1;
        let value = match value {
            Ok(value) => value,
            Err(error) => {
                // A file that breaks off. Where the record began can't be told, so the end of the file is kept.
                self.kind = Kind::Ended;
                return Some(broken(self.line, &error.to_string(), &end_of_file(&self.name)));
            }
        };
        let shown = format!("{value:?}");
        let payload = match schemas::container::to_single_object(value) {
            Ok(payload) => payload,
            Err(error) => return Some(broken(self.line, &error, shown.as_bytes())),
        };
        let (topic, member, received_at) = match self.scratch.decode_avro(&payload) {
            Ok(record) => whose(&record),
            Err(_) => (InputTopic::Records, String::new(), None),
        };
        Some(Item { line: self.line, format: Format::Avro, payload, member, received_at, topic })
    }
}

impl Iterator for InputFile {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        match self.kind {
            Kind::Lines(_) => self.next_line(),
            Kind::Avro(_) => self.next_avro(),
            Kind::Ended => None,
        }
    }
}

/// Of which kind a record is, whose, and when it was received. Days and programme versions are nobody's: a file declares
/// neither.
fn whose(record: &Record<'_>) -> (InputTopic, String, Option<Instant>) {
    match record {
        Record::Upload(upload) => (InputTopic::Steps, upload.member.to_owned(), Some(upload.received_at)),
        Record::Member(record) => {
            (InputTopic::Members, record.change.member.to_owned(), Some(record.change.received_at))
        }
        Record::Other { type_name: "checkin", member, received_at, .. } => {
            (InputTopic::Checkins, (*member).to_owned(), *received_at)
        }
        Record::Other { member, received_at, .. } => (InputTopic::Records, (*member).to_owned(), *received_at),
        Record::DayClosed(_) | Record::Programme(_) => (InputTopic::Records, String::new(), None),
    }
}

/// What can't be read, and why.
fn broken(line: u64, why: &str, held: &[u8]) -> Item {
    let mut payload = why.replace('\n', " ").into_bytes();
    payload.push(b'\n');
    payload.extend_from_slice(held);
    raw(line, Format::Broken, payload)
}

/// The last 64 KiB of a file; nothing if it can't be read.
fn end_of_file(name: &str) -> Vec<u8> {
    let read = || {
        let mut file = File::open(name)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TooLarge::BEGINNING_BYTES_MAX as u64)))?;
        let mut held = Vec::new();
        file.read_to_end(&mut held)?;
        Ok::<_, std::io::Error>(held)
    };
    read().unwrap_or_default()
}

fn raw(line: u64, format: Format, payload: Vec<u8>) -> Item {
    Item { line, format, payload, member: String::new(), received_at: None, topic: InputTopic::Records }
}

enum Line {
    Whole,
    TooLarge(TooLarge),
    End,
}

/// Reads up to the next line feed. Of a line that is too large only its beginning stays in memory.
fn read_line(reader: &mut dyn BufRead, line: &mut Vec<u8>) -> std::io::Result<Line> {
    let (mut length, mut hash): (u64, Option<Sha256>) = (0, None);
    loop {
        let available = match reader.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let end = available.iter().position(|&byte| byte == b'\n');
        let part = &available[..end.unwrap_or(available.len())];
        length += part.len() as u64;
        match &mut hash {
            Some(hash) => hash.update(part),
            None => {
                line.extend_from_slice(part);
                if line.len() > RECORD_BYTES_MAX {
                    hash = Some(Sha256::new_with_prefix(&line));
                    line.truncate(TooLarge::BEGINNING_BYTES_MAX);
                }
            }
        }
        let is_at_end = available.is_empty();
        let used = part.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_some() || is_at_end {
            return Ok(match hash {
                Some(hash) => {
                    Line::TooLarge(TooLarge { length, sha256: hex(&hash.finalize()), beginning: std::mem::take(line) })
                }
                None if is_at_end && line.is_empty() => Line::End,
                None => Line::Whole,
            });
        }
    }
}

/// A file as one line: line feeds become spaces, so that a file without any structure is refused as one record.
struct WholeFile(File);

impl WholeFile {
    fn open(path: &Path) -> std::io::Result<WholeFile> {
        File::open(path).map(WholeFile)
    }
}

impl Read for WholeFile {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.0.read(buffer)?;
        buffer[..read].iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
        Ok(read)
    }
}

fn sha256_of(mut file: File) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            read => hash.update(&buffer[..read]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
