//! Reading a time by a layout: Go's `time.Parse`.

use super::layout::{DAYS, MONTHS, Std, next_std};
use jiff::Zoned;
use jiff::tz::TimeZone;

/// Go's `time.ParseInLocation(layout, text, time.Local)`.
pub(super) fn parse(layout: &str, input: &str) -> Result<Zoned, String> {
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
    let out_of_range = |what: &str| format!("parsing time {}: {what} out of range", shown(input));
    if let Some(what) = parts.out_of_range() {
        return Err(out_of_range(what));
    }
    parts.zoned().ok_or_else(|| out_of_range("day"))
}

pub(super) fn shown(text: &str) -> String {
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

    /// Names the field whose number cannot be, whatever the others are.
    fn out_of_range(&self) -> Option<&'static str> {
        let checks = [
            ("month", (1..=12).contains(&self.month)),
            ("hour", (0..24).contains(&self.hour)),
            ("minute", (0..60).contains(&self.minute)),
            ("second", (0..60).contains(&self.second)),
        ];
        let bad = checks.iter().find(|(_, fits)| !fits);
        bad.map(|(what, _)| *what)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_read_times() {
        let parsed = parse("2006-01-02 15:04:05 -0700", "2026-01-02 15:04:05 +0100");
        let parsed = parsed.expect("parses");
        assert_eq!(parsed.timestamp().as_second(), 1_767_366_245 - 3600);
    }
}
