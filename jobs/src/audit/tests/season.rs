//! Decides how long a season of a whole town may take: 1,200 members, 200 days, some 6.8 million samples, from Parquet.
//! Run it with `cargo test --release -p jobs -- --ignored --nocapture season`.

use std::time::Instant;

use datafusion::dataframe::DataFrameWriteOptions;
use datafusion::prelude::{ParquetReadOptions, SessionContext};

use super::fixture::{Town, run};
use crate::audit::audit;

const MEMBERS: u32 = 1_200;
const DAYS: u32 = 200;

/// An upload each morning with the hours and totals of the day before, and every fifth evening one with the hours so
/// far.
fn uploads() -> String {
    let hour = |hour: u32| {
        format!(
            "named_struct('kind', 'INTERVAL', 'start', at + INTERVAL '{hour} hours', 'end', at + INTERVAL '{} hours',
             'date', CAST(NULL AS DATE), 'steps', (m * 31 + d * 17 + {hour} * 13) % 900, 'recording', 'AUTO',
             'op', 'UPSERT', 'id', CAST(NULL AS VARCHAR), 'version', CAST(0 AS BIGINT), 'modified_at', no_time)",
            hour + 1
        )
    };
    let total = |kind: &str, more: u32| {
        format!(
            "named_struct('kind', '{kind}', 'start', no_time, 'end', no_time,
             'date', CAST(at + INTERVAL '9 hours' AS DATE), 'steps', 9000 + (m * 7 + d * 131) % 3000 + {more},
             'recording', 'AUTO', 'op', 'UPSERT', 'id', CAST(NULL AS VARCHAR), 'version', CAST(0 AS BIGINT),
             'modified_at', no_time)"
        )
    };
    let hours: Vec<String> = (0..24).map(hour).collect();
    let whole = [hours.clone(), vec![total("DAILY_TOTAL", 0), total("MERGED_TOTAL", 9)]].concat().join(", ");
    let so_far = hours[..18].join(", ");
    let row = |suffix: &str, after: &str, samples: &str, filter: &str| {
        format!(
            "SELECT concat('u-', m, '-', d, '{suffix}') AS id, 'kunitachi' AS programme, concat('m-', m) AS member,
             at + INTERVAL '{after} hours' AS received_at, no_time AS login_at, 'APP' AS channel,
             named_struct('platform', 'FITBIT', 'origin', 'o', 'device', concat('b-', m), 'device_kind', 'WATCH')
               AS source,
             make_array({samples}) AS samples FROM town WHERE {filter}"
        )
    };
    let at = "arrow_cast(to_timestamp_micros((20241 + d) * 86400000000 - 32400000000),
              'Timestamp(Microsecond, Some(\"UTC\"))')";
    format!(
        "WITH town AS (SELECT m, d, {at} AS at, arrow_cast(NULL, 'Timestamp(Microsecond, Some(\"UTC\"))') AS no_time
         FROM (SELECT unnest(range(0, {MEMBERS})) AS m), (SELECT unnest(range(0, {DAYS})) AS d))
         {} UNION ALL {}",
        row("", "31", &whole, "true"),
        row("-e", "20", &so_far, "d % 5 = 0")
    )
}

fn members() -> String {
    format!(
        "SELECT concat('e-', m) AS id, 'kunitachi' AS programme, concat('m-', m) AS member,
         arrow_cast('2025-05-01T00:00:00Z', 'Timestamp(Microsecond, Some(\"UTC\"))') AS received_at, 'ENROL' AS op,
         CAST('2025-05-01' AS DATE) AS effective_on, CAST('1960-01-01' AS DATE) AS birth_date
         FROM (SELECT unnest(range(0, {MEMBERS})) AS m)"
    )
}

#[test]
#[ignore = "takes minutes"]
fn a_season_is_audited_in_a_minute_or_two() {
    run(async {
        let folder = std::env::temp_dir().join(format!("ayumi-audit-season-{}", std::process::id()));
        let writer = SessionContext::new();
        let tables = Town::new("kunitachi", "2025-12-31").tables();
        for (table, sql) in [("facts_uploads", uploads()), ("facts_members", members())] {
            let path = folder.join(table).display().to_string();
            let rows = writer.sql(&sql).await.expect("a query");
            rows.write_parquet(&path, DataFrameWriteOptions::new(), None).await.expect("Parquet");
            tables.deregister_table(table).expect("a table");
            tables.register_parquet(table, &path, ParquetReadOptions::default()).await.expect("a table");
        }
        let started = Instant::now();
        let report = audit(&tables).await.expect("a report");
        let audited = &report.programmes[0];
        eprintln!("{} samples in {:?}", audited.samples, started.elapsed());
        std::fs::remove_dir_all(&folder).expect("the folder can be removed");
        assert_eq!(audited.days, i64::from(MEMBERS * DAYS));
        // The ledger is empty, so that every entitlement is a difference.
        assert!(report.differences.len() > audited.days as usize);
    });
}
