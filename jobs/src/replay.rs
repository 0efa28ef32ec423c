//! Decides how recorded input runs through the embedded pipeline: files merged by time of receipt, days closed as they end.
//!
//! Guarantees: a replay that is killed and started again goes on where it was, and files whose contents are in the data
//! folder already are not replayed twice. What comes of the records is the award worker's to decide.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::{Path, PathBuf};

use pipeline::calendar::{CivilDate, Instant};
use thiserror::Error;

use crate::award::{AwardError, AwardSettings};
use crate::input_file::{FileError, InputFile, Item};
use crate::kafka::config::KafkaConfig;
use crate::kafka::feed::{Fact, Feed, FeedError};
use crate::lake_role::{LakeRole, LakeRoleError};
use crate::producer::{Outgoing, Producer};
use crate::progress::Progress;
use crate::publish::{self, PublishError};
use crate::transport::TransportError;
use crate::transport::local::Local;
use crate::workers::Workers;

/// Why a run ended early. What was committed stays; the same command goes on from there.
#[derive(Debug, Error)]
pub enum RunError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The embedded log.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// An award worker.
    #[error(transparent)]
    Award(#[from] AwardError),
    /// The lake.
    #[error(transparent)]
    Lake(#[from] LakeRoleError),
    /// The programmes.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// What bounds and places a run.
#[derive(Clone, Debug)]
pub struct RunSettings {
    /// The data folder.
    pub data: PathBuf,
    /// The lake's path or URL.
    pub lake: String,
    /// Partitions of a new data folder.
    pub partitions: i32,
    /// Memory for the store and the workers' state together.
    pub memory_bytes_max: u64,
    /// A folder of programmes to publish; `None`: those that come with Ayumi.
    pub programmes: Option<PathBuf>,
    /// The workers' settings; their cache is a part of `memory_bytes_max`.
    pub award: AwardSettings,
}

/// A running pipeline on the embedded log: workers, lake, and the producer that feeds them.
pub struct Pipeline {
    /// The log.
    pub local: Local,
    /// Feeds it.
    pub producer: Producer,
    workers: Workers,
    lake: Option<LakeRole>,
}

impl Pipeline {
    /// Opens the data folder, publishes programmes that it does not have, and starts everything.
    pub fn start(settings: &RunSettings) -> Result<Pipeline, RunError> {
        Pipeline::start_with(settings, true)
    }

    /// As [`Pipeline::start`]; without the lake when the award path alone is of interest.
    pub fn start_with(settings: &RunSettings, with_lake: bool) -> Result<Pipeline, RunError> {
        let local = Local::open(&settings.data, settings.partitions, settings.memory_bytes_max / 2)?;
        let mut producer = Producer::open(&local)?;
        publish::publish(&local, &mut producer, settings.programmes.as_deref())?;
        let award = AwardSettings { cache_bytes_max: (settings.memory_bytes_max / 2) as usize, ..settings.award };
        let workers = Workers::start(&local, award)?;
        let lake = if with_lake { Some(LakeRole::start(&local, &settings.lake)?) } else { None };
        Ok(Pipeline { local, producer, workers, lake })
    }

    /// Waits until all input is decided; closes days until nothing that follows from it is due, or until `until`.
    pub fn finish(mut self, until: Option<CivilDate>, progress: &Progress) -> Result<(), RunError> {
        progress.phase("deciding what remains");
        self.producer.append()?;
        self.workers.catch_up()?;
        match until {
            Some(until) => {
                self.producer.close_until(until, false);
                self.producer.append()?;
                self.workers.catch_up()?;
            }
            None => {
                while let Some(due) = self.workers.last_due() {
                    self.producer.close_until(due, false);
                    self.producer.append()?;
                    self.workers.catch_up()?;
                }
            }
        }
        if let Some(lake) = &mut self.lake {
            progress.phase("writing the lake");
            lake.drain()?;
        }
        self.workers.stop()?;
        match self.lake {
            Some(lake) => Ok(lake.stop()?),
            None => Ok(()),
        }
    }
}

/// Replays files; closes days until nothing is due, or until `until`.
pub fn replay(
    settings: &RunSettings,
    files: &[PathBuf],
    until: Option<CivilDate>,
    progress: &Progress,
) -> Result<(), RunError> {
    // Every file is looked at before anything is written.
    let mut inputs = Vec::new();
    for path in files {
        inputs.push(InputFile::open(path)?);
    }
    let mut pipeline = Pipeline::start(settings)?;
    progress.begin(inputs.iter().map(|input| input.bytes).sum(), "replaying");
    let local = pipeline.local.clone();
    let replayed = |key: &str| {
        let records = local.progress(key)?.and_then(|bytes| bytes.try_into().ok());
        Ok::<_, TransportError>(records.map_or(0, u64::from_be_bytes))
    };
    let mut merge = Merge::start(inputs, &replayed, progress)?;
    while let Some((input, item)) = merge.next() {
        let outgoing = Outgoing {
            member: &item.member,
            arrived_on: item.arrived_on(),
            format: item.format,
            file: Some(&input.name),
            line: item.line,
            payload: &item.payload,
        };
        pipeline.producer.send(outgoing);
        pipeline.producer.note(&progress_key(input), item.line.to_be_bytes().to_vec());
        progress.advance(item.payload.len() as u64);
        if pipeline.producer.is_full() {
            pipeline.producer.append()?;
        }
    }
    pipeline.finish(until, progress)
}

/// Why files could not be sent to Kafka.
#[derive(Debug, Error)]
pub enum SendError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Kafka.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// A programme.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Sends files to a cluster's input topics, and after them the ends of the days: until nothing that follows from the
/// records can be due any more, or until `until`. Gives the number of records.
pub fn send(
    config: &KafkaConfig,
    programmes: Option<&Path>,
    files: &[PathBuf],
    until: Option<CivilDate>,
    progress: &Progress,
) -> Result<u64, SendError> {
    let inputs = files.iter().map(|path| InputFile::open(path)).collect::<Result<Vec<_>, _>>()?;
    let sources = publish::files(programmes)?;
    let mut due_days_max = 1;
    for (file, source) in &sources {
        due_days_max = due_days_max.max(publish::due_days_max(&publish::parse(file, source)?));
    }
    let feed = Feed::open(config)?;
    feed.publish(&sources)?;
    progress.begin(inputs.iter().map(|input| input.bytes).sum(), "sending");
    let (mut merge, mut arrived, mut records) = (Merge::whole(inputs, progress), None, 0);
    while let Some((input, item)) = merge.next() {
        let file = Some(&*input.name);
        let line = i64::try_from(item.line).ok();
        let arrived_on = item.arrived_on().filter(|date| date.is_accepted());
        feed.send(&Fact {
            topic: item.topic,
            member: &item.member,
            format: item.format,
            file,
            line,
            payload: &item.payload,
        })?;
        records += 1;
        progress.advance(item.payload.len() as u64);
        if let Some(date) = arrived_on {
            let (first, last) = arrived.unwrap_or((date, date));
            arrived = Some((date.min(first), date.max(last)));
        }
    }
    progress.phase("closing days");
    feed.finish()?;
    if let Some((first, last)) = arrived {
        feed.close_days(first, until.unwrap_or_else(|| last.plus_days(due_days_max as i32)))?;
    }
    Ok(records)
}

fn progress_key(input: &InputFile) -> String {
    format!("file/{}", input.sha256)
}

/// Several files as one, by time of receipt; what can't be read comes at once.
struct Merge {
    inputs: Vec<InputFile>,
    heads: Vec<Option<Item>>,
    order: BinaryHeap<Reverse<(Option<Instant>, usize)>>,
}

impl Merge {
    /// `replayed` gives how many records of a file were replayed before.
    fn start(
        inputs: Vec<InputFile>,
        replayed: &dyn Fn(&str) -> Result<u64, TransportError>,
        progress: &Progress,
    ) -> Result<Merge, TransportError> {
        let heads = inputs.iter().map(|_| None).collect();
        let mut merge = Merge { inputs, heads, order: BinaryHeap::new() };
        let mut seen: Vec<String> = Vec::new();
        for index in 0..merge.inputs.len() {
            let input = &mut merge.inputs[index];
            let key = progress_key(input);
            if seen.contains(&key) {
                progress.say(&format!("{}: the same contents as another of the files; replayed once", input.name));
                continue;
            }
            let records = replayed(&key)?;
            if records > 0 {
                progress.say(&format!("{}: {records} lines are in the data folder already", input.name));
                input.skip(records);
            }
            seen.push(key);
            merge.advance(index);
            if records == 0 && merge.heads[index].is_none() {
                progress.say(&format!("FILE_EMPTY: {} holds no record", merge.inputs[index].name));
            }
        }
        Ok(merge)
    }

    /// All records of all files.
    fn whole(inputs: Vec<InputFile>, progress: &Progress) -> Merge {
        let heads = inputs.iter().map(|_| None).collect();
        let mut merge = Merge { inputs, heads, order: BinaryHeap::new() };
        for index in 0..merge.inputs.len() {
            merge.advance(index);
            if merge.heads[index].is_none() {
                progress.say(&format!("FILE_EMPTY: {} holds no record", merge.inputs[index].name));
            }
        }
        merge
    }

    fn advance(&mut self, index: usize) {
        self.heads[index] = self.inputs[index].next();
        if let Some(item) = &self.heads[index] {
            self.order.push(Reverse((item.received_at, index)));
        }
    }

    fn next(&mut self) -> Option<(&InputFile, Item)> {
        let Reverse((_, index)) = self.order.pop()?;
        let item = self.heads[index].take()?;
        self.advance(index);
        Some((&self.inputs[index], item))
    }
}

/// The settings of a run in a data folder.
pub fn settings(data: &Path, lake: Option<&str>, memory_bytes_max: u64, programmes: Option<&Path>) -> RunSettings {
    RunSettings {
        data: data.to_owned(),
        lake: lake.map_or_else(|| crate::lake_role::default_url(data), str::to_owned),
        partitions: crate::transport::local::PARTITIONS_DEFAULT,
        memory_bytes_max,
        programmes: programmes.map(Path::to_owned),
        award: AwardSettings::default(),
    }
}
