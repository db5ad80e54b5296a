//! Times as nanoseconds since 1970, and their text. A log entry needs one
//! each, so this is shorter and faster than a calendar library.

use std::time::{SystemTime, UNIX_EPOCH};

/// The time now.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as u64)
}

/// The time now as RFC 3339 with nine digits of the second, in UTC.
pub(crate) fn rfc3339_now() -> String {
    rfc3339(now())
}

fn rfc3339(nanos: u64) -> String {
    let (seconds, fraction) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:09}Z")
}

/// Days since 1970 to a date, after Howard Hinnant's "chrono-Compatible
/// Low-Level Date Algorithms": years begin in March so that the leap day is
/// the last.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right() {
        #[track_caller]
        fn check(seconds: u64, expected: &str) {
            assert_eq!(
                rfc3339(seconds * 1_000_000_000),
                format!("{expected}.000000000Z")
            );
        }
        check(0, "1970-01-01T00:00:00");
        check(951_782_400, "2000-02-29T00:00:00");
        check(951_868_799, "2000-02-29T23:59:59");
        check(1_709_164_800, "2024-02-29T00:00:00");
        check(1_735_689_599, "2024-12-31T23:59:59");
        check(4_107_542_400, "2100-03-01T00:00:00");
    }

    #[test]
    fn all_nine_digits_are_kept() {
        assert_eq!(rfc3339(1_000_000_007), "1970-01-01T00:00:01.000000007Z");
    }
}
