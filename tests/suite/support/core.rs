//! The core in memory: what a partition's worker does, without bytes on a disk, and with a ledger to ask.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pipeline::calendar::CivilDate;
use pipeline::engine::{Disposition, Effects, Engine, Input, SampleCounts};
use pipeline::ledger::{Account, Entry, NoticeKind};
use pipeline::rejection::Rejection;
use pipeline::state::{Changes, Fault, PROGRAMME_PREFIX, Store, Visit};
use schemas::{Record, Scratch};

/// State values in memory.
#[derive(Clone, Default)]
pub struct Memory(pub BTreeMap<Vec<u8>, Vec<u8>>);

impl Store for Memory {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.0.get(key).cloned())
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), Fault> {
        let from = self.0.range(prefix.to_vec()..);
        from.take_while(|(key, _)| key.starts_with(prefix)).try_for_each(|(key, value)| visit(key, value))
    }
}

/// Points by (programme, member, rule, item, period, debit, credit, posting date): law 2's equality. Zero sums are left out.
pub type Equality = BTreeMap<(String, String, String, String, String, &'static str, &'static str, String), i64>;

/// One partition, run on JSON lines.
pub struct Core {
    engine: Engine,
    store: Memory,
    effects: Effects,
    scratch: Scratch,
    /// Bytes of state held in memory between commits.
    pub cache_bytes_max: usize,
    /// Inputs between commits.
    pub commit_every: usize,
    since_commit: usize,
    today: Option<CivilDate>,
    /// All entries, as posted.
    pub entries: Vec<Entry>,
    /// The current total of each day.
    pub totals: BTreeMap<(String, String, CivilDate), u32>,
    /// The current baseline of each member.
    pub baselines: BTreeMap<(String, String), u32>,
    /// All refusals, with the programme and member of their record.
    pub rejections: Vec<(String, String, Rejection)>,
    /// Records: read, accepted, rejected, duplicate, parked, unparked.
    pub records: [u64; 6],
    /// Samples; of a parked upload, once when it came and once more when it was applied.
    pub samples: SampleCounts,
}

/// The programmes that come with Ayumi.
pub fn programmes() -> Vec<(Arc<pipeline::programme::Programme>, &'static str)> {
    let parsed = jobs::publish::BUILT_IN.iter().map(|(file, source)| {
        let programme =
            schemas::programme_file::parse(source).unwrap_or_else(|problems| panic!("{file}: {problems:?}"));
        (Arc::new(programme), *source)
    });
    parsed.collect()
}

impl Core {
    /// A partition with the built-in programmes.
    pub fn new() -> Core {
        Core::with(&programmes())
    }

    /// A partition with these programmes.
    pub fn with(programmes: &[(Arc<pipeline::programme::Programme>, &str)]) -> Core {
        let store = Memory::default();
        let engine = Engine::restore(&store, &mut |_| Err(Fault("nothing is published".into()))).unwrap();
        let mut core = Core {
            engine,
            store,
            effects: Effects::default(),
            scratch: Scratch::default(),
            cache_bytes_max: usize::MAX,
            commit_every: 100,
            since_commit: 0,
            today: None,
            entries: Vec::new(),
            totals: BTreeMap::new(),
            baselines: BTreeMap::new(),
            rejections: Vec::new(),
            records: [0; 6],
            samples: SampleCounts::default(),
        };
        for (programme, source) in programmes {
            let input = Input::Programme { programme: Arc::clone(programme), source };
            core.engine.apply(&input, &Vec::new, &core.store, &mut core.effects).unwrap();
        }
        core.commit();
        core
    }

    /// Applies a line; days before its arrival date are over when it comes.
    pub fn line(&mut self, line: &str) {
        let arrived_on = self.arrival_date(line);
        if let Some(today) = self.today.filter(|&today| today < arrived_on) {
            self.close(today, arrived_on.plus_days(-1), true);
        }
        self.today = self.today.max(Some(arrived_on));
        self.records[0] += 1;
        self.apply(line.as_bytes());
        self.since_commit += 1;
        if self.since_commit >= self.commit_every {
            self.commit();
        }
    }

    /// Applies all lines, then closes days until nothing is due.
    pub fn run<'l>(mut self, lines: impl IntoIterator<Item = &'l str>) -> Core {
        lines.into_iter().for_each(|line| self.line(line));
        self.finish();
        self
    }

    /// Closes days until nothing is due.
    pub fn finish(&mut self) {
        let Some(mut first) = self.engine.closed().map(|day| day.plus_days(1)).or(self.today) else { return };
        while let Some(due) = self.engine.last_due() {
            self.close(first.min(due), due, false);
            first = due.plus_days(1);
        }
        self.commit();
    }

    /// The state as it is stored, but for the programmes.
    pub fn state(&mut self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.commit();
        let values = self.store.0.iter().filter(|(key, _)| !key.starts_with(PROGRAMME_PREFIX));
        values.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// A partition with the built-in programmes that goes on from such a state.
    pub fn from_state(state: BTreeMap<Vec<u8>, Vec<u8>>) -> Core {
        let mut core = Core::new();
        core.store.0.extend(state);
        core.restart();
        core
    }

    /// Forgets everything that was not committed, as a crash does, and starts again from the state.
    pub fn restart(&mut self) {
        self.commit();
        let mut parse = |source: &str| schemas::programme_file::parse(source).map_err(|_| Fault("a programme".into()));
        self.engine = Engine::restore(&self.store, &mut parse).unwrap();
    }

    /// Sums of points by law 2's key.
    pub fn equality(&self) -> Equality {
        let mut sums = Equality::new();
        for entry in &self.entries {
            let key = (
                entry.programme.to_string(),
                entry.member.to_string(),
                entry.rule.to_string(),
                entry.item.to_owned(),
                entry.period.to_string(),
                entry.debit.name(),
                entry.credit.name(),
                entry.posting_date.to_string(),
            );
            *sums.entry(key).or_default() += entry.points.amount();
        }
        sums.retain(|_, points| *points != 0);
        sums
    }

    /// Points of a member under a rule.
    pub fn points(&self, programme: &str, member: &str, rule: &str) -> i64 {
        let of_rule =
            self.entries.iter().filter(|e| (&*e.programme, &*e.member, &*e.rule) == (programme, member, rule));
        of_rule.map(|entry| entry.points.amount()).sum()
    }

    /// Days of a member that were refused for a reason.
    pub fn refused_days(&self, programme: &str, member: &str, code: &str) -> BTreeSet<CivilDate> {
        let of_member =
            self.rejections.iter().filter(|(p, m, r)| p == programme && m == member && r.reason.code() == code);
        of_member.filter_map(|(.., rejection)| rejection.activity_date).collect()
    }

    /// What must hold whatever came: zero sum, gapless sequences, unique ids, every correction of something posted (law 3).
    pub fn check_ledger(&self) {
        let mut accounts: BTreeMap<Account, i64> = BTreeMap::new();
        let mut sequences: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        let mut ids = BTreeSet::new();
        for entry in &self.entries {
            *accounts.entry(entry.debit).or_default() -= entry.points.amount();
            *accounts.entry(entry.credit).or_default() += entry.points.amount();
            let sequence = sequences.entry((&entry.programme, &entry.member)).or_default();
            *sequence += 1;
            assert_eq!(entry.sequence, *sequence, "a gap before {entry:?}");
            assert!(ids.insert(entry.id), "posted twice: {entry:?}");
            assert!(!entry.points.is_zero(), "an entry without points: {entry:?}");
            assert_eq!(entry.corrects.is_some(), entry.revision > 0, "{entry:?}");
            assert!(entry.corrects.is_none_or(|corrected| ids.contains(&corrected)), "corrects nothing: {entry:?}");
        }
        assert_eq!(accounts.values().sum::<i64>(), 0);
        assert_eq!(accounts.get(&Account::Issued).map(|issued| -issued), accounts.get(&Account::Member).copied());
    }

    /// records read = accepted + rejected + duplicate + still parked, and the same for samples (law 5).
    pub fn check_accounting(&self) {
        let [read, accepted, rejected, duplicate, parked, unparked] = self.records;
        assert_eq!(read, accepted + rejected + duplicate + parked - unparked, "{:?}", self.records);
        let samples = self.samples;
        assert_eq!(
            samples.read,
            samples.accepted + samples.rejected + samples.duplicate + samples.parked,
            "{samples:?}"
        );
    }

    fn arrival_date(&mut self, line: &str) -> CivilDate {
        match self.scratch.decode_json(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error}")) {
            Record::Upload(upload) => upload.received_at.civil_date(),
            Record::Member(member) => member.change.received_at.civil_date(),
            other => panic!("{other:?}"),
        }
    }

    fn apply(&mut self, line: &[u8]) {
        let (programme, member, disposition) = {
            let record = self.scratch.decode_json(line).unwrap();
            let (programme, member, input) = match record {
                Record::Upload(upload) => (upload.programme, upload.member, Input::Upload(upload)),
                Record::Member(record) => (record.change.programme, record.change.member, Input::Member(record.change)),
                other => panic!("{other:?}"),
            };
            let original = || line.to_vec();
            let disposition = self.engine.apply(&input, &original, &self.store, &mut self.effects).unwrap();
            (programme.to_owned(), member.to_owned(), disposition)
        };
        let place = match disposition {
            Disposition::Accepted => 1,
            Disposition::Rejected => 2,
            Disposition::Duplicate => 3,
            Disposition::Parked => 4,
        };
        self.records[place] += 1;
        self.collect(&programme, &member);
        self.release();
    }

    fn release(&mut self) {
        for released in std::mem::take(&mut self.effects.released) {
            self.records[5] += 1;
            self.apply(&released.original);
        }
    }

    fn close(&mut self, first: CivilDate, last: CivilDate, parked_wait: bool) {
        for days in first.epoch_days()..=last.epoch_days() {
            let input = Input::DayClosed { date: CivilDate::from_epoch_days(days), parked_wait };
            self.engine.apply(&input, &Vec::new, &self.store, &mut self.effects).unwrap();
            // A few members at a time, so that the place reached is used.
            while !self.engine.close_some(3, &self.store, &mut self.effects).unwrap() {
                self.collect("", "");
            }
            self.collect("", "");
            self.release();
        }
    }

    fn collect(&mut self, programme: &str, member: &str) {
        self.entries.append(&mut self.effects.entries);
        for total in self.effects.daily_totals.drain(..) {
            self.totals
                .insert((total.programme.to_string(), total.member.to_string(), total.date), total.steps.count());
        }
        for notice in self.effects.notices.drain(..) {
            let NoticeKind::BaselineFrozen { baseline_steps, .. } = notice.kind;
            self.baselines.insert((notice.programme.to_string(), notice.member.to_string()), baseline_steps);
        }
        let rejections = self.effects.rejections.drain(..);
        self.rejections.extend(rejections.map(|rejection| (programme.to_owned(), member.to_owned(), rejection)));
        self.samples = self.effects.samples;
    }

    fn commit(&mut self) {
        let mut changes = Changes::default();
        self.engine.stage(&mut changes);
        let keys: BTreeSet<&[u8]> = changes.iter().map(|(key, _)| key).collect();
        assert_eq!(keys.len(), changes.len(), "a key twice in one transaction");
        for (key, value) in changes.iter() {
            match value {
                Some(value) => self.store.0.insert(key.to_vec(), value.to_vec()),
                None => self.store.0.remove(key),
            };
        }
        self.engine.trim(self.cache_bytes_max);
        self.since_commit = 0;
    }
}
