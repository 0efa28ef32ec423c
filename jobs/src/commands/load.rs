//! `ayumi load`: what the embedded pipeline costs, phase by phase.

use std::process::ExitCode;
use std::time::{Duration, Instant as Moment};

use clap::Args;

use super::machine::{cpu_time, mib, peak_memory_bytes};
use super::rows::grouped;
use super::{Failure, RunArgs};
use crate::lake_role::LakeRole;
use crate::producer::{Outgoing, Producer};
use crate::progress::Progress;
use crate::town::{Load as LoadSource, LoadConfig, RecordSource, TownRecord};
use crate::transport::Format;
use crate::transport::local::Local;
use crate::workers::Workers;
use crate::{award, publish};

/// Measure the embedded pipeline
///
/// Writes one upload a member and day (24 hours and a daily total each, 3 % sent again, 2 % corrected) to the embedded log,
/// then decides all of it with durable commits, then writes the lake; each phase with its rate and processor time.
#[derive(Args)]
pub struct Load {
    #[command(flatten)]
    run: RunArgs,
    /// Members
    #[arg(long, default_value_t = 10_000)]
    members: u32,
    /// Days
    #[arg(long, default_value_t = 60)]
    days: u32,
    /// Leave the lake out
    #[arg(long)]
    no_lake: bool,
    /// Milliseconds between commits
    #[arg(long, default_value_t = 100)]
    commit_interval_millis: u64,
}

impl Load {
    /// Runs it.
    pub fn run(&self) -> Result<ExitCode, Failure> {
        let settings = self.run.settings();
        if settings.data.exists() {
            return Err(format!(
                "{} exists; a load test needs a folder of its own, give a new one with --data",
                settings.data.display()
            )
            .into());
        }
        let progress = Progress::new(self.run.quiet);
        let local = Local::open(&settings.data, settings.partitions, settings.memory_bytes_max / 2)?;
        let mut producer = Producer::open(&local)?;
        publish::publish(&local, &mut producer, settings.programmes.as_deref())?;

        progress.phase("writing the log");
        let meter = Meter::start();
        let uploads = self.feed(&mut producer)?;
        meter.report("append to the log", uploads);

        progress.phase("deciding");
        let meter = Meter::start();
        let award = award::AwardSettings {
            cache_bytes_max: (settings.memory_bytes_max / 2) as usize,
            commit_interval: Duration::from_millis(self.commit_interval_millis),
            ..settings.award
        };
        let mut workers = Workers::start(&local, award)?;
        workers.catch_up()?;
        meter.report("award, committed", uploads);
        println!("{:20} {:>12}", "log and state", mib(local.disk_bytes()));
        if let Some(bytes) = peak_memory_bytes() {
            println!("{:20} {:>12}", "peak memory", mib(bytes));
        }

        if !self.no_lake {
            progress.phase("writing the lake");
            let meter = Meter::start();
            let mut lake = LakeRole::start(&local, &settings.lake)?;
            lake.drain()?;
            meter.report("lake", uploads);
            lake.stop()?;
            if let Some(bytes) = peak_memory_bytes() {
                println!("{:20} {:>12}", "peak memory", mib(bytes));
            }
        }
        workers.stop()?;
        Ok(ExitCode::SUCCESS)
    }

    fn feed(&self, producer: &mut Producer) -> Result<u64, Failure> {
        let config = LoadConfig { members: self.members, days: self.days, ..LoadConfig::standard(1) };
        let mut source = LoadSource::new(config);
        let mut record = TownRecord::empty();
        let (mut uploads, mut payload) = (0, Vec::new());
        while source.next_into(&mut record) {
            payload.clear();
            uploads += u64::from(matches!(record, TownRecord::Upload(_)));
            let (member, received_at) = super::demo::encode(&record, &mut payload);
            let outgoing = Outgoing {
                member,
                arrived_on: received_at.map(pipeline::calendar::Instant::civil_date),
                format: Format::Avro,
                file: None,
                line: 0,
                payload: &payload,
            };
            producer.send(outgoing);
            if producer.is_full() {
                producer.append()?;
            }
        }
        producer.append()?;
        Ok(uploads)
    }
}

/// Wall and processor time of one phase.
struct Meter {
    began: Moment,
    cpu: Option<Duration>,
}

impl Meter {
    fn start() -> Meter {
        Meter { began: Moment::now(), cpu: cpu_time() }
    }

    fn report(&self, what: &str, uploads: u64) {
        let seconds = self.began.elapsed().as_secs_f64();
        let rate = grouped((uploads as f64 / seconds) as i64);
        let cpu = match (self.cpu, cpu_time()) {
            (Some(before), Some(after)) => {
                format!(", {:.2} CPU-s per million", (after - before).as_secs_f64() * 1e6 / uploads as f64)
            }
            _ => String::new(),
        };
        println!("{what:20} {:>12} uploads in {seconds:.2} s, {rate}/s{cpu}", grouped(uploads as i64));
    }
}
