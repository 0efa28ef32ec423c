//! Decides how state values are written down: varints, texts and optional parts behind one format byte.
//!
//! Every value starts with [`FORMAT`]; a reader takes this format and, once there is one, the one before. What the values
//! mean is decided where the types are.

use crate::calendar::{CivilDate, Instant};

/// The layout that is written today.
pub const FORMAT: u8 = 1;

/// A state value that can't be read: a bug, a foreign file or a damaged disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorruptState {
    /// Which value, and what is wrong with it.
    pub detail: String,
}

impl std::fmt::Display for CorruptState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the stored state is damaged: {}", self.detail)
    }
}

impl std::error::Error for CorruptState {}

/// Appends to a value.
#[derive(Debug)]
pub struct Writer<'a>(pub &'a mut Vec<u8>);

impl Writer<'_> {
    /// Begins a value with the format byte, after whatever `out` holds.
    pub fn begin(out: &mut Vec<u8>) -> Writer<'_> {
        out.push(FORMAT);
        Writer(out)
    }

    /// An unsigned number, seven bits a byte.
    #[inline]
    pub fn unsigned(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// A signed number, small magnitudes short.
    pub fn signed(&mut self, value: i64) {
        self.unsigned(((value << 1) ^ (value >> 63)) as u64);
    }

    /// A count of things to follow.
    pub fn count(&mut self, count: usize) {
        self.unsigned(count as u64);
    }

    /// A truth value.
    pub fn flag(&mut self, value: bool) {
        self.0.push(u8::from(value));
    }

    /// A civil date.
    pub fn date(&mut self, date: CivilDate) {
        self.signed(i64::from(date.epoch_days()));
    }

    /// An instant.
    pub fn instant(&mut self, instant: Instant) {
        self.signed(instant.epoch_millis());
    }

    /// A text or bytes with their length.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// A hash, eight bytes.
    pub fn hash(&mut self, hash: u64) {
        self.0.extend_from_slice(&hash.to_le_bytes());
    }

    /// Something that may be absent.
    pub fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }
}

/// Reads a value back.
#[derive(Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Checks the format byte.
    pub fn begin(bytes: &'a [u8]) -> Result<Self, CorruptState> {
        match bytes.split_first() {
            Some((&FORMAT, rest)) => Ok(Reader(rest)),
            Some((format, _)) => Err(corrupt(format!("format {format} where {FORMAT} is known"))),
            None => Err(corrupt("an empty value".into())),
        }
    }

    /// See [`Writer::unsigned`].
    pub fn unsigned(&mut self) -> Result<u64, CorruptState> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(corrupt("a number longer than 64 bits".into()))
    }

    /// See [`Writer::signed`].
    pub fn signed(&mut self) -> Result<i64, CorruptState> {
        let raw = self.unsigned()?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// An unsigned number that fits `T`.
    pub fn small<T: TryFrom<u64>>(&mut self) -> Result<T, CorruptState> {
        T::try_from(self.unsigned()?).map_err(|_| corrupt("a number out of range".into()))
    }

    /// A signed number that fits 32 bits.
    pub fn signed32(&mut self) -> Result<i32, CorruptState> {
        i32::try_from(self.signed()?).map_err(|_| corrupt("a number out of range".into()))
    }

    /// See [`Writer::count`]. Never more than there are bytes left, so that a damaged count can't exhaust memory.
    pub fn count(&mut self) -> Result<usize, CorruptState> {
        let count: usize = self.small()?;
        if count > self.0.len() {
            return Err(corrupt(format!("{count} things in {} bytes", self.0.len())));
        }
        Ok(count)
    }

    /// See [`Writer::flag`].
    pub fn flag(&mut self) -> Result<bool, CorruptState> {
        Ok(self.byte()? != 0)
    }

    /// See [`Writer::date`].
    pub fn date(&mut self) -> Result<CivilDate, CorruptState> {
        self.signed32().map(CivilDate::from_epoch_days)
    }

    /// See [`Writer::instant`].
    pub fn instant(&mut self) -> Result<Instant, CorruptState> {
        self.signed().map(Instant::from_epoch_millis)
    }

    /// See [`Writer::bytes`].
    pub fn bytes(&mut self) -> Result<&'a [u8], CorruptState> {
        let length = self.count()?;
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        Ok(bytes)
    }

    /// A text.
    pub fn text(&mut self) -> Result<&'a str, CorruptState> {
        std::str::from_utf8(self.bytes()?).map_err(|_| corrupt("a text that is not UTF-8".into()))
    }

    /// See [`Writer::option`].
    pub fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, CorruptState>,
    ) -> Result<Option<T>, CorruptState> {
        if self.flag()? { read(self).map(Some) } else { Ok(None) }
    }

    /// `count` things in a row.
    pub fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, CorruptState>,
    ) -> Result<Vec<T>, CorruptState> {
        let count = self.count()?;
        (0..count).map(|_| read(self)).collect()
    }

    /// See [`Writer::hash`].
    pub fn hash(&mut self) -> Result<u64, CorruptState> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or_else(|| corrupt("it ends too early".into()))?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    /// Whether nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All that is left.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Nothing may be left.
    pub fn end(self) -> Result<(), CorruptState> {
        if self.0.is_empty() { Ok(()) } else { Err(corrupt(format!("{} bytes too many", self.0.len()))) }
    }

    /// One byte as it is.
    pub fn byte(&mut self) -> Result<u8, CorruptState> {
        let (&byte, rest) = self.0.split_first().ok_or_else(|| corrupt("it ends too early".into()))?;
        self.0 = rest;
        Ok(byte)
    }
}

fn corrupt(detail: String) -> CorruptState {
    CorruptState { detail }
}
