//! `ayumi demo`: the first thing that a newcomer runs. A simulated town through the real pipeline, in one process.

use std::process::ExitCode;
use std::time::Instant as Moment;

use clap::Args;
use pipeline::calendar::Instant;
use schemas::MemberRecord;

use super::machine::{mib, peak_memory_bytes};
use super::rows::{grouped, rows, text};
use super::summary::summary;
use super::{Failure, RunArgs, block_on, explain};
use crate::lake::query;
use crate::producer::{Outgoing, Producer};
use crate::progress::Progress;
use crate::replay::Pipeline;
use crate::town::{RecordSource, Town, TownConfig, TownRecord};
use crate::transport::Format;

/// Simulate a town's season and run it through the real pipeline
///
/// Kunitachi's season of 2025, 2 June to 20 December: hourly samples and daily totals that come late, twice, corrected,
/// deleted, from two devices, typed by hand, impossible, and before enrolment. The same seed gives the same ledger.
#[derive(Args)]
pub struct Demo {
    #[command(flatten)]
    run: RunArgs,
    /// Members of the town
    #[arg(long, default_value_t = 1_200, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    members: u32,
    /// The town's seed
    #[arg(long, default_value_t = 2025)]
    seed: u64,
}

/// The name under which the demo notes how far it has come.
const PRODUCER: &str = "town";

impl Demo {
    /// Runs it.
    pub fn run(&self) -> Result<ExitCode, Failure> {
        let began = Moment::now();
        let progress = Progress::new(self.run.quiet);
        let settings = self.run.settings();
        let mut pipeline = Pipeline::start(&settings)?;
        let done = self.records_done(&pipeline)?;
        let estimate = u64::from(self.members) * 160; // A member sends about so many uploads.
        progress.begin(estimate, "simulating the town");
        let uploads = self.feed(&mut pipeline.producer, done, &progress)?;
        pipeline.finish(None, &progress)?;
        progress.end();
        let seconds = began.elapsed().as_secs_f64();
        block_on(self.show(&settings.lake, uploads, seconds))
    }

    /// Records that an earlier run of the same demo appended.
    fn records_done(&self, pipeline: &Pipeline) -> Result<u64, Failure> {
        let Some(noted) = pipeline.local.progress(PRODUCER)? else { return Ok(0) };
        let noted = String::from_utf8(noted)?;
        match noted.rsplit_once('/') {
            Some((town, records)) if town == self.town() => Ok(records.parse()?),
            _ => Err(format!("the data folder holds another town ({noted}); give another folder with --data").into()),
        }
    }

    fn town(&self) -> String {
        format!("seed {}, {} members", self.seed, self.members)
    }

    /// Sends the town's records, but for the first `done`. Gives the number of uploads.
    fn feed(&self, producer: &mut Producer, done: u64, progress: &Progress) -> Result<u64, Failure> {
        let mut town = Town::new(TownConfig::kunitachi(self.seed, self.members));
        let mut record = TownRecord::empty();
        let (mut records, mut uploads) = (0, 0);
        let mut payload = Vec::new();
        while town.next_into(&mut record) {
            records += 1;
            uploads += u64::from(matches!(record, TownRecord::Upload(_)));
            progress.advance(1);
            if records <= done {
                continue;
            }
            payload.clear();
            let (member, received_at) = encode(&record, &mut payload);
            let arrived_on = received_at.map(Instant::civil_date);
            let format = if matches!(record, TownRecord::Raw(_)) { Format::Json } else { Format::Avro };
            producer.send(Outgoing { member, arrived_on, format, file: None, line: 0, payload: &payload });
            if producer.is_full() {
                producer.note(PRODUCER, format!("{}/{records}", self.town()).into_bytes());
                producer.append()?;
            }
        }
        producer.note(PRODUCER, format!("{}/{records}", self.town()).into_bytes());
        producer.append()?;
        Ok(uploads)
    }

    async fn show(&self, lake: &str, uploads: u64, seconds: f64) -> Result<ExitCode, Failure> {
        let context = query::session(lake).await?;
        println!("{}", summary(&context).await?);
        let memory = peak_memory_bytes().map_or_else(String::new, |bytes| format!(", peak memory {}", mib(bytes)));
        let rate = grouped((uploads as f64 / seconds) as i64);
        println!(
            "{} uploads in {seconds:.1} s: {rate} uploads/s from sample to lake{memory}\n",
            grouped(uploads as i64)
        );
        // The town's most telling entry: a month's gain, where there is one.
        let sql = "SELECT entry_id, member FROM entries WHERE points > 0 ORDER BY rule = 'KU-44' DESC, points DESC, entry_id LIMIT 1";
        let Some(row) = rows(&context, sql).await?.pop() else { return Ok(ExitCode::SUCCESS) };
        let (entry, member) = (text(&row, "entry_id"), text(&row, "member"));
        println!("One entry, explained:\n\n{}", explain::entry(&context, entry).await?);
        let data = self.run.data.data.display();
        println!("Next:");
        println!("  ayumi explain --data {data} {member} 2025-06-10");
        println!("  ayumi sql --data {data} 'SELECT rule, sum(points) FROM entries GROUP BY rule ORDER BY rule'");
        println!("  ayumi audit --data {data}");
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes a record as it travels; gives its member and its receipt, where they can be told.
pub fn encode<'r>(record: &'r TownRecord, payload: &mut Vec<u8>) -> (&'r str, Option<Instant>) {
    match record {
        TownRecord::Upload(upload) => {
            let mut samples = Vec::new();
            schemas::encode_upload(&upload.as_fact(&mut samples), payload);
            (&upload.member, Some(upload.received_at))
        }
        TownRecord::Member(member) => {
            let record = MemberRecord {
                change: member.as_fact(),
                birth_date_quality: None,
                sex: member.sex,
                course: Some(member.course),
                residence: None,
                insurance: None,
                identity_route: None,
            };
            schemas::encode_member(&record, payload);
            (&member.member, Some(member.received_at))
        }
        TownRecord::Raw(bytes) => {
            payload.extend_from_slice(bytes);
            ("", None)
        }
    }
}
