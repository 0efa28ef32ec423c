//! Decides how one refused sample is shown: as the JSON form of the public contract. The whole upload is in `facts_uploads`.

use pipeline::fact::{Operation, Recording, Sample, SampleTime};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::transport::Format;

/// The sample of an upload as it stood in its JSON line; `None` of any other record.
pub fn as_it_came(format: Format, payload: &[u8], index: usize) -> Option<Vec<u8>> {
    #[derive(Deserialize)]
    struct Samples<'s> {
        #[serde(borrow)]
        samples: Vec<&'s RawValue>,
    }
    if format != Format::Json {
        return None;
    }
    let upload: Samples<'_> = serde_json::from_slice(payload).ok()?;
    upload.samples.get(index).map(|sample| sample.get().as_bytes().to_vec())
}

/// The sample as JSON.
pub fn to_json(sample: &Sample<'_>) -> Vec<u8> {
    let recording = match sample.recording {
        Recording::Automatic => "AUTO",
        Recording::Manual => "MANUAL",
        Recording::Active => "ACTIVE",
        Recording::Unknown => "UNKNOWN",
    };
    let operation = match sample.operation {
        Operation::Upsert => "UPSERT",
        Operation::Delete => "DELETE",
    };
    let mut object =
        json!({ "steps": sample.steps, "recording": recording, "op": operation, "version": sample.version });
    match sample.time {
        SampleTime::Interval { start, end } => {
            object["kind"] = json!("INTERVAL");
            object["start"] = json!(start.to_string());
            object["end"] = json!(end.to_string());
        }
        SampleTime::DailyTotal(date) => {
            object["kind"] = json!("DAILY_TOTAL");
            object["date"] = json!(date.to_string());
        }
        SampleTime::MergedTotal(date) => {
            object["kind"] = json!("MERGED_TOTAL");
            object["date"] = json!(date.to_string());
        }
        SampleTime::Unstated => {}
    }
    if !sample.id.is_empty() {
        object["id"] = json!(sample.id);
    }
    if let Some(modified_at) = sample.modified_at {
        object["modified_at"] = json!(modified_at.to_string());
    }
    object.to_string().into_bytes()
}
