//! Every row lands exactly once, and reads back as it was.

use schemas::Record;

use super::*;
use crate::lake::compact::{CompactPolicy, compact};

#[tokio::test]
async fn effects_read_back_as_they_were() {
    let lake = tempfile::tempdir().unwrap();
    let mut writer = open(lake.path()).await;
    let effects = source("effects");
    writer.follow(&effects, &TableId::ALL).await.unwrap();
    writer.append_entry(&effects, 0, &entry(ODD_MEMBER, 1, "2025-06-03", 20)).unwrap();
    writer.append_daily_total(&effects, 1, &daily_total(ODD_MEMBER, "2025-06-03", 0, 8_120)).unwrap();
    writer.append_rejection(&effects, 2, &rejection("no/such=programme", 7)).unwrap();
    writer.append_notice(&effects, 3, &notice(ODD_MEMBER)).unwrap();
    writer.append_accounting(&effects, 4, &accounting(9)).unwrap();
    writer.flush().await.unwrap();

    let member = serde_json::to_string(ODD_MEMBER).unwrap();
    let entries = json(lake.path(), "SELECT * FROM entries").await;
    for part in [
        format!("\"member\":{member}"),
        "\"period\":\"2025-06-03\"".into(),
        "\"points\":20".into(),
        "\"debit\":\"issued\",\"credit\":\"member\"".into(),
        "\"posting_date\":\"2025-06-04\"".into(),
        "\"corrects\":null".into(),
        "\"reason\":{\"steps\":8120,\"days\":null,\"steps_min\":8000,".into(),
        "\"month\":\"2025-06\"".into(),
    ] {
        assert!(entries.contains(&part), "{part} in {entries}");
    }
    let totals = json(lake.path(), "SELECT * FROM daily_total_revisions").await;
    assert!(totals.contains("\"source_steps\":[{\"platform\":\"FITBIT\",\"origin\":\"com.fitbit\",\"device\":\"b-7\",\"device_kind\":\"WATCH\",\"is_merged\":false,\"steps\":8120}]"), "{totals}");
    assert!(totals.contains("\"first_arrival_at\":\"2025-06-02T15:00:00Z\""), "{totals}");
    let rejections = json(lake.path(), "SELECT * FROM rejections").await;
    assert!(
        rejections.contains("\"reason\":\"BACKFILL_LIMIT\"")
            && rejections.contains("\"programme\":\"no/such=programme\""),
        "{rejections}"
    );
    assert!(rejections.contains("\"payload\":\"00ff7b\"") && rejections.contains("\"line\":8"), "{rejections}");
    let notices = json(lake.path(), "SELECT kind, first_day, baseline_steps, is_older_class FROM notices").await;
    assert_eq!(
        notices,
        "{\"kind\":\"BASELINE_FROZEN\",\"first_day\":\"2025-06-01\",\"baseline_steps\":5000,\"is_older_class\":true}\n"
    );
    let accounting = json(lake.path(), "SELECT last_offset, records_read, samples_parked FROM accounting").await;
    assert_eq!(accounting, "{\"last_offset\":9,\"records_read\":5,\"samples_parked\":0}\n");
}

#[tokio::test]
async fn facts_read_back_as_they_were() {
    let lake = tempfile::tempdir().unwrap();
    let mut writer = open(lake.path()).await;
    let facts = source("facts");
    writer.follow(&facts, &TableId::ALL).await.unwrap();
    let samples = samples("2025-06-03");
    let records = [
        Record::Upload(upload("u-1", "2025-06-04", &samples)),
        enrolment(),
        programme(),
        other(),
        Record::DayClosed(schemas::ClockRecord { date: date("2025-06-03"), parked_wait: false }),
    ];
    for (offset, record) in records.iter().enumerate() {
        assert!(writer.append_fact(&facts, offset as i64, record, b"{\"type\":\"checkin\"}", &origin(7)).unwrap());
    }
    writer.flush().await.unwrap();

    let uploads = json(lake.path(), "SELECT * FROM facts_uploads").await;
    for part in [
        "\"received_at\":\"2025-06-03T15:00:00Z\",\"login_at\":null,\"channel\":\"APP\"",
        "\"samples\":[{\"kind\":\"INTERVAL\",\"start\":\"2025-06-02T15:00:00Z\",\"end\":\"2025-06-03T15:00:00Z\",\"date\":null,\"steps\":812,",
        "{\"kind\":null,\"start\":null,\"end\":null,\"date\":null,\"steps\":0,\"recording\":\"AUTO\",\"op\":\"DELETE\",\"id\":\"s-9\"",
        "{\"kind\":\"DAILY_TOTAL\",\"start\":null,\"end\":null,\"date\":\"2025-06-03\",\"steps\":9120,",
        "\"month\":\"2025-06\"",
    ] {
        assert!(uploads.contains(part), "{part} in {uploads}");
    }
    let members =
        json(lake.path(), "SELECT op, effective_on, birth_date, sex, course, residence, month FROM facts_members")
            .await;
    assert_eq!(
        members,
        "{\"op\":\"ENROL\",\"effective_on\":\"2025-05-01\",\"birth_date\":\"1950-09-15\",\"sex\":\"F\",\"course\":\"APP\",\"residence\":null,\"month\":\"2025-05\"}\n"
    );
    let others = json(lake.path(), "SELECT type, id, programme, received_at, month FROM facts_records").await;
    assert_eq!(
        others,
        "{\"type\":\"checkin\",\"id\":null,\"programme\":\"kunitachi\",\"received_at\":null,\"month\":null}\n"
    );
    assert_eq!(
        json(lake.path(), "SELECT source FROM facts_programmes").await,
        "{\"source\":\"id = \\\"kunitachi\\\"\\n\"}\n"
    );
    assert_eq!(json(lake.path(), "SELECT date FROM facts_clocks").await, "{\"date\":\"2025-06-03\"}\n");
}

#[tokio::test]
async fn folders_are_named_by_programme_and_month() {
    let lake = tempfile::tempdir().unwrap();
    let mut writer = open(lake.path()).await;
    let effects = source("effects");
    writer.follow(&effects, &[TableId::Entries]).await.unwrap();
    writer.append_entry(&effects, 0, &entry(ODD_MEMBER, 1, "2025-06-03", 20)).unwrap();
    let flushed = writer.flush().await.unwrap();
    assert_eq!(
        flushed.iter().map(|flush| (flush.table, flush.rows, flush.files)).collect::<Vec<_>>(),
        [(TableId::Entries, 1, 1)]
    );
    let folder = lake.path().join("entries/programme=kunitachi/month=2025-06");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1);
}

#[tokio::test]
async fn instants_beyond_the_calendar_are_kept_without_a_month() {
    let lake = tempfile::tempdir().unwrap();
    let mut writer = open(lake.path()).await;
    let facts = source("facts");
    writer.follow(&facts, &[TableId::FactsUploads]).await.unwrap();
    let mut strange = upload("u-1", "2025-06-04", &[]);
    strange.programme = "";
    for (offset, millis) in [i64::MIN, i64::MAX].into_iter().enumerate() {
        strange.received_at = Instant::from_epoch_millis(millis);
        writer.append_fact(&facts, offset as i64, &Record::Upload(strange), b"", &origin(0)).unwrap();
    }
    writer.flush().await.unwrap();
    let rows = json(lake.path(), "SELECT DISTINCT programme, month FROM facts_uploads").await;
    assert_eq!(rows, "{\"programme\":null,\"month\":null}\n");
}

#[tokio::test]
async fn a_crash_between_two_tables_repeats_and_loses_nothing() {
    let lake = tempfile::tempdir().unwrap();
    let effects = source("effects");
    let tables = [TableId::Entries, TableId::DailyTotalRevisions];
    let feed = |writer: &mut LakeWriter, offsets: std::ops::Range<i64>| {
        for offset in offsets {
            let day = "2025-06-03";
            if offset % 2 == 0 {
                writer.append_entry(&effects, offset, &entry("m-7", offset as u64, day, 10)).unwrap();
            } else {
                writer.append_daily_total(&effects, offset, &daily_total("m-7", day, offset as u32, 10)).unwrap();
            }
            writer.pass(&effects, offset).unwrap();
        }
    };

    let mut writer = open(lake.path()).await;
    assert_eq!(writer.follow(&effects, &tables).await.unwrap(), None);
    feed(&mut writer, 0..10);
    writer.flush_table(TableId::Entries).await.unwrap();
    drop(writer);

    let mut writer = open(lake.path()).await;
    assert_eq!(writer.follow(&effects, &tables).await.unwrap(), None, "the other table has nothing");
    assert_eq!(writer.resume_after(TableId::Entries, &effects), Some(9));
    feed(&mut writer, 0..14);
    writer.flush().await.unwrap();
    // What was only staged is lost with its position.
    feed(&mut writer, 14..20);
    drop(writer);

    let mut writer = open(lake.path()).await;
    assert_eq!(writer.follow(&effects, &tables).await.unwrap(), Some(13));
    feed(&mut writer, 10..20);
    writer.flush().await.unwrap();
    assert_eq!(writer.flush().await.unwrap(), [], "nothing has come further");
    assert_eq!(count(lake.path(), "entries").await, "10");
    assert_eq!(count(lake.path(), "daily_total_revisions").await, "10");
    assert_eq!(json(lake.path(), "SELECT count(DISTINCT sequence) AS n FROM entries").await, "{\"n\":10}\n");
}

#[tokio::test]
async fn two_writers_of_one_source_do_not_both_land() {
    let lake = tempfile::tempdir().unwrap();
    let effects = source("effects");
    let (mut slow, mut fast) = (open(lake.path()).await, open(lake.path()).await);
    for writer in [&mut slow, &mut fast] {
        writer.follow(&effects, &[TableId::Entries]).await.unwrap();
        writer.append_entry(&effects, 0, &entry("m-7", 1, "2025-06-03", 20)).unwrap();
    }
    fast.flush().await.unwrap();
    assert!(matches!(slow.flush().await, Err(LakeError::Superseded { table: TableId::Entries, .. })));
    let next = entry("m-7", 2, "2025-06-04", 20);
    assert!(matches!(slow.append_entry(&effects, 1, &next), Err(LakeError::Spent)));
    slow.recover().await.unwrap();
    assert_eq!(slow.resume_after(TableId::Entries, &effects), Some(0));
    assert!(!slow.append_entry(&effects, 0, &entry("m-7", 1, "2025-06-03", 20)).unwrap());
    assert!(slow.append_entry(&effects, 1, &next).unwrap());
    slow.flush().await.unwrap();
    assert_eq!(count(lake.path(), "entries").await, "2");
}

/// The slow writer's commit of another source carries its snapshot past the fast writer's commit, so that Delta itself
/// would see no conflict any more.
#[tokio::test]
async fn a_source_that_moved_behind_another_commit_is_noticed() {
    let lake = tempfile::tempdir().unwrap();
    let (shared, own) = (source("shared"), source("own"));
    let (mut slow, mut fast) = (open(lake.path()).await, open(lake.path()).await);
    for writer in [&mut slow, &mut fast] {
        writer.follow(&shared, &[TableId::Entries]).await.unwrap();
    }
    slow.follow(&own, &[TableId::Entries]).await.unwrap();
    fast.append_entry(&shared, 0, &entry("m-7", 1, "2025-06-03", 20)).unwrap();
    fast.flush().await.unwrap();
    slow.append_entry(&own, 0, &entry("m-8", 1, "2025-06-03", 20)).unwrap();
    assert!(matches!(slow.flush().await, Err(LakeError::Superseded { .. })));
    slow.recover().await.unwrap();
    assert_eq!(slow.resume_after(TableId::Entries, &own), Some(0));
    assert!(!slow.append_entry(&shared, 0, &entry("m-7", 1, "2025-06-03", 20)).unwrap());
    slow.flush().await.unwrap();
    assert_eq!(count(lake.path(), "entries").await, "2");
}

#[tokio::test]
async fn writers_of_different_sources_do_not_disturb_each_other() {
    let lake = tempfile::tempdir().unwrap();
    let sources = [Source::new("effects", 0), Source::new("effects", 1)];
    let mut writers = [open(lake.path()).await, open(lake.path()).await];
    for (writer, source) in writers.iter_mut().zip(&sources) {
        writer.follow(source, &[TableId::Entries]).await.unwrap();
    }
    for offset in 0..3 {
        for (writer, source) in writers.iter_mut().zip(&sources) {
            writer.append_entry(source, offset, &entry("m-7", 1, "2025-06-03", 20)).unwrap();
            writer.flush().await.unwrap();
        }
    }
    assert_eq!(count(lake.path(), "entries").await, "6");
}

#[tokio::test]
async fn rows_of_a_source_that_is_not_followed_are_refused() {
    let lake = tempfile::tempdir().unwrap();
    let mut writer = open(lake.path()).await;
    let refused = writer.append_entry(&source("effects"), 0, &entry("m-7", 1, "2025-06-03", 20));
    assert!(matches!(refused, Err(LakeError::NotFollowed { table: TableId::Entries, .. })));
}

#[tokio::test]
async fn compaction_and_checkpoints_change_no_row_and_no_position() {
    const FLUSHES: i64 = 55; // One checkpoint comes by itself.
    let lake = tempfile::tempdir().unwrap();
    let effects = source("effects");
    let tables = [TableId::Entries, TableId::Rejections];
    let mut writer = open(lake.path()).await;
    writer.follow(&effects, &tables).await.unwrap();
    for offset in 0..FLUSHES {
        writer.append_entry(&effects, offset, &entry("m-7", offset as u64 + 1, "2025-06-03", 10)).unwrap();
        let mut undated = rejection("kunitachi", offset);
        undated.rejection.activity_date = None;
        undated.received_at = None;
        writer.append_rejection(&effects, offset, &undated).unwrap();
        writer.flush().await.unwrap();
    }
    let log = lake.path().join("entries/_delta_log");
    assert!(log.join("_last_checkpoint").exists(), "a checkpoint was written");

    let done = compact(url(lake.path()), CompactPolicy::default()).await.unwrap();
    let summary: Vec<_> =
        done.iter().map(|done| (done.table, done.partitions, done.files_removed, done.files_added)).collect();
    assert_eq!(summary, [(TableId::Entries, 1, FLUSHES as u64, 1), (TableId::Rejections, 1, FLUSHES as u64, 1)]);
    assert_eq!(compact(url(lake.path()), CompactPolicy::default()).await.unwrap(), []);

    // The writer that was open all along goes on; so does one that opens now.
    writer.append_entry(&effects, FLUSHES, &entry("m-7", 99, "2025-06-03", 10)).unwrap();
    writer.flush().await.unwrap();
    let mut late = open(lake.path()).await;
    assert_eq!(late.follow(&effects, &[TableId::Entries]).await.unwrap(), Some(FLUSHES));
    assert_eq!(late.follow(&effects, &tables).await.unwrap(), Some(FLUSHES - 1));
    let sums = json(lake.path(), "SELECT count(*) AS n, sum(points) AS points FROM entries").await;
    assert_eq!(sums, "{\"n\":56,\"points\":560}\n");
    assert_eq!(count(lake.path(), "rejections").await, FLUSHES.to_string());
}
