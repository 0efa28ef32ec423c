//! Measures how fast the lake takes uploads of 25 samples, and entries: rows a second, bytes a row, peak memory.
//!
//! `cargo run --release -p jobs --example lake_write_speed -- FOLDER UPLOADS ENTRIES`

use std::time::Instant as Stopwatch;

use jobs::lake::{LakeWriter, Source, TableId};
use pipeline::calendar::{CivilDate, Instant, Period};
use pipeline::fact::{Channel, DeviceKind, Operation, Recording, Sample, SampleTime, Source as StepSource, Upload};
use pipeline::ledger::{Account, Entry, EntryId, Reason};
use pipeline::quantity::Points;
use schemas::Record;
use schemas::Origin;

const FLUSH_BYTES: usize = 64 << 20;
const DAY: CivilDate = CivilDate::from_epoch_days(20_242);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, uploads, entries] = arguments.as_slice() else {
        return Err("give a folder, a number of uploads and a number of entries".into());
    };
    let mut writer = LakeWriter::open(folder).await?;
    write_uploads(&mut writer, uploads.parse()?).await?;
    write_entries(&mut writer, entries.parse()?).await?;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("peak memory unknown"));
    Ok(())
}

async fn write_uploads(writer: &mut LakeWriter, count: i64) -> Result<(), Box<dyn std::error::Error>> {
    let source = Source::new("ayumi.steps.v1", 0);
    writer.follow(&source, &[TableId::FactsUploads]).await?;
    let mut origin = Origin { topic: "ayumi.steps.v1".into(), partition: 0, offset: 0, file: None, line: None };
    let started = Stopwatch::now();
    let mut bytes = 0;
    for offset in 0..count {
        let day = DAY.plus_days((offset % 60) as i32);
        let samples: Vec<Sample> = (0..25).map(|hour| sample(day, hour, offset)).collect();
        let (id, member) = (format!("u-{offset}"), format!("m-{}", offset % 10_000));
        let upload = Upload {
            id: &id,
            programme: "kunitachi",
            member: &member,
            received_at: Instant::from_epoch_millis(day.plus_days(1).start().epoch_millis() + offset % 80_000_000),
            login_at: None,
            channel: Channel::App,
            source: StepSource { platform: "FITBIT", origin: "com.fitbit", device: "b-7", device_kind: DeviceKind::Watch },
            samples: &samples,
        };
        origin.offset = offset;
        writer.append_fact(&source, offset, &Record::Upload(upload), b"", &origin)?;
        bytes += relieve(writer, offset).await?;
    }
    bytes += writer.flush().await?.iter().map(|flush| flush.bytes).sum::<u64>();
    report("uploads of 25 samples", count, started, bytes);
    Ok(())
}

fn sample(day: CivilDate, hour: i64, seed: i64) -> Sample<'static> {
    let start = Instant::from_epoch_millis(day.start().epoch_millis() + (hour % 24) * 3_600_000);
    let end = Instant::from_epoch_millis(start.epoch_millis() + 3_600_000);
    let time = if hour == 24 { SampleTime::DailyTotal(day) } else { SampleTime::Interval { start, end } };
    let steps = (seed * 7_919 + hour * 104_729) % 1_500;
    Sample { time, steps, recording: Recording::Automatic, operation: Operation::Upsert, id: "", version: 0, modified_at: None }
}

async fn write_entries(writer: &mut LakeWriter, count: i64) -> Result<(), Box<dyn std::error::Error>> {
    let source = Source::new("ayumi.entries.v1", 0);
    writer.follow(&source, &[TableId::Entries]).await?;
    let started = Stopwatch::now();
    let mut bytes = 0;
    for offset in 0..count {
        let (member, day) = (format!("m-{}", offset % 10_000), DAY.plus_days((offset % 60) as i32));
        let period = Period::Day(day);
        let entry = Entry {
            id: EntryId::of("kunitachi", &member, "KU-40", "", "2025-06-03", offset as u32),
            sequence: offset as u64,
            programme: "kunitachi".into(),
            member: member.into(),
            rule: "KU-40".into(),
            rule_version: 1,
            item: "",
            period,
            revision: 0,
            points: Points::new(20),
            debit: Account::Issued,
            credit: Account::Member,
            activity_date: day,
            arrival_date: day,
            posting_date: day,
            expires_on: Some(DAY.plus_days(365)),
            corrects: None,
            reason: Reason { steps: Some(8_000 + offset as u64 % 5_000), entitled: Points::new(20), ..Reason::default() },
        };
        writer.append_entry(&source, offset, &entry)?;
        bytes += relieve(writer, offset).await?;
    }
    bytes += writer.flush().await?.iter().map(|flush| flush.bytes).sum::<u64>();
    report("entries", count, started, bytes);
    Ok(())
}

async fn relieve(writer: &mut LakeWriter, offset: i64) -> Result<u64, jobs::lake::LakeError> {
    if offset % 1_000 != 999 {
        return Ok(0);
    }
    writer.relieve().await?;
    if writer.staged().bytes < FLUSH_BYTES {
        return Ok(0);
    }
    Ok(writer.flush().await?.iter().map(|flush| flush.bytes).sum())
}

fn report(what: &str, count: i64, started: Stopwatch, bytes: u64) {
    let seconds = started.elapsed().as_secs_f64();
    println!("{what}: {:.0} rows/s, {:.1} bytes a row", count as f64 / seconds, bytes as f64 / count as f64);
}
