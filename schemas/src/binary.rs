//! Decides how Avro's primitive values lie in bytes, and refuses bytes in which they do not.
//!
//! Written by hand because one upload is some 250 of them. What order they come in is each record's own file's.

use std::fmt;

use pipeline::calendar::{CivilDate, Instant};

use crate::error::{DecodeError, quoted};
use crate::symbols::{self, Symbols};
use crate::time_text::{DATES_WRITABLE, INSTANTS_WRITABLE};

/// Boxed, so that the result of reading a number stays in registers.
pub(crate) type Read<T> = Result<T, Box<DecodeError>>;

/// Reads one record from front to back.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    payload_bytes: usize,
}

impl<'a> Reader<'a> {
    /// A reader of what follows the first `header_bytes` of a payload. Offsets in details count from the payload's start.
    pub(crate) fn new(payload: &'a [u8], header_bytes: usize) -> Self {
        Reader { rest: payload.get(header_bytes..).unwrap_or_default(), payload_bytes: payload.len() }
    }

    /// The refusal of a field that begins here or ended just before.
    #[cold]
    #[inline(never)]
    pub(crate) fn wrong(&self, field: &str, found: fmt::Arguments<'_>) -> Box<DecodeError> {
        let offset = self.payload_bytes - self.rest.len();
        Box::new(DecodeError::malformed(format_args!("{field} at byte {offset}: {found}")))
    }

    /// A whole number: zigzag, seven bits a byte, at most ten bytes.
    #[inline(always)]
    pub(crate) fn long(&mut self, field: &str) -> Read<i64> {
        if let Some((&byte @ ..0x80, rest)) = self.rest.split_first() {
            self.rest = rest;
            return Ok(unzigzag(u64::from(byte)));
        }
        if let Some((word, _)) = self.rest.split_first_chunk::<8>() {
            let word = u64::from_le_bytes(*word);
            // The highest bit of each byte says whether another follows.
            let last = !word & 0x8080_8080_8080_8080;
            if last != 0 {
                self.rest = &self.rest[last.trailing_zeros() as usize / 8 + 1..];
                return Ok(unzigzag(sevens(word & (last ^ (last - 1)))));
            }
        }
        self.rare_long(field)
    }

    /// A whole number of nine or ten bytes, or close to the end of the record.
    #[cold]
    fn rare_long(&mut self, field: &str) -> Read<i64> {
        let mut bits = 0u64;
        for (index, &byte) in self.rest.iter().take(10).enumerate() {
            bits |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                // The tenth byte has room for one bit only.
                if index == 9 && byte > 1 {
                    break;
                }
                self.rest = &self.rest[index + 1..];
                return Ok(unzigzag(bits));
            }
        }
        match self.rest.len() {
            0..10 => Err(self.wrong(field, format_args!("the record ends within this number"))),
            _ => Err(self.wrong(field, format_args!("a number of more than 64 bits"))),
        }
    }

    /// A whole number that the record's own type holds.
    pub(crate) fn number<T: TryFrom<i64>>(&mut self, field: &str) -> Read<T> {
        let found = self.long(field)?;
        T::try_from(found)
            .map_err(|_| self.wrong(field, format_args!("{found} does not fit {}", std::any::type_name::<T>())))
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, field: &str) -> Read<bool> {
        match self.rest.split_first() {
            Some((&byte @ (0 | 1), rest)) => {
                self.rest = rest;
                Ok(byte == 1)
            }
            Some((byte, _)) => Err(self.wrong(field, format_args!("{byte} is neither false (0) nor true (1)"))),
            None => Err(self.wrong(field, format_args!("the record ends here"))),
        }
    }

    /// So many bytes as they are.
    #[inline(always)]
    fn take(&mut self, count: usize, field: &str) -> Read<&'a [u8]> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            let left = self.rest.len();
            return Err(self.wrong(field, format_args!("{count} bytes are announced, {left} are left")));
        };
        self.rest = rest;
        Ok(taken)
    }

    /// Bytes, preceded by their number.
    #[inline(always)]
    pub(crate) fn bytes(&mut self, field: &str) -> Read<&'a [u8]> {
        let length = self.long(field)?;
        match usize::try_from(length) {
            Ok(count) => self.take(count, field),
            Err(_) => Err(self.wrong(field, format_args!("a length of {length} bytes"))),
        }
    }

    /// UTF-8 text, preceded by its number of bytes.
    #[inline(always)]
    pub(crate) fn text(&mut self, field: &str) -> Read<&'a str> {
        let bytes = self.bytes(field)?;
        std::str::from_utf8(bytes).map_err(|error| self.wrong(field, format_args!("not UTF-8: {error}")))
    }

    /// Sixteen bytes as they are.
    pub(crate) fn sixteen(&mut self, field: &str) -> Read<[u8; 16]> {
        let mut fixed = [0; 16];
        fixed.copy_from_slice(self.take(16, field)?);
        Ok(fixed)
    }

    /// An instant that RFC 3339 can write, so that Avro takes no more than JSON does.
    #[inline(always)]
    pub(crate) fn instant(&mut self, field: &str) -> Read<Instant> {
        let millis = self.long(field)?;
        if INSTANTS_WRITABLE.contains(&millis) {
            return Ok(Instant::from_epoch_millis(millis));
        }
        Err(self.wrong(field, format_args!("{millis} ms is outside of the years 0000 to 9999")))
    }

    /// A civil date from year 0000 to 9999.
    #[inline(always)]
    pub(crate) fn date(&mut self, field: &str) -> Read<CivilDate> {
        let days = self.long(field)?;
        match i32::try_from(days) {
            Ok(days) if DATES_WRITABLE.contains(&days) => Ok(CivilDate::from_epoch_days(days)),
            _ => Err(self.wrong(field, format_args!("day {days} is outside of the years 0000 to 9999"))),
        }
    }

    /// One symbol of an enumeration, by its index.
    #[inline(always)]
    pub(crate) fn symbol<T: Copy>(&mut self, field: &str, symbols: Symbols<T>) -> Read<T> {
        let index = self.long(field)?;
        match usize::try_from(index).ok().and_then(|index| symbols.get(index)) {
            Some((_, value)) => Ok(*value),
            None => Err(self.wrong(field, format_args!("symbol {index} of {}", symbols::names(symbols)))),
        }
    }

    /// Text that must be one of a set of names.
    pub(crate) fn name<T: Copy>(&mut self, field: &str, symbols: Symbols<T>) -> Read<T> {
        let text = self.text(field)?;
        symbols::value(symbols, text)
            .ok_or_else(|| self.wrong(field, format_args!("{} is none of {}", quoted(text), symbols::names(symbols))))
    }

    /// A value that may be null: null is the first branch everywhere.
    #[inline(always)]
    pub(crate) fn nullable<T>(
        &mut self,
        field: &str,
        read: impl FnOnce(&mut Self, &str) -> Read<T>,
    ) -> Read<Option<T>> {
        match self.long(field)? {
            0 => Ok(None),
            1 => read(self, field).map(Some),
            branch => Err(self.wrong(field, format_args!("branch {branch} of a union of two"))),
        }
    }

    /// The number of items in the next block of an array; 0 at its end. No item is shorter than `item_bytes_min`, so
    /// that a few bytes cannot ask for a large buffer.
    pub(crate) fn block(&mut self, field: &str, item_bytes_min: usize) -> Read<usize> {
        let mut count = self.long(field)?;
        if count < 0 {
            // A negative count is followed by the block's size in bytes, which is of use only to those who skip it.
            self.long(field)?;
            count = count.checked_neg().unwrap_or(i64::MAX);
        }
        let left = self.rest.len();
        match usize::try_from(count) {
            Ok(count) if count <= left / item_bytes_min => Ok(count),
            _ => Err(self.wrong(field, format_args!("{count} items are announced, {left} bytes are left"))),
        }
    }

    /// Refuses bytes after the last field.
    pub(crate) fn end(&self) -> Read<()> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(self.wrong("the record", format_args!("{left} bytes follow its last field"))),
        }
    }
}

/// Signed from unsigned: 0, 1, 2, 3 stand for 0, −1, 1, −2.
#[inline]
fn unzigzag(bits: u64) -> i64 {
    (bits >> 1) as i64 ^ -((bits & 1) as i64)
}

/// Joins the lower seven bits of eight bytes, the first byte lowest: by pairs, by fours, by eights.
#[inline]
fn sevens(word: u64) -> u64 {
    let word = (word & 0x007f_007f_007f_007f) | ((word & 0x7f00_7f00_7f00_7f00) >> 1);
    let word = (word & 0x0000_3fff_0000_3fff) | ((word & 0x3fff_0000_3fff_0000) >> 2);
    (word & 0x0fff_ffff) | ((word & 0x0fff_ffff_0000_0000) >> 4)
}

/// Appends a whole number.
#[inline]
pub(crate) fn put_long(out: &mut Vec<u8>, value: i64) {
    let mut bits = ((value << 1) ^ (value >> 63)) as u64;
    while bits >= 0x80 {
        out.push(bits as u8 | 0x80);
        bits >>= 7;
    }
    out.push(bits as u8);
}

/// Appends bytes after their number.
#[inline]
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_long(out, bytes.len() as i64);
    out.extend_from_slice(bytes);
}

/// Appends text after its number of bytes.
#[inline]
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, text.as_bytes());
}

/// Appends a truth value.
pub(crate) fn put_boolean(out: &mut Vec<u8>, value: bool) {
    out.push(u8::from(value));
}

/// Appends a civil date.
pub(crate) fn put_date(out: &mut Vec<u8>, date: CivilDate) {
    put_long(out, i64::from(date.epoch_days()));
}

/// Appends an instant.
pub(crate) fn put_instant(out: &mut Vec<u8>, instant: Instant) {
    put_long(out, instant.epoch_millis());
}

/// Appends null or a value.
pub(crate) fn put_nullable<T>(out: &mut Vec<u8>, value: Option<T>, put: impl FnOnce(&mut Vec<u8>, T)) {
    match value {
        None => put_long(out, 0),
        Some(value) => {
            put_long(out, 1);
            put(out, value);
        }
    }
}

/// Appends the symbol of a value.
pub(crate) fn put_symbol<T: PartialEq>(out: &mut Vec<u8>, value: T, symbols: Symbols<T>) {
    put_long(out, symbols::index(symbols, value) as i64);
}

/// Appends the symbol of this name.
pub(crate) fn put_named_symbol<T>(out: &mut Vec<u8>, name: &str, symbols: Symbols<T>) {
    put_long(out, symbols::index_of_name(symbols, name) as i64);
}
