//! The store against a map, through flushes, crashes and openings.

use std::collections::BTreeMap;
use std::path::Path;

use fjall::Database;
use pipeline::state::{Changes, Store};

use super::{POSITION_KEY, StateStore};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

fn database(folder: &Path) -> Database {
    Database::builder(folder).worker_threads(1).manual_journal_persist(true).open().unwrap()
}

fn value(store: &StateStore, key: &str) -> Option<String> {
    store.get(key.as_bytes()).unwrap().map(|value| String::from_utf8(value).unwrap())
}

fn put(store: &mut StateStore, key: &str, value: &str, position: i64) {
    store.apply([(key.as_bytes(), Some(value.as_bytes()))].into_iter(), position);
}

fn scanned(store: &StateStore, prefix: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    store
        .scan(prefix, &mut |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            Ok(())
        })
        .unwrap();
    found
}

/// A transaction of values that grow, shrink, come twice and go, under keys with common beginnings.
fn transaction(random: &mut Random) -> Changes {
    let mut changes = Changes::default();
    for _ in 0..random.below(40) {
        let mut key = vec![b"Dmp"[random.below(3)]];
        key.extend((0..random.below(4)).map(|_| b"\0ab\xfe"[random.below(4)]));
        key.extend_from_slice(&(random.below(30) as u32).to_be_bytes()[3 - random.below(2)..]);
        match random.below(4) {
            0 => changes.delete(|out| out.extend_from_slice(&key)),
            _ => {
                let length = random.below(90);
                let byte = random.below(256) as u8;
                changes.put(|out| out.extend_from_slice(&key), |out| out.resize(out.len() + length, byte));
            }
        }
    }
    changes
}

fn apply_to(model: &mut Model, changes: &Changes) {
    for (key, value) in changes.iter() {
        match value {
            Some(value) => drop(model.insert(key.to_vec(), value.to_vec())),
            None => drop(model.remove(key)),
        }
    }
}

fn check(store: &StateStore, model: &Model, random: &mut Random) {
    for prefix in [&b""[..], b"D", b"m\0", b"p", b"ma", b"x", b"m\xfe"] {
        let expected: Vec<_> = model.iter().filter(|(key, _)| key.starts_with(prefix)).collect();
        assert!(scanned(store, prefix).iter().map(|(key, value)| (key, value)).eq(expected), "prefix {prefix:?}");
    }
    for (key, value) in model.iter().skip(random.below(5)).step_by(5) {
        assert_eq!(store.get(key).unwrap().as_ref(), Some(value));
    }
    let other = transaction(random);
    assert!(other.iter().all(|(key, _)| store.get(key).unwrap().as_ref() == model.get(key)));
}

#[test]
fn any_history_of_changes_flushes_and_crashes_reads_like_a_map() {
    for seed in 1..=6 {
        let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ seed);
        let folder = tempfile::tempdir().unwrap();
        let mut database_open = database(folder.path());
        let mut store = StateStore::open(&database_open, 3, 2_000).unwrap();
        let (mut changelog, mut model) = (Vec::<Changes>::new(), Model::new());
        for _ in 0..100 {
            match random.below(20) {
                0 => store.flush().unwrap(),
                1 | 2 => {
                    // Being stopped is as good as being killed: nothing is written on the way out.
                    drop(store);
                    drop(database_open);
                    database_open = database(folder.path());
                    store = StateStore::open(&database_open, 3, 2_000).unwrap();
                    // More of the changelog than is needed does no harm.
                    let from = store.position() as usize - random.below(store.position() as usize + 1);
                    for (number, changes) in changelog.iter().enumerate().skip(from) {
                        store.apply(changes.iter(), number as i64 + 1);
                    }
                }
                3 => {
                    // Killed in the middle of a flush: tables without a place in the list.
                    let mut ingestion = store.keyspace.start_ingestion().unwrap();
                    ingestion.write(&b"m"[..], &b"half"[..]).unwrap();
                }
                _ => {
                    let changes = transaction(&mut random);
                    apply_to(&mut model, &changes);
                    changelog.push(changes);
                    store.apply(changelog.last().unwrap().iter(), changelog.len() as i64);
                    if store.flush_if_full().unwrap() {
                        assert_eq!(store.position(), changelog.len() as i64);
                    }
                }
            }
            check(&store, &model, &mut random);
        }
    }
}

#[test]
fn the_position_on_disk_is_that_of_the_values_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    {
        let database = database(folder.path());
        let mut store = StateStore::open(&database, 0, 1 << 20).unwrap();
        put(&mut store, "a", "1", 7);
        store.flush().unwrap();
        put(&mut store, "a", "2", 8);
        assert_eq!((value(&store, "a").as_deref(), store.position()), (Some("2"), 7));
    }
    let database = database(folder.path());
    let store = StateStore::open(&database, 0, 1 << 20).unwrap();
    assert_eq!((value(&store, "a").as_deref(), store.position()), (Some("1"), 7));
}

#[test]
fn partitions_share_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let database = database(folder.path());
    let mut one = StateStore::open(&database, 1, 0).unwrap();
    let two = StateStore::open(&database, 2, 0).unwrap();
    put(&mut one, "a", "1", 1);
    assert!(one.flush_if_full().unwrap());
    assert_eq!((value(&two, "a"), two.position()), (None, 0));
}

#[test]
fn what_is_flushed_after_clearing_is_there_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    {
        let database = database(folder.path());
        let mut store = StateStore::open(&database, 0, 0).unwrap();
        put(&mut store, "old", "1", 5);
        store.flush().unwrap();
        put(&mut store, "older", "1", 6);
        store.clear().unwrap();
        assert_eq!((scanned(&store, b""), store.position()), (Vec::new(), 0));
        put(&mut store, "new", "2", 1);
        store.flush().unwrap();
    }
    for _ in 0..2 {
        let database = database(folder.path());
        let store = StateStore::open(&database, 0, 0).unwrap();
        assert_eq!((scanned(&store, b""), store.position()), (vec![(b"new".to_vec(), b"2".to_vec())], 1));
    }
}

#[test]
fn memory_and_the_changelog_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let database = database(folder.path());
    let mut store = StateStore::open(&database, 0, 100_000).unwrap();
    let mut flushes = Vec::new();
    for number in 1..=1_000 {
        put(&mut store, &format!("key-{number}"), &"x".repeat(1_000), number);
        assert!(store.overlay.bytes() < 100_000 + 1_200);
        if store.flush_if_full().unwrap() {
            flushes.push(number);
        }
    }
    assert!((9..=12).contains(&flushes.len()), "{flushes:?}");
    // One value, again and again, needs no memory, but a changelog.
    flushes.clear();
    for number in 1_001..=2_000 {
        put(&mut store, "hot", &"x".repeat(1_000), number);
        if store.flush_if_full().unwrap() {
            flushes.push(number);
        }
    }
    assert!((2..=3).contains(&flushes.len()), "{flushes:?}");
}

#[test]
fn the_stores_own_key_is_behind_all_others_and_never_seen() {
    let folder = tempfile::tempdir().unwrap();
    let database = database(folder.path());
    let mut store = StateStore::open(&database, 0, 0).unwrap();
    store.apply([(&b"\xfe\xff\xff"[..], Some(&b"last"[..]))].into_iter(), 1);
    store.flush().unwrap();
    assert_eq!(scanned(&store, b"").len(), 1);
    assert!(store.keyspace.get(POSITION_KEY).unwrap().is_some());
}
