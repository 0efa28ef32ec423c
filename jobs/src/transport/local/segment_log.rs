//! Decides how a log is kept in files: segments of some size, each begun when the one before it is full, and deleted as a
//! whole when none of its records is needed any more.
//!
//! A log has several streams, each with its own offsets; one append to all of them is durable as a whole or not at all, and
//! notes marks (a position, say) together with them. Plain files, as the records of a log need no more than being appended
//! and read in order: an embedded store writes each of them to its journal and again to a table, and takes three times the
//! processor time for it (1.6 against 0.5 CPU-seconds a GiB).
//!
//! Guarantees: what `append` returned for is on disk. Does not guarantee: use by two processes, which the caller must
//! prevent. On failure: an append that failed may be there or not when the log is opened again; until then no other is
//! taken.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::segment::{Entry, Segment, read_at};
use super::{damaged, io_error};
use crate::transport::TransportError;

/// A log of some streams.
pub struct SegmentLog {
    folder: PathBuf,
    segment_bytes: u64,
    writer: Mutex<Writer>,
    /// From the oldest on; the last is the one that is written.
    segments: RwLock<VecDeque<Arc<Segment>>>,
    /// The offset after the last durable record of each stream.
    ends: Vec<AtomicI64>,
    /// Records before these offsets are not needed any more.
    released: Vec<AtomicI64>,
}

struct Writer {
    /// The last segment, and its number.
    file: File,
    number: u64,
    marks: BTreeMap<Vec<u8>, Vec<u8>>,
    entry: Entry,
    has_failed: bool,
}

/// What is called with a section: the offset of its first record, their number, and its bytes.
pub type VisitSection<'v> = dyn FnMut(i64, u32, &[u8]) -> Result<ControlFlow<()>, TransportError> + 'v;

/// A segment is full when it has so many bytes.
pub const SEGMENT_BYTES: u64 = 16 << 20;

impl SegmentLog {
    /// Opens a log, or makes an empty one.
    pub fn open(folder: &Path, streams: usize, segment_bytes: u64) -> Result<SegmentLog, TransportError> {
        let opening = |error| io_error("opened", error);
        std::fs::create_dir_all(folder).map_err(opening)?;
        let mut numbers = list(folder).map_err(opening)?;
        if numbers.windows(2).any(|pair| pair[1] != pair[0] + 1) {
            return Err(damaged(&format!("a file is missing in {}", folder.display())));
        }
        let last = match numbers.pop() {
            Some(number) => LastSegment::open(folder, number, streams)?,
            None => LastSegment::create(folder, 1, &mut Entry::default(), vec![0; streams], BTreeMap::new())?,
        };
        let mut segments = VecDeque::new();
        for number in numbers {
            segments.push_back(Arc::new(open_sealed(path(folder, number), streams)?));
        }
        let LastSegment { segment, file, number, marks, ends } = last;
        segments.push_back(Arc::new(segment));
        Ok(SegmentLog {
            folder: folder.to_owned(),
            segment_bytes,
            writer: Mutex::new(Writer { file, number, marks, entry: Entry::default(), has_failed: false }),
            segments: RwLock::new(segments),
            ends: ends.into_iter().map(AtomicI64::new).collect(),
            released: (0..streams).map(|_| AtomicI64::default()).collect(),
        })
    }

    /// The offset after the last record of a stream.
    pub fn end(&self, stream: usize) -> i64 {
        self.ends[stream].load(Ordering::Acquire)
    }

    /// The offset of the first record of a stream that is still there.
    pub fn begin(&self, stream: usize) -> i64 {
        self.segments().front().map_or(0, |segment| segment.begins[stream])
    }

    /// What was last noted under a key.
    pub fn mark(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.writer().marks.get(key).cloned()
    }

    /// Appends what `fill` puts into the entry. Durable on return.
    pub fn append(&self, fill: impl FnOnce(&mut Entry)) -> Result<(), TransportError> {
        let mut writer = self.writer();
        if std::mem::replace(&mut writer.has_failed, true) {
            return Err(TransportError::EarlierFailure);
        }
        let mut segment = self.segments().back().cloned().ok_or_else(|| damaged("a log without a file"))?;
        let Writer { file, number, marks, entry, has_failed } = &mut *writer;
        if segment.length() >= self.segment_bytes {
            let ends = (0..self.ends.len()).map(|stream| self.end(stream)).collect();
            let next = LastSegment::create(&self.folder, *number + 1, entry, ends, marks.clone())?;
            segment = Arc::new(next.segment);
            (*file, *number, *marks) = (next.file, next.number, next.marks);
            self.segments.write().unwrap_or_else(PoisonError::into_inner).push_back(Arc::clone(&segment));
        }
        entry.begin((0..self.ends.len()).map(|stream| self.end(stream)));
        fill(entry);
        let bytes = entry.finish();
        if u32::try_from(bytes.len()).is_err() {
            return Err(io_error("written", std::io::ErrorKind::FileTooLarge.into()));
        }
        let length = segment.length() + bytes.len() as u64;
        let written = file.write_all(bytes).and_then(|()| file.sync_data());
        written.map_err(|error| io_error("written", error))?;
        *has_failed = false;
        segment.extend(length);
        for (end, next) in self.ends.iter().zip(entry.ends()) {
            end.store(next, Ordering::Release);
        }
        for (key, value) in entry.marks() {
            match marks.get_mut(key) {
                Some(known) => value.clone_into(known),
                None => drop(marks.insert(key.to_owned(), value.to_owned())),
            }
        }
        Ok(())
    }

    /// Visits the records of a stream from the section that holds `offset` on, until about `bytes_max` have been seen or
    /// `visit` breaks.
    pub fn read(
        &self,
        stream: usize,
        offset: i64,
        bytes_max: usize,
        visit: &mut VisitSection<'_>,
    ) -> Result<(), TransportError> {
        let end = self.end(stream);
        if offset >= end {
            return Ok(());
        }
        let segments: Vec<Arc<Segment>> = {
            let segments = self.segments();
            let first = segments.partition_point(|segment| segment.begins[stream] <= offset).saturating_sub(1);
            segments.iter().skip(first).cloned().collect()
        };
        let (mut seen, mut section) = (0, Vec::new());
        for segment in segments {
            let Some(file) = segment.open()? else { continue };
            let mut at = segment.find(&file, stream, offset)?;
            while at < segment.length() {
                let header = segment.entry(&file, at)?;
                let what = header.sections[stream];
                if what.base >= end {
                    return Ok(()); // Durable, but its end was not yet known when reading began.
                }
                if what.count > 0 {
                    if !Segment::section(&file, at, &header, stream, &mut section)? {
                        return Err(segment.damaged(at));
                    }
                    seen += section.len();
                    if visit(what.base, what.count, &section)?.is_break() || seen >= bytes_max {
                        return Ok(());
                    }
                }
                at += header.entry_bytes();
            }
        }
        Ok(())
    }

    /// Records of a stream before an offset are not needed any more. Deletes the files of which that holds for all streams.
    pub fn release(&self, stream: usize, before: i64) -> Result<(), TransportError> {
        self.released[stream].fetch_max(before, Ordering::AcqRel);
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        while let Some(next) = segments.get(1)
            && next
                .begins
                .iter()
                .zip(&self.released)
                .all(|(begin, released)| *begin <= released.load(Ordering::Acquire))
        {
            // One after the other for certain: a gap would be taken for damage.
            let deleted = std::fs::remove_file(&segments[0].path).and_then(|()| sync_folder(&self.folder));
            deleted.map_err(|error| io_error("written", error))?;
            segments.pop_front();
        }
        Ok(())
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.segments().iter().map(|segment| segment.length()).sum()
    }

    fn segments(&self) -> std::sync::RwLockReadGuard<'_, VecDeque<Arc<Segment>>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The segment that is written.
struct LastSegment {
    segment: Segment,
    file: File,
    number: u64,
    marks: BTreeMap<Vec<u8>, Vec<u8>>,
    ends: Vec<i64>,
}

impl LastSegment {
    /// Begins a segment. It gets its name when it is whole.
    fn create(
        folder: &Path,
        number: u64,
        entry: &mut Entry,
        ends: Vec<i64>,
        marks: BTreeMap<Vec<u8>, Vec<u8>>,
    ) -> Result<LastSegment, TransportError> {
        entry.begin(ends.iter().copied());
        marks.iter().for_each(|(key, value)| entry.mark(key, value));
        let bytes = entry.finish();
        let path = path(folder, number);
        let unfinished = path.with_extension("unfinished");
        let write = || {
            let mut file = OpenOptions::new().append(true).create(true).open(&unfinished)?;
            file.set_len(0)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            std::fs::rename(&unfinished, &path)?;
            sync_folder(folder)?;
            Ok(file)
        };
        let file = write().map_err(|error| io_error("written", error))?;
        let segment = Segment::new(path, ends.clone(), bytes.len() as u64);
        Ok(LastSegment { segment, file, number, marks, ends })
    }

    /// Opens the segment that was written last: what of it is whole counts.
    fn open(folder: &Path, number: u64, streams: usize) -> Result<LastSegment, TransportError> {
        let opening = |error| io_error("opened", error);
        let path = path(folder, number);
        let file = OpenOptions::new().read(true).append(true).open(&path).map_err(opening)?;
        let (mut marks, mut entries, mut at, mut buffer) = (BTreeMap::new(), None, 0, Vec::new());
        while let Some(next) = read_entry(&file, at, streams, &mut buffer, &mut marks)? {
            let (begins, _) = entries.take().unwrap_or_else(|| (next.ends.clone(), Vec::new()));
            entries = Some((begins, next.ends));
            at += next.bytes;
        }
        let (begins, ends) = entries.ok_or_else(|| damaged(&format!("{} has no beginning", path.display())))?;
        let length = file.metadata().map_err(opening)?.len();
        if length > at {
            // The last entry is incomplete. If something readable follows it is not the last, and was whole once.
            let mut rest = vec![0; (length - at) as usize];
            read_at(&file, &mut rest, at)?;
            if Segment::has_header(rest.get(1..).unwrap_or_default(), streams) {
                return Err(damaged(&format!("{} can't be read at byte {at}", path.display())));
            }
            file.set_len(at).map_err(opening)?;
        }
        // What a killed process had not synced yet must not be acted on before it is.
        file.sync_all().map_err(opening)?;
        Ok(LastSegment { segment: Segment::new(path, begins, at), file, number, marks, ends })
    }
}

/// A segment of which only the beginning is looked at.
fn open_sealed(path: PathBuf, streams: usize) -> Result<Segment, TransportError> {
    let file = File::open(&path).map_err(|error| io_error("opened", error))?;
    let length = file.metadata().map_err(|error| io_error("opened", error))?.len();
    let first = Segment::header(&file, 0, streams)?;
    let first = first.ok_or_else(|| damaged(&format!("{} has no beginning", path.display())))?;
    Ok(Segment::new(path, first.sections.iter().map(|section| section.base).collect(), length))
}

/// An entry that is whole.
struct WholeEntry {
    ends: Vec<i64>,
    bytes: u64,
}

/// Reads an entry and takes over its marks; `None` if it is not whole.
fn read_entry(
    file: &File,
    at: u64,
    streams: usize,
    buffer: &mut Vec<u8>,
    marks: &mut BTreeMap<Vec<u8>, Vec<u8>>,
) -> Result<Option<WholeEntry>, TransportError> {
    let Some(header) = Segment::header(file, at, streams)? else { return Ok(None) };
    for stream in 0..streams {
        if !Segment::section(file, at, &header, stream, buffer)? {
            return Ok(None);
        }
    }
    let is_whole = Segment::marks(file, at, &header, &mut |key, value| {
        marks.insert(key.to_owned(), value.to_owned());
    })?;
    let ends = header.sections.iter().map(|section| section.base + i64::from(section.count)).collect();
    Ok(is_whole.then(|| WholeEntry { ends, bytes: header.entry_bytes() }))
}

const EXTENSION: &str = "log";

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:012}.{EXTENSION}"))
}

/// The numbers of the segments, in order.
fn list(folder: &Path) -> std::io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for file in std::fs::read_dir(folder)? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == EXTENSION) {
            numbers.extend(path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok()));
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Makes the names in a folder durable.
pub fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}
