//! Decides how a record of an Avro container file becomes the form that travels on the topics.
//!
//! The file's own schema says how its records lie; `apache-avro` reads them and resolves them against the present schemas.
//! It is many times slower than the topics' own decoder, and a file is read once.

use std::sync::OnceLock;

use apache_avro::Schema as AvroSchema;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;

use crate::schema::Schema;

/// The input schemas that a container file may hold.
const HELD: [Schema; 2] = [Schema::Upload, Schema::Member];

/// The single-object form of a container file's record, or what is wrong with it.
pub fn to_single_object(value: Value) -> Result<Vec<u8>, String> {
    let value = match value {
        Value::Union(_, inner) => *inner,
        other => other,
    };
    let mut problems = Vec::new();
    for (schema, parsed) in HELD.into_iter().zip(parsed()) {
        match value.clone().resolve(parsed).and_then(|value| datum(parsed, value)) {
            Ok(datum) => {
                let mut payload = Vec::with_capacity(datum.len() + 10);
                schema.put_header(&mut payload);
                payload.extend_from_slice(&datum);
                return Ok(payload);
            }
            Err(error) => problems.push(format!("as {}: {error}", schema.name())),
        }
    }
    Err(problems.join("; "))
}

fn datum(schema: &AvroSchema, value: Value) -> apache_avro::AvroResult<Vec<u8>> {
    GenericDatumWriter::builder(schema).build()?.write_value_to_vec(value)
}

fn parsed() -> &'static [AvroSchema] {
    static PARSED: OnceLock<Vec<AvroSchema>> = OnceLock::new();
    PARSED.get_or_init(|| HELD.iter().filter_map(|schema| AvroSchema::parse_str(schema.text()).ok()).collect())
}
