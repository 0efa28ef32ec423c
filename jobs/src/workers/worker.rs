//! Decides the loop of one partition on the embedded default: read a stretch of input, process it, commit outputs, state
//! and position together.
//!
//! Guarantees: outputs and state never disagree, whatever crashes. Does not guarantee: anything about when a commit
//! happens; nothing that is decided depends on it. On failure: the loop ends with the reason, and a new worker goes on
//! from what was committed.

use std::ops::ControlFlow;
use std::time::Instant as Moment;

use crate::award::{AwardError, AwardPartition, AwardSettings};
use crate::transport::Transaction;
use crate::transport::local::LocalPartition;

/// Processes one partition.
pub struct AwardWorker {
    log: LocalPartition,
    award: AwardPartition,
    settings: AwardSettings,
    /// The offset of the next record.
    offset: i64,
    open: Open,
    /// Its memory is used again and again.
    transaction: Transaction,
}

/// The transaction that is being filled.
#[derive(Default)]
struct Open {
    input_bytes: usize,
    /// When its first record was processed.
    began: Option<Moment>,
}

impl AwardWorker {
    /// A worker that goes on from what is committed.
    pub fn start(log: LocalPartition, settings: AwardSettings) -> Result<Self, AwardError> {
        let award = AwardPartition::restore(log.partition(), log.store(), settings)?;
        let offset = log.position()?;
        Ok(AwardWorker { log, award, settings, offset, open: Open::default(), transaction: Transaction::default() })
    }

    /// The award processing, to ask what is due.
    pub const fn award(&self) -> &AwardPartition {
        &self.award
    }

    /// The offset of the next record.
    pub const fn offset(&self) -> i64 {
        self.offset
    }

    /// Takes one stretch of input. `false` if there was none, and then nothing is left uncommitted.
    pub fn step(&mut self) -> Result<bool, AwardError> {
        while self.award.is_closing() {
            self.open.began.get_or_insert_with(Moment::now);
            self.award.close_some(self.log.store())?;
            if self.award.is_closing() {
                self.commit()?; // A close goes on in transactions of bounded size.
            }
        }
        if !self.process_some()? {
            self.finish()?;
            return Ok(false);
        }
        let is_late = self.open.began.is_some_and(|began| began.elapsed() >= self.settings.commit_interval);
        if is_late || self.open.input_bytes >= self.settings.transaction_bytes_max {
            self.commit()?;
        }
        Ok(true)
    }

    /// Processes records until a day is to be closed or about a quarter of a transaction has been read. `false` if there
    /// were none.
    fn process_some(&mut self) -> Result<bool, AwardError> {
        let AwardWorker { log, award, offset, open, .. } = self;
        let (before, mut result) = (*offset, Ok(()));
        log.poll(before, self.settings.transaction_bytes_max / 4, &mut |record| {
            open.began.get_or_insert_with(Moment::now);
            open.input_bytes += record.payload.len();
            result = award.process(&record, log.store());
            *offset = record.offset + 1;
            if result.is_err() || award.is_closing() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        result.map(|()| self.offset > before)
    }

    /// Commits what has been decided, before the worker waits or stops.
    pub fn finish(&mut self) -> Result<(), AwardError> {
        if self.open.began.is_some() {
            self.commit()?;
        }
        Ok(())
    }

    /// Makes everything decided so far durable, in one transaction.
    fn commit(&mut self) -> Result<(), AwardError> {
        self.award.stage(&mut self.transaction);
        self.log.commit(&self.transaction, self.offset)?;
        self.award.committed();
        self.open = Open::default();
        Ok(())
    }
}
