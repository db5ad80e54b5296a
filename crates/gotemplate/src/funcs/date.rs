//! Sprig's date functions and Go's `time.Format`.
//!
//! <https://pkg.go.dev/time#pkg-constants> describes the layouts.

use super::{A, Functions, S, int, text};
use crate::error::Error;
use crate::value::{Method, Time, Type, Value};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};
use std::rc::Rc;

const T: Type = Type::Time;

pub(super) fn register(table: &mut Functions) {
    table.add("now", &[], |exec, _| Ok(value(exec.host.now())));
    table.add("date", &[S, A], |exec, args| {
        let date = moment(&args[1], exec.host.now());
        Ok(format(&local(date), &text(&args[0])).into())
    });
    table.add("htmlDate", &[A], |exec, args| {
        let date = moment(&args[0], exec.host.now());
        Ok(format(&local(date), "2006-01-02").into())
    });
    table.add("htmlDateInZone", &[A, S], |exec, args| {
        let date = moment(&args[0], exec.host.now());
        Ok(format(&in_zone(date, &text(&args[1])), "2006-01-02").into())
    });
    for name in ["dateInZone", "date_in_zone"] {
        table.add(name, &[S, A, S], |exec, args| {
            let date = moment(&args[1], exec.host.now());
            Ok(format(&in_zone(date, &text(&args[2])), &text(&args[0])).into())
        });
    }
    for name in ["dateModify", "date_modify"] {
        table.add(name, &[S, T], |_, args| {
            Ok(moved(&args[1], &text(&args[0])).unwrap_or_else(|_| args[1].clone()))
        });
    }
    for name in ["mustDateModify", "must_date_modify"] {
        table.add(name, &[S, T], |_, args| {
            moved(&args[1], &text(&args[0])).map_err(Error::message)
        });
    }
    table.add("toDate", &[S, S], |_, args| {
        let parsed = parse(&text(&args[0]), &text(&args[1]));
        Ok(value(parsed.unwrap_or_else(|_| zero_time())))
    });
    table.add("mustToDate", &[S, S], |_, args| {
        parse(&text(&args[0]), &text(&args[1]))
            .map(value)
            .map_err(Error::message)
    });
    table.add("unixEpoch", &[T], |_, args| {
        Ok(seconds(&args[0]).to_string().into())
    });
    table.add("ago", &[A], |exec, args| {
        let now = exec.host.now();
        let then = moment(&args[0], now.clone());
        let past = now.timestamp().duration_since(then.timestamp());
        let rounded = (past.as_secs_f64()).round() as i64;
        Ok(duration_text(i128::from(rounded) * 1_000_000_000).into())
    });
    table.add("duration", &[A], |_, args| {
        let seconds = match &args[0] {
            Value::Int64(seconds) => *seconds,
            Value::Str(text) => crate::strconv::atoi(&text.to_text()).unwrap_or(0),
            _ => 0,
        };
        Ok(duration_text(i128::from(seconds) * 1_000_000_000).into())
    });
    table.add("durationRound", &[A], |exec, args| {
        let nanoseconds = match &args[0] {
            Value::Int64(nanoseconds) => i128::from(*nanoseconds),
            Value::Str(text) => parse_duration(&text.to_text()).unwrap_or(0),
            Value::Time(time) => exec
                .host
                .now()
                .timestamp()
                .duration_since(time.0.timestamp())
                .as_nanos(),
            _ => 0,
        };
        Ok(rounded(nanoseconds.unsigned_abs()).into())
    });
}

/// Methods of `time.Time` that charts call.
pub(crate) const METHODS: &[Method] = &[
    Method {
        name: "Format",
        params: &[S],
        call: |this, args| Ok(format(zoned(this)?, &text(&args[0])).into()),
    },
    Method {
        name: "Unix",
        params: &[],
        call: |this, _| Ok(Value::Int64(seconds(this))),
    },
    Method {
        name: "UnixNano",
        params: &[],
        call: |this, _| Ok(Value::Int64(zoned(this)?.timestamp().as_nanosecond() as i64)),
    },
    Method {
        name: "UnixMilli",
        params: &[],
        call: |this, _| Ok(Value::Int64(zoned(this)?.timestamp().as_millisecond())),
    },
    Method {
        name: "Year",
        params: &[],
        call: |this, _| number(this, |t| t.year().into()),
    },
    Method {
        name: "Day",
        params: &[],
        call: |this, _| number(this, |t| t.day().into()),
    },
    Method {
        name: "Hour",
        params: &[],
        call: |this, _| number(this, |t| t.hour().into()),
    },
    Method {
        name: "Minute",
        params: &[],
        call: |this, _| number(this, |t| t.minute().into()),
    },
    Method {
        name: "Second",
        params: &[],
        call: |this, _| number(this, |t| t.second().into()),
    },
    Method {
        name: "Nanosecond",
        params: &[],
        call: |this, _| number(this, |t| t.subsec_nanosecond().into()),
    },
    Method {
        name: "YearDay",
        params: &[],
        call: |this, _| number(this, |t| t.day_of_year().into()),
    },
    Method {
        name: "UTC",
        params: &[],
        call: |this, _| Ok(value(zoned(this)?.with_time_zone(TimeZone::UTC))),
    },
    Method {
        name: "Local",
        params: &[],
        call: |this, _| Ok(value(local(zoned(this)?.clone()))),
    },
    Method {
        name: "AddDate",
        params: &[Type::Int, Type::Int, Type::Int],
        call: |this, args| {
            let span = jiff::Span::new()
                .try_years(int(&args[0]))
                .and_then(|span| span.try_months(int(&args[1])))
                .and_then(|span| span.try_days(int(&args[2])))
                .map_err(|error| error.to_string())?;
            zoned(this)?
                .checked_add(span)
                .map(value)
                .map_err(|error| error.to_string())
        },
    },
    Method {
        name: "String",
        params: &[],
        call: |this, _| match this {
            Value::Time(time) => Ok(time_text(time).into()),
            _ => Err("not a time".into()),
        },
    },
];

fn zoned(value: &Value) -> Result<&Zoned, String> {
    match value {
        Value::Time(time) => Ok(&time.0),
        other => Err(format!("{} is no time", other.type_name())),
    }
}

fn number(value: &Value, of: fn(&Zoned) -> i64) -> Result<Value, String> {
    Ok(Value::Int(of(zoned(value)?)))
}

fn seconds(value: &Value) -> i64 {
    zoned(value).map_or(0, |time| time.timestamp().as_second())
}

/// Makes a `time.Time`.
pub fn value(time: Zoned) -> Value {
    Value::Time(Rc::new(Time(time)))
}

fn zero_time() -> Zoned {
    let first = jiff::civil::date(1, 1, 1).to_zoned(TimeZone::UTC);
    first.unwrap_or_else(|_| Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC))
}

fn local(time: Zoned) -> Zoned {
    time.with_time_zone(TimeZone::system())
}

fn in_zone(time: Zoned, name: &str) -> Zoned {
    let zone = match name {
        "" | "UTC" => TimeZone::UTC,
        "Local" => TimeZone::system(),
        name => TimeZone::get(name).unwrap_or(TimeZone::UTC),
    };
    time.with_time_zone(zone)
}

/// A time or seconds since the epoch; anything else is now.
fn moment(date: &Value, now: Zoned) -> Zoned {
    match date {
        Value::Time(time) => time.0.clone(),
        Value::Int(seconds) | Value::Int64(seconds) => {
            Timestamp::from_second(*seconds).map_or(now, |stamp| stamp.to_zoned(TimeZone::system()))
        }
        _ => now,
    }
}

fn moved(time: &Value, by: &str) -> Result<Value, String> {
    let nanoseconds = parse_duration(by)?;
    let duration = i64::try_from(nanoseconds)
        .map(SignedDuration::from_nanos)
        .map_err(|error| error.to_string())?;
    zoned(time)?
        .checked_add(duration)
        .map(value)
        .map_err(|error| error.to_string())
}

/// Go's `Time.String`.
pub(crate) fn time_text(time: &Time) -> String {
    format(&time.0, "2006-01-02 15:04:05.999999999 -0700 MST")
}

const MONTHS: [&str; 12] = [
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
const DAYS: [&str; 7] = [
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
enum Std {
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
fn next_std(layout: &str) -> (&str, Option<Std>, &str) {
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
    if name.starts_with(['+', '-']) || name.is_empty() {
        return offset_text(
            time,
            false,
            false,
            false,
            time.offset().seconds() % 3600 == 0,
        );
    }
    name
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

/// Go's `time.ParseInLocation(layout, text, time.Local)`.
fn parse(layout: &str, input: &str) -> Result<Zoned, String> {
    let failed = |element: &str, rest: &str| {
        format!(
            "parsing time {} as {}: cannot parse {} as {}",
            shown(input),
            shown(layout),
            shown(rest),
            shown(element)
        )
    };
    let mut parts = Parts::default();
    let (mut layout_rest, mut rest) = (layout, input);
    loop {
        let (before, std, after) = next_std(layout_rest);
        rest = rest
            .strip_prefix(before)
            .ok_or_else(|| failed(before, rest))?;
        let Some(std) = std else {
            break;
        };
        let element = &layout_rest[before.len()..layout_rest.len() - after.len()];
        rest = parts
            .read(std, rest, after)
            .ok_or_else(|| failed(element, rest))?;
        layout_rest = after;
    }
    if !rest.is_empty() {
        return Err(format!(
            "parsing time {}: extra text: {}",
            shown(input),
            shown(rest)
        ));
    }
    parts
        .zoned()
        .ok_or_else(|| format!("parsing time {}: day out of range", shown(input)))
}

fn shown(text: &str) -> String {
    String::from_utf8_lossy(&crate::strconv::quote(text.as_bytes(), false)).into_owned()
}

struct Parts {
    year: i16,
    month: i8,
    day: i8,
    hour: i8,
    minute: i8,
    second: i8,
    nanosecond: i32,
    pm: Option<bool>,
    offset: Option<i32>,
    utc: bool,
}

impl Default for Parts {
    fn default() -> Self {
        Parts {
            year: 0,
            month: 1,
            day: 1,
            hour: 0,
            minute: 0,
            second: 0,
            nanosecond: 0,
            pm: None,
            offset: None,
            utc: false,
        }
    }
}

fn digits(text: &str, least: usize, most: usize) -> Option<(i64, &str)> {
    let count = text
        .bytes()
        .take(most)
        .take_while(u8::is_ascii_digit)
        .count();
    if count < least {
        return None;
    }
    Some((text[..count].parse().ok()?, &text[count..]))
}

impl Parts {
    fn read<'i>(&mut self, std: Std, text: &'i str, after: &str) -> Option<&'i str> {
        let (least, most) = match std {
            Std::LongYear => (4, 4),
            Std::ZeroMonth
            | Std::ZeroDay
            | Std::Hour
            | Std::ZeroHour12
            | Std::ZeroMinute
            | Std::ZeroSecond
            | Std::Year => (2, 2),
            _ => (1, 2),
        };
        let number = |field: &mut dyn FnMut(i64)| {
            let (value, rest) = digits(text, least, most)?;
            field(value);
            Some(rest)
        };
        match std {
            Std::LongYear => number(&mut |value| self.year = value as i16),
            Std::Year => number(&mut |value| {
                self.year = (if value >= 69 {
                    1900 + value
                } else {
                    2000 + value
                }) as i16;
            }),
            Std::NumMonth | Std::ZeroMonth => number(&mut |value| self.month = value as i8),
            Std::Day | Std::ZeroDay => number(&mut |value| self.day = value as i8),
            Std::UnderDay => {
                let (value, rest) = digits(text.trim_start_matches(' '), 1, 2)?;
                self.day = value as i8;
                Some(rest)
            }
            Std::Hour | Std::Hour12 | Std::ZeroHour12 => {
                number(&mut |value| self.hour = value as i8)
            }
            Std::Minute | Std::ZeroMinute => number(&mut |value| self.minute = value as i8),
            Std::Second | Std::ZeroSecond => {
                let (value, rest) = digits(text, least, most)?;
                self.second = value as i8;
                // A fraction is accepted even where the layout has none.
                if !matches!(next_std(after), ("", Some(Std::Fraction { .. }), _)) {
                    return Some(self.fraction(rest));
                }
                Some(rest)
            }
            Std::Fraction { .. } => Some(self.fraction(text)),
            Std::LongMonth => self.name(text, &MONTHS, usize::MAX),
            Std::Month => self.name(text, &MONTHS, 3),
            Std::LongWeekDay => skip_name(text, usize::MAX),
            Std::WeekDay => skip_name(text, 3),
            Std::Pm | Std::SmallPm => {
                let half = text.get(..2)?;
                self.pm = Some(match half {
                    "PM" | "pm" => true,
                    "AM" | "am" => false,
                    _ => return None,
                });
                Some(&text[2..])
            }
            Std::Tz => {
                let end = text.bytes().take_while(u8::is_ascii_uppercase).count();
                self.utc = &text[..end] == "UTC";
                (end >= 3).then(|| &text[end..])
            }
            Std::Zone {
                z,
                colon,
                seconds,
                short,
            } => self.zone(text, z, colon, seconds, short),
            Std::UnderYearDay | Std::ZeroYearDay => None,
        }
    }

    fn fraction<'i>(&mut self, text: &'i str) -> &'i str {
        let Some(rest) = text.strip_prefix(['.', ',']) else {
            return text;
        };
        let count = rest.bytes().take_while(u8::is_ascii_digit).count();
        if count == 0 {
            return text;
        }
        let nine: String = rest[..count]
            .chars()
            .chain("000000000".chars())
            .take(9)
            .collect();
        self.nanosecond = nine.parse().unwrap_or(0);
        &rest[count..]
    }

    fn name<'i>(&mut self, text: &'i str, names: &[&str], len: usize) -> Option<&'i str> {
        for (at, name) in names.iter().enumerate() {
            let name = &name[..len.min(name.len())];
            if text
                .get(..name.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(name))
            {
                self.month = at as i8 + 1;
                return Some(&text[name.len()..]);
            }
        }
        None
    }

    fn zone<'i>(
        &mut self,
        text: &'i str,
        z: bool,
        colon: bool,
        seconds: bool,
        short: bool,
    ) -> Option<&'i str> {
        if z && let Some(rest) = text.strip_prefix('Z') {
            self.utc = true;
            return Some(rest);
        }
        let sign = match text.as_bytes().first()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let (hours, mut rest) = digits(&text[1..], 2, 2)?;
        let mut offset = hours * 3600;
        for unit in [60, 1]
            .into_iter()
            .take(usize::from(!short) + usize::from(seconds))
        {
            if colon {
                rest = rest.strip_prefix(':')?;
            }
            let (value, after) = digits(rest, 2, 2)?;
            offset += value * unit;
            rest = after;
        }
        self.offset = Some(sign * offset as i32);
        Some(rest)
    }

    fn zoned(self) -> Option<Zoned> {
        let hour = match self.pm {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let civil = jiff::civil::DateTime::new(
            self.year,
            self.month,
            self.day,
            hour,
            self.minute,
            self.second,
            self.nanosecond,
        )
        .ok()?;
        let zone = match self.offset {
            Some(0) => TimeZone::UTC,
            Some(offset) => TimeZone::fixed(jiff::tz::Offset::from_seconds(offset).ok()?),
            None if self.utc => TimeZone::UTC,
            None => TimeZone::system(),
        };
        civil.to_zoned(zone).ok()
    }
}

fn skip_name(text: &str, len: usize) -> Option<&str> {
    DAYS.iter().find_map(|name| {
        let name = &name[..len.min(name.len())];
        let start = text.get(..name.len())?;
        start
            .eq_ignore_ascii_case(name)
            .then(|| &text[name.len()..])
    })
}

/// Go's `time.ParseDuration`, in nanoseconds.
fn parse_duration(input: &str) -> Result<i128, String> {
    let invalid = || format!("time: invalid duration {}", shown(input));
    let (sign, mut rest) = match input.as_bytes().first() {
        Some(b'-') => (-1, &input[1..]),
        Some(b'+') => (1, &input[1..]),
        _ => (1, input),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0f64;
    let mut whole = 0i128;
    while !rest.is_empty() {
        let count = rest
            .bytes()
            .take_while(|byte| byte.is_ascii_digit() || *byte == b'.')
            .count();
        let number = &rest[..count];
        if number.is_empty() || number == "." || number.len() > 18 {
            return Err(invalid());
        }
        rest = &rest[count..];
        let unit_len = rest
            .bytes()
            .take_while(|byte| *byte != b'.' && !byte.is_ascii_digit())
            .count();
        if unit_len == 0 {
            return Err(format!("time: missing unit in duration {}", shown(input)));
        }
        let (name, after) = rest.split_at(unit_len);
        let unit: i128 = match name {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => {
                return Err(format!(
                    "time: unknown unit {} in duration {}",
                    shown(name),
                    shown(input)
                ));
            }
        };
        match number.parse::<i128>() {
            Ok(number) => whole += number * unit,
            Err(_) => total += number.parse::<f64>().map_err(|_| invalid())? * unit as f64,
        }
        rest = after;
    }
    Ok(sign * (whole + total as i128))
}

/// Go's `Duration.String`.
fn duration_text(nanoseconds: i128) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let n = nanoseconds.unsigned_abs();
    if n == 0 {
        return "0s".into();
    }
    if n < 1_000_000_000 {
        let (unit, name) = match n {
            n if n < 1_000 => (1, "ns"),
            n if n < 1_000_000 => (1_000, "µs"),
            _ => (1_000_000, "ms"),
        };
        return format!("{sign}{}{name}", trimmed(n, unit));
    }
    let (hours, minutes) = (n / 3_600_000_000_000, n / 60_000_000_000 % 60);
    let seconds = trimmed(n % 60_000_000_000, 1_000_000_000);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

fn trimmed(number: u128, unit: u128) -> String {
    if number.is_multiple_of(unit) {
        return (number / unit).to_string();
    }
    let width = unit.ilog10() as usize;
    let text = format!("{}.{:0width$}", number / unit, number % unit);
    text.trim_end_matches('0').into()
}

fn rounded(nanoseconds: u128) -> String {
    const UNITS: [(u128, &str); 6] = [
        (3_600_000_000_000 * 24 * 365, "y"),
        (3_600_000_000_000 * 24 * 30, "mo"),
        (3_600_000_000_000 * 24, "d"),
        (3_600_000_000_000, "h"),
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
    ];
    UNITS
        .iter()
        .find(|(unit, _)| nanoseconds > *unit)
        .map_or("0s".into(), |(unit, name)| {
            format!("{}{name}", nanoseconds / unit)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let parsed = parse("2006-01-02 15:04:05 -0700", "2026-01-02 15:04:05 +0100");
        let parsed = parsed.expect("parses");
        assert_eq!(
            parsed.timestamp().as_second(),
            time.timestamp().as_second() - 3600
        );
    }

    #[test]
    fn durations() {
        let check = |text: &str, expected: &str| {
            assert_eq!(
                duration_text(parse_duration(text).expect("parses")),
                expected
            );
        };
        check("1h", "1h0m0s");
        check("1.5h", "1h30m0s");
        check("90s", "1m30s");
        check("1500ms", "1.5s");
        check("-2us", "-2µs");
        assert_eq!(rounded(7_300_000_000_000), "2h");
        assert!(parse_duration("1x").is_err());
    }
}
