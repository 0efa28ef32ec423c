//! What a town promises: the same records for a seed, in order, with every trouble, looking like real people's.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant as Stopwatch;

use pipeline::calendar::{CivilDate, Instant};
use pipeline::fact::{Operation, Recording, Sample, SampleTime};

use super::*;

/// A fingerprint of a whole stream, by way of its debug form: every field counts.
fn fingerprint(mut source: impl RecordSource) -> (u64, u64) {
    let (mut hasher, mut count, mut record) = (DefaultHasher::new(), 0, TownRecord::empty());
    while source.next_into(&mut record) {
        format!("{record:?}").hash(&mut hasher);
        count += 1;
    }
    (hasher.finish(), count)
}

fn received_at(record: &TownRecord) -> Option<Instant> {
    match record {
        TownRecord::Upload(upload) => Some(upload.received_at),
        TownRecord::Member(member) => Some(member.received_at),
        TownRecord::Raw(_) => None,
    }
}

fn town(seed: u64, members: u32) -> Town {
    Town::new(TownConfig::kunitachi(seed, members))
}

fn small_load(seed: u64) -> Load {
    Load::new(LoadConfig { members: 500, days: 20, ..LoadConfig::standard(seed) })
}

#[test]
fn the_season_is_kunitachis() {
    let config = TownConfig::kunitachi(1, 1);
    let days = [config.season_first_day, config.season_last_day, config.last_transmission_day];
    assert_eq!(days.map(|day| day.to_string()), ["2025-06-02", "2025-12-20", "2025-12-26"]);
    assert_eq!(LoadConfig::standard(1).first_day, config.season_first_day);
}

#[test]
fn a_seed_gives_the_same_records_and_another_seed_others() {
    assert_eq!(fingerprint(town(7, 40)), fingerprint(town(7, 40)));
    assert_ne!(fingerprint(town(7, 40)).0, fingerprint(town(8, 40)).0);
    assert_eq!(fingerprint(small_load(7)), fingerprint(small_load(7)));
    assert_ne!(fingerprint(small_load(7)).0, fingerprint(small_load(8)).0);
}

/// Figures of a stream that no change of a library can move: uploads, samples, steps, and a sum of all instants.
fn figures(mut source: impl RecordSource) -> (u64, u64, i64, i64) {
    let (mut figures, mut record) = ((0, 0, 0, 0i64), TownRecord::empty());
    while source.next_into(&mut record) {
        if let TownRecord::Upload(upload) = &record {
            let mut samples = Vec::new();
            let fact = upload.as_fact(&mut samples);
            figures.0 += 1;
            figures.1 += fact.samples.len() as u64;
            figures.2 += fact.samples.iter().map(|sample| sample.steps).sum::<i64>();
            figures.3 = figures.3.wrapping_mul(31).wrapping_add(fact.received_at.epoch_millis());
        }
    }
    figures
}

/// Fails when a change of the town moves a seed's records. If the change is meant, write the new figures here, and say
/// so in the changelog: recorded demonstrations and measurements are then of another town.
#[test]
fn a_seed_is_for_ever() {
    assert_eq!(figures(town(1, 20)), (2_651, 124_409, 58_367_341, 1_210_453_660_364_890_787));
    assert_eq!(figures(small_load(1)), (10_501, 262_525, 146_243_369, 7_695_760_669_218_907_840));
}

#[test]
fn the_iterator_and_the_reused_buffer_tell_the_same() {
    let mut by_buffer = town(3, 30);
    let mut record = TownRecord::empty();
    for owned in town(3, 30) {
        assert!(by_buffer.next_into(&mut record));
        assert_eq!(owned, record);
    }
    assert!(!by_buffer.next_into(&mut record));
}

#[test]
fn records_come_in_the_order_in_which_they_are_received() {
    let mut town = town(5, 200);
    let (mut last, mut record) = (Instant::from_epoch_millis(0), TownRecord::empty());
    while town.next_into(&mut record) {
        let at = town.received_at();
        assert!(at >= last && received_at(&record).is_none_or(|stated| stated == at));
        last = at;
    }
    let times: Vec<_> = small_load(5).filter_map(|record| received_at(&record)).collect();
    assert!(times.is_sorted() && !times.is_empty());
}

#[test]
fn a_larger_town_contains_the_smaller_one() {
    let of_member = |members| {
        let records = town(9, members).filter(|record| match record {
            TownRecord::Upload(upload) => upload.member == "m-0007",
            TownRecord::Member(member) => member.member == "m-0007",
            TownRecord::Raw(_) => false,
        });
        records.collect::<Vec<_>>()
    };
    let alone = of_member(7);
    assert!(alone.len() > 3);
    assert_eq!(alone, of_member(60));
}

#[test]
fn no_members_and_a_season_that_ends_before_it_begins_are_no_trouble() {
    assert_eq!(town(1, 0).count(), 0);
    let mut config = TownConfig::kunitachi(1, 300);
    std::mem::swap(&mut config.season_first_day, &mut config.last_transmission_day);
    assert!(Town::new(config).count() >= 300);
    let none = LoadConfig { members: 0, ..LoadConfig::standard(1) };
    assert_eq!(Load::new(none).count(), 0);
    let one = LoadConfig { members: 1, days: 3, repeated_share: 1.0, corrected_share: 1.0, ..LoadConfig::standard(1) };
    assert_eq!(Load::new(one).count(), 10);
}

/// What was seen of a town, whatever it says of itself.
#[derive(Default)]
struct Seen {
    uploads: u64,
    samples: u64,
    empty_uploads: u64,
    days: u64,
    days_above: u64,
    ids: HashMap<(String, String), u64>,
    repeats: u64,
    enrolled: HashSet<String>,
    repeats_told_otherwise: u64,
    raw: u64,
    odd: HashMap<&'static str, u64>,
}

impl Seen {
    fn look(&mut self, record: &TownRecord) {
        match record {
            TownRecord::Member(member) => {
                self.enrolled.insert(member.member.clone());
            }
            TownRecord::Raw(bytes) => {
                assert!(!bytes.is_empty());
                self.raw += 1;
            }
            TownRecord::Upload(upload) => {
                let mut samples = Vec::new();
                self.look_at_upload(upload.as_fact(&mut samples), upload);
            }
        }
    }

    fn look_at_upload(&mut self, fact: pipeline::fact::Upload<'_>, upload: &OwnedUpload) {
        assert_eq!(fact.samples.len(), upload.sample_count());
        self.uploads += 1;
        self.samples += fact.samples.len() as u64;
        self.empty_uploads += u64::from(fact.samples.is_empty());
        let mut hasher = DefaultHasher::new();
        format!("{:?} {:?}", fact.samples, fact.login_at).hash(&mut hasher);
        let content = hasher.finish();
        if fact.programme == "kunitachi" {
            let known = self.ids.insert((fact.member.to_owned(), fact.id.to_owned()), content);
            self.repeats += u64::from(known.is_some());
            self.repeats_told_otherwise += u64::from(known.is_some_and(|known| known != content));
        } else {
            *self.odd.entry("programme").or_default() += 1;
        }
        let mut hours = HashMap::new();
        for sample in fact.samples {
            self.look_at_sample(&fact, sample, &mut hours);
        }
    }

    fn look_at_sample(
        &mut self,
        fact: &pipeline::fact::Upload<'_>,
        sample: &Sample<'_>,
        hours: &mut HashMap<CivilDate, i64>,
    ) {
        let mut is = |what, yes: bool| *self.odd.entry(what).or_default() += u64::from(yes);
        is("negative", sample.steps < 0);
        is("manual", sample.recording == Recording::Manual);
        is("merged", matches!(sample.time, SampleTime::MergedTotal(_)));
        is("version", sample.version > 0 && sample.operation == Operation::Upsert);
        is("deleted by id", sample.time == SampleTime::Unstated && !sample.id.is_empty());
        is("deleted by time", sample.operation == Operation::Delete && sample.time != SampleTime::Unstated);
        is("login late", fact.login() > fact.received_at);
        is("with an id", !sample.id.is_empty());
        is("without an id", sample.id.is_empty());
        let mut late = 0;
        match sample.time {
            SampleTime::Interval { start, end } => {
                is("end before start", end < start);
                is("90,000 an hour", sample.steps == 90_000);
                is("across midnight", end.epoch_millis() > start.civil_date().plus_days(1).start().epoch_millis());
                late = fact.received_at.civil_date().days_since(start.civil_date());
                *hours.entry(start.civil_date()).or_default() += sample.steps;
            }
            SampleTime::DailyTotal(date) => {
                is("150,000 a day", sample.steps == 150_000);
                is("year 9999", date.to_string().starts_with("9999"));
                if let Some(hours) = hours.get(&date) {
                    (self.days, self.days_above) = (self.days + 1, self.days_above + u64::from(sample.steps > *hours));
                }
            }
            SampleTime::MergedTotal(_) | SampleTime::Unstated => {}
        }
        *self.odd.entry("over 30 days late").or_default() += u64::from((31..=45).contains(&late));
    }
}

#[test]
fn every_trouble_occurs_in_a_town_of_the_default_size() {
    let (mut town, mut seen, mut record) = (town(2025, 1_200), Seen::default(), TownRecord::empty());
    while town.next_into(&mut record) {
        seen.look(&record);
    }
    for (trouble, count) in town.troubles_made().iter() {
        assert!(count > 0, "{trouble:?} never occurs");
        println!("{trouble:?} {count}");
    }
    for (what, count) in &seen.odd {
        println!("{what}: {count}");
        assert!(*count > 0, "{what} is never seen");
    }
    println!("{} uploads, {} empty, {} samples", seen.uploads, seen.empty_uploads, seen.samples);
    assert_eq!((seen.enrolled.len(), seen.repeats_told_otherwise), (1_200, 0));
    assert!((0.015..0.04).contains(&(seen.repeats as f64 / seen.uploads as f64)));
    assert!(
        (0.13..0.21).contains(&(seen.days_above as f64 / seen.days as f64)),
        "{} of {}",
        seen.days_above,
        seen.days
    );
    assert_eq!(seen.raw, town.troubles_made().of(Trouble::Malformed));
}

#[test]
fn members_are_as_old_as_kunitachis_quotas_expect() {
    let config = TownConfig::kunitachi(2025, 1_200);
    let season = (config.season_first_day, config.season_last_day);
    let members: Vec<OwnedMember> = Town::new(config)
        .filter_map(|record| if let TownRecord::Member(member) = record { Some(member) } else { None })
        .collect();
    let share =
        |is: &dyn Fn(&OwnedMember) -> bool| members.iter().filter(|m| is(m)).count() as f64 / members.len() as f64;
    assert!(members.iter().all(|m| (18..=91).contains(&season.0.age_of(m.birth_date))));
    assert!((0.10..0.25).contains(&share(&|m| season.0.age_of(m.birth_date) >= 75)));
    assert!(share(&|m| season.0.age_of(m.birth_date) == 74 && season.1.age_of(m.birth_date) == 75) > 0.005);
    assert!((0.06..0.11).contains(&share(&|m| m.course == "METER")));
    assert!((0.5..0.66).contains(&share(&|m| m.sex == Some("F"))));
}

#[test]
fn without_troubles_nothing_is_odd() {
    let mut config = TownConfig::kunitachi(4, 100);
    config.troubles = Troubles::none();
    let mut seen = Seen::default();
    Town::new(config).for_each(|record| seen.look(&record));
    let usual = ["with an id", "without an id", "over 30 days late"];
    assert!(seen.odd.iter().all(|(what, count)| usual.contains(what) || *count == 0), "{:?}", seen.odd);
    assert_eq!((seen.repeats, seen.raw), (0, 0));
}

#[test]
fn a_load_has_an_upload_per_member_and_day_and_the_shares_asked_for() {
    let mut regular: HashMap<(String, String), u32> = HashMap::new();
    let (mut corrected, mut members) = (0, 0);
    for record in small_load(1) {
        match record {
            TownRecord::Upload(upload) if upload.id.contains("-c") => corrected += 1,
            TownRecord::Upload(upload) => {
                assert_eq!(upload.sample_count(), 25);
                *regular.entry((upload.member, upload.id)).or_default() += 1;
            }
            TownRecord::Member(_) => members += 1,
            TownRecord::Raw(_) => panic!("a load is never malformed"),
        }
    }
    let repeated = regular.values().filter(|times| **times == 2).count();
    assert_eq!((members, regular.len()), (500, 10_000));
    assert!((240..360).contains(&repeated) && (150..250).contains(&corrected), "{repeated} {corrected}");
}

/// Not a test of right and wrong: prints the rates with `--ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn how_fast_records_are_made() {
    for (name, source) in [
        ("load", Box::new(Load::new(LoadConfig::standard(1))) as Box<dyn RecordSource>),
        ("town", Box::new(town(1, 1_200))),
    ] {
        let (mut source, mut record) = (source, TownRecord::empty());
        let (begun, mut uploads, mut samples) = (Stopwatch::now(), 0u64, 0u64);
        while source.next_into(&mut record) {
            if let TownRecord::Upload(upload) = &record {
                let mut room = Vec::new();
                (uploads, samples) = (uploads + 1, samples + upload.as_fact(&mut room).samples.len() as u64);
            }
        }
        let seconds = begun.elapsed().as_secs_f64();
        println!(
            "{name}: {uploads} uploads, {samples} samples, {:.0} uploads/s, {:.0} samples/s",
            uploads as f64 / seconds,
            samples as f64 / seconds
        );
    }
}
