//! Decides which tables the lake has: their names, columns, meanings and partitions. The closed list.
//!
//! A column is never renamed or given another type; new ones are added at the end and may be null. What fills the
//! columns is in [`super::rows`]; what is derived from them is in [`super::views`].

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};

/// The key under which a column's description stands in its field's metadata. Spark and Delta use the same.
pub const COMMENT: &str = "comment";

/// A table of the lake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TableId {
    /// The ledger.
    Entries,
    /// Every revision of every day's total.
    DailyTotalRevisions,
    /// What was refused.
    Rejections,
    /// What members were told.
    Notices,
    /// What each transaction of the award worker did with the records it read.
    Accounting,
    /// Uploads as they came.
    FactsUploads,
    /// Enrolments and changes of members as they came.
    FactsMembers,
    /// Every other parsed input record.
    FactsRecords,
    /// Programme versions as they were published.
    FactsProgrammes,
    /// Days that were declared over.
    FactsClocks,
}

impl TableId {
    /// All tables, in the order of the data dictionary.
    pub const ALL: [TableId; 10] = [
        TableId::Entries,
        TableId::DailyTotalRevisions,
        TableId::Rejections,
        TableId::Notices,
        TableId::Accounting,
        TableId::FactsUploads,
        TableId::FactsMembers,
        TableId::FactsRecords,
        TableId::FactsProgrammes,
        TableId::FactsClocks,
    ];

    /// The table's name in SQL, and its folder's.
    pub const fn name(self) -> &'static str {
        match self {
            TableId::Entries => "entries",
            TableId::DailyTotalRevisions => "daily_total_revisions",
            TableId::Rejections => "rejections",
            TableId::Notices => "notices",
            TableId::Accounting => "accounting",
            TableId::FactsUploads => "facts_uploads",
            TableId::FactsMembers => "facts_members",
            TableId::FactsRecords => "facts_records",
            TableId::FactsProgrammes => "facts_programmes",
            TableId::FactsClocks => "facts_clocks",
        }
    }

    /// What one row is.
    pub const fn grain(self) -> &'static str {
        match self {
            TableId::Entries => "One posting of the ledger. Entries are never changed; a correction is one more entry.",
            TableId::DailyTotalRevisions => "One revision of one member's civil day. The highest revision is current.",
            TableId::Rejections => {
                "One refused fact: a record, or one sample of an upload. Repeats are not rejections."
            }
            TableId::Notices => "One thing to tell a member.",
            TableId::Accounting => "One transaction of the award worker on one input partition.",
            TableId::FactsUploads => "One upload, as it came in.",
            TableId::FactsMembers => "One enrolment or change of a member, as it came in.",
            TableId::FactsRecords => "One parsed input record of any other type, as it came in.",
            TableId::FactsProgrammes => {
                "One published version of a programme, in each partition that it was written to."
            }
            TableId::FactsClocks => "One civil day declared over, in each partition that it was written to.",
        }
    }

    /// The columns that name the folders of the table's files.
    ///
    /// Rejections are partitioned by month alone: what was refused may carry any text as its programme, and a folder
    /// for each misspelling would let one bad file make thousands of small ones.
    pub const fn partition_columns(self) -> &'static [&'static str] {
        match self {
            TableId::Entries
            | TableId::DailyTotalRevisions
            | TableId::Notices
            | TableId::FactsUploads
            | TableId::FactsMembers
            | TableId::FactsRecords => &["programme", "month"],
            TableId::Rejections => &["month"],
            TableId::Accounting | TableId::FactsProgrammes | TableId::FactsClocks => &[],
        }
    }

    /// The table's columns. Each field has its description in its metadata, under [`COMMENT`].
    pub fn schema(self) -> SchemaRef {
        static SCHEMAS: LazyLock<[SchemaRef; 10]> =
            LazyLock::new(|| TableId::ALL.map(|table| Arc::new(Schema::new(table.columns()))));
        SCHEMAS[self as usize].clone()
    }

    /// The table with this name.
    pub fn named(name: &str) -> Option<TableId> {
        TableId::ALL.into_iter().find(|table| table.name() == name)
    }

    fn columns(self) -> Vec<Field> {
        match self {
            TableId::Entries => entries(),
            TableId::DailyTotalRevisions => daily_total_revisions(),
            TableId::Rejections => rejections(),
            TableId::Notices => notices(),
            TableId::Accounting => accounting(),
            TableId::FactsUploads => facts_uploads(),
            TableId::FactsMembers => facts_members(),
            TableId::FactsRecords => facts_records(),
            TableId::FactsProgrammes => facts_programmes(),
            TableId::FactsClocks => facts_clocks(),
        }
    }
}

/// The description that a field carries; empty if it has none.
pub fn comment(field: &Field) -> &str {
    field.metadata().get(COMMENT).map_or("", String::as_str)
}

const TEXT: DataType = DataType::Utf8;
const LONG: DataType = DataType::Int64;
const INT: DataType = DataType::Int32;
const DATE: DataType = DataType::Date32;
const FLAG: DataType = DataType::Boolean;
const BYTES: DataType = DataType::Binary;

/// An instant: microseconds, because Delta has no others; UTC, because an instant has no zone of its own.
pub(super) fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn field(name: &str, kind: DataType, is_nullable: bool, comment: &str) -> Field {
    Field::new(name, kind, is_nullable).with_metadata([(COMMENT.to_owned(), comment.to_owned())].into())
}

/// A column that every row fills.
fn filled(name: &str, kind: DataType, comment: &str) -> Field {
    field(name, kind, false, comment)
}

/// A column that may be null.
fn optional(name: &str, kind: DataType, comment: &str) -> Field {
    field(name, kind, true, comment)
}

fn group(fields: Vec<Field>) -> DataType {
    DataType::Struct(Fields::from(fields))
}

/// Delta's own name of a list's element is `element`; any other would be rewritten with every batch.
fn list(fields: Vec<Field>) -> DataType {
    DataType::List(Arc::new(Field::new("element", group(fields), false)))
}

fn programme() -> Field {
    filled("programme", TEXT, "The programme's id: its folder under programmes/.")
}

fn member() -> Field {
    filled("member", TEXT, "The opaque member id. Ayumi never knows the person behind it.")
}

fn rule() -> Field {
    filled("rule", TEXT, "The number of the rule in the programme's handbook, such as KU-40.")
}

/// What came in may leave the programme empty, which a partition cannot tell from null.
fn stated_programme() -> Field {
    optional("programme", TEXT, "The programme's id, as the record states it; null if it states none.")
}

fn stated_member() -> Field {
    optional("member", TEXT, "The opaque member id, as the record states it; null if it states none.")
}

fn month(of: &str) -> Field {
    optional(
        "month",
        TEXT,
        &format!("The civil month of {of}, such as 2025-06. Null if there is none between the years 1 and 9999."),
    )
}

fn source_fields() -> Vec<Field> {
    vec![
        filled("platform", TEXT, "HEALTH_KIT, HEALTH_CONNECT, FITBIT, PEDOMETER or OTHER."),
        filled("origin", TEXT, "The package or bundle that wrote the data."),
        filled("device", TEXT, "The device, as the gateway names it."),
        filled("device_kind", TEXT, "WATCH, PHONE, PEDOMETER, SCALE or UNKNOWN."),
    ]
}

fn origin() -> Field {
    let parts = vec![
        filled("topic", TEXT, "The topic that the record came on."),
        filled("partition", INT, "The topic's partition."),
        filled("offset", LONG, "The record's offset in the partition."),
        optional("file", TEXT, "The file that it was read from, if it was read from one."),
        optional("line", LONG, "Its line or record in that file, from 1."),
    ];
    filled("origin", group(parts), "Where the record came from.")
}

fn entries() -> Vec<Field> {
    let reason = vec![
        optional("steps", LONG, "Steps of the day, or their sum over the days that counted."),
        optional("days", INT, "Days that counted towards steps."),
        optional(
            "steps_min",
            LONG,
            "The threshold that was reached, in the rule's own terms; the lowest one if none was.",
        ),
        optional("baseline_steps", LONG, "Baseline steps after the floor."),
        optional("is_older_class", FLAG, "Whether the member is in the older age class."),
        optional("points_max", LONG, "The cap that applied, in points."),
        filled(
            "entitled",
            LONG,
            "Points that the member is entitled to for this rule and period, by what was known on the arrival date.",
        ),
    ];
    vec![
        filled(
            "entry_id",
            TEXT,
            "32 hexadecimal digits that follow from programme, member, rule, item, period and revision.",
        ),
        filled("sequence", LONG, "Counts the entries of this member in this programme from 1, without a gap."),
        programme(),
        member(),
        rule(),
        filled("rule_version", INT, "The version of the programme whose rule it was."),
        filled("item", TEXT, "What of several under one rule; empty where a rule has one thing only."),
        filled("period", TEXT, "What it is for: a day 2025-06-03, a week 2025-W23 or a month 2025-06."),
        filled("revision", INT, "Counts the entries of this rule, item and period from 0."),
        filled("points", LONG, "Signed, as the member sees it: a correction downward is negative."),
        filled("debit", TEXT, "The account that the points come from."),
        filled("credit", TEXT, "The account that the points go to."),
        filled("activity_date", DATE, "The last day of the season that the period covers."),
        filled("arrival_date", DATE, "The arrival date of the facts that made it due."),
        filled("posting_date", DATE, "The date on which the rule posts it."),
        optional("expires_on", DATE, "The last day on which the points can be used; null if they do not lapse."),
        optional("corrects", TEXT, "The entry_id of the entry before it for the same rule, item and period."),
        filled(
            "reason",
            group(reason),
            "The figures that the entitlement was computed from. What the rule does not use is null.",
        ),
        month("activity_date"),
    ]
}

fn daily_total_revisions() -> Vec<Field> {
    let mut source = source_fields();
    source.push(filled("is_merged", FLAG, "Whether this is the phone's own total over all its sources."));
    source.push(filled("steps", LONG, "The larger of the source's daily total and the sum of its intervals."));
    vec![
        programme(),
        member(),
        filled("date", DATE, "The civil day in Asia/Tokyo."),
        filled("steps", LONG, "Steps that count for the day."),
        filled(
            "source_steps",
            list(source),
            "Each source's own day, by platform, origin and device. Sources are never summed.",
        ),
        filled("wear", FLAG, "Whether the device was worn: steps reaches the programme's wear_steps_min."),
        filled("first_arrival_at", instant(), "When the first of the samples now known came."),
        filled("last_arrival_at", instant(), "When the last of them came."),
        filled("revision", INT, "Counts the revisions of this day from 0."),
        month("date"),
    ]
}

fn rejections() -> Vec<Field> {
    vec![
        filled("reason", TEXT, "The stable code of the reason, such as BACKFILL_LIMIT."),
        filled("revision", INT, "Counts what was said about this fact from 0; the highest holds."),
        filled("withdrawn", FLAG, "Whether this revision takes the rejection back."),
        filled("record_type", TEXT, "The record's type, such as upload; empty if it could not be read."),
        filled("record_id", TEXT, "The record's id; empty if it could not be read."),
        stated_programme(),
        stated_member(),
        optional("activity_date", DATE, "The civil day that the fact is about, where it has one."),
        optional("received_at", instant(), "When the gateway took it in."),
        filled("detail", TEXT, "What was found and what would have been right."),
        optional(
            "sample_index",
            INT,
            "The sample's index in its upload, from 0; null when the whole record is refused.",
        ),
        origin(),
        filled("payload", BYTES, "The record's bytes as they came; of one too large, the first 64 KiB."),
        month("activity_date, or else of received_at"),
    ]
}

fn notices() -> Vec<Field> {
    vec![
        programme(),
        member(),
        rule(),
        filled("kind", TEXT, "What it says: BASELINE_FROZEN."),
        filled("date", DATE, "The close of this day made it due."),
        filled("revision", INT, "Counts from 0; a later one replaces an earlier one."),
        optional("first_day", DATE, "BASELINE_FROZEN: the first day of the window."),
        optional("baseline_steps", LONG, "BASELINE_FROZEN: the baseline after the floor."),
        optional("is_older_class", FLAG, "BASELINE_FROZEN: whether the member is in the older age class."),
        month("date"),
    ]
}

fn accounting() -> Vec<Field> {
    let count = |name, comment| filled(name, LONG, comment);
    vec![
        filled("topic", TEXT, "The input topic; inputs for the one log of a partition of the embedded default."),
        filled("partition", INT, "The partition of the topic."),
        count(
            "first_offset",
            "The first offset that the transaction read; of a stretch of none, one more than the last.",
        ),
        count("last_offset", "The last."),
        count("records_read", "Records read: the sum of accepted, rejected, duplicate and parked."),
        count("records_accepted", "Records taken as facts."),
        count("records_rejected", "Records refused; each has a row in rejections."),
        count("records_duplicate", "Records known already."),
        count("records_parked", "Records that wait for the enrolment of their member."),
        count("records_unparked", "Records of earlier transactions that wait no longer."),
        count("samples_read", "Samples of parsed uploads: the sum of accepted, rejected, duplicate and parked."),
        count("samples_accepted", "Samples taken as facts."),
        count("samples_rejected", "Samples refused; each has a row in rejections, unless its whole upload has one."),
        count("samples_duplicate", "Samples known already."),
        count("samples_parked", "Samples that wait for the enrolment of their member."),
    ]
}

fn facts_uploads() -> Vec<Field> {
    let sample = vec![
        optional(
            "kind",
            TEXT,
            "INTERVAL, DAILY_TOTAL or MERGED_TOTAL; null if the sample has no time of its own, as a deletion by id.",
        ),
        optional("start", instant(), "INTERVAL: inclusive start."),
        optional("end", instant(), "INTERVAL: exclusive end."),
        optional("date", DATE, "DAILY_TOTAL and MERGED_TOTAL: the civil day."),
        optional("steps", LONG, "Steps, as they came."),
        filled("recording", TEXT, "AUTO, MANUAL, ACTIVE or UNKNOWN."),
        filled("op", TEXT, "UPSERT or DELETE."),
        optional("id", TEXT, "The source's own id for the sample."),
        filled("version", LONG, "A greater version replaces a smaller one of the same identity."),
        optional("modified_at", instant(), "Second to version in deciding which report is newer."),
    ];
    vec![
        filled("id", TEXT, "The record's id, chosen by the producer."),
        stated_programme(),
        stated_member(),
        filled("received_at", instant(), "When the gateway took it in: its civil date is the arrival date."),
        optional("login_at", instant(), "The app launch or reader touch that brought it; null: received_at."),
        filled("channel", TEXT, "APP, READER, LOPPI or IMPORT."),
        filled("source", group(source_fields()), "Where the samples come from."),
        filled("samples", list(sample), "The samples, in the order of the record."),
        origin(),
        month("received_at"),
    ]
}

fn facts_members() -> Vec<Field> {
    vec![
        filled("id", TEXT, "The record's id, chosen by the producer."),
        stated_programme(),
        stated_member(),
        filled("received_at", instant(), "When the gateway took it in: its civil date is the arrival date."),
        filled("op", TEXT, "What happened: ENROL, VERIFY, ...."),
        filled("effective_on", DATE, "The civil day from which it holds."),
        optional("birth_date", DATE, "The member's birth date."),
        optional("birth_date_quality", TEXT, "How the birth date is known."),
        optional("sex", TEXT, "F or M."),
        optional("course", TEXT, "The course that the member chose."),
        optional("residence", TEXT, "The municipality of residence."),
        optional("insurance", TEXT, "The insurer."),
        optional("identity_route", TEXT, "How the identity was verified."),
        origin(),
        month("received_at"),
    ]
}

fn facts_records() -> Vec<Field> {
    vec![
        filled("type", TEXT, "The record's type: checkin, measurement, activity, order, ...."),
        optional("id", TEXT, "The record's id, chosen by the producer."),
        stated_programme(),
        stated_member(),
        optional("received_at", instant(), "When the gateway took it in: its civil date is the arrival date."),
        filled("payload", BYTES, "The record's bytes as they came."),
        origin(),
        month("received_at"),
    ]
}

fn facts_programmes() -> Vec<Field> {
    vec![
        filled("programme", TEXT, "The programme's id."),
        filled("version", INT, "Counts the versions of this programme from 1."),
        filled("effective_on", DATE, "The first activity date to which the version applies."),
        filled("source", TEXT, "The whole of its programme.toml."),
        origin(),
    ]
}

fn facts_clocks() -> Vec<Field> {
    vec![filled("date", DATE, "The civil day that is over."), origin()]
}
