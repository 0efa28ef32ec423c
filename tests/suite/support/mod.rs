//! What the suite shares: the core in memory, the command as a process, and where the real data are.

pub mod broker;
pub mod command;
pub mod core;
pub mod counting;
pub mod history;
pub mod http_stub;
pub mod kafka_jars;
pub mod kafka_ledger;
pub mod kafka_security;
pub mod kafka_worker_process;
pub mod maven;
pub mod registry;

use std::path::PathBuf;

/// The folder of real data that lies beside the project, or `None` where there is none. It is not part of the project
/// (its licence asks for a citation, its size for a place of its own); the tests that need it say that they did not run.
pub fn shared_data() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os("AYUMI_SHARED_DATA").map_or(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED: no real data at {}; set AYUMI_SHARED_DATA to their folder", folder.display());
    None
}

/// A small generator that gives the same numbers for ever: SplitMix64.
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// The same things in another order.
    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            things.swap(last, self.below(last + 1));
        }
    }
}
