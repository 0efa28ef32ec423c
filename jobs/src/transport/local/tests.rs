//! The logs and partitions of the embedded default, through crashes.

use std::ops::ControlFlow;
use std::path::Path;

use pipeline::state::Store;

use super::records::InputBatch;
use super::segment_log::SegmentLog;
use super::{Local, LocalPartition};
use crate::transport::{Format, OutputTopic, Transaction, TransportError};

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

const STREAMS: usize = 3;

/// A log of single bytes, one a record, beside what it should hold.
struct Checked {
    log: SegmentLog,
    streams: [Vec<u8>; STREAMS],
    marks: [u8; 4],
}

impl Checked {
    fn open(folder: &Path) -> Checked {
        let log = SegmentLog::open(folder, STREAMS, 700).unwrap();
        Checked { log, streams: Default::default(), marks: Default::default() }
    }

    fn append(&mut self, random: &mut Random) {
        let sections: [Vec<u8>; STREAMS] = std::array::from_fn(|_| {
            let count = if random.below(2) == 0 { 0 } else { random.below(60) };
            (0..count).map(|_| random.below(256) as u8).collect()
        });
        let (mark, value) = (random.below(4), random.below(256) as u8);
        self.log
            .append(|entry| {
                for (stream, bytes) in sections.iter().enumerate().filter(|(_, bytes)| !bytes.is_empty()) {
                    entry.section(stream, |section| {
                        section.extend_from_slice(bytes);
                        bytes.len()
                    });
                }
                entry.mark(&[mark as u8], &[value]);
            })
            .unwrap();
        self.marks[mark] = value;
        for (stream, section) in self.streams.iter_mut().zip(sections) {
            stream.extend(section);
        }
    }

    fn check(&self, random: &mut Random) {
        for (mark, value) in self.marks.iter().enumerate() {
            assert_eq!(self.log.mark(&[mark as u8]).unwrap_or_else(|| vec![0]), [*value]);
        }
        for (stream, expected) in self.streams.iter().enumerate() {
            assert_eq!(self.log.end(stream), expected.len() as i64);
            for _ in 0..4 {
                let from = random.below(expected.len() + 2);
                let read = read(&self.log, stream, from, [1, 50, usize::MAX][random.below(3)]);
                let begin = from.max(self.log.begin(stream) as usize).min(expected.len());
                assert!(expected[begin..].starts_with(&read));
                assert_eq!(read.is_empty(), begin == expected.len(), "from {from} of {}", expected.len());
            }
            assert_eq!(read(&self.log, stream, 0, usize::MAX), expected[self.log.begin(stream) as usize..]);
        }
    }
}

fn read(log: &SegmentLog, stream: usize, from: usize, bytes_max: usize) -> Vec<u8> {
    let mut found = Vec::new();
    log.read(stream, from as i64, bytes_max, &mut |base, count, section| {
        assert_eq!(count as usize, section.len());
        found.extend_from_slice(&section[from.saturating_sub(base as usize)..]);
        Ok(ControlFlow::Continue(()))
    })
    .unwrap();
    found
}

#[test]
fn a_log_gives_back_what_was_appended_through_openings_and_truncations() {
    for seed in 1..=30 {
        let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ seed);
        let folder = tempfile::tempdir().unwrap();
        let mut checked = Checked::open(folder.path());
        let mut released = [0; STREAMS];
        for _ in 0..120 {
            match random.below(12) {
                0 => checked.log = SegmentLog::open(folder.path(), STREAMS, 700).unwrap(),
                1 => {
                    let stream = random.below(STREAMS);
                    let before = random.below(checked.streams[stream].len() + 1);
                    checked.log.release(stream, before as i64).unwrap();
                    released[stream] = before.max(released[stream]);
                    assert!((0..STREAMS).all(|stream| checked.log.begin(stream) <= released[stream] as i64));
                }
                _ => checked.append(&mut random),
            }
            checked.check(&mut random);
        }
        // All but the last file goes when nothing is needed any more; the offsets stay.
        let ends = checked.streams.each_ref().map(Vec::len);
        ends.iter().enumerate().for_each(|(stream, end)| checked.log.release(stream, *end as i64).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        drop(checked);
        let log = SegmentLog::open(folder.path(), STREAMS, 700).unwrap();
        assert_eq!(std::array::from_fn(|stream| log.end(stream) as usize), ends);
    }
}

#[test]
fn an_entry_cut_anywhere_never_was_and_the_log_goes_on() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let folder = tempfile::tempdir().unwrap();
    let mut checked = Checked::open(folder.path());
    let path = folder.path().join("000000000001.log");
    checked.append(&mut random);
    let whole = std::fs::metadata(&path).unwrap().len();
    let (streams, marks) = (checked.streams.clone(), checked.marks);
    checked.append(&mut random);
    drop(checked);
    let bytes = std::fs::read(&path).unwrap();
    for cut in whole..bytes.len() as u64 {
        // Cut, or with zeros where the system had not yet written what the length already says.
        for zeros in [0, 1, 40, 400] {
            let mut torn = bytes[..cut as usize].to_vec();
            torn.resize(cut as usize + zeros, 0);
            std::fs::write(&path, torn).unwrap();
            let log = SegmentLog::open(folder.path(), STREAMS, 1 << 20).unwrap();
            let mut checked = Checked { log, streams: streams.clone(), marks };
            checked.check(&mut random);
            checked.append(&mut random);
            checked.check(&mut random);
        }
    }
}

#[test]
fn damage_is_told_from_an_incomplete_end() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let folder = tempfile::tempdir().unwrap();
    let mut checked = Checked::open(folder.path());
    let mut ends = Vec::new();
    for _ in 0..3 {
        checked.append(&mut random);
        ends.push(std::fs::metadata(folder.path().join("000000000001.log")).unwrap().len() as usize);
    }
    drop(checked);
    let path = folder.path().join("000000000001.log");
    let bytes = std::fs::read(&path).unwrap();
    for at in 0..ends[1] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        std::fs::write(&path, &damaged).unwrap();
        let opened = SegmentLog::open(folder.path(), STREAMS, 1 << 20);
        assert!(matches!(opened, Err(TransportError::Damaged(_))), "byte {at}");
        assert_eq!(std::fs::read(&path).unwrap(), damaged, "a damaged file is left as it is");
    }
}

#[test]
fn damage_in_an_old_file_is_told_when_it_is_read() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let folder = tempfile::tempdir().unwrap();
    let mut checked = Checked::open(folder.path());
    while !folder.path().join("000000000003.log").exists() {
        checked.append(&mut random);
    }
    drop(checked);
    let path = folder.path().join("000000000002.log");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let log = SegmentLog::open(folder.path(), STREAMS, 700).unwrap();
    let told = (0..STREAMS)
        .any(|stream| log.read(stream, 0, usize::MAX, &mut |_, _, _| Ok(ControlFlow::Continue(()))).is_err());
    assert!(told);
    drop(log);
    std::fs::remove_file(path).unwrap();
    assert!(matches!(SegmentLog::open(folder.path(), STREAMS, 700), Err(TransportError::Damaged(_))));
}

fn batches(partitions: usize, texts: &[&str]) -> Vec<InputBatch> {
    let mut batches: Vec<InputBatch> = (0..partitions).map(|_| InputBatch::default()).collect();
    for (number, text) in texts.iter().enumerate() {
        let file = (number % 3 > 0).then(|| format!("file-{}", number % 3).into());
        let batch = &mut batches[number % partitions];
        batch.push(Format::Json, file.as_ref(), number as u64, text.as_bytes());
    }
    batches
}

fn inputs(local: &Local, partition: i32, from: i64) -> Vec<String> {
    let mut found = Vec::new();
    local
        .read_inputs(partition, from, 1, &mut |record| {
            let text = std::str::from_utf8(record.payload).unwrap();
            found.push(format!("{} {} {:?} {:?} {text}", record.offset, record.topic.name(), record.file, record.line));
            ControlFlow::Continue(())
        })
        .unwrap();
    found
}

fn outputs(local: &Local, topic: OutputTopic, from: i64) -> Vec<(i64, Vec<u8>)> {
    let (mut found, mut next) = (Vec::new(), from);
    loop {
        let before = next;
        local
            .read_outputs(topic, 0, next, 1, &mut |record| {
                found.push((record.offset, record.payload.to_vec()));
                next = record.offset + 1;
                ControlFlow::Continue(())
            })
            .unwrap();
        if next == before {
            return found;
        }
    }
}

/// Transaction `number` says so in the state, and in an output for each value that it sets.
fn commit(partition: &mut LocalPartition, number: i64) {
    let mut transaction = Transaction::default();
    for value in 0..=number % 3 {
        transaction.changes.put(
            |out| out.extend_from_slice(format!("m{value}").as_bytes()),
            |out| out.extend_from_slice(&number.to_be_bytes()),
        );
        transaction.outputs.push(OutputTopic::Entries, b"m", |out| out.extend_from_slice(&number.to_be_bytes()));
    }
    transaction.changes.delete(|out| out.extend_from_slice(format!("gone{}", number - 1).as_bytes()));
    transaction.changes.put(|out| out.extend_from_slice(format!("gone{number}").as_bytes()), |out| out.push(1));
    transaction.outputs.push(OutputTopic::Accounting, b"", |out| out.extend_from_slice(&number.to_be_bytes()));
    partition.commit(&transaction, number + 1).unwrap();
}

fn state(store: &dyn Store) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    store
        .scan(b"", &mut |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            Ok(())
        })
        .unwrap();
    found
}

#[test]
fn inputs_come_back_with_all_that_is_known_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let local = Local::open(folder.path(), 2, 1 << 20).unwrap();
    let progress = |text: &str| [("town".to_owned(), text.as_bytes().to_vec())];
    local.append(&mut batches(2, &["a", "b", "c", "d", "e"]), &progress("5")).unwrap();
    local.append(&mut batches(2, &["f"]), &[]).unwrap();
    drop(local);
    let local = Local::open(folder.path(), 7, 1 << 20).unwrap();
    assert_eq!((local.partitions(), local.input_end(0), local.input_end(1)), (2, 4, 2));
    assert_eq!(local.progress("town").unwrap().as_deref(), Some(&b"5"[..]));
    assert_eq!(local.progress("city").unwrap(), None);
    let expected =
        ["0 inputs None None a", "1 inputs Some(\"file-2\") Some(2) c", "2 inputs Some(\"file-1\") Some(4) e"];
    assert_eq!(inputs(&local, 0, 0), expected);
    assert_eq!(inputs(&local, 0, 2), expected[2..]);
    assert_eq!(inputs(&local, 0, 3), ["3 inputs None None f"]);
    assert_eq!(inputs(&local, 0, 4), [""; 0]);
}

#[test]
fn a_partition_opens_with_outputs_state_and_position_of_the_same_commit() {
    let folder = tempfile::tempdir().unwrap();
    let mut expected = Vec::new();
    for round in 0..20 {
        // Memory for so little state that some rounds flush it and some don't.
        let local = Local::open(folder.path(), 2, 16 << 10).unwrap();
        let mut partition = local.partition(0).unwrap();
        assert_eq!((state(partition.store()), partition.position().unwrap()), (expected, round * 10));
        for number in round * 10..round * 10 + 10 {
            commit(&mut partition, number);
        }
        expected = state(partition.store());
        let accounting = outputs(&local, OutputTopic::Accounting, 0);
        assert!(accounting.into_iter().eq((0..round * 10 + 10).map(|number| (number, number.to_be_bytes().to_vec()))));
        assert_eq!(
            outputs(&local, OutputTopic::Entries, 0).len(),
            (0..round * 10 + 10).map(|n| n as usize % 3 + 1).sum::<usize>()
        );
        assert_eq!(outputs(&local, OutputTopic::Notices, 0), []);
    }
}

#[test]
fn a_partition_has_one_worker_and_a_folder_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let local = Local::open(folder.path(), 2, 1 << 20).unwrap();
    let partition = local.partition(1).unwrap();
    assert!(matches!(local.partition(1), Err(TransportError::PartitionInUse(1))));
    drop(partition);
    drop(local.partition(1).unwrap());
    let problem = Local::open(folder.path(), 2, 1 << 20).err().unwrap().to_string();
    assert!(problem.contains("another ayumi process uses it"), "{problem}");
}

#[test]
fn inputs_are_only_deleted_once_they_are_processed() {
    let folder = tempfile::tempdir().unwrap();
    let local = Local::open(folder.path(), 1, 1 << 20).unwrap();
    let files = || std::fs::read_dir(folder.path().join("logs/inputs")).unwrap().count();
    let large = "x".repeat(1 << 20);
    for _ in 0..40 {
        local.append(&mut batches(1, &[&large]), &[]).unwrap();
    }
    assert_eq!(files(), 3);
    local.truncate_inputs(0, 40).unwrap();
    assert_eq!(files(), 3, "nothing has been processed");
    let mut partition = local.partition(0).unwrap();
    partition.commit(&Transaction::default(), 20).unwrap();
    local.truncate_inputs(0, 40).unwrap();
    assert_eq!(files(), 2);
    let mut first = None;
    local
        .read_inputs(0, 0, 1, &mut |record| {
            first = first.or(Some(record.offset));
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(first.is_some_and(|first| (10..=20).contains(&first)), "{first:?}");
}

#[test]
fn transactions_are_kept_until_the_state_and_the_readers_have_them() {
    let folder = tempfile::tempdir().unwrap();
    let local = Local::open(folder.path(), 1, 64 << 10).unwrap();
    let files = || std::fs::read_dir(folder.path().join("logs/partition-0")).unwrap().count();
    let mut partition = local.partition(0).unwrap();
    let mut transaction = Transaction::default();
    transaction.changes.put(|out| out.extend_from_slice(b"m"), |out| out.resize(out.len() + (1 << 20), 7));
    transaction.outputs.push(OutputTopic::Entries, b"m", |out| out.push(7));
    for offset in 0..40 {
        partition.commit(&transaction, offset + 1).unwrap();
    }
    assert_eq!(files(), 3);
    local.truncate_outputs(OutputTopic::Entries, 0, 40).unwrap();
    assert_eq!(files(), 1);
    drop(partition);
    drop(local);
    let local = Local::open(folder.path(), 1, 64 << 10).unwrap();
    let partition = local.partition(0).unwrap();
    assert_eq!((partition.position().unwrap(), partition.store().get(b"m").unwrap().unwrap().len()), (40, 1 << 20));
}

#[test]
fn a_folder_of_another_layout_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let database = fjall::Database::builder(folder.path().join("store")).open().unwrap();
    let meta = database.keyspace("meta", fjall::KeyspaceCreateOptions::default).unwrap();
    meta.insert(b"partitions", 4i32.to_be_bytes()).unwrap();
    drop((meta, database));
    let problem = Local::open(folder.path(), 4, 1 << 20).err().unwrap().to_string();
    assert!(problem.contains("another version"), "{problem}");
}
