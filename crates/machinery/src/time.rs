//! Times as the API writes them: RFC 3339 in UTC, with seconds or microseconds.

use jiff::{SignedDuration, Timestamp, tz::Offset};

/// Returns `text` as the API writes a `Time`.
///
/// # Errors
/// When `text` is not RFC 3339; the message follows Go's.
pub fn canonical_seconds(text: &str) -> Result<String, String> {
    parse(text, "2006-01-02T15:04:05Z07:00").map(seconds)
}

/// Returns `text` as the API writes a `MicroTime`.
///
/// # Errors
/// When `text` is not RFC 3339; the message follows Go's.
pub fn canonical_micros(text: &str) -> Result<String, String> {
    parse(text, "2006-01-02T15:04:05.000000Z07:00").map(micros)
}

/// Writes a time with seconds.
pub fn seconds(time: Timestamp) -> String {
    Offset::UTC
        .to_datetime(time)
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

/// Writes a time with microseconds.
pub fn micros(time: Timestamp) -> String {
    Offset::UTC
        .to_datetime(time)
        .strftime("%Y-%m-%dT%H:%M:%S.%6fZ")
        .to_string()
}

/// Reads a time the API wrote; `None` for anything else.
pub fn read(text: &str) -> Option<Timestamp> {
    parse(text, "").ok()
}

fn parse(text: &str, layout: &str) -> Result<Timestamp, String> {
    let bytes = text.as_bytes();
    let has_form = bytes.len() >= 20 && bytes[10] == b'T' && bytes[4] == b'-' && bytes[13] == b':';
    let parsed = has_form.then(|| text.parse::<Timestamp>().ok()).flatten();
    parsed.ok_or_else(|| {
        let layout_head = if layout.is_empty() { "" } else { "2006" };
        format!(
            "parsing time \"{text}\" as \"{layout}\": cannot parse \"{text}\" as \"{layout_head}\""
        )
    })
}

/// Writes a duration as `kubectl get` writes ages: `59s`, `2m30s`, `4h`, `3d2h`,
/// `45d`, `2y`. Follows `duration.HumanDuration` of `k8s.io/apimachinery`.
pub fn human(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    // Two seconds of clock difference count as none.
    if seconds < -1 {
        return "<invalid>".into();
    }
    if seconds < 0 {
        return "0s".into();
    }
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let days = hours / 24;
    let two = |major: i64, unit: char, minor: i64, small: char| match minor {
        0 => format!("{major}{unit}"),
        minor => format!("{major}{unit}{minor}{small}"),
    };
    if seconds < 120 {
        format!("{seconds}s")
    } else if minutes < 10 {
        two(minutes, 'm', seconds % 60, 's')
    } else if minutes < 180 {
        format!("{minutes}m")
    } else if hours < 8 {
        two(hours, 'h', minutes % 60, 'm')
    } else if hours < 48 {
        format!("{hours}h")
    } else if days < 8 {
        two(days, 'd', hours % 24, 'h')
    } else if days < 365 * 2 {
        format!("{days}d")
    } else if days < 365 * 8 {
        two(days / 365, 'y', days % 365, 'd')
    } else {
        format!("{}y", days / 365)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        let check = |seconds: i64, expected: &str| {
            assert_eq!(human(SignedDuration::from_secs(seconds)), expected);
        };
        check(0, "0s");
        check(-1, "0s");
        check(-2, "<invalid>");
        check(119, "119s");
        check(120, "2m");
        check(150, "2m30s");
        check(600, "10m");
        check(3 * 3600 - 1, "179m");
        check(3 * 3600, "3h");
        check(3 * 3600 + 60, "3h1m");
        check(8 * 3600 + 60, "8h");
        check(48 * 3600, "2d");
        check(49 * 3600, "2d1h");
        check(8 * 86400, "8d");
        check(729 * 86400, "729d");
        check(730 * 86400, "2y");
        check(731 * 86400, "2y1d");
        check(8 * 365 * 86400, "8y");
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(
            canonical_seconds("2024-02-29T23:59:59.9-01:00").as_deref(),
            Ok("2024-03-01T00:59:59Z")
        );
        assert_eq!(
            canonical_micros("2024-02-29T23:59:59.1234567Z").as_deref(),
            Ok("2024-02-29T23:59:59.123456Z")
        );
        for text in [
            "",
            "yesterday",
            "2024-02-29",
            "2024-02-29 10:00:00Z",
            "2024-02-30T00:00:00Z",
        ] {
            assert!(canonical_seconds(text).is_err(), "{text}");
        }
    }
}
