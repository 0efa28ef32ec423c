//! What leaves the lake is whole and explained.

use std::fs::{self, File};

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;
use crate::lake::dictionary::describe;
use crate::lake::export::export;
use crate::lake::views::VIEWS;

#[tokio::test]
async fn an_export_is_plain_parquet_with_its_dictionary() {
    let lake = tempfile::tempdir().unwrap();
    let mut writer = open(lake.path()).await;
    let effects = source("effects");
    writer.follow(&effects, &[TableId::Entries, TableId::FactsUploads]).await.unwrap();
    for offset in 0..3 {
        writer.append_entry(&effects, offset, &entry(ODD_MEMBER, offset as u64 + 1, "2025-06-03", 20)).unwrap();
        let samples = samples("2025-06-03");
        let record = Record::Upload(upload("u-1", "2025-06-04", &samples));
        writer.append_fact(&effects, offset, &record, b"", &origin(offset)).unwrap();
    }
    writer.flush().await.unwrap();

    let target = tempfile::tempdir().unwrap();
    let out = target.path().join("snapshot");
    // An export that was cut off earlier does not get into this one.
    let leftover = target.path().join(".snapshot.partial");
    fs::create_dir_all(&leftover).unwrap();
    fs::write(leftover.join("stale.parquet"), b"half").unwrap();
    let exported = export(url(lake.path()), &out).await.unwrap();

    assert_eq!(exported.len(), TableId::ALL.len() + VIEWS.len());
    for table in &exported {
        let file = File::open(out.join(format!("{}.parquet", table.table))).unwrap();
        let rows = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().metadata().file_metadata().num_rows();
        assert_eq!(rows as u64, table.rows, "{}", table.table);
    }
    assert_eq!(exported.iter().find(|table| table.table == "facts_uploads").map(|table| table.rows), Some(3));
    let names: Vec<_> = fs::read_dir(target.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(names, ["snapshot"], "nothing unfinished is left");
    assert_eq!(fs::read_dir(&out).unwrap().count(), exported.len() + 2);
    let dictionary = fs::read_to_string(out.join("data-dictionary.md")).unwrap();
    assert!(dictionary.contains("| `reason.steps` | int64 | yes | Steps of the day,"), "{dictionary}");
    assert!(export(url(lake.path()), &out).await.is_err(), "an export never writes over another");
}

#[tokio::test]
async fn the_dictionary_explains_every_column_of_tables_and_views() {
    let described = describe().await.unwrap();
    for table in &described {
        assert!(!table.grain.is_empty());
        for column in &table.columns {
            assert!(!column.description.is_empty(), "{}.{} has no description", table.name, column.name);
        }
    }
    for view in VIEWS {
        let found = described.iter().find(|table| table.name == view.name).unwrap();
        let columns = found.columns.iter().map(|column| column.name.as_str()).filter(|name| !name.contains(['.', '[']));
        assert_eq!(columns.collect::<Vec<_>>(), view.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    }
    for id in TableId::ALL {
        let found = described.iter().find(|table| table.name == id.name()).unwrap();
        let schema = id.schema();
        let columns = found.columns.iter().map(|column| column.name.as_str()).filter(|name| !name.contains(['.', '[']));
        assert_eq!(
            columns.collect::<Vec<_>>(),
            schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>()
        );
        for partition in id.partition_columns() {
            assert!(schema.field_with_name(partition).is_ok(), "{partition} of {}", id.name());
        }
    }
}

/// The files of a table have the types of its schema, so that every reader sees those.
#[tokio::test]
async fn what_delta_records_is_what_the_schema_says() {
    let lake = tempfile::tempdir().unwrap();
    open(lake.path()).await;
    // Opening again compares the columns of every table, names and types, and refuses others.
    open(lake.path()).await;
    let session = session(lake.path()).await;
    for id in TableId::ALL {
        let frame = query::plan(&session, &format!("SELECT * FROM {}", id.name())).await.unwrap();
        let found: Vec<_> = frame.schema().fields().iter().map(|field| field.name().clone()).collect();
        let schema = id.schema();
        assert_eq!(
            found,
            schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>(),
            "{}",
            id.name()
        );
    }
    let log = fs::read_to_string(lake.path().join("entries/_delta_log/00000000000000000000.json")).unwrap();
    assert!(log.contains("Counts the entries of this member in this programme"), "descriptions travel with the table");
}
