//! Decides how records get from the embedded log into the lake: facts from the inputs, everything else from the outputs.
//!
//! Guarantees: each record is in its table exactly once, whatever crashes, because the table's own log says how far it
//! has come. Does not guarantee: freshness; it flushes by size, by time, and when asked to drain. On failure: it ends with
//! the reason, the award workers go on, and a new role goes on from what the tables say.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant as Moment};

use schemas::{Origin, Record, Scratch};
use thiserror::Error;

use crate::award::INPUT_TOPIC;
use crate::lake::LakeError;
use crate::lake::tables::TableId;
use crate::lake::writer::{LakeWriter, Source};
use crate::transport::local::Local;
use crate::transport::{Format, OutputTopic, TransportError};

/// Staged rows are flushed at about this size.
const FLUSH_BYTES: usize = 24 << 20;

/// Staged rows are flushed at this age at the latest.
const FLUSH_INTERVAL: Duration = Duration::from_secs(60);

/// Read at a time from one source.
const READ_BYTES: usize = 2 << 20;

/// How often it looks whether it should stop, if nothing wakes it.
const WAKE_INTERVAL: Duration = Duration::from_secs(5);

/// Why the lake role stopped.
#[derive(Debug, Error)]
pub enum LakeRoleError {
    /// The log can't be read.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The lake can't be written.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// A record that the award worker wrote can't be read.
    #[error("{topic} offset {offset} of partition {partition} can't be read: {detail}")]
    Unreadable {
        /// The topic.
        topic: &'static str,
        /// The partition.
        partition: i32,
        /// The offset.
        offset: i64,
        /// What is wrong.
        detail: String,
    },
    /// The thread could not be started.
    #[error("the lake role can't be started: {0}")]
    Start(std::io::Error),
}

/// The running lake role of a data folder.
pub struct LakeRole {
    local: Local,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    /// Counts requests to drain, and the last one that was met.
    asked: AtomicU64,
    drained: AtomicU64,
    error: Mutex<Option<LakeRoleError>>,
}

impl LakeRole {
    /// Starts it on the lake at a path or URL.
    pub fn start(local: &Local, url: &str) -> Result<LakeRole, LakeRoleError> {
        let shared = Arc::new(Shared::default());
        let (for_thread, local_for_thread, url) = (Arc::clone(&shared), local.clone(), url.to_owned());
        let body = move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
            let result = match runtime {
                Ok(runtime) => runtime.block_on(run(&local_for_thread, &url, &for_thread)),
                Err(error) => Err(LakeRoleError::Start(error)),
            };
            if let Err(error) = result {
                *for_thread.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
            for_thread.stop.store(true, Ordering::Release);
            local_for_thread.announce();
        };
        let thread = std::thread::Builder::new().name("lake".to_owned()).spawn(body).map_err(LakeRoleError::Start)?;
        Ok(LakeRole { local: local.clone(), shared, thread: Some(thread) })
    }

    /// Waits until everything that is in the log now is in the lake.
    pub fn drain(&mut self) -> Result<(), LakeRoleError> {
        let asked = self.shared.asked.fetch_add(1, Ordering::AcqRel) + 1;
        self.local.announce();
        loop {
            let seen = self.local.news();
            if self.shared.drained.load(Ordering::Acquire) >= asked {
                return Ok(());
            }
            if self.shared.stop.load(Ordering::Acquire) {
                return self.finish();
            }
            self.local.wait_for_news(seen, WAKE_INTERVAL);
        }
    }

    /// Stops it. What is staged and not flushed is read again by the next.
    pub fn stop(mut self) -> Result<(), LakeRoleError> {
        self.finish()
    }

    fn finish(&mut self) -> Result<(), LakeRoleError> {
        self.shared.stop.store(true, Ordering::Release);
        self.local.announce();
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
        match self.shared.error.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

impl Drop for LakeRole {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.local.announce();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // A panic there has been printed; this is a drop.
        }
    }
}

/// One source and how far it has been read.
struct Reading {
    /// `None`: the inputs.
    topic: Option<OutputTopic>,
    partition: i32,
    source: Source,
    next: i64,
}

const FACT_TABLES: [TableId; 5] = [
    TableId::FactsUploads,
    TableId::FactsMembers,
    TableId::FactsRecords,
    TableId::FactsProgrammes,
    TableId::FactsClocks,
];

const fn table_of(topic: OutputTopic) -> TableId {
    match topic {
        OutputTopic::Entries => TableId::Entries,
        OutputTopic::DailyTotals => TableId::DailyTotalRevisions,
        OutputTopic::Rejections => TableId::Rejections,
        OutputTopic::Notices => TableId::Notices,
        OutputTopic::Accounting => TableId::Accounting,
    }
}

async fn run(local: &Local, url: &str, shared: &Shared) -> Result<(), LakeRoleError> {
    let mut writer = LakeWriter::open(url).await?;
    let mut readings = Vec::new();
    for partition in 0..local.partitions() {
        for topic in std::iter::once(None).chain(OutputTopic::ALL.map(Some)) {
            let source = Source::new(topic.map_or(INPUT_TOPIC, OutputTopic::name), partition);
            let tables = topic.map_or(FACT_TABLES.to_vec(), |topic| vec![table_of(topic)]);
            let next = writer.follow(&source, &tables).await?.map_or(0, |last| last + 1);
            readings.push(Reading { topic, partition, source, next });
        }
    }
    let mut scratch = Scratch::default();
    let mut staged_since = Moment::now();
    while !shared.stop.load(Ordering::Acquire) {
        let seen = local.news();
        let asked = shared.asked.load(Ordering::Acquire);
        let mut has_read = false;
        for reading in &mut readings {
            has_read |= reading.read(local, &mut writer, &mut scratch)?;
            writer.relieve().await?;
        }
        let is_due = writer.staged().bytes >= FLUSH_BYTES || staged_since.elapsed() >= FLUSH_INTERVAL;
        let is_drained = !has_read && shared.drained.load(Ordering::Acquire) < asked;
        if is_due || is_drained {
            for reading in readings.iter().filter(|reading| reading.next > 0) {
                writer.pass(&reading.source, reading.next - 1)?;
            }
            writer.flush().await?;
            staged_since = Moment::now();
        }
        if is_drained {
            shared.drained.store(asked, Ordering::Release);
            local.announce();
        } else if !has_read {
            local.wait_for_news(seen, WAKE_INTERVAL);
        }
    }
    Ok(())
}

impl Reading {
    /// Appends the next stretch. `false` if there was none.
    fn read(&mut self, local: &Local, writer: &mut LakeWriter, scratch: &mut Scratch) -> Result<bool, LakeRoleError> {
        let from = self.next;
        match self.topic {
            None => self.read_facts(local, writer, scratch)?,
            Some(topic) => self.read_outputs(topic, local, writer)?,
        }
        Ok(self.next > from)
    }

    fn read_facts(
        &mut self,
        local: &Local,
        writer: &mut LakeWriter,
        scratch: &mut Scratch,
    ) -> Result<(), LakeRoleError> {
        let (mut result, mut next) = (Ok(()), self.next);
        let mut origin =
            Origin { topic: INPUT_TOPIC.into(), partition: self.partition, offset: 0, file: None, line: None };
        local.read_inputs(self.partition, self.next, READ_BYTES, &mut |record| {
            if result.is_err() {
                return;
            }
            let decoded = match record.format {
                Format::Avro => scratch.decode_avro(record.payload),
                Format::Json => scratch.decode_json(record.payload),
                Format::TooLarge | Format::Broken => {
                    next = record.offset + 1; // Not a fact: the award worker refuses it, with what is left of it.
                    return;
                }
            };
            // What is not a record is no fact either, nor is a file's word that a day is over.
            let is_declared = |fact: &Record<'_>| matches!(fact, Record::DayClosed(_) | Record::Programme(_));
            if let Some(fact) = decoded.ok().filter(|fact| record.file.is_none() || !is_declared(fact)) {
                origin.offset = record.offset;
                if origin.file.as_deref() != record.file {
                    origin.file = record.file.map(str::to_owned);
                }
                origin.line = record.line;
                result = writer.append_fact(&self.source, record.offset, &fact, record.payload, &origin).map(drop);
            }
            next = record.offset + 1;
        })?;
        self.next = next;
        Ok(result?)
    }

    fn read_outputs(
        &mut self,
        topic: OutputTopic,
        local: &Local,
        writer: &mut LakeWriter,
    ) -> Result<(), LakeRoleError> {
        let (mut result, mut next) = (Ok(()), self.next);
        local.read_outputs(topic, self.partition, self.next, READ_BYTES, &mut |record| {
            if result.is_ok() {
                result = self.append_output(topic, record.offset, record.payload, writer);
                next = record.offset + 1;
            }
        })?;
        self.next = next;
        result
    }

    fn append_output(
        &self,
        topic: OutputTopic,
        offset: i64,
        payload: &[u8],
        writer: &mut LakeWriter,
    ) -> Result<(), LakeRoleError> {
        let unreadable = |error: schemas::DecodeError| LakeRoleError::Unreadable {
            topic: topic.name(),
            partition: self.partition,
            offset,
            detail: error.detail,
        };
        let source = &self.source;
        match topic {
            OutputTopic::Entries => {
                writer.append_entry(source, offset, &schemas::decode_entry(payload).map_err(unreadable)?)?;
            }
            OutputTopic::DailyTotals => {
                writer.append_daily_total(
                    source,
                    offset,
                    &schemas::decode_daily_total(payload).map_err(unreadable)?,
                )?;
            }
            OutputTopic::Rejections => {
                writer.append_rejection(source, offset, &schemas::decode_rejection(payload).map_err(unreadable)?)?;
            }
            OutputTopic::Notices => {
                writer.append_notice(source, offset, &schemas::decode_notice(payload).map_err(unreadable)?)?;
            }
            OutputTopic::Accounting => {
                writer.append_accounting(source, offset, &schemas::decode_accounting(payload).map_err(unreadable)?)?;
            }
        }
        Ok(())
    }
}

/// The lake of a data folder, unless another URL is given.
pub fn default_url(data: &Path) -> String {
    data.join("lake").to_string_lossy().into_owned()
}
