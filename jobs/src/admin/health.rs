//! Decides when a process says that it is ready: from when it has its partitions and their state until it begins to stop.

use std::sync::{Arc, Mutex, PoisonError};

/// A process's health; clones are the same.
#[derive(Clone, Debug)]
pub struct Health {
    not_ready: Arc<Mutex<Option<String>>>,
}

impl Default for Health {
    fn default() -> Self {
        Health::new()
    }
}

impl Health {
    /// Not ready: starting.
    pub fn new() -> Self {
        Health { not_ready: Arc::new(Mutex::new(Some("starting".to_owned()))) }
    }

    /// Partitions are assigned and their state is restored, or whatever else this role needs to do its work.
    pub fn ready(&self) {
        self.set(None);
    }

    /// It can't do its work now, and why: `restoring partition 3`, `stopping`.
    pub fn unready(&self, reason: impl Into<String>) {
        self.set(Some(reason.into()));
    }

    /// Why it is not ready; `None` if it is.
    pub fn not_ready(&self) -> Option<String> {
        self.not_ready.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, reason: Option<String>) {
        *self.not_ready.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }
}
