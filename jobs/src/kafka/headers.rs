//! Decides what of a record stands in its Kafka headers: how to read it, and where a replay took it from; and, of a clock
//! record, the input positions that it waits for.
//!
//! A record without headers is Avro from a gateway. Headers of others are passed over.

use rdkafka::message::{BorrowedHeaders, Header, Headers, OwnedHeaders};

use crate::transport::{Format, InputTopic};

const FORMAT: &str = "format";
const FILE: &str = "file";
const LINE: &str = "line";
/// Before an input topic's contract name: the offset after the last record that a clock record waits for.
const END_PREFIX: &str = "end:";

/// What the headers of an input record say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Described<'a> {
    /// How to read it.
    pub format: Format,
    /// The file that it was replayed from.
    pub file: Option<&'a str>,
    /// Its line there, from 1.
    pub line: Option<i64>,
}

/// Reads the headers of an input record. What can't be read is as if it were not there.
pub fn describe(headers: Option<&BorrowedHeaders>) -> Described<'_> {
    let mut described = Described { format: Format::Avro, file: None, line: None };
    let Some(headers) = headers else { return described };
    for Header { key, value } in headers.iter() {
        let Some(text) = value.and_then(|value| std::str::from_utf8(value).ok()) else { continue };
        match key {
            FORMAT => described.format = format_of(text),
            FILE => described.file = Some(text).filter(|file| !file.is_empty()),
            LINE => described.line = text.parse().ok().filter(|&line| line > 0),
            _ => {}
        }
    }
    described
}

/// Writes them; `None` for an Avro record that comes from no file.
pub fn description(format: Format, file: Option<&str>, line: Option<i64>) -> Option<OwnedHeaders> {
    if format == Format::Avro && file.is_none() && line.is_none() {
        return None;
    }
    let mut headers = OwnedHeaders::new_with_capacity(3);
    headers = headers.insert(Header { key: FORMAT, value: Some(format_name(format)) });
    if let Some(file) = file {
        headers = headers.insert(Header { key: FILE, value: Some(file) });
    }
    if let Some(line) = line {
        headers = headers.insert(Header { key: LINE, value: Some(&line.to_string()) });
    }
    Some(headers)
}

/// The offsets that a clock record waits for. A topic that it does not name it does not wait for.
pub fn input_ends(headers: Option<&BorrowedHeaders>) -> [Option<i64>; InputTopic::ALL.len()] {
    let mut ends = [None; InputTopic::ALL.len()];
    let Some(headers) = headers else { return ends };
    for Header { key, value } in headers.iter() {
        let Some(name) = key.strip_prefix(END_PREFIX) else { continue };
        let Some(topic) = InputTopic::ALL.into_iter().find(|topic| topic.name() == name) else { continue };
        ends[topic as usize] =
            value.and_then(|value| std::str::from_utf8(value).ok()).and_then(|text| text.parse().ok());
    }
    ends
}

/// Writes the offsets that a clock record waits for.
pub fn write_input_ends(ends: &[Option<i64>; InputTopic::ALL.len()]) -> OwnedHeaders {
    let mut headers = OwnedHeaders::new_with_capacity(InputTopic::ALL.len());
    for topic in InputTopic::ALL {
        if let Some(end) = ends[topic as usize] {
            let key = format!("{END_PREFIX}{}", topic.name());
            headers = headers.insert(Header { key: &key, value: Some(&end.to_string()) });
        }
    }
    headers
}

fn format_name(format: Format) -> &'static str {
    match format {
        Format::Avro => "avro",
        Format::Json => "json",
        Format::TooLarge => "too-large",
        Format::Broken => "broken",
    }
}

fn format_of(name: &str) -> Format {
    match name {
        "json" => Format::Json,
        "too-large" => Format::TooLarge,
        "broken" => Format::Broken,
        _ => Format::Avro,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for format in [Format::Avro, Format::Json, Format::TooLarge, Format::Broken] {
            let headers = description(format, Some("april.jsonl.gz"), Some(17)).unwrap();
            let described = describe(Some(headers.as_borrowed()));
            assert_eq!(described, Described { format, file: Some("april.jsonl.gz"), line: Some(17) });
        }
        assert!(description(Format::Avro, None, None).is_none());
        let ends = [Some(3), None, Some(0), Some(9), None, None];
        assert_eq!(input_ends(Some(write_input_ends(&ends).as_borrowed())), ends);
    }
}
