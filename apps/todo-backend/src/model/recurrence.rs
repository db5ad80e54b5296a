//! How often a task comes back, and when: pure date arithmetic, in UTC.

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use crate::time::Millis;

/// How often a task comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recurrence {
    /// Days, weeks or months.
    pub frequency: Frequency,
    /// Every so many of them, at least 1.
    #[serde(default = "one")]
    pub interval: u16,
    /// Weekly only: 0 is Monday.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days_of_week: Vec<u8>,
    /// Monthly only; the last day when the month is shorter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day_of_month: Option<u8>,
}

fn one() -> u16 {
    1
}

/// The unit of a recurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Frequency {
    /// Every day.
    Daily,
    /// Every week.
    Weekly,
    /// Every month.
    Monthly,
}

/// Returns the next due date after both the old one and now.
pub fn next_due(rule: &Recurrence, due: Option<Millis>, now: Millis) -> Option<Millis> {
    let start = Timestamp::from_millisecond(due.unwrap_or(now))
        .ok()?
        .to_zoned(TimeZone::UTC);
    let mut date = start.date();
    // Each step moves at least a day; a rule of days reaches today in time.
    for _ in 0..20_000 {
        date = step(rule, date)?;
        let at = date
            .to_datetime(start.time())
            .to_zoned(TimeZone::UTC)
            .ok()?;
        let at = at.timestamp().as_millisecond();
        if at > now {
            return Some(at);
        }
    }
    None
}

fn step(rule: &Recurrence, date: Date) -> Option<Date> {
    let every = i64::from(rule.interval.max(1));
    match rule.frequency {
        Frequency::Daily => date.checked_add(every.days()).ok(),
        Frequency::Weekly if rule.days_of_week.is_empty() => date.checked_add(every.weeks()).ok(),
        Frequency::Weekly => next_weekday(&rule.days_of_week, date, every),
        Frequency::Monthly => next_month(rule.day_of_month, date, every),
    }
}

/// The next listed day of this week, else the first one `every` weeks on.
fn next_weekday(days: &[u8], date: Date, every: i64) -> Option<Date> {
    let today = date.weekday().to_monday_zero_offset();
    let listed = |day: i8| days.iter().any(|one| *one as i8 == day);
    if let Some(day) = (today + 1..7).find(|day| listed(*day)) {
        return date.checked_add(i64::from(day - today).days()).ok();
    }
    let first = (0..7).find(|day| listed(*day))?;
    let monday = date.checked_sub(i64::from(today).days()).ok()?;
    debug_assert_eq!(monday.weekday(), Weekday::Monday);
    monday
        .checked_add(every.weeks())
        .ok()?
        .checked_add(i64::from(first).days())
        .ok()
}

/// The wished day `every` months on, or the last day of a shorter month.
fn next_month(day: Option<u8>, date: Date, every: i64) -> Option<Date> {
    let day = day.map_or(date.day(), |day| day as i8);
    let first = date.first_of_month().checked_add(every.months()).ok()?;
    let last = first.last_of_month();
    first.with().day(day.min(last.day())).build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{parse, text};

    fn rule(frequency: Frequency, interval: u16, days: &[u8], day: Option<u8>) -> Recurrence {
        Recurrence {
            frequency,
            interval,
            days_of_week: days.to_vec(),
            day_of_month: day,
        }
    }

    #[test]
    fn tasks_come_back() {
        let check = |rule: Recurrence, due: &str, now: &str, expected: &str| {
            let found = next_due(&rule, parse(due), parse(now).expect("now")).map(text);
            assert_eq!(found.as_deref(), Some(expected), "{rule:?} {due} {now}");
        };
        use Frequency::{Daily, Monthly, Weekly};
        // 2026-01-05 is a Monday.
        check(
            rule(Daily, 1, &[], None),
            "2026-01-05T09:00",
            "2026-01-05T10:00",
            "2026-01-06T09:00:00Z",
        );
        check(
            rule(Daily, 3, &[], None),
            "2026-01-05T09:00",
            "2026-01-05T08:00",
            "2026-01-08T09:00:00Z",
        );
        check(
            rule(Daily, 1, &[], None),
            "2026-01-05T09:00",
            "2026-02-01T12:00",
            "2026-02-02T09:00:00Z",
        );
        check(
            rule(Weekly, 1, &[], None),
            "2026-01-05",
            "2026-01-05",
            "2026-01-12T00:00:00Z",
        );
        check(
            rule(Weekly, 1, &[0, 3], None),
            "2026-01-05",
            "2026-01-05",
            "2026-01-08T00:00:00Z",
        );
        check(
            rule(Weekly, 2, &[0], None),
            "2026-01-05",
            "2026-01-05",
            "2026-01-19T00:00:00Z",
        );
        check(
            rule(Monthly, 1, &[], None),
            "2026-01-31",
            "2026-01-31",
            "2026-02-28T00:00:00Z",
        );
        check(
            rule(Monthly, 1, &[], Some(31)),
            "2026-02-28",
            "2026-02-28",
            "2026-03-31T00:00:00Z",
        );
        check(
            rule(Monthly, 12, &[], None),
            "2024-02-29",
            "2024-02-29",
            "2025-02-28T00:00:00Z",
        );
    }
}
