//! Decides which texts are instants and dates.
//!
//! Almost every timestamp has one of few shapes, and files have millions, so these are read by hand; chrono reads the odd
//! ones that RFC 3339 allows too (a leap second, a lower-case `t`). Whether an instant is plausible is the core's to say.

use std::ops::RangeInclusive;

use chrono::DateTime;
use pipeline::calendar::{CivilDate, DAY_MILLIS, Instant};

use crate::error::quoted;

/// Civil dates that `YYYY-MM-DD` can write, as days since 1970-01-01: from 0000-01-01 to 9999-12-31.
pub(crate) const DATES_WRITABLE: RangeInclusive<i32> = -719_528..=2_932_896;

/// Instants that RFC 3339 can write in UTC, in milliseconds since 1970-01-01T00:00:00Z.
pub(crate) const INSTANTS_WRITABLE: RangeInclusive<i64> = -719_528 * DAY_MILLIS..=2_932_897 * DAY_MILLIS - 1;

/// Reads an RFC 3339 instant, to the millisecond; what is finer is cut off.
///
/// # Errors
///
/// What is wrong with it, and how to write it. A time without an offset is none: guessing one would move days.
pub fn parse_instant(text: &str) -> Result<Instant, String> {
    let millis = match common_millis(text.as_bytes()) {
        Some(millis) => millis,
        None => DateTime::parse_from_rfc3339(text).map_err(|_| complaint(text))?.timestamp_millis(),
    };
    match INSTANTS_WRITABLE.contains(&millis) {
        true => Ok(Instant::from_epoch_millis(millis)),
        false => Err(format!("{} is outside of the years 0000 to 9999 in UTC", quoted(text))),
    }
}

#[cold]
fn complaint(text: &str) -> String {
    if DateTime::parse_from_rfc3339(&format!("{text}Z")).is_ok() {
        return format!("{} has no offset; add the one it was meant in, such as {text}+09:00", quoted(text));
    }
    format!("{} is not an instant such as 2025-06-03T09:00:00+09:00", quoted(text))
}

/// `2025-06-03T09:00:00`, perhaps a fraction, then `Z` or `+09:00`; `None` for everything else.
fn common_millis(text: &[u8]) -> Option<i64> {
    let (&[y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', i0, i1, b':', s0, s1], rest) =
        text.split_first_chunk::<19>()?
    else {
        return None;
    };
    let year = two(y0, y1, 99)? * 100 + two(y2, y3, 99)?;
    let date = CivilDate::from_ymd(year as i32, two(m0, m1, 12)? as u32, two(d0, d1, 31)? as u32)?;
    let seconds = (two(h0, h1, 23)? * 60 + two(i0, i1, 59)?) * 60 + two(s0, s1, 59)?;
    let (fraction_millis, rest) = fraction(rest)?;
    let offset_minutes = match *rest {
        [b'Z'] => 0,
        [b'+', h0, h1, b':', m0, m1] => two(h0, h1, 23)? * 60 + two(m0, m1, 59)?,
        [b'-', h0, h1, b':', m0, m1] => -(two(h0, h1, 23)? * 60 + two(m0, m1, 59)?),
        _ => return None,
    };
    Some(i64::from(date.epoch_days()) * DAY_MILLIS + seconds * 1000 + fraction_millis - offset_minutes * 60_000)
}

/// Two digits that are at most `max`.
#[inline]
fn two(tens: u8, ones: u8, max: i64) -> Option<i64> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    let value = i64::from(tens) * 10 + i64::from(ones);
    (tens <= 9 && ones <= 9 && value <= max).then_some(value)
}

/// The milliseconds of a fraction, if there is one, and what follows it.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.', digits)) = text.split_first() else {
        return Some((0, text));
    };
    let count = digits.iter().take_while(|digit| digit.is_ascii_digit()).count();
    if count == 0 {
        return None;
    }
    let digit = |index: usize| if index < count { i64::from(digits[index] - b'0') } else { 0 };
    Some((digit(0) * 100 + digit(1) * 10 + digit(2), &digits[count..]))
}

/// Reads `2025-06-03`.
///
/// # Errors
///
/// What is wrong with it, and how to write it.
pub(crate) fn parse_date(text: &str) -> Result<CivilDate, String> {
    CivilDate::parse(text).ok_or_else(|| match text.as_bytes() {
        // The shape is right, so the calendar has no such day.
        [_, _, _, _, b'-', _, _, b'-', _, _] => format!("{} is not a day of the calendar", quoted(text)),
        _ => format!("{} is not a civil date such as 2025-06-03", quoted(text)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_writable_range_is_that_of_four_digit_years() {
        let days = |text| CivilDate::parse(text).unwrap().epoch_days();
        assert_eq!(DATES_WRITABLE, days("0000-01-01")..=days("9999-12-31"));
        assert!(parse_instant("9999-12-31T23:59:59.999Z").is_ok());
        assert!(parse_instant("9999-12-31T23:59:59-00:01").is_err());
        assert!(parse_instant("0000-01-01T00:00:00Z").is_ok());
        assert!(parse_instant("0000-01-01T00:00:00+00:01").is_err());
    }

    #[test]
    fn by_hand_and_by_chrono_agree() {
        for date in ["1969-12-31", "2024-02-29", "2025-02-29", "2025-06-03", "2100-02-29", "9998-01-01"] {
            for time in ["00:00:00", "23:59:59.9", "23:59:59.98765", "12:30:60", "24:00:00", "09:05:07.", "9:05:07"] {
                for zone in ["Z", "z", "+09:00", "-03:30", "+24:00", "+0900", "+9", ""] {
                    let text = format!("{date}T{time}{zone}");
                    let by_chrono = DateTime::parse_from_rfc3339(&text).ok().map(|time| time.timestamp_millis());
                    assert_eq!(parse_instant(&text).ok().map(Instant::epoch_millis), by_chrono, "{text}");
                    if let Some(millis) = common_millis(text.as_bytes()) {
                        assert_eq!(Some(millis), by_chrono, "{text}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_time_without_an_offset_is_told_to_have_one() {
        let detail = parse_instant("2025-06-03T09:00:00").unwrap_err();
        assert!(detail.contains("add the one it was meant in, such as 2025-06-03T09:00:00+09:00"), "{detail}");
        assert!(parse_instant("2025-06-03").unwrap_err().contains("not an instant"));
        assert!(parse_date("2025-02-30").unwrap_err().contains("not a day of the calendar"));
        assert!(parse_date("2025/02/03").unwrap_err().contains("such as 2025-06-03"));
    }
}
