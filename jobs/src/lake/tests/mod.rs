//! The lake's promises, each tested through its public functions on a lake in a temporary folder.

mod asking;
mod handing_on;
mod landing;

use std::path::Path;
use std::sync::Arc;

use datafusion::prelude::SessionContext;
use pipeline::calendar::{CivilDate, Instant, Period};
use pipeline::fact::{
    Channel, DeviceKind, MemberChange, MemberOperation, Operation, Recording, Sample, SampleTime, Source as StepSource,
    Upload,
};
use pipeline::ledger::{Account, DailyTotal, Entry, EntryId, Notice, NoticeKind, Reason, SourceName, SourceSteps};
use pipeline::quantity::{Points, Steps};
use pipeline::rejection::{Rejection, RejectionReason};
use schemas::{AccountingRecord, Origin, RejectionRecord};
use schemas::{MemberRecord, ProgrammeRecord, Record};

use super::output::Format;
use super::{LakeError, LakeWriter, Source, TableId, query};

/// A member id that has everything which folder names, SQL and CSV take badly. It is data, never a folder.
const ODD_MEMBER: &str = "m/7 =%2F'\"歩,み\\..";

fn date(text: &str) -> CivilDate {
    CivilDate::parse(text).expect("a date of the test")
}

fn at(text: &str) -> Instant {
    date(text).start()
}

fn source(topic: &str) -> Source {
    Source::new(topic, 0)
}

fn url(folder: &Path) -> &str {
    folder.to_str().expect("temporary folders have names in Unicode")
}

async fn open(folder: &Path) -> LakeWriter {
    LakeWriter::open(url(folder)).await.expect("the lake opens")
}

async fn session(folder: &Path) -> SessionContext {
    query::session(url(folder)).await.expect("the lake is there")
}

/// The result of a query as JSON lines.
async fn json(folder: &Path, sql: &str) -> String {
    text(&session(folder).await, sql, Format::JsonLines).await.expect("the query runs")
}

async fn text(session: &SessionContext, sql: &str, format: Format) -> Result<String, LakeError> {
    let mut out = Vec::new();
    query::run(session, sql, format, &mut out).await?;
    Ok(String::from_utf8(out).expect("output is text"))
}

async fn count(folder: &Path, table: &str) -> String {
    let line = json(folder, &format!("SELECT count(*) AS n FROM {table}")).await;
    line.trim().trim_start_matches("{\"n\":").trim_end_matches('}').to_owned()
}

fn entry(member: &str, sequence: u64, day: &str, points: i64) -> Entry {
    let period = Period::Day(date(day));
    let id = |revision| EntryId::of("kunitachi", member, "KU-40", "", &period.to_string(), revision);
    Entry {
        id: id(sequence as u32),
        sequence,
        programme: "kunitachi".into(),
        member: member.into(),
        rule: "KU-40".into(),
        rule_version: 1,
        item: "",
        period,
        revision: 0,
        points: Points::new(points),
        debit: Account::Issued,
        credit: Account::Member,
        activity_date: date(day),
        arrival_date: date(day),
        posting_date: date(day).plus_days(1),
        expires_on: Some(date("2026-03-31")),
        corrects: (points < 0).then(|| id(0)),
        reason: Reason {
            steps: Some(8_120),
            steps_min: Some(8_000),
            entitled: Points::new(points),
            ..Reason::default()
        },
    }
}

fn daily_total(member: &str, day: &str, revision: u32, steps: u32) -> DailyTotal {
    let name = SourceName {
        platform: "FITBIT".into(),
        origin: "com.fitbit".into(),
        device: "b-7".into(),
        device_kind: DeviceKind::Watch,
    };
    DailyTotal {
        programme: "kunitachi".into(),
        member: member.into(),
        date: date(day),
        revision,
        steps: Steps::new(steps),
        source_steps: vec![SourceSteps { source: Arc::new(name), is_merged: false, steps: Steps::new(steps) }],
        wear: true,
        first_arrival_at: at(day),
        last_arrival_at: at(day),
    }
}

fn notice(member: &str) -> Notice {
    Notice {
        programme: "kunitachi".into(),
        member: member.into(),
        rule: "KU-42".into(),
        kind: NoticeKind::BaselineFrozen { first_day: date("2025-06-01"), baseline_steps: 5_000, is_older_class: true },
        date: date("2025-06-14"),
        revision: 0,
    }
}

fn origin(offset: i64) -> Origin {
    Origin {
        topic: "ayumi.steps.v1".into(),
        partition: 0,
        offset,
        file: Some("april.jsonl".into()),
        line: Some(offset + 1),
    }
}

fn rejection(programme: &str, offset: i64) -> RejectionRecord {
    RejectionRecord {
        rejection: Rejection {
            reason: RejectionReason::BackfillLimit,
            sample: Some(3),
            activity_date: Some(date("2025-04-30")),
            detail: "35 days back; 30 are allowed".into(),
        },
        revision: 0,
        withdrawn: false,
        record_type: "upload".into(),
        record_id: "u-1".into(),
        programme: programme.into(),
        member: ODD_MEMBER.into(),
        received_at: Some(at("2025-06-04")),
        origin: origin(offset),
        payload: vec![0, 255, b'{'],
    }
}

fn accounting(last_offset: i64) -> AccountingRecord {
    AccountingRecord {
        last_offset,
        records_read: 5,
        records_accepted: 4,
        records_rejected: 1,
        ..AccountingRecord::default()
    }
}

fn samples(day: &str) -> Vec<Sample<'static>> {
    let start = at(day);
    let sample = Sample {
        time: SampleTime::Interval { start, end: date(day).plus_days(1).start() },
        steps: 812,
        recording: Recording::Automatic,
        operation: Operation::Upsert,
        id: "",
        version: 0,
        modified_at: None,
    };
    let deletion = Sample { time: SampleTime::Unstated, operation: Operation::Delete, id: "s-9", steps: 0, ..sample };
    let total = Sample { time: SampleTime::DailyTotal(date(day)), steps: 9_120, modified_at: Some(start), ..sample };
    vec![sample, deletion, total]
}

fn upload<'a>(id: &'a str, received_on: &str, samples: &'a [Sample<'a>]) -> Upload<'a> {
    Upload {
        id,
        programme: "kunitachi",
        member: ODD_MEMBER,
        received_at: at(received_on),
        login_at: None,
        channel: Channel::App,
        source: StepSource { platform: "FITBIT", origin: "com.fitbit", device: "b-7", device_kind: DeviceKind::Watch },
        samples,
    }
}

fn enrolment() -> Record<'static> {
    Record::Member(MemberRecord {
        change: MemberChange {
            id: "enrol-m-7",
            programme: "kunitachi",
            member: ODD_MEMBER,
            received_at: at("2025-05-01"),
            operation: MemberOperation::Enrol,
            operation_name: "ENROL",
            effective_on: date("2025-05-01"),
            birth_date: Some(date("1950-09-15")),
        },
        birth_date_quality: None,
        sex: Some("F"),
        course: Some("APP"),
        residence: None,
        insurance: None,
        identity_route: None,
    })
}

fn programme() -> Record<'static> {
    Record::Programme(ProgrammeRecord {
        id: "kunitachi",
        version: 1,
        effective_on: date("2025-06-01"),
        source: "id = \"kunitachi\"\n",
    })
}

fn other() -> Record<'static> {
    Record::Other { type_name: "checkin", id: "", programme: "kunitachi", member: "m-7", received_at: None }
}
