//! Decides which table a record of the log lands in, and when rows are flushed: shared by the lake roles of all transports.
//!
//! Where records come from, and in which order, is each role's own.

use std::time::{Duration, Instant as Moment};

use schemas::{Origin, Record, Scratch};

use super::LakeRoleError;
use crate::lake::tables::TableId;
use crate::lake::writer::{LakeWriter, Source};
use crate::transport::{Format, InputRecord, OutputTopic};

/// Staged rows are flushed at about this size.
const FLUSH_BYTES: usize = 24 << 20;

/// Staged rows are flushed at this age at the latest.
pub const FLUSH_INTERVAL: Duration = Duration::from_secs(60);

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

/// One partition of a topic, as rows come from it.
pub struct Stretch {
    source: Source,
    /// `None`: an input.
    topic: Option<OutputTopic>,
    /// Where an input's records are said to come from; its offset, file and line are those of the record before.
    origin: Origin,
    /// The offset of the next record.
    pub next: i64,
}

/// Lands records in the lake's tables.
pub struct Landing {
    writer: LakeWriter,
    scratch: Scratch,
    /// When rows were flushed last.
    flushed_at: Moment,
}

impl Landing {
    /// Opens the lake at a path or URL.
    pub async fn open(url: &str) -> Result<Landing, LakeRoleError> {
        Ok(Landing { writer: LakeWriter::open(url).await?, scratch: Scratch::default(), flushed_at: Moment::now() })
    }

    /// Prepares for the records of an input or output topic's partition, from where the tables have them on.
    pub async fn follow(
        &mut self,
        name: &str,
        topic: Option<OutputTopic>,
        partition: i32,
    ) -> Result<Stretch, LakeRoleError> {
        let source = Source::new(name, partition);
        let of_topic = topic.map(|topic| [table_of(topic)]);
        let tables = of_topic.as_ref().map_or(&FACT_TABLES[..], |table| &table[..]);
        let next = self.writer.follow(&source, tables).await?.map_or(0, |last| last + 1);
        let origin = Origin { topic: name.to_owned(), partition, offset: 0, file: None, line: None };
        Ok(Stretch { source, topic, origin, next })
    }

    /// Lands an input record as a fact, if it is one.
    pub fn land_input(&mut self, stretch: &mut Stretch, record: &InputRecord<'_>) -> Result<(), LakeRoleError> {
        stretch.next = record.offset + 1;
        let decoded = match record.format {
            Format::Avro => self.scratch.decode_avro(record.payload),
            Format::Json => self.scratch.decode_json(record.payload),
            // Not a fact: the award worker refuses it, with what is left of it.
            Format::TooLarge | Format::Broken => return Ok(()),
        };
        // What is not a record is no fact either, nor is a file's word that a day is over.
        let is_declared = |fact: &Record<'_>| matches!(fact, Record::DayClosed(_) | Record::Programme(_));
        let Some(fact) = decoded.ok().filter(|fact| record.file.is_none() || !is_declared(fact)) else { return Ok(()) };
        let origin = &mut stretch.origin;
        (origin.offset, origin.line) = (record.offset, record.line);
        if origin.file.as_deref() != record.file {
            origin.file = record.file.map(str::to_owned);
        }
        self.writer.append_fact(&stretch.source, record.offset, &fact, record.payload, origin)?;
        Ok(())
    }

    /// Lands an output record.
    pub fn land_output(
        &mut self,
        stretch: &mut Stretch,
        topic: OutputTopic,
        offset: i64,
        payload: &[u8],
    ) -> Result<(), LakeRoleError> {
        stretch.next = offset + 1;
        let partition = stretch.origin.partition;
        let unreadable = |error: schemas::DecodeError| LakeRoleError::Unreadable {
            topic: topic.name(),
            partition,
            offset,
            detail: error.detail,
        };
        let (writer, source) = (&mut self.writer, &stretch.source);
        match topic {
            OutputTopic::Entries => {
                writer.append_entry(source, offset, &schemas::decode_entry(payload).map_err(unreadable)?)?
            }
            OutputTopic::DailyTotals => {
                writer.append_daily_total(source, offset, &schemas::decode_daily_total(payload).map_err(unreadable)?)?
            }
            OutputTopic::Rejections => {
                writer.append_rejection(source, offset, &schemas::decode_rejection(payload).map_err(unreadable)?)?
            }
            OutputTopic::Notices => {
                writer.append_notice(source, offset, &schemas::decode_notice(payload).map_err(unreadable)?)?
            }
            OutputTopic::Accounting => {
                writer.append_accounting(source, offset, &schemas::decode_accounting(payload).map_err(unreadable)?)?
            }
        };
        Ok(())
    }

    /// Gives memory back, by writing what is whole. Worth calling every few thousand records.
    pub async fn relieve(&mut self) -> Result<(), LakeRoleError> {
        Ok(self.writer.relieve().await?)
    }

    /// Whether enough is staged, or it has waited long enough.
    pub fn is_due(&self) -> bool {
        let staged = self.writer.staged();
        staged.bytes >= FLUSH_BYTES || self.flushed_at.elapsed() >= FLUSH_INTERVAL
    }

    /// Commits what is staged to the tables, with how far the stretches have been read.
    pub async fn flush(&mut self, stretches: impl Iterator<Item = &Stretch>) -> Result<(), LakeRoleError> {
        for stretch in stretches.filter(|stretch| stretch.next > 0) {
            self.writer.pass(&stretch.source, stretch.next - 1)?;
        }
        self.writer.flush().await?;
        self.flushed_at = Moment::now();
        Ok(())
    }
}

impl Stretch {
    /// The output topic; `None` for an input.
    pub const fn topic(&self) -> Option<OutputTopic> {
        self.topic
    }

    /// The partition.
    pub const fn partition(&self) -> i32 {
        self.origin.partition
    }
}
