//! When a cron job runs: five fields, or a descriptor, in a time zone
//! (upstream: github.com/robfig/cron/v3, spec.go).

use std::time::Duration;

use k8s_openapi::jiff::civil::{Date, DateTime};
use k8s_openapi::jiff::tz::TimeZone;
use k8s_openapi::jiff::{SignedDuration, Timestamp, ToSpan};

/// The lowest and highest value of each field: minute, hour, day, month, weekday.
const BOUNDS: [(u32, u32); 5] = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)];
const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// How far ahead a time is looked for; a schedule such as 31 February has none.
const DAYS_MAX: usize = 5 * 366;

/// A schedule.
#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    /// At the times that all fields allow.
    Fields {
        /// The values of each field, one bit each.
        fields: [u64; 5],
        /// Whether the day of the month, and of the week, are `*`.
        any_day: (bool, bool),
    },
    /// Again after this time.
    Every(Duration),
}

impl Schedule {
    /// Reads a schedule; `None` if it is none.
    pub fn parse(text: &str) -> Option<Schedule> {
        let text = text.trim();
        let text = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other => other,
        };
        if let Some(period) = text.strip_prefix("@every ") {
            return every(period.trim()).map(Schedule::Every);
        }
        let parts: Vec<&str> = text.split_whitespace().collect();
        if parts.len() != 5 {
            return None;
        }
        let mut fields = [0; 5];
        for (place, part) in parts.iter().enumerate() {
            fields[place] = field(part, place)?;
        }
        let star = |part: &str| part.split(',').any(|one| one.starts_with(['*', '?']));
        Some(Schedule::Fields {
            fields,
            any_day: (star(parts[2]), star(parts[4])),
        })
    }

    /// Returns the first time after `after` in a time zone.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let (fields, any_day) = match self {
            Schedule::Every(period) => {
                let period = SignedDuration::try_from(*period).ok()?;
                let whole = Timestamp::from_second(after.as_second()).ok()?;
                return whole.checked_add(period).ok();
            }
            Schedule::Fields { fields, any_day } => (fields, any_day),
        };
        let start = after.to_zoned(zone.clone()).datetime();
        let mut date = start.date();
        for _ in 0..DAYS_MAX {
            if is_day(fields, *any_day, date)
                && let Some(found) = within(fields, date, after, zone)
            {
                return Some(found);
            }
            date = date.checked_add(1.day()).ok()?;
        }
        None
    }
}

fn has(set: u64, value: i8) -> bool {
    u32::try_from(value).is_ok_and(|value| set & (1 << value) != 0)
}

/// Both days must fit, or one of them if neither is `*`.
fn is_day(fields: &[u64; 5], any_day: (bool, bool), date: Date) -> bool {
    let month_day = has(fields[2], date.day());
    let weekday = has(fields[4], date.weekday().to_sunday_zero_offset());
    let day = if any_day.0 || any_day.1 {
        month_day && weekday
    } else {
        month_day || weekday
    };
    day && has(fields[3], date.month())
}

/// Returns the first time of a day after `after`. A time that the clocks leave
/// out does not come.
fn within(fields: &[u64; 5], date: Date, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let hours = (0..24).filter(|hour| has(fields[1], *hour));
    let times = hours.flat_map(|hour| {
        let minutes = (0..60).filter(|minute| has(fields[0], *minute));
        minutes.map(move |minute| date.at(hour, minute, 0, 0))
    });
    times
        .filter_map(|time| instant(time, zone))
        .find(|at| *at > after)
}

fn instant(time: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    let found = zone.to_ambiguous_zoned(time).compatible().ok()?;
    (found.datetime() == time).then(|| found.timestamp())
}

fn field(text: &str, place: usize) -> Option<u64> {
    text.split(',')
        .map(|part| range(part, place))
        .try_fold(0, |set, part| Some(set | part?))
}

/// `*`, `a`, `a-b`, each with an optional `/step`.
fn range(text: &str, place: usize) -> Option<u64> {
    let (low, high) = BOUNDS[place];
    let (span, step) = match text.split_once('/') {
        Some((span, step)) => (
            span,
            Some(step.parse::<u32>().ok().filter(|step| *step > 0)?),
        ),
        None => (text, None),
    };
    let (first, last) = match span {
        "*" | "?" => (low, high),
        _ => match span.split_once('-') {
            Some((first, last)) => (value(first, place)?, value(last, place)?),
            None if step.is_some() => (value(span, place)?, high),
            None => (value(span, place)?, value(span, place)?),
        },
    };
    if first < low || last > high || first > last {
        return None;
    }
    let step = usize::try_from(step.unwrap_or(1)).ok()?;
    Some(
        (first..=last)
            .step_by(step)
            .fold(0, |set, value| set | 1 << value),
    )
}

fn value(text: &str, place: usize) -> Option<u32> {
    let lower = text.to_lowercase();
    let named = |names: &[&str]| names.iter().position(|name| *name == lower);
    let by_name = match place {
        3 => named(&MONTHS).map(|place| place + 1),
        4 => named(&DAYS),
        _ => None,
    };
    match by_name {
        Some(value) => u32::try_from(value).ok(),
        None => text.parse().ok(),
    }
}

/// Reads a duration as Go writes it, in whole seconds of at least one.
fn every(text: &str) -> Option<Duration> {
    let (mut total, mut rest) = (0.0, text);
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, after) = rest.split_at(end);
        let unit = after.find(|letter: char| letter.is_ascii_digit());
        let (unit, next) = after.split_at(unit.unwrap_or(after.len()));
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * seconds;
        rest = next;
    }
    Some(Duration::from_secs((total as u64).max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schedule: &str, after: &str, expected: Option<&str>) {
        let parsed = Schedule::parse(schedule).expect(schedule);
        let next = parsed.next(after.parse().expect("a time"), &TimeZone::UTC);
        assert_eq!(
            next,
            expected.map(|text| text.parse().expect("a time")),
            "{schedule} after {after}"
        );
    }

    /// Upstream: robfig/cron/v3, spec_test.go, TestNext.
    #[test]
    fn the_next_time_is_found() {
        check(
            "*/15 * * * *",
            "2012-07-09T14:45:00Z",
            Some("2012-07-09T15:00:00Z"),
        );
        check(
            "*/15 * * * *",
            "2012-07-09T14:59:59Z",
            Some("2012-07-09T15:00:00Z"),
        );
        check(
            "20-35/15 * * * *",
            "2012-07-09T15:45:00Z",
            Some("2012-07-09T16:20:00Z"),
        );
        check(
            "20-35/15 * * * *",
            "2012-07-09T23:46:00Z",
            Some("2012-07-10T00:20:00Z"),
        );
        check(
            "0 0 9 apr-oct *",
            "2012-07-09T23:35:00Z",
            Some("2012-08-09T00:00:00Z"),
        );
        check(
            "0 0 * feb mon",
            "2012-07-09T23:35:00Z",
            Some("2013-02-04T00:00:00Z"),
        );
        check(
            "0 0 29 2 ?",
            "2012-07-09T23:35:00Z",
            Some("2016-02-29T00:00:00Z"),
        );
        check("0 0 30 feb ?", "2012-07-09T23:35:00Z", None);
        check(
            "@hourly",
            "2012-07-09T14:45:00Z",
            Some("2012-07-09T15:00:00Z"),
        );
        check(
            "@every 1h30m",
            "2012-07-09T14:45:00Z",
            Some("2012-07-09T16:15:00Z"),
        );
        // Of two days that are both given, one is enough.
        check(
            "0 0 1,15 * sun",
            "2012-07-09T00:00:00Z",
            Some("2012-07-15T00:00:00Z"),
        );
        check(
            "0 0 13 * fri",
            "2012-07-07T00:00:00Z",
            Some("2012-07-13T00:00:00Z"),
        );
    }

    #[test]
    fn a_zone_moves_the_hours() {
        let zone = TimeZone::fixed(k8s_openapi::jiff::tz::offset(2));
        let schedule = Schedule::parse("0 9 * * *").expect("a schedule");
        let next = schedule.next("2026-01-01T00:00:00Z".parse().expect("a time"), &zone);
        assert_eq!(next, Some("2026-01-01T07:00:00Z".parse().expect("a time")));
    }

    #[test]
    fn nonsense_is_no_schedule() {
        for text in [
            "",
            "* * * *",
            "60 * * * *",
            "*/0 * * * *",
            "5-1 * * * *",
            "x * * * *",
            "@now",
            "@every x",
        ] {
            assert_eq!(Schedule::parse(text), None, "{text}");
        }
    }
}
