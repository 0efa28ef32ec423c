//! Decides how the partitions' award workers run in one process: a thread each, woken by news, stopped together.
//!
//! A worker that fails stops all of them: points must not go on half.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use pipeline::calendar::CivilDate;

use crate::award::{AwardError, AwardSettings};
use crate::transport::TransportError;
use crate::transport::local::Local;
use worker::AwardWorker;

mod worker;

/// The running workers of a data folder.
pub struct Workers {
    local: Local,
    stop: Arc<AtomicBool>,
    states: Arc<Vec<Mutex<State>>>,
    threads: Vec<JoinHandle<()>>,
}

/// How far one worker has come.
#[derive(Default)]
struct State {
    /// Everything before this offset is committed, and nothing more was to be read when it was noted.
    idle_at: Option<i64>,
    last_due: Option<CivilDate>,
    error: Option<AwardError>,
}

/// Workers only wake by themselves to look whether they should stop.
const WAKE_INTERVAL: Duration = Duration::from_secs(5);

impl Workers {
    /// Starts a worker for each partition. `settings` hold for all of them together.
    pub fn start(local: &Local, settings: AwardSettings) -> Result<Workers, AwardError> {
        let partitions = local.partitions();
        let settings = AwardSettings {
            cache_bytes_max: settings.cache_bytes_max / partitions as usize,
            transaction_bytes_max: settings.transaction_bytes_max / partitions as usize,
            ..settings
        };
        let stop = Arc::new(AtomicBool::new(false));
        let states: Arc<Vec<Mutex<State>>> = Arc::new((0..partitions).map(|_| Mutex::default()).collect());
        let mut workers = Workers { local: local.clone(), stop, states, threads: Vec::new() };
        for partition in 0..partitions {
            let worker = AwardWorker::start(local.partition(partition)?, settings)?;
            let (local, stop, states) = (local.clone(), Arc::clone(&workers.stop), Arc::clone(&workers.states));
            let spawned = std::thread::Builder::new().name(format!("award-{partition}")).spawn(move || {
                let state = &states[partition as usize];
                if let Err(error) = run(worker, &local, &stop, state) {
                    lock(state).error = Some(error);
                    stop.store(true, Ordering::Release);
                    local.announce();
                }
            });
            workers
                .threads
                .push(spawned.map_err(|error| TransportError::Local { doing: "opened", source: error.into() })?);
        }
        Ok(workers)
    }

    /// Waits until everything that has been appended is committed, or a worker fails.
    pub fn catch_up(&mut self) -> Result<(), AwardError> {
        loop {
            let seen = self.local.news();
            if self.stop.load(Ordering::Acquire) {
                return self.finish();
            }
            let is_idle = |partition: usize| {
                lock(&self.states[partition]).idle_at == Some(self.local.input_end(partition as i32))
            };
            if (0..self.states.len()).all(is_idle) {
                return Ok(());
            }
            self.local.wait_for_news(seen, WAKE_INTERVAL);
        }
    }

    /// The last day whose close has something due. Only right after [`Workers::catch_up`].
    pub fn last_due(&self) -> Option<CivilDate> {
        self.states.iter().filter_map(|state| lock(state).last_due).max()
    }

    /// Stops the workers, each after the transaction it is in.
    pub fn stop(mut self) -> Result<(), AwardError> {
        self.finish()
    }

    fn finish(&mut self) -> Result<(), AwardError> {
        self.stop.store(true, Ordering::Release);
        self.local.announce();
        for thread in self.threads.drain(..) {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
        // Of several failures the one that is not a consequence of another says most.
        let errors = self.states.iter().filter_map(|state| lock(state).error.take());
        match errors.min_by_key(|error| matches!(error, AwardError::Transport(TransportError::EarlierFailure))) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.local.announce();
        for thread in self.threads.drain(..) {
            let _ = thread.join(); // A panic there has been printed; this is a drop.
        }
    }
}

fn run(mut worker: AwardWorker, local: &Local, stop: &AtomicBool, state: &Mutex<State>) -> Result<(), AwardError> {
    while !stop.load(Ordering::Acquire) {
        let seen = local.news();
        if worker.step()? {
            continue;
        }
        let idle_at = worker.offset();
        let is_changed = {
            let mut state = lock(state);
            state.last_due = worker.award().engine().last_due();
            state.idle_at.replace(idle_at) != Some(idle_at)
        };
        if is_changed {
            local.announce();
        } else {
            local.wait_for_news(seen, WAKE_INTERVAL);
        }
    }
    worker.finish()?;
    Ok(())
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
