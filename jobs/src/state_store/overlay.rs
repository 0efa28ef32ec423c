//! Decides how state that is not yet on disk lies in memory: keys and values in one arena, found by hash, and sorted only
//! when somebody needs an order.
//!
//! The last value of a key wins. One that fits into the place of the one before it overwrites it; else the old place stays
//! unused until the overlay is cleared, and counts as bytes used.

use std::cell::OnceCell;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// A key, and its value or none if it is deleted.
pub type Change<'a> = (&'a [u8], Option<&'a [u8]>);

/// Keys and their values, or that they are deleted.
#[derive(Default)]
pub struct Overlay {
    arena: Vec<u8>,
    entries: HashTable<Entry>,
    hasher: RandomState,
    /// The entries in the order of their keys, from the first time that it is asked for until the next change. The numbers
    /// are what they were last sorted by.
    sorted: OnceCell<Vec<(u64, Entry)>>,
}

/// Where a key and its value lie in the arena: the key, the value, and room that a longer value may take.
#[derive(Clone, Copy)]
struct Entry {
    hash: u64,
    at: usize,
    key_length: u32,
    value_length: u32,
    room: u32,
    is_deleted: bool,
}

/// What an entry takes in the table, besides its key and value.
const ENTRY_BYTES: usize = size_of::<Entry>() * 8 / 7 + 1;

/// So many keys are looked up together, for the processor to wait for their memory at once and not one after the other.
const TOGETHER: usize = 32;

impl Overlay {
    /// Takes over changes in order, and gives their bytes.
    pub fn apply<'c>(&mut self, mut changes: impl Iterator<Item = Change<'c>>) -> usize {
        self.sorted.take();
        let mut bytes = 0;
        let mut some: Vec<(u64, Option<usize>, Change<'c>)> = Vec::with_capacity(TOGETHER);
        loop {
            some.extend(changes.by_ref().take(TOGETHER).map(|change| (self.hasher.hash_one(change.0), None, change)));
            if some.is_empty() {
                return bytes;
            }
            for (hash, at, _) in &mut some {
                *at = self.entries.find(*hash, |entry| entry.hash == *hash).map(|entry| entry.at);
            }
            for at in some.iter().filter_map(|(_, at, _)| *at) {
                std::hint::black_box(self.arena[at]);
            }
            for (hash, _, (key, value)) in some.drain(..) {
                self.set(hash, key, value);
                bytes += key.len() + value.map_or(0, <[u8]>::len);
            }
        }
    }

    fn set(&mut self, hash: u64, key: &[u8], value: Option<&[u8]>) {
        let Overlay { arena, entries, .. } = self;
        if let Some(entry) = entries.find_mut(hash, |entry| entry.hash == hash && entry.key(arena) == key) {
            return entry.replace(arena, value);
        }
        // Lengths are far below 4 GiB: the database takes no longer keys and values.
        let key_length = key.len() as u32;
        let mut entry = Entry { hash, at: arena.len(), key_length, value_length: 0, room: 0, is_deleted: true };
        arena.extend_from_slice(key);
        entry.replace(arena, value);
        entries.insert_unique(hash, entry, |entry| entry.hash);
    }

    /// What is known of a key: nothing, that it is deleted, or its value.
    pub fn get(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        let hash = self.hasher.hash_one(key);
        let found = self.entries.find(hash, |entry| entry.hash == hash && entry.key(&self.arena) == key);
        found.map(|entry| entry.value(&self.arena))
    }

    /// Keys with a prefix, in order, each with its value or none if it is deleted.
    pub fn range<'o>(&'o self, prefix: &'o [u8]) -> impl Iterator<Item = Change<'o>> {
        let arena = &self.arena[..];
        let sorted = self.sorted.get_or_init(|| {
            let mut sorted: Vec<_> = self.entries.iter().map(|entry| (0, *entry)).collect();
            sort(&mut sorted, 0, arena);
            sorted
        });
        let first = sorted.partition_point(|(_, entry)| entry.key(arena) < prefix);
        let from_first = sorted[first..].iter().map(|(_, entry)| (entry.key(arena), entry.value(arena)));
        from_first.take_while(move |(key, _)| key.starts_with(prefix))
    }

    /// Bytes used.
    pub fn bytes(&self) -> usize {
        self.arena.len() + self.entries.len() * ENTRY_BYTES
    }

    /// Forgets everything, and keeps the memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.entries.clear();
        self.sorted.take();
    }
}

/// Sorts entries by their keys from a byte on, eight bytes at a time: most comparisons are then of what lies side by side
/// in memory, and few look up a key.
fn sort(entries: &mut [(u64, Entry)], depth: usize, arena: &[u8]) {
    for (part, entry) in &mut *entries {
        let rest = entry.key(arena).get(depth..).unwrap_or_default();
        let mut bytes = [0; 8];
        let length = rest.len().min(8);
        bytes[..length].copy_from_slice(&rest[..length]);
        *part = u64::from_be_bytes(bytes);
    }
    entries.sort_unstable_by_key(|(part, _)| *part);
    for alike in entries.chunk_by_mut(|one, other| one.0 == other.0).filter(|alike| alike.len() > 1) {
        if alike.iter().all(|(_, entry)| entry.key_length as usize >= depth + 8) {
            sort(alike, depth + 8, arena);
        } else {
            // One ends here, where another may have zeros.
            alike.sort_unstable_by(|(_, one), (_, other)| one.key(arena).cmp(other.key(arena)));
        }
    }
}

impl Entry {
    fn value_at(&self) -> usize {
        self.at + self.key_length as usize
    }

    fn key<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        &arena[self.at..self.value_at()]
    }

    fn value<'a>(&self, arena: &'a [u8]) -> Option<&'a [u8]> {
        (!self.is_deleted).then(|| &arena[self.value_at()..][..self.value_length as usize])
    }

    fn replace(&mut self, arena: &mut Vec<u8>, value: Option<&[u8]>) {
        self.is_deleted = value.is_none();
        let value = value.unwrap_or_default();
        self.value_length = value.len() as u32;
        if self.value_length <= self.room {
            arena[self.value_at()..][..value.len()].copy_from_slice(value);
            return;
        }
        if self.value_at() + self.room as usize == arena.len() {
            arena.truncate(self.value_at());
        } else {
            let key = self.at..self.value_at();
            self.at = arena.len();
            arena.extend_from_within(key);
        }
        arena.extend_from_slice(value);
        // Values that are written again grow: a month by its days.
        self.room = self.value_length + self.value_length / 8;
        arena.resize(self.value_at() + self.room as usize, 0);
    }
}
