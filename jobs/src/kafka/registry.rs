//! Decides how records are framed for a schema registry that speaks Confluent's REST protocol, and how records that others
//! framed are read.
//!
//! Ids of a registry exist only on the topics: what comes in is turned into Avro's single-object encoding at once, and what
//! goes out is turned from it last, so that the core, the state and the lake can be read without the registry. A schema
//! that others wrote with and that is not ours field by field is resolved by the rules of Avro, which costs more.
//!
//! Guarantees: an id is asked for once. Does not guarantee that the registry is there: then nothing is known of a new id,
//! and the record must wait ([`RegistryError::is_transient`]); it is never taken for malformed because of it. May block for
//! [`ANSWER_TIMEOUT`], and is not to be called from asynchronous code.

use std::collections::HashMap;
use std::time::Duration;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use reqwest::StatusCode;
use reqwest::blocking::{Client, Response};
use schemas::Schema;
use serde::Deserialize;
use thiserror::Error;

use crate::transport::{InputTopic, OutputTopic};

use super::config::{KafkaConfig, SchemaRegistryConfig};
use super::http;

/// How long the registry may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// A zero, and the id.
const HEADER_BYTES: usize = 5;
/// Avro's single-object encoding: two bytes that mark it, and the schema's fingerprint.
const SINGLE_OBJECT_HEADER_BYTES: usize = 10;

/// Why the registry is of no use.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// It does not answer, or says that it can't now.
    #[error("the schema registry at {url} does not answer: {detail}")]
    Away {
        /// Its address.
        url: String,
        /// What happened.
        detail: String,
    },
    /// It does not let us in.
    #[error(
        "the schema registry at {url} answers {status}: check `username` and `password_file` in [schema_registry], and \
         that this user may read, and at the first start write, the subjects"
    )]
    Refused {
        /// Its address.
        url: String,
        /// The status.
        status: StatusCode,
    },
    /// It holds another schema for the topic, with which ours does not go together.
    #[error(
        "the schema registry refuses {schema} for {subject}: {detail}; if the topics are Ayumi's own, this version is older \
         than the one that registered the schema: start that one; else give Ayumi topics of its own with kafka.topic_prefix"
    )]
    Incompatible {
        /// The subject.
        subject: String,
        /// Our schema's name.
        schema: &'static str,
        /// What it says.
        detail: String,
    },
    /// Anything else.
    #[error("the schema registry at {url} answers {status}: {detail}")]
    Answer {
        /// Its address.
        url: String,
        /// The status.
        status: StatusCode,
        /// What it says.
        detail: String,
    },
    /// A file of the configuration, or the client itself.
    #[error(transparent)]
    Client(#[from] http::HttpError),
    /// One of our own schemas is not Avro.
    #[error("{schema} is no schema: {detail}")]
    OwnSchema {
        /// Its name.
        schema: &'static str,
        /// Why not.
        detail: String,
    },
}

impl RegistryError {
    /// It may pass by itself: try again later.
    pub fn is_transient(&self) -> bool {
        matches!(self, RegistryError::Away { .. })
    }
}

/// What an id stands for.
enum Writer {
    /// One of our schemas, field by field.
    Ours(Schema),
    /// Another, from which ours can be had.
    Compatible(Schema, Box<apache_avro::Schema>),
    /// None that we read.
    Unknown,
}

/// The registry, and what it has said so far. One for each thread that reads or writes.
pub struct Registry {
    client: Client,
    config: SchemaRegistryConfig,
    own: Vec<(Schema, apache_avro::Schema)>,
    writers: HashMap<u32, Writer>,
    /// Which id frames a schema that we write.
    ids: HashMap<Schema, u32>,
}

#[derive(Deserialize)]
struct Registered {
    id: u32,
}

#[derive(Deserialize)]
struct Held {
    schema: String,
    #[serde(default, rename = "schemaType")]
    schema_type: Option<String>,
}

#[derive(Deserialize)]
struct Complaint {
    message: String,
}

/// The schema of an input topic's records; `None` where there is none in Avro yet.
pub const fn input_schema(topic: InputTopic) -> Option<Schema> {
    match topic {
        InputTopic::Steps => Some(Schema::Upload),
        InputTopic::Members => Some(Schema::Member),
        InputTopic::Clock => Some(Schema::Clock),
        InputTopic::Programmes => Some(Schema::Programme),
        InputTopic::Checkins | InputTopic::Records | InputTopic::Inputs => None,
    }
}

/// The schema of an output topic's records.
pub const fn output_schema(topic: OutputTopic) -> Schema {
    match topic {
        OutputTopic::Entries => Schema::Entry,
        OutputTopic::DailyTotals => Schema::DailyTotal,
        OutputTopic::Rejections => Schema::Rejection,
        OutputTopic::Notices => Schema::Notice,
        OutputTopic::Accounting => Schema::Accounting,
    }
}

impl Registry {
    /// Makes the client. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// If a file of the configuration can't be used.
    pub fn new(config: &SchemaRegistryConfig) -> Result<Self, RegistryError> {
        let client = http::client(config.ca_file.as_deref(), ANSWER_TIMEOUT)?;
        let parse = |schema: Schema| {
            let parsed = apache_avro::Schema::parse_str(schema.text());
            let wrong = |error: apache_avro::Error| error.to_string();
            parsed
                .map(|parsed| (schema, parsed))
                .map_err(|error| RegistryError::OwnSchema { schema: schema.name(), detail: wrong(error) })
        };
        let own = Schema::ALL.into_iter().map(parse).collect::<Result<_, _>>()?;
        Ok(Registry { client, config: config.clone(), own, writers: HashMap::new(), ids: HashMap::new() })
    }

    /// Registers the schemas of all topics under `<topic>-value`, where they are not registered yet.
    ///
    /// # Errors
    ///
    /// If the registry holds schemas that ours do not go together with, or can't be asked.
    pub fn register_all(&mut self, kafka: &KafkaConfig) -> Result<(), RegistryError> {
        let inputs = InputTopic::ALL.into_iter().filter_map(|topic| Some((topic.name(), input_schema(topic)?)));
        let outputs = OutputTopic::ALL.into_iter().map(|topic| (topic.name(), output_schema(topic)));
        for (topic, schema) in inputs.chain(outputs) {
            let id = self.register(&format!("{}-value", kafka.topic(topic)), schema)?;
            self.ids.insert(schema, id);
            self.writers.insert(id, Writer::Ours(schema));
        }
        Ok(())
    }

    /// The id of a schema under a subject, registered if it is not.
    fn register(&self, subject: &str, schema: Schema) -> Result<u32, RegistryError> {
        let body = serde_json::json!({ "schema": schema.text(), "schemaType": "AVRO" });
        // Asking first: once all is registered, the right to read is enough.
        let found = self.post(&format!("subjects/{subject}"), &body)?;
        if found.status().is_success() {
            return self.read::<Registered>(found).map(|registered| registered.id);
        }
        let status = found.status();
        if status != StatusCode::NOT_FOUND {
            return Err(self.complaint(status, found));
        }
        let created = self.post(&format!("subjects/{subject}/versions"), &body)?;
        match created.status() {
            status if status.is_success() => self.read::<Registered>(created).map(|registered| registered.id),
            StatusCode::CONFLICT => Err(RegistryError::Incompatible {
                subject: subject.to_owned(),
                schema: schema.name(),
                detail: message(created),
            }),
            status => Err(self.complaint(status, created)),
        }
    }

    /// Frames a record of ours, given in single-object encoding, and appends it to `out`. One whose schema is not
    /// registered stays as it is, which every reader of ours takes too.
    pub fn frame(&self, schema: Schema, payload: &[u8], out: &mut Vec<u8>) {
        match (self.ids.get(&schema), payload.get(SINGLE_OBJECT_HEADER_BYTES..)) {
            (Some(id), Some(body)) => {
                out.push(0);
                out.extend_from_slice(&id.to_be_bytes());
                out.extend_from_slice(body);
            }
            _ => out.extend_from_slice(payload),
        }
    }

    /// Gives a record in a form that can be read without the registry, in `scratch` if it has to be another. What is
    /// framed with an id that stands for nothing of ours stays as it is, for the decoder to refuse.
    ///
    /// # Errors
    ///
    /// If the id is not known yet and the registry can't be asked. The record itself is never an error.
    pub fn normalise<'p>(&mut self, payload: &'p [u8], scratch: &'p mut Vec<u8>) -> Result<&'p [u8], RegistryError> {
        let Some((&[0, a, b, c, d], body)) = payload.split_first_chunk::<HEADER_BYTES>() else { return Ok(payload) };
        let id = u32::from_be_bytes([a, b, c, d]);
        if !self.writers.contains_key(&id) {
            let writer = self.writer(id)?;
            self.writers.insert(id, writer);
        }
        scratch.clear();
        match self.writers.get(&id) {
            Some(Writer::Ours(schema)) => {
                put_single_object(*schema, scratch);
                scratch.extend_from_slice(body);
                Ok(scratch)
            }
            Some(Writer::Compatible(schema, writer)) => match self.resolve(*schema, writer, body) {
                Some(resolved) => {
                    put_single_object(*schema, scratch);
                    scratch.extend_from_slice(&resolved);
                    Ok(scratch)
                }
                None => Ok(payload),
            },
            Some(Writer::Unknown) | None => Ok(payload),
        }
    }

    /// The same record as our schema has it; `None` if it is no record of the writer's schema either.
    fn resolve(&self, schema: Schema, writer: &apache_avro::Schema, mut body: &[u8]) -> Option<Vec<u8>> {
        let (_, own) = self.own.iter().find(|(known, _)| *known == schema)?;
        let reader = GenericDatumReader::builder(writer).reader_schema(own).build().ok()?;
        let value = reader.read_value(&mut body).ok()?;
        let mut resolved = Vec::new();
        GenericDatumWriter::builder(own).build().ok()?.write_value(&mut resolved, value).ok()?;
        body.is_empty().then_some(resolved)
    }

    /// Asks what an id stands for.
    fn writer(&self, id: u32) -> Result<Writer, RegistryError> {
        let request = self.authorised(self.client.get(format!("{}/schemas/ids/{id}", self.config.url)));
        let response = request.send().map_err(|error| self.away(http::reason(error)))?;
        match response.status() {
            StatusCode::NOT_FOUND => return Ok(Writer::Unknown),
            status if !status.is_success() => return Err(self.complaint(status, response)),
            _ => {}
        }
        let held: Held = self.read(response)?;
        if held.schema_type.is_some_and(|kind| kind != "AVRO") {
            return Ok(Writer::Unknown);
        }
        let Ok(writer) = apache_avro::Schema::parse_str(&held.schema) else { return Ok(Writer::Unknown) };
        let same = self.own.iter().find(|(_, own)| own.canonical_form() == writer.canonical_form());
        if let Some((schema, _)) = same {
            return Ok(Writer::Ours(*schema));
        }
        // By its name, so that two schemas which could be read as one another are not confused.
        let named = self.own.iter().find(|(_, own)| own.name().is_some() && own.name() == writer.name());
        Ok(match named {
            Some((schema, own))
                if apache_avro::schema_compatibility::SchemaCompatibility::can_read(&writer, own).is_ok() =>
            {
                Writer::Compatible(*schema, Box::new(writer))
            }
            _ => Writer::Unknown,
        })
    }

    fn post(&self, path: &str, body: &serde_json::Value) -> Result<Response, RegistryError> {
        let request = self.client.post(format!("{}/{path}", self.config.url)).body(body.to_string());
        let request = self.authorised(request.header("content-type", "application/vnd.schemaregistry.v1+json"));
        request.send().map_err(|error| self.away(http::reason(error)))
    }

    fn authorised(&self, request: reqwest::blocking::RequestBuilder) -> reqwest::blocking::RequestBuilder {
        let request = request.header("accept", "application/vnd.schemaregistry.v1+json, application/json");
        match &self.config.login {
            Some((username, password)) => request.basic_auth(username, Some(password.expose())),
            None => request,
        }
    }

    fn read<T: serde::de::DeserializeOwned>(&self, response: Response) -> Result<T, RegistryError> {
        let status = response.status();
        response.json().map_err(|error| RegistryError::Answer {
            url: self.config.url.clone(),
            status,
            detail: http::reason(error),
        })
    }

    fn away(&self, detail: String) -> RegistryError {
        RegistryError::Away { url: self.config.url.clone(), detail }
    }

    fn complaint(&self, status: StatusCode, response: Response) -> RegistryError {
        let url = self.config.url.clone();
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => RegistryError::Refused { url, status },
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                self.away(format!("{status}: {}", message(response)))
            }
            status => RegistryError::Answer { url, status, detail: message(response) },
        }
    }
}

fn put_single_object(schema: Schema, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xC3, 0x01]);
    out.extend_from_slice(&schema.fingerprint().to_le_bytes());
}

/// What a registry says is wrong.
fn message(response: Response) -> String {
    let text = response.text().unwrap_or_default();
    serde_json::from_str::<Complaint>(&text).map_or(text, |complaint| complaint.message)
}
