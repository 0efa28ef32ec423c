//! Records framed for a schema registry: against a real one, and, for what a real one does not do at will, against answers
//! as Confluent documents them.

use jobs::kafka::config::{Config, KafkaConfig, SchemaRegistryConfig};
use jobs::kafka::registry::{Registry, RegistryError};
use pipeline::calendar::CivilDate;
use schemas::{ClockRecord, Record, Schema, Scratch, encode_clock};
use serde_json::{Value, json};

use crate::support::http_stub;
use crate::support::registry::Registry as Server;

fn config(registry: &str, prefix: &str) -> (KafkaConfig, SchemaRegistryConfig) {
    let text = format!(
        "[kafka]\nbrokers = \"none:9092\"\ntopic_prefix = \"{prefix}\"\n[schema_registry]\nurl = \"{registry}\"\n\
         username = \"award\"\n"
    );
    let password = [("AYUMI_SCHEMA_REGISTRY_PASSWORD".to_owned(), "tiger".to_owned())];
    let config = Config::parse("test", &text, &password, &[]).unwrap();
    (config.kafka, config.schema_registry.unwrap())
}

fn clock() -> ClockRecord {
    ClockRecord { date: CivilDate::from_ymd(2025, 6, 3).unwrap(), parked_wait: true }
}

fn single_object() -> Vec<u8> {
    let mut payload = Vec::new();
    encode_clock(clock(), &mut payload);
    payload
}

/// What a decoder that knows no registry makes of a record.
fn decoded(registry: &mut Registry, payload: &[u8]) -> Option<ClockRecord> {
    let mut room = Vec::new();
    let payload = registry.normalise(payload, &mut room).unwrap();
    match Scratch::default().decode_avro(payload) {
        Ok(Record::DayClosed(clock)) => Some(clock),
        _ => None,
    }
}

/// A record in Confluent's framing.
fn framed(id: u32, body: &[u8]) -> Vec<u8> {
    [&[0], &id.to_be_bytes()[..], body].concat()
}

/// Registers a schema as somebody else would, and gives its id.
fn register(url: &str, subject: &str, schema: &Value) -> u32 {
    let body = json!({ "schema": schema.to_string(), "schemaType": "AVRO" }).to_string();
    let request = reqwest::blocking::Client::new().post(format!("{url}/subjects/{subject}/versions"));
    let answer = request.header("content-type", "application/vnd.schemaregistry.v1+json").body(body).send().unwrap();
    let answer: Value = serde_json::from_str(&answer.text().unwrap()).unwrap();
    u32::try_from(answer["id"].as_u64().unwrap_or_else(|| panic!("{answer}"))).unwrap()
}

fn put(url: &str, body: &str) {
    let request = reqwest::blocking::Client::new().put(url);
    let answer = request.header("content-type", "application/vnd.schemaregistry.v1+json").body(body.to_owned()).send();
    assert!(answer.unwrap().status().is_success());
}

#[test]
fn a_real_registry() {
    let server = Server::start();
    what_one_worker_frames_another_reads(server.url());
    a_schema_that_has_evolved_is_resolved(server.url());
    a_schema_of_others_is_left_to_the_decoder(server.url());
    a_topic_that_holds_another_schema_is_refused_with_the_remedy(server.url());
}

fn what_one_worker_frames_another_reads(url: &str) {
    let (kafka, registry) = config(url, "one.");
    let mut writer = Registry::new(&registry).unwrap();
    writer.register_all(&kafka).unwrap();
    let mut payload = Vec::new();
    writer.frame(Schema::Clock, &single_object(), &mut payload);
    assert_eq!((payload[0], payload.len()), (0, single_object().len() - 5));

    // Both framings, by one that has registered and by one that has only read.
    let mut again = Registry::new(&registry).unwrap();
    again.register_all(&kafka).unwrap();
    let mut reader = Registry::new(&registry).unwrap();
    for registry in [&mut writer, &mut again, &mut reader] {
        assert_eq!(decoded(registry, &payload), Some(clock()));
        assert_eq!(decoded(registry, &single_object()), Some(clock()));
    }
    let mut same = Vec::new();
    again.frame(Schema::Clock, &single_object(), &mut same);
    assert_eq!(same, payload, "a second registration gives the same id");
}

/// Our clock's schema, changed.
fn changed(change: impl FnOnce(&mut Vec<Value>)) -> Value {
    let mut schema: Value = serde_json::from_str(Schema::Clock.text()).unwrap();
    change(schema["fields"].as_array_mut().unwrap());
    schema
}

fn a_schema_that_has_evolved_is_resolved(url: &str) {
    let with_more = changed(|fields| fields.insert(0, json!({ "name": "station", "type": "string", "default": "" })));
    let with_less = changed(|fields| drop(fields.pop()));
    let (_, registry) = config(url, "evolved.");
    let mut reader = Registry::new(&registry).unwrap();
    let body = single_object()[10..].to_vec();

    let id = register(url, "evolved-more-value", &with_more);
    let station = [vec![6], b"abc".to_vec(), body.clone()].concat();
    assert_eq!(decoded(&mut reader, &framed(id, &station)), Some(clock()));
    // What does not follow its own schema is for the decoder to refuse.
    assert_eq!(decoded(&mut reader, &framed(id, &[6, b'a'])), None);

    let id = register(url, "evolved-less-value", &with_less);
    let expected = ClockRecord { parked_wait: false, ..clock() };
    assert_eq!(decoded(&mut reader, &framed(id, &body[..body.len() - 1])), Some(expected));
}

fn a_schema_of_others_is_left_to_the_decoder(url: &str) {
    let (_, registry) = config(url, "others.");
    let mut reader = Registry::new(&registry).unwrap();
    let id = register(url, "others-value", &json!({ "type": "record", "name": "Other", "fields": [] }));
    for payload in [framed(id, b""), framed(999_999, b"x"), vec![0, 1], vec![]] {
        let mut room = Vec::new();
        assert_eq!(reader.normalise(&payload, &mut room).unwrap(), payload);
    }
}

fn a_topic_that_holds_another_schema_is_refused_with_the_remedy(url: &str) {
    let (kafka, registry) = config(url, "taken.");
    let subject = format!("{}-value", kafka.topic("ayumi.clock.v1"));
    register(url, &subject, &changed(|fields| fields[0]["type"] = json!("string")));
    put(&format!("{url}/config/{subject}"), "{\"compatibility\":\"BACKWARD\"}");
    let error = Registry::new(&registry).unwrap().register_all(&kafka).unwrap_err();
    assert!(matches!(error, RegistryError::Incompatible { .. }), "{error}");
    assert!(error.to_string().contains("kafka.topic_prefix"), "{error}");
    assert!(!error.is_transient());
}

#[test]
fn a_registry_that_asks_for_a_login_gets_it_and_one_that_refuses_it_is_told() {
    let url = http_stub::serve(|request| {
        // `award:tiger`
        let is_known = request.header("authorization") == Some("Basic YXdhcmQ6dGlnZXI=");
        if is_known {
            (200, "{\"id\":7}".to_owned())
        } else {
            (401, "{\"error_code\":401,\"message\":\"no\"}".to_owned())
        }
    });
    let (kafka, mut registry) = config(&url, "login.");
    Registry::new(&registry).unwrap().register_all(&kafka).unwrap();
    registry.login = None;
    let error = Registry::new(&registry).unwrap().register_all(&kafka).unwrap_err();
    assert!(matches!(error, RegistryError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("password_file"), "{error}");
}

#[test]
fn with_all_schemas_registered_nothing_is_written() {
    let url = http_stub::serve(|request| match request.path.ends_with("/versions") {
        false => (200, "{\"subject\":\"s\",\"version\":1,\"id\":7,\"schema\":\"…\"}".to_owned()),
        true => (403, "{\"error_code\":403,\"message\":\"read only\"}".to_owned()),
    });
    let (kafka, registry) = config(&url, "registered.");
    Registry::new(&registry).unwrap().register_all(&kafka).unwrap();
}

#[test]
fn while_the_registry_is_away_a_record_is_not_malformed_but_waits() {
    let (_, registry) = config("http://127.0.0.1:9", "away.");
    let mut room = Vec::new();
    let error = Registry::new(&registry).unwrap().normalise(&framed(3, b"x"), &mut room).unwrap_err();
    assert!(error.is_transient(), "{error}");
    let url = http_stub::serve(|_| {
        (500, "{\"error_code\":50001,\"message\":\"Error in the backend data store\"}".to_owned())
    });
    let (kafka, registry) = config(&url, "broken.");
    let error = Registry::new(&registry).unwrap().register_all(&kafka).unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(error.to_string().contains("Error in the backend data store"), "{error}");
}
