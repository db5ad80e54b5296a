//! Go's layouts of times and `time.Format`.
//!
//! <https://pkg.go.dev/time#pkg-constants> describes them.

use jiff::Zoned;

pub(super) const MONTHS: [&str; 12] = [
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
pub(super) const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

/// A piece of a layout.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Std {
    LongMonth,
    Month,
    NumMonth,
    ZeroMonth,
    LongWeekDay,
    WeekDay,
    Day,
    UnderDay,
    ZeroDay,
    UnderYearDay,
    ZeroYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    LongYear,
    Year,
    Pm,
    SmallPm,
    Tz,
    /// ISO 8601 zone: with `Z` for UTC, with a colon, with seconds, hours only.
    Zone {
        z: bool,
        colon: bool,
        seconds: bool,
        short: bool,
    },
    /// Fraction of a second: digits, and whether trailing zeros go.
    Fraction {
        digits: usize,
        trim: bool,
        comma: bool,
    },
}

/// Splits a layout into the text before the next piece, the piece, the rest.
pub(super) fn next_std(layout: &str) -> (&str, Option<Std>, &str) {
    let bytes = layout.as_bytes();
    for at in 0..bytes.len() {
        if !layout.is_char_boundary(at) {
            continue;
        }
        if let Some((std, len)) = std_at(&layout[at..], at.checked_sub(1).map(|p| bytes[p])) {
            return (&layout[..at], Some(std), &layout[at + len..]);
        }
    }
    (layout, None, "")
}

fn std_at(rest: &str, _previous: Option<u8>) -> Option<(Std, usize)> {
    const ZONES: &[(&str, Std)] = &[
        ("-07:00:00", zone(false, true, true, false)),
        ("-07:00", zone(false, true, false, false)),
        ("-070000", zone(false, false, true, false)),
        ("-0700", zone(false, false, false, false)),
        ("-07", zone(false, false, false, true)),
        ("Z07:00:00", zone(true, true, true, false)),
        ("Z07:00", zone(true, true, false, false)),
        ("Z070000", zone(true, false, true, false)),
        ("Z0700", zone(true, false, false, false)),
        ("Z07", zone(true, false, false, true)),
    ];
    const PLAIN: &[(&str, Std)] = &[
        ("January", Std::LongMonth),
        ("Monday", Std::LongWeekDay),
        ("MST", Std::Tz),
        ("002", Std::ZeroYearDay),
        ("01", Std::ZeroMonth),
        ("02", Std::ZeroDay),
        ("03", Std::ZeroHour12),
        ("04", Std::ZeroMinute),
        ("05", Std::ZeroSecond),
        ("06", Std::Year),
        ("15", Std::Hour),
        ("1", Std::NumMonth),
        ("2006", Std::LongYear),
        ("2", Std::Day),
        ("__2", Std::UnderYearDay),
        ("3", Std::Hour12),
        ("4", Std::Minute),
        ("5", Std::Second),
        ("PM", Std::Pm),
        ("pm", Std::SmallPm),
    ];
    for (name, std) in ZONES.iter().chain(PLAIN) {
        if rest.starts_with(name) {
            return Some((*std, name.len()));
        }
    }
    let lower_next = |len: usize| rest.as_bytes().get(len).is_some_and(u8::is_ascii_lowercase);
    if rest.starts_with("Jan") && !lower_next(3) {
        return Some((Std::Month, 3));
    }
    if rest.starts_with("Mon") && !lower_next(3) {
        return Some((Std::WeekDay, 3));
    }
    if rest.starts_with("_2006") {
        return None;
    }
    if rest.starts_with("_2") {
        return Some((Std::UnderDay, 2));
    }
    fraction_at(rest)
}

const fn zone(z: bool, colon: bool, seconds: bool, short: bool) -> Std {
    Std::Zone {
        z,
        colon,
        seconds,
        short,
    }
}

/// `.000` or `,999`, not followed by a digit.
fn fraction_at(rest: &str) -> Option<(Std, usize)> {
    let bytes = rest.as_bytes();
    let comma = *bytes.first()? == b',';
    if !comma && bytes[0] != b'.' {
        return None;
    }
    let digit = *bytes.get(1)?;
    if digit != b'0' && digit != b'9' {
        return None;
    }
    let digits = bytes[1..].iter().take_while(|byte| **byte == digit).count();
    if bytes.get(1 + digits).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let trim = digit == b'9';
    Some((
        Std::Fraction {
            digits,
            trim,
            comma,
        },
        1 + digits,
    ))
}

/// Go's `Time.Format`.
pub fn format(time: &Zoned, layout: &str) -> String {
    let mut out = String::new();
    let mut rest = layout;
    loop {
        let (before, std, after) = next_std(rest);
        out.push_str(before);
        let Some(std) = std else {
            return out;
        };
        append_std(&mut out, time, std);
        rest = after;
    }
}

fn append_std(out: &mut String, time: &Zoned, std: Std) {
    let month = MONTHS[time.month() as usize - 1];
    let day = DAYS[time.weekday().to_monday_zero_offset() as usize];
    let hour12 = match time.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    let text = match std {
        Std::LongMonth => month.into(),
        Std::Month => month[..3].into(),
        Std::NumMonth => time.month().to_string(),
        Std::ZeroMonth => format!("{:02}", time.month()),
        Std::LongWeekDay => day.into(),
        Std::WeekDay => day[..3].into(),
        Std::Day => time.day().to_string(),
        Std::UnderDay => format!("{:2}", time.day()),
        Std::ZeroDay => format!("{:02}", time.day()),
        Std::UnderYearDay => format!("{:3}", time.day_of_year()),
        Std::ZeroYearDay => format!("{:03}", time.day_of_year()),
        Std::Hour => format!("{:02}", time.hour()),
        Std::Hour12 => hour12.to_string(),
        Std::ZeroHour12 => format!("{hour12:02}"),
        Std::Minute => time.minute().to_string(),
        Std::ZeroMinute => format!("{:02}", time.minute()),
        Std::Second => time.second().to_string(),
        Std::ZeroSecond => format!("{:02}", time.second()),
        Std::LongYear => format!("{:04}", time.year()),
        Std::Year => format!("{:02}", time.year().rem_euclid(100)),
        Std::Pm => if time.hour() >= 12 { "PM" } else { "AM" }.into(),
        Std::SmallPm => if time.hour() >= 12 { "pm" } else { "am" }.into(),
        Std::Tz => zone_name(time),
        Std::Zone {
            z,
            colon,
            seconds,
            short,
        } => offset_text(time, z, colon, seconds, short),
        Std::Fraction {
            digits,
            trim,
            comma,
        } => fraction_text(time.subsec_nanosecond(), digits, trim, comma),
    };
    out.push_str(&text);
}

fn zone_name(time: &Zoned) -> String {
    let info = time.time_zone().to_offset_info(time.timestamp());
    let name = info.abbreviation().to_owned();
    // A zone that is an offset alone has no name in Go.
    let nameless =
        time.offset() != jiff::tz::Offset::UTC && time.time_zone().to_fixed_offset().is_ok();
    match nameless || name.is_empty() {
        true => offset_text(time, false, false, false, false),
        false => name,
    }
}

fn offset_text(time: &Zoned, z: bool, colon: bool, seconds: bool, short: bool) -> String {
    let offset = time.offset().seconds();
    if z && offset == 0 {
        return "Z".into();
    }
    let sign = if offset < 0 { '-' } else { '+' };
    let offset = offset.abs();
    let mut text = format!("{sign}{:02}", offset / 3600);
    let separator = if colon { ":" } else { "" };
    if !short {
        text.push_str(&format!("{separator}{:02}", offset / 60 % 60));
    }
    if seconds {
        text.push_str(&format!("{separator}{:02}", offset % 60));
    }
    text
}

fn fraction_text(nanoseconds: i32, digits: usize, trim: bool, comma: bool) -> String {
    let all = format!("{nanoseconds:09}");
    let mut shown = &all[..digits.min(9)];
    if trim {
        shown = shown.trim_end_matches('0');
        if shown.is_empty() {
            return String::new();
        }
    }
    format!("{}{shown}", if comma { ',' } else { '.' })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;

    #[test]
    fn layouts() {
        let time = jiff::civil::date(2026, 1, 2).at(15, 4, 5, 120_000_000);
        let time = time.to_zoned(TimeZone::UTC).expect("a time");
        let check = |layout: &str, expected: &str| assert_eq!(format(&time, layout), expected);
        check("2006-01-02T15:04:05Z07:00", "2026-01-02T15:04:05Z");
        check(
            "Mon Jan _2 15:04:05 MST 2006",
            "Fri Jan  2 15:04:05 UTC 2026",
        );
        check("Monday, 02-Jan-06 3:04PM", "Friday, 02-Jan-26 3:04PM");
        check(".000 .999", ".120 .12");
        check("20060102150405", "20260102150405");
        check("-0700", "+0000");
    }
}
