//! `ayumi run`: one role of the pipeline on Kafka, until it is told to stop.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::kafka_args::KafkaArgs;
use super::{DataArgs, Failure};
use crate::admin::observe::observe;
use crate::admin::{Admin, Health};
use crate::award::{AwardPartition, AwardSettings};
use crate::kafka::clock;
use crate::kafka::config::Config;
use crate::kafka::lake::{self, LakeEvent, LakeSettings};
use crate::kafka::owned::TransactionBounds;
use crate::kafka::worker::{self, WorkerEvent, WorkerSettings};

/// Run one role of the pipeline on Kafka
///
/// Start as many award workers as there are partitions at most, each with an instance id and a data folder of its own; any
/// number of lake writers; and one clock. SIGTERM or Ctrl-C ends a role after its transaction.
#[derive(Args)]
pub struct Run {
    /// What to do
    #[arg(long, value_enum)]
    role: Role,
    #[command(flatten)]
    kafka: KafkaArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Memory for a worker's state, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u64).range(32..))]
    memory_mib_max: u64,
    /// Milliseconds between an award worker's commits while there is much to read
    #[arg(long, value_name = "MS", default_value_t = 100)]
    commit_interval_millis: u64,
}

/// A part of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Role {
    /// Decide: inputs to entries, totals, rejections
    Award,
    /// Land inputs and outputs in the lake's tables
    Lake,
    /// Declare days over, some minutes after midnight in Japan
    Clock,
}

/// State in memory is written to disk at least so often.
const FLUSH_INTERVAL: Duration = Duration::from_secs(10);

impl Run {
    /// Runs it.
    pub fn run(&self) -> Result<ExitCode, Failure> {
        let config = self.kafka.load()?;
        let health = Health::new();
        let admin = config.admin_listen.as_deref().map(|listen| Admin::start(listen, health.clone())).transpose()?;
        if let Some(admin) = &admin {
            eprintln!("metrics and health: http://{}/metrics, /livez, /readyz", admin.address());
        }
        let stop = stop_on_signal(health.clone())?;
        match self.role {
            Role::Award => self.award(config, health, stop)?,
            Role::Lake => self.lake(config, health, &stop)?,
            Role::Clock => clock::run(&config.kafka, &stop, &|day, records| {
                health.ready();
                eprintln!("{day} is over: {records} clock records written");
            })?,
        }
        Ok(ExitCode::SUCCESS)
    }

    fn award(&self, config: Config, health: Health, stop: Arc<AtomicBool>) -> Result<(), Failure> {
        let Some(instance_id) = config.kafka.instance_id.clone() else {
            return Err(
                "an award worker needs an id of its own that stays the same after a restart: give --instance-id, \
                        AYUMI_KAFKA_INSTANCE_ID or `kafka.instance_id`"
                    .into(),
            );
        };
        let memory_bytes_max = (self.memory_mib_max << 20) as usize;
        let partitions = usize::try_from(config.kafka.partitions).unwrap_or(1).max(1);
        let folder = self.data.data.join("worker");
        std::fs::create_dir_all(&folder).map_err(|error| format!("{} can't be made: {error}", folder.display()))?;
        let database = crate::state_store::open_database(&folder.join("state"), memory_bytes_max as u64 / 8)?;
        let settings = WorkerSettings {
            kafka: config.kafka,
            instance_id,
            folder,
            database,
            bounds: TransactionBounds {
                commit_interval: Duration::from_millis(self.commit_interval_millis),
                ..TransactionBounds::default()
            },
            overlay_bytes_max: memory_bytes_max / 4,
            flush_interval: FLUSH_INTERVAL,
            // A worker that is alone has all partitions.
            processing: AwardSettings {
                cache_bytes_max: memory_bytes_max / 2 / partitions,
                ..AwardSettings::default()
            },
            observer: Arc::new(move |event| {
                observe(event, &health);
                say(event);
            }),
        };
        Ok(worker::run::<AwardPartition>(settings, stop)?)
    }

    fn lake(&self, config: Config, health: Health, stop: &AtomicBool) -> Result<(), Failure> {
        let settings = LakeSettings {
            kafka: config.kafka,
            url: self.data.lake(),
            observer: Arc::new(move |event| match event {
                LakeEvent::Assigned(partitions) => {
                    health.ready();
                    eprintln!("landing {partitions} partitions of topics");
                }
                LakeEvent::Flushed(..) | LakeEvent::CaughtUp(_) => {}
                LakeEvent::Restarted(reason) => eprintln!("reading the tables' logs again: {reason}"),
            }),
        };
        Ok(lake::run(&settings, stop)?)
    }
}

/// Says what an operator wants to read in a log.
fn say(event: &WorkerEvent<'_>) {
    match event {
        WorkerEvent::Restored { partition, records } => {
            eprintln!("partition {partition}: restored, {records} records of the changelog read");
        }
        WorkerEvent::Assigned { partitions, took } => {
            eprintln!("partitions {partitions:?}: taken over in {} ms", took.as_millis());
        }
        WorkerEvent::Revoked { partitions, is_lost } => {
            let how = if *is_lost { "lost" } else { "given back" };
            eprintln!("partitions {partitions:?}: {how}");
        }
        WorkerEvent::Restarted { reason } => eprintln!("going on from what is committed: {reason}"),
        WorkerEvent::Noted { what } => eprintln!("{what}"),
        WorkerEvent::Committed { .. } => {}
    }
}

/// Set when the process is asked to end.
fn stop_on_signal(health: Health) -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let wait = move || {
        runtime.block_on(async {
            if let Err(error) = asked_to_stop().await {
                eprintln!("signals can't be waited for: {error}");
                return;
            }
            health.unready("stopping");
            asked.store(true, Ordering::Release);
        });
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
    Ok(stop)
}

#[cfg(unix)]
async fn asked_to_stop() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn asked_to_stop() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
