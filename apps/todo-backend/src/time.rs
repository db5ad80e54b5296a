//! Instants as milliseconds since the epoch, in UTC, and their text form.
//!
//! Rows hold `Millis`; JSON shows RFC 3339. Time zones of people appear only
//! where people write dates (the assistant), never here.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Millis = i64;

/// Returns the present instant.
pub fn now() -> Millis {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as Millis)
}

/// Returns the RFC 3339 text of an instant, in UTC.
pub fn text(at: Millis) -> String {
    jiff::Timestamp::from_millisecond(at).map_or_else(|_| String::new(), |stamp| stamp.to_string())
}

/// Reads RFC 3339, or a civil date or date-time, which then is taken as UTC.
pub fn parse(text: &str) -> Option<Millis> {
    if let Ok(stamp) = text.parse::<jiff::Timestamp>() {
        return Some(stamp.as_millisecond());
    }
    let civil = text.parse::<jiff::civil::DateTime>().ok()?;
    let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(zoned.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_clients_write() {
        let check = |input: &str, expected: Option<&str>| {
            assert_eq!(parse(input).map(text).as_deref(), expected, "{input}");
        };
        check("2026-01-02T03:04:05Z", Some("2026-01-02T03:04:05Z"));
        check("2026-01-02T05:04:05+02:00", Some("2026-01-02T03:04:05Z"));
        check("2026-01-02", Some("2026-01-02T00:00:00Z"));
        check("2026-01-02T17:30", Some("2026-01-02T17:30:00Z"));
        check("2026-13-02", None);
        check("tomorrow", None);
        check("", None);
    }
}
