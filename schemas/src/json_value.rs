//! Decides how single values are read from JSON, and keeps where the reading is, for the detail of a refusal.
//!
//! Text is borrowed from the line. Text with escapes does not stand in the line as it is meant; it is put into a buffer
//! that is as long as the line, which unescaped text never exceeds.

use std::cell::Cell;
use std::fmt;

use pipeline::calendar::{CivilDate, Instant};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

use crate::error::quoted;
use crate::symbols::{self, Symbols};
use crate::time_text::{parse_date, parse_instant};

/// Where the reading is, and room for what must be unescaped.
pub(crate) struct Context<'s> {
    field: Cell<&'static str>,
    sample: Cell<Option<usize>>,
    room: Cell<&'s mut [u8]>,
}

impl<'s> Context<'s> {
    pub(crate) fn new(room: &'s mut [u8]) -> Self {
        Context { field: Cell::new(""), sample: Cell::new(None), room: Cell::new(room) }
    }

    /// Says which sample is being read, or that it is none.
    pub(crate) fn enter_sample(&self, index: Option<usize>) {
        self.sample.set(index);
    }

    /// The field that is being read: `samples[3].steps`.
    pub(crate) fn place(&self) -> String {
        match self.sample.get() {
            Some(index) => format!("samples[{index}].{}", self.field.get()),
            None => self.field.get().to_owned(),
        }
    }

    /// Reads the value of a field into its place. A field that is there twice has no one meaning, so it is refused.
    pub(crate) fn fill<'de, A: MapAccess<'de>, S: DeserializeSeed<'de>>(
        &self,
        map: &mut A,
        slot: &mut Option<S::Value>,
        field: &'static str,
        seed: S,
    ) -> Result<(), A::Error> {
        self.field.set(field);
        if slot.is_some() {
            return Err(A::Error::custom("is there twice"));
        }
        *slot = Some(map.next_value_seed(seed)?);
        Ok(())
    }

    /// The value of a field that must be there.
    pub(crate) fn required<T, E: Error>(&self, slot: Option<T>, field: &'static str) -> Result<T, E> {
        slot.ok_or_else(|| {
            self.field.set(field);
            E::custom("is missing")
        })
    }

    fn unescaped<E: Error>(&self, text: &str) -> Result<&'s str, E> {
        let Some((taken, left)) = self.room.take().split_at_mut_checked(text.len()) else {
            return Err(E::custom("has no room for its escapes"));
        };
        self.room.set(left);
        taken.copy_from_slice(text.as_bytes());
        let taken: &'s [u8] = taken;
        std::str::from_utf8(taken).map_err(E::custom)
    }
}

/// Text.
#[derive(Clone, Copy)]
pub(crate) struct Text<'c, 's>(pub(crate) &'c Context<'s>);

impl<'s> DeserializeSeed<'s> for Text<'_, 's> {
    type Value = &'s str;
    fn deserialize<D: Deserializer<'s>>(self, deserializer: D) -> Result<&'s str, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'s> Visitor<'s> for Text<'_, 's> {
    type Value = &'s str;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }
    fn visit_borrowed_str<E: Error>(self, text: &'s str) -> Result<&'s str, E> {
        Ok(text)
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<&'s str, E> {
        self.0.unescaped(text)
    }
}

/// A whole number. `1.0` is none: who writes it does not count steps.
#[derive(Clone, Copy)]
pub(crate) struct Whole;

impl<'de> DeserializeSeed<'de> for Whole {
    type Value = i64;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<i64, D::Error> {
        deserializer.deserialize_i64(self)
    }
}

impl Visitor<'_> for Whole {
    type Value = i64;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }
    fn visit_i64<E: Error>(self, number: i64) -> Result<i64, E> {
        Ok(number)
    }
    fn visit_u64<E: Error>(self, number: u64) -> Result<i64, E> {
        i64::try_from(number).map_err(|_| E::custom(format_args!("{number} is above {}", i64::MAX)))
    }
}

/// Text that a function reads. `expecting` names what it should have been, if it is not text at all.
#[derive(Clone, Copy)]
pub(crate) struct Parsed<F> {
    pub(crate) expecting: &'static str,
    pub(crate) parse: F,
}

impl<'de, T, F: Fn(&str) -> Result<T, String>> DeserializeSeed<'de> for Parsed<F> {
    type Value = T;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<T, F: Fn(&str) -> Result<T, String>> Visitor<'_> for Parsed<F> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text).map_err(E::custom)
    }
}

/// A value that a plain function reads.
type TextParser<T> = Parsed<fn(&str) -> Result<T, String>>;

/// An instant in RFC 3339.
pub(crate) const INSTANT: TextParser<Instant> =
    Parsed { expecting: "an instant such as \"2025-06-03T09:00:00+09:00\"", parse: parse_instant };

/// A civil date.
pub(crate) const DATE: TextParser<CivilDate> =
    Parsed { expecting: "a civil date such as \"2025-06-03\"", parse: parse_date };

/// One of a set of names.
pub(crate) fn symbol<T: Copy + 'static>(symbols: Symbols<T>) -> Parsed<impl Fn(&str) -> Result<T, String> + Copy> {
    Parsed {
        expecting: "a name",
        parse: move |text: &str| {
            symbols::value(symbols, text)
                .ok_or_else(|| format!("{} is none of {}", quoted(text), symbols::names(symbols)))
        },
    }
}

/// A value or null.
#[derive(Clone, Copy)]
pub(crate) struct Nullable<S>(pub(crate) S);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Nullable<S> {
    type Value = Option<S::Value>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for Nullable<S> {
    type Value = Option<S::Value>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or null")
    }
    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        self.0.deserialize(deserializer).map(Some)
    }
}
