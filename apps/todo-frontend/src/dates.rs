//! Due dates as people read and write them, in the visitor's time zone.

use jiff::civil::{Date, DateTime, time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

use crate::language::Language;
use crate::visitor::Visitor;

/// When a task is due, seen from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// Past.
    Overdue,
    /// Later today.
    Today,
    /// After today.
    Later,
    /// No date.
    Whenever,
}

impl When {
    /// All, in the order of the page.
    pub const ALL: [Self; 4] = [Self::Overdue, Self::Today, Self::Later, Self::Whenever];

    /// Returns where a due date belongs.
    pub fn of(due: Option<&str>, now: &Zoned) -> Self {
        let Some(due) = due.and_then(|due| due.parse::<Timestamp>().ok()) else {
            return Self::Whenever;
        };
        let day = due.to_zoned(now.time_zone().clone()).date();
        if due < now.timestamp() {
            Self::Overdue
        } else if day == now.date() {
            Self::Today
        } else {
            Self::Later
        }
    }

    /// Returns the heading of the group.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Overdue => "Overdue",
            Self::Today => "Today",
            Self::Later => "Later",
            Self::Whenever => "Whenever",
        }
    }
}

/// Returns a due date in a few words: "Today, 17:00", "Friday", "3 Feb 2027".
pub fn label(due: &str, visitor: &Visitor, now: &Zoned) -> String {
    let Ok(due) = due.parse::<Timestamp>() else {
        return due.to_owned();
    };
    let due = due.to_zoned(now.time_zone().clone());
    let day = day_label(due.date(), now.date(), visitor);
    // The end of a day stands for the day.
    if due.time() >= time(23, 59, 0, 0) {
        day
    } else {
        format!("{day}{} {}", visitor.comma(), due.strftime("%H:%M"))
    }
}

fn day_label(day: Date, today: Date, visitor: &Visitor) -> String {
    let apart = today
        .until(day)
        .map(|span| span.get_days())
        .unwrap_or_default();
    match apart {
        0 => visitor.t("Today").to_owned(),
        1 => visitor.t("Tomorrow").to_owned(),
        -1 => visitor.t("Yesterday").to_owned(),
        2..=6 => weekday(day, visitor.language).to_owned(),
        _ if day.year() == today.year() => {
            format!("{} {}", day.day(), month(day, visitor.language))
        }
        _ => format!(
            "{} {} {}",
            day.day(),
            month(day, visitor.language),
            day.year()
        ),
    }
}

/// Reads a date or date-time field; a date alone means the end of that day.
pub fn read(text: &str, zone: &TimeZone) -> Option<String> {
    let text = text.trim();
    let at: DateTime = match text.parse::<Date>() {
        Ok(day) if text.len() == 10 => day.to_datetime(time(23, 59, 0, 0)),
        _ => text.parse().ok()?,
    };
    at.to_zoned(zone.clone())
        .ok()
        .map(|at| at.timestamp().to_string())
}

/// Returns a due date for a `datetime-local` field.
pub fn field(due: &str, zone: &TimeZone) -> String {
    let due = due
        .parse::<Timestamp>()
        .map(|due| due.to_zoned(zone.clone()));
    due.map(|due| due.strftime("%Y-%m-%dT%H:%M").to_string())
        .unwrap_or_default()
}

/// Returns the instant before which a task must be due to pass a filter.
pub fn due_before(filter: &str, now: &Zoned) -> Option<String> {
    let days = match filter {
        "overdue" => return Some(now.timestamp().to_string()),
        "today" => 1,
        "week" => 7,
        _ => return None,
    };
    let end = now
        .checked_add(days.days())
        .and_then(|end| end.start_of_day())
        .ok()?;
    Some(end.timestamp().to_string())
}

/// Returns the day in words: "Monday, 5 January".
pub fn today(visitor: &Visitor, now: &Zoned) -> String {
    let (day, language) = (now.date(), visitor.language);
    let comma = visitor.comma();
    let (weekday, month) = (weekday(day, language), month(day, language));
    format!("{weekday}{comma} {} {month}", day.day())
}

fn weekday(day: Date, language: Language) -> &'static str {
    const ENGLISH: [&str; 7] = [
        "Monday",
        "Tuesday",
        "Wednesday",
        "Thursday",
        "Friday",
        "Saturday",
        "Sunday",
    ];
    const URDU: [&str; 7] = ["پیر", "منگل", "بدھ", "جمعرات", "جمعہ", "ہفتہ", "اتوار"];
    let names = match language {
        Language::English => ENGLISH,
        Language::Urdu => URDU,
    };
    let place = day.weekday().to_monday_zero_offset();
    usize::try_from(place)
        .ok()
        .and_then(|place| names.get(place))
        .copied()
        .unwrap_or_default()
}

fn month(day: Date, language: Language) -> &'static str {
    const ENGLISH: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    const URDU: [&str; 12] = [
        "جنوری",
        "فروری",
        "مارچ",
        "اپریل",
        "مئی",
        "جون",
        "جولائی",
        "اگست",
        "ستمبر",
        "اکتوبر",
        "نومبر",
        "دسمبر",
    ];
    let names = match language {
        Language::English => ENGLISH,
        Language::Urdu => URDU,
    };
    let place = usize::try_from(day.month() - 1).unwrap_or_default();
    names.get(place).copied().unwrap_or_default()
}

/// Returns the greeting for the hour.
pub fn greeting(now: &Zoned) -> &'static str {
    match now.hour() {
        4..=11 => "Good morning",
        12..=17 => "Good afternoon",
        _ => "Good evening",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_in_the_zone() {
        let zone = TimeZone::get("Asia/Karachi").expect("zone");
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(read(text, &zone).as_deref(), expected, "{text}");
        };
        check("2026-01-02", Some("2026-01-02T18:59:00Z"));
        check("2026-01-02T05:00", Some("2026-01-02T00:00:00Z"));
        check("", None);
        check("soon", None);
        assert_eq!(field("2026-01-02T00:00:00Z", &zone), "2026-01-02T05:00");
    }

    #[test]
    fn days_have_names_in_both_languages() {
        let day: Date = "2026-11-21".parse().expect("a date");
        assert_eq!(weekday(day, Language::English), "Saturday");
        assert_eq!(month(day, Language::English), "November");
        assert_eq!(weekday(day, Language::Urdu), "ہفتہ");
        assert_eq!(month(day, Language::Urdu), "نومبر");
    }

    #[test]
    fn groups_follow_the_clock() {
        let now: Zoned = "2026-01-05T10:00:00+00:00[UTC]".parse().expect("zoned");
        let check = |due: Option<&str>, expected: When| {
            assert_eq!(When::of(due, &now), expected, "{due:?}")
        };
        check(None, When::Whenever);
        check(Some("2026-01-05T09:00:00Z"), When::Overdue);
        check(Some("2026-01-05T23:59:00Z"), When::Today);
        check(Some("2026-01-06T00:00:00Z"), When::Later);
        check(Some("nonsense"), When::Whenever);
    }
}
