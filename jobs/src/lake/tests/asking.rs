//! Queries give what the contract says, in every format, and cannot write.

use super::*;
use crate::lake::shell::{Next, Shell};

async fn small_lake() -> tempfile::TempDir {
    let lake = tempfile::tempdir().unwrap();
    let mut writer = open(lake.path()).await;
    let effects = source("effects");
    writer.follow(&effects, &TableId::ALL).await.unwrap();
    let mut never_lapses = entry("m-8", 1, "2025-07-01", 7);
    never_lapses.expires_on = None;
    let mut sooner = entry("m-7", 3, "2025-06-05", 5);
    sooner.expires_on = Some(date("2025-12-31"));
    let mut soonest = entry("m-7", 4, "2025-06-06", 9);
    soonest.expires_on = Some(date("2025-08-31"));
    let mut taken_back = entry("m-7", 5, "2025-06-06", -9);
    taken_back.expires_on = Some(date("2025-08-31"));
    let entries = [
        entry("m-7", 1, "2025-06-03", 20),
        entry("m-7", 2, "2025-06-04", 25),
        sooner,
        soonest,
        taken_back,
        never_lapses,
    ];
    for (offset, entry) in entries.iter().enumerate() {
        writer.append_entry(&effects, offset as i64, entry).unwrap();
    }
    for (offset, (revision, steps)) in [(0, 100), (2, 80), (1, 120)].into_iter().enumerate() {
        writer.append_daily_total(&effects, offset as i64, &daily_total("m-7", "2025-06-03", revision, steps)).unwrap();
    }
    writer.append_daily_total(&effects, 3, &daily_total("m-7", "2025-07-03", 0, 70)).unwrap();
    writer.flush().await.unwrap();
    lake
}

#[tokio::test]
async fn the_query_of_the_contract_works_as_it_stands() {
    let lake = small_lake().await;
    let sql = "SELECT rule, sum(points) FROM entries WHERE programme = 'kunitachi' GROUP BY rule";
    assert_eq!(json(lake.path(), sql).await, "{\"rule\":\"KU-40\",\"sum(entries.points)\":57}\n");
}

#[tokio::test]
async fn daily_totals_are_the_highest_revisions() {
    let lake = small_lake().await;
    let rows =
        json(lake.path(), "SELECT date, steps, revision FROM daily_totals WHERE programme = 'kunitachi' ORDER BY date")
            .await;
    assert_eq!(
        rows,
        "{\"date\":\"2025-06-03\",\"steps\":80,\"revision\":2}\n{\"date\":\"2025-07-03\",\"steps\":70,\"revision\":0}\n"
    );
}

#[tokio::test]
async fn balances_say_what_lapses_next_and_leave_out_what_was_taken_back() {
    let lake = small_lake().await;
    let rows = json(lake.path(), "SELECT * FROM balances ORDER BY member").await;
    assert_eq!(
        rows,
        "{\"programme\":\"kunitachi\",\"member\":\"m-7\",\"points\":50,\"reserved\":0,\"next_expiry_on\":\"2025-12-31\",\"next_expiry_points\":5}\n\
         {\"programme\":\"kunitachi\",\"member\":\"m-8\",\"points\":7,\"reserved\":0,\"next_expiry_on\":null,\"next_expiry_points\":null}\n"
    );
}

#[tokio::test]
async fn every_format_has_its_form() {
    let lake = small_lake().await;
    let session = session(lake.path()).await;
    let sql = "SELECT member, sequence, reason FROM entries WHERE sequence = 2";
    let table = text(&session, sql, Format::Table).await.unwrap();
    assert!(table.contains("| m-7    | 2        | {steps: 8120"), "{table}");
    let csv = text(&session, sql, Format::Csv).await.unwrap();
    assert_eq!(
        csv,
        "member,sequence,reason\nm-7,2,\"{\"\"steps\"\":8120,\"\"days\"\":null,\"\"steps_min\"\":8000,\"\"baseline_steps\"\":null,\
         \"\"is_older_class\"\":null,\"\"points_max\"\":null,\"\"entitled\"\":25}\"\n"
    );
    let nothing = "SELECT member, reason FROM entries WHERE false";
    assert_eq!(text(&session, nothing, Format::Csv).await.unwrap(), "member,reason\n");
    assert!(text(&session, nothing, Format::Table).await.unwrap().contains("| member | reason |"));
    assert_eq!(text(&session, nothing, Format::JsonLines).await.unwrap(), "");
    let mut parquet = Vec::new();
    assert_eq!(query::run(&session, nothing, Format::Parquet, &mut parquet).await.unwrap(), 0);
    assert_eq!((&parquet[..4], &parquet[parquet.len() - 4..]), (&b"PAR1"[..], &b"PAR1"[..]));
}

#[tokio::test]
async fn a_reader_that_closes_the_pipe_is_no_error() {
    struct Closed;
    impl std::io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
    }
    let lake = small_lake().await;
    let session = session(lake.path()).await;
    for format in Format::ALL {
        query::run(&session, "SELECT * FROM entries", format, &mut Closed).await.unwrap();
    }
}

#[tokio::test]
async fn only_reading_is_allowed() {
    let lake = small_lake().await;
    let session = session(lake.path()).await;
    let copied = lake.path().join("copied.csv");
    for sql in [
        "INSERT INTO facts_clocks SELECT * FROM facts_clocks",
        "CREATE TABLE copied AS SELECT * FROM entries",
        "CREATE VIEW copied AS SELECT * FROM entries",
        "DROP TABLE entries",
        "SET datafusion.execution.batch_size = 1",
        "EXPLAIN ANALYZE INSERT INTO facts_clocks SELECT * FROM facts_clocks",
        &format!("COPY entries TO '{}'", copied.display()),
    ] {
        let refused = text(&session, sql, Format::Csv).await;
        assert!(matches!(refused, Err(LakeError::NotReading { .. })), "{sql}: {refused:?}");
    }
    assert!(!copied.exists());
    for sql in
        ["SHOW TABLES", "DESCRIBE entries", "EXPLAIN SELECT * FROM entries", "WITH e AS (SELECT 1) SELECT * FROM e;"]
    {
        text(&session, sql, Format::Table).await.unwrap();
    }
    assert_eq!(count(lake.path(), "entries").await, "6");
}

#[tokio::test]
async fn what_is_wrong_with_a_query_is_said_readably() {
    let lake = small_lake().await;
    let session = session(lake.path()).await;
    let error = |sql| {
        let session = &session;
        async move { text(session, sql, Format::Csv).await.unwrap_err().to_string() }
    };
    let unknown = error("SELECT * FROM entires").await;
    assert!(unknown.starts_with("there is no table entires. There are: entries, daily_total_revisions,"), "{unknown}");
    assert!(unknown.ends_with("daily_totals, balances"), "{unknown}");
    assert!(error("SELECT stepz FROM daily_totals").await.contains("stepz"));
    assert!(error("SELEC 1").await.contains("SELEC"));
}

#[tokio::test]
async fn a_folder_that_is_no_lake_is_said_to_be_none() {
    let empty = tempfile::tempdir().unwrap();
    let error = query::session(url(empty.path())).await.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.starts_with("there is no lake at file:///"), "{error}");
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0, "looking leaves nothing behind");
}

#[tokio::test]
async fn the_shell_takes_statements_of_several_lines_and_dotted_words() {
    let lake = small_lake().await;
    let mut shell = Shell::new(session(lake.path()).await);
    let mut out = Vec::new();
    for line in
        [".format csv", "SELECT count(*) AS n", "FROM entries;", "SELECT;", ".tables", ".schema balances", ".nothing"]
    {
        assert_eq!(shell.take(line, &mut out).await.unwrap(), Next::Go);
    }
    assert_eq!(shell.take(".quit", &mut out).await.unwrap(), Next::Quit);
    let out = String::from_utf8(out).unwrap();
    for part in ["n\n6\n", "error: ", "facts_uploads ", "next_expiry_on", "error: .nothing is no command"] {
        assert!(out.contains(part), "{part} in {out}");
    }
}
