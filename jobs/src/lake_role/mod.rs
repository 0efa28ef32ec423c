//! Decides how records get from the embedded log into the lake: facts from the inputs, everything else from the outputs.
//!
//! Guarantees: each record is in its table exactly once, whatever crashes, because the table's own log says how far it
//! has come. Does not guarantee: freshness; it flushes by size, by time, and when asked to drain. On failure: it ends with
//! the reason, the award workers go on, and a new role goes on from what the tables say.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use thiserror::Error;

use crate::lake::LakeError;
use crate::transport::local::Local;
use crate::transport::{InputTopic, OutputTopic, TransportError};
use landing::{Landing, Stretch};

pub mod landing;

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

async fn run(local: &Local, url: &str, shared: &Shared) -> Result<(), LakeRoleError> {
    let mut landing = Landing::open(url).await?;
    let mut stretches = Vec::new();
    for partition in 0..local.partitions() {
        for topic in std::iter::once(None).chain(OutputTopic::ALL.map(Some)) {
            let name = topic.map_or(InputTopic::Inputs.name(), OutputTopic::name);
            stretches.push(landing.follow(name, topic, partition).await?);
        }
    }
    while !shared.stop.load(Ordering::Acquire) {
        let seen = local.news();
        let asked = shared.asked.load(Ordering::Acquire);
        let mut has_read = false;
        for stretch in &mut stretches {
            has_read |= read(local, &mut landing, stretch)?;
            landing.relieve().await?;
        }
        let is_drained = !has_read && shared.drained.load(Ordering::Acquire) < asked;
        if landing.is_due() || is_drained {
            landing.flush(stretches.iter()).await?;
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

/// Lands the next records of a stretch. `false` if there were none.
fn read(local: &Local, landing: &mut Landing, stretch: &mut Stretch) -> Result<bool, LakeRoleError> {
    let (from, partition, mut result) = (stretch.next, stretch.partition(), Ok(()));
    match stretch.topic() {
        None => local.read_inputs(partition, from, READ_BYTES, &mut |record| {
            result = landing.land_input(stretch, &record);
            if result.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?,
        Some(topic) => local.read_outputs(topic, partition, from, READ_BYTES, &mut |record| {
            result = landing.land_output(stretch, topic, record.offset, record.payload);
            if result.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?,
    }
    result.map(|()| stretch.next > from)
}

/// The lake of a data folder, unless another URL is given.
pub fn default_url(data: &Path) -> String {
    data.join("lake").to_string_lossy().into_owned()
}
