//! The time at which metadata stops being valid, in the text form that Go writes.

use std::fmt;
use std::str::FromStr;

use time::{Date, Duration, Month, OffsetDateTime, Time, UtcOffset};

/// How long before the end of metadata and certificates Notary begins to warn.
pub const NEAR_EXPIRY: Duration = Duration::days(183);

/// A text that is not an RFC 3339 time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time like 2030-01-31T12:00:00Z")]
pub struct ExpiresError(String);

/// An expiry: an instant and the offset it is written with.
///
/// Its text is Go's `RFC3339Nano`: no trailing zeros in the fraction, `Z` for a zero offset.
/// Two values are equal if their text is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Expires {
    local: OffsetDateTime,
    offset: UtcOffset,
}

impl Expires {
    /// An expiry in UTC and whole seconds.
    #[must_use]
    pub fn at(instant: OffsetDateTime) -> Self {
        let utc = instant.to_offset(UtcOffset::UTC);
        let local = utc.replace_nanosecond(0).unwrap_or(utc);
        Self { local, offset: UtcOffset::UTC }
    }

    /// The instant.
    #[must_use]
    pub fn instant(&self) -> OffsetDateTime {
        self.local
    }

    /// Parses an RFC 3339 time with at most nine digits of fraction.
    ///
    /// # Errors
    /// [`ExpiresError`] carries the text.
    pub fn parse(text: &str) -> Result<Self, ExpiresError> {
        read(text).ok_or_else(|| ExpiresError(text.to_owned()))
    }
}

fn read(text: &str) -> Option<Expires> {
    let mut rest = text;
    let year = digits(&mut rest, 4)?;
    let month = digits(after(&mut rest, '-')?, 2)?;
    let day = digits(after(&mut rest, '-')?, 2)?;
    let hour = digits(after(&mut rest, 'T')?, 2)?;
    let minute = digits(after(&mut rest, ':')?, 2)?;
    let second = digits(after(&mut rest, ':')?, 2)?;
    let nanosecond = fraction(&mut rest)?;
    let offset = zone(rest)?;
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    let date = Date::from_calendar_date(i32::try_from(year).ok()?, month, u8::try_from(day).ok()?).ok()?;
    let time = Time::from_hms_nano(
        u8::try_from(hour).ok()?,
        u8::try_from(minute).ok()?,
        u8::try_from(second).ok()?,
        nanosecond,
    )
    .ok()?;
    Some(Expires { local: date.with_time(time).assume_offset(offset), offset })
}

fn digits(rest: &mut &str, count: usize) -> Option<u32> {
    let (head, tail) = rest.split_at_checked(count)?;
    if !head.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    *rest = tail;
    head.parse().ok()
}

fn after<'a, 'b>(rest: &'a mut &'b str, mark: char) -> Option<&'a mut &'b str> {
    *rest = rest.strip_prefix(mark)?;
    Some(rest)
}

fn fraction(rest: &mut &str) -> Option<u32> {
    let Some(tail) = rest.strip_prefix('.') else {
        return Some(0);
    };
    let count = tail.bytes().take_while(u8::is_ascii_digit).count();
    let (head, tail) = tail.split_at_checked(count)?;
    if !(1..=9).contains(&count) {
        return None;
    }
    *rest = tail;
    format!("{head:0<9}").parse().ok()
}

fn zone(text: &str) -> Option<UtcOffset> {
    if text == "Z" {
        return Some(UtcOffset::UTC);
    }
    let (sign, mut rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let hours = i8::try_from(digits(&mut rest, 2)?).ok()?;
    let minutes = i8::try_from(digits(after(&mut rest, ':')?, 2)?).ok()?;
    if !rest.is_empty() || hours > 23 || minutes > 59 {
        return None;
    }
    UtcOffset::from_hms(hours.checked_mul(sign)?, minutes.checked_mul(sign)?, 0).ok()
}

impl fmt::Display for Expires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (date, time) = (self.local.date(), self.local.time());
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            date.year(),
            u8::from(date.month()),
            date.day(),
            time.hour(),
            time.minute(),
            time.second()
        )?;
        if time.nanosecond() != 0 {
            let digits = format!("{:09}", time.nanosecond());
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        if self.offset == UtcOffset::UTC {
            return f.write_str("Z");
        }
        let (hours, minutes, _) = self.offset.as_hms();
        let sign = if self.offset.is_negative() { '-' } else { '+' };
        write!(f, "{sign}{:02}:{:02}", hours.unsigned_abs(), minutes.unsigned_abs())
    }
}

impl fmt::Debug for Expires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expires({self})")
    }
}

impl FromStr for Expires {
    type Err = ExpiresError;
    fn from_str(text: &str) -> Result<Self, ExpiresError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn the_text_is_what_go_writes() {
        let table = [
            ("2030-01-02T03:04:05Z", "2030-01-02T03:04:05Z"),
            ("2030-01-02T03:04:05.500Z", "2030-01-02T03:04:05.5Z"),
            ("2030-01-02T03:04:05.000Z", "2030-01-02T03:04:05Z"),
            ("2030-01-02T03:04:05.123456789Z", "2030-01-02T03:04:05.123456789Z"),
            ("2030-01-02T03:04:05.000000001+02:00", "2030-01-02T03:04:05.000000001+02:00"),
            ("2030-01-02T03:04:05+00:00", "2030-01-02T03:04:05Z"),
            ("2030-01-02T03:04:05-03:30", "2030-01-02T03:04:05-03:30"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ];
        for (text, written) in table {
            assert_eq!(Expires::parse(text).unwrap().to_string(), written);
        }
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        for text in [
            "",
            "2030",
            "2030-01-02",
            "2030-01-02 03:04:05Z",
            "2030-01-02t03:04:05Z",
            "2030-01-02T03:04:05",
            "2030-01-02T03:04:05z",
            "2030-02-30T00:00:00Z",
            "2030-13-01T00:00:00Z",
            "2030-01-01T24:00:00Z",
            "2030-01-01T23:59:60Z",
            "2030-01-02T03:04:05.Z",
            "2030-01-02T03:04:05.0123456789Z",
            "2030-01-02T03:04:05+2:00",
            "2030-01-02T03:04:05+02:60",
            "2030-01-02T03:04:05+24:00",
            "2030-01-02T03:04:05Z ",
            "+030-01-02T03:04:05Z",
            "２030-01-02T03:04:05Z",
        ] {
            assert!(Expires::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_expiry_is_made_in_utc_and_whole_seconds() {
        let made = Expires::at(datetime!(2030-01-02 03:04:05.678 +2));
        assert_eq!(made.to_string(), "2030-01-02T01:04:05Z");
        assert_eq!(made.instant(), datetime!(2030-01-02 01:04:05 UTC));
    }
}
