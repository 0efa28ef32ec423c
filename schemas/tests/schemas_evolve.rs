//! Holds the schemas to what others rely on: their fingerprints, their documentation, and that whoever reads with one
//! release understands whoever writes with another.

use apache_avro::Schema as AvroSchema;
use apache_avro::rabin::Rabin;
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};
use schemas::{Schema, Scratch};

fn parsed(text: &str) -> AvroSchema {
    AvroSchema::parse_str(text).unwrap()
}

/// Every released schema, in every form it was ever released in: `released/<name>.avsc`, `released/<name>.<n>.avsc`.
fn released(schema: Schema) -> Vec<(String, AvroSchema)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/avro/released");
    let paths = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let of_schema = paths.filter(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.strip_prefix(schema.name()).is_some_and(|rest| rest.starts_with('.') && name.ends_with(".avsc"))
    });
    of_schema.map(|path| (path.display().to_string(), parsed(&std::fs::read_to_string(path).unwrap()))).collect()
}

fn reads(reader: &AvroSchema, writer: &AvroSchema) -> bool {
    SchemaCompatibility::can_read(writer, reader) == Ok(Compatibility::Full)
}

/// CRC-64-AVRO, bit by bit as the specification defines it.
fn crc_64_avro(text: &str) -> u64 {
    const EMPTY: u64 = 0xc15d_213a_a4d7_a795;
    text.bytes().fold(EMPTY, |sum, byte| {
        let mixed =
            (0..8).fold((sum ^ u64::from(byte)) & 0xff, |low, _| (low >> 1) ^ (EMPTY & (low & 1).wrapping_neg()));
        (sum >> 8) ^ mixed
    })
}

#[test]
fn the_fingerprints_are_those_of_the_schemas() {
    for schema in Schema::ALL {
        let canonical = ["int", "long"].iter().fold(parsed(schema.text()).canonical_form(), |form, primitive| {
            // apache-avro leaves these objects as they are; the specification wants the simple form.
            form.replace(&format!(r#"{{"type":"{primitive}"}}"#), &format!(r#""{primitive}""#))
        });
        let fingerprint = crc_64_avro(&canonical);
        assert_eq!(format!("{:#018x}", schema.fingerprint()), format!("{fingerprint:#018x}"), "{}", schema.name());
    }
}

#[test]
fn what_apache_avro_frames_is_known_too() {
    for schema in [Schema::Upload, Schema::Member, Schema::Clock, Schema::Programme] {
        let mut payload = vec![0xC3, 0x01];
        payload.extend(parsed(schema.text()).fingerprint::<Rabin>().bytes);
        let detail = Scratch::default().decode_avro(&payload).unwrap_err().detail;
        assert!(detail.contains("the record ends within"), "{}: {detail}", schema.name());
    }
}

#[test]
fn current_and_released_schemas_read_each_other() {
    for schema in Schema::ALL {
        let released = released(schema);
        assert!(!released.is_empty(), "{} has no released form", schema.name());
        let current = parsed(schema.text());
        for (path, old) in released {
            assert!(reads(&current, &old), "{} cannot read what was written with {path}", schema.name());
            assert!(reads(&old, &current), "{path} cannot read what is written with {}", schema.name());
        }
    }
}

#[test]
fn a_breaking_change_would_be_seen() {
    let upload = Schema::Upload.text();
    let old = parsed(upload);
    let changed = |from: &str, to: &str| {
        assert!(upload.contains(from), "{from}");
        parsed(&upload.replace(from, to))
    };
    let renamed = changed(r#""name": "received_at""#, r#""name": "received""#);
    assert!(!reads(&renamed, &old));
    let retyped = changed(r#""name": "member", "type": "string""#, r#""name": "member", "type": "long""#);
    assert!(!reads(&retyped, &old));
    let new_symbol = changed(r#""IMPORT"]"#, r#""IMPORT", "KIOSK"]"#);
    assert!(!reads(&old, &new_symbol), "an old reader would meet a symbol that it does not know");
    let harmless = changed(
        r#""fields": [
    {"name": "id","#,
        r#""fields": [
    {"name": "new", "type": "string", "default": ""},
    {"name": "id","#,
    );
    assert!(reads(&harmless, &old) && reads(&old, &harmless));
}

#[test]
fn every_field_says_what_it_is() {
    fn undocumented(value: &serde_json::Value, found: &mut Vec<String>) {
        if let Some(fields) = value.get("fields").and_then(|fields| fields.as_array()) {
            let bare = fields.iter().filter(|field| field["doc"].as_str().unwrap_or_default().is_empty());
            found.extend(bare.map(|field| field["name"].to_string()));
        }
        match value {
            serde_json::Value::Array(items) => items.iter().for_each(|item| undocumented(item, found)),
            serde_json::Value::Object(fields) => fields.values().for_each(|item| undocumented(item, found)),
            _ => {}
        }
    }
    for schema in Schema::ALL {
        let mut found = Vec::new();
        undocumented(&serde_json::from_str(schema.text()).unwrap(), &mut found);
        assert_eq!(found, Vec::<String>::new(), "{}", schema.name());
    }
}
