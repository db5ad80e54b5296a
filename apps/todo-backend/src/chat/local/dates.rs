//! Dates and times in plain words: found, and taken out of the sentence.

use jiff::civil::{Date, Time, Weekday, time};
use jiff::{ToSpan, Zoned};

/// When only a day is named, its end is meant.
const END_OF_DAY: Time = time(23, 59, 0, 0);
const TONIGHT: Time = time(20, 0, 0, 0);

/// What a piece of a sentence says about time.
#[derive(Default)]
struct Found {
    date: Option<Date>,
    time: Option<Time>,
    exact: Option<Zoned>,
}

/// Returns the instant that a sentence names, and the sentence without it.
pub fn extract(text: &str, now: &Zoned) -> (Option<Zoned>, String) {
    let words: Vec<&str> = text.split_whitespace().collect();
    let plain: Vec<String> = words.iter().map(|word| bare(word)).collect();
    let mut found = Found::default();
    let mut kept: Vec<&str> = Vec::new();
    let mut place = 0;
    while place < words.len() {
        let taken = phrase(plain.get(place..).unwrap_or_default(), now, &mut found);
        if taken == 0 {
            kept.push(words.get(place).copied().unwrap_or_default());
        }
        place += taken.max(1);
    }
    (found.instant(now), kept.join(" "))
}

fn bare(word: &str) -> String {
    let end = |c: char| matches!(c, ',' | '.' | '!' | '?' | ';' | '،' | '۔' | '؟');
    word.trim_end_matches(end).to_lowercase()
}

impl Found {
    fn instant(self, now: &Zoned) -> Option<Zoned> {
        if let Some(exact) = self.exact {
            return Some(exact);
        }
        let date = match (self.date, self.time) {
            (None, None) => return None,
            (Some(date), _) => date,
            // A time that is past today means tomorrow.
            (None, Some(time)) if time <= now.time() => now.date().tomorrow().ok()?,
            (None, Some(_)) => now.date(),
        };
        let time = self.time.unwrap_or(END_OF_DAY);
        date.to_datetime(time)
            .to_zoned(now.time_zone().clone())
            .ok()
    }
}

/// Reads one phrase at the front; returns how many words it has.
fn phrase(words: &[String], now: &Zoned, found: &mut Found) -> usize {
    let word = |place: usize| words.get(place).map_or("", String::as_str);
    let skipped = usize::from(matches!(
        word(0),
        "by" | "on" | "due" | "until" | "before" | "this"
    ));
    let rest = words.get(skipped..).unwrap_or_default();
    let taken = day(rest, now, found)
        .or_else(|| span(rest, now, found))
        .or_else(|| clock(rest, found));
    taken.map_or(0, |taken| taken + skipped)
}

fn day(words: &[String], now: &Zoned, found: &mut Found) -> Option<usize> {
    let word = |place: usize| words.get(place).map_or("", String::as_str);
    let today = now.date();
    let (date, taken) = match word(0) {
        "today" | "aaj" | "آج" => (today, 1),
        "tonight" => {
            found.time = found.time.or(Some(TONIGHT));
            (today, 1)
        }
        "tomorrow" | "tmrw" | "kal" | "کل" => (today.tomorrow().ok()?, 1),
        "day" if word(1) == "after" && word(2) == "tomorrow" => {
            (today.checked_add(2.days()).ok()?, 3)
        }
        "the" if word(1) == "day" && word(2) == "after" && word(3) == "tomorrow" => {
            (today.checked_add(2.days()).ok()?, 4)
        }
        "next" if word(1) == "week" => (today.checked_add(1.week()).ok()?, 2),
        "next" if word(1) == "month" => (today.checked_add(1.month()).ok()?, 2),
        "next" => (coming(today, weekday(word(1))?), 2),
        name => match weekday(name) {
            Some(weekday) => (coming(today, weekday), 1),
            None => (iso_date(name)?, 1),
        },
    };
    found.date = Some(date);
    Some(taken)
}

fn iso_date(word: &str) -> Option<Date> {
    // Shorter numbers would read as dates of antiquity.
    if word.len() == 10 && word.as_bytes().get(4) == Some(&b'-') {
        word.parse().ok()
    } else {
        None
    }
}

fn weekday(word: &str) -> Option<Weekday> {
    Some(match word {
        "monday" | "mon" => Weekday::Monday,
        "tuesday" | "tue" | "tues" => Weekday::Tuesday,
        "wednesday" | "wed" => Weekday::Wednesday,
        "thursday" | "thu" | "thurs" => Weekday::Thursday,
        "friday" | "fri" => Weekday::Friday,
        "saturday" => Weekday::Saturday,
        "sunday" => Weekday::Sunday,
        _ => return None,
    })
}

/// The next such day, never today.
fn coming(today: Date, weekday: Weekday) -> Date {
    today.nth_weekday(1, weekday).unwrap_or(today)
}

/// "in two hours", "in 3 days"
fn span(words: &[String], now: &Zoned, found: &mut Found) -> Option<usize> {
    let word = |place: usize| words.get(place).map_or("", String::as_str);
    if word(0) != "in" {
        return None;
    }
    let count = match word(1) {
        "a" | "an" | "one" => 1,
        "two" => 2,
        "three" => 3,
        digits => digits
            .parse::<i64>()
            .ok()
            .filter(|count| (1..=1000).contains(count))?,
    };
    let span = match word(2).trim_end_matches('s') {
        "minute" | "min" => count.minutes(),
        "hour" => count.hours(),
        "day" => count.days(),
        "week" => count.weeks(),
        "month" => count.months(),
        _ => return None,
    };
    let then = now.checked_add(span).ok()?;
    if matches!(word(2).trim_end_matches('s'), "minute" | "min" | "hour") {
        found.exact = Some(then);
    } else {
        found.date = Some(then.date());
    }
    Some(3)
}

/// "at 5pm", "at 17:30", "5 pm", "at noon"
fn clock(words: &[String], found: &mut Found) -> Option<usize> {
    let word = |place: usize| words.get(place).map_or("", String::as_str);
    let at = usize::from(matches!(word(0), "at" | "@"));
    let first = word(at);
    let (read, taken) = match first {
        "noon" => (time(12, 0, 0, 0), 1),
        "midnight" => (END_OF_DAY, 1),
        "" => return None,
        _ => {
            let (digits, joined) = first.trim_end_matches("baje").split_at_checked(
                first
                    .find(|c: char| !c.is_ascii_digit() && c != ':')
                    .unwrap_or(first.len()),
            )?;
            let apart = ["am", "pm", "a.m", "p.m", "baje"].contains(&word(at + 1));
            let half = if joined.is_empty() && apart {
                word(at + 1)
            } else {
                joined
            };
            let sure = at == 1 || !half.is_empty() || digits.contains(':');
            if !sure || digits.is_empty() {
                return None;
            }
            (
                reading(digits, half, at == 1)?,
                if joined.is_empty() && apart { 2 } else { 1 },
            )
        }
    };
    found.time = Some(read);
    Some(at + taken)
}

fn reading(digits: &str, half: &str, after_at: bool) -> Option<Time> {
    let (hour, minute) = digits.split_once(':').unwrap_or((digits, "0"));
    let (hour, minute): (i8, i8) = (hour.parse().ok()?, minute.parse().ok()?);
    let hour = match half.trim_matches('.') {
        "pm" | "p.m" if hour < 12 => hour + 12,
        "am" | "a.m" if hour == 12 => 0,
        "am" | "a.m" | "pm" | "p.m" => hour,
        // "at 5" is said in the afternoon.
        "" | "baje"
            if (after_at || half == "baje") && (1..=7).contains(&hour) && !digits.contains(':') =>
        {
            hour + 12
        }
        "" | "baje" => hour,
        _ => return None,
    };
    Time::new(hour, minute, 0, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_instants() {
        // A Monday.
        let now: Zoned = "2026-01-05T10:00:00+00:00[UTC]".parse().expect("zoned");
        let check = |text: &str, expected: Option<&str>, rest: &str| {
            let (found, kept) = extract(text, &now);
            let found = found.map(|at| at.strftime("%Y-%m-%d %H:%M").to_string());
            assert_eq!(
                (found.as_deref(), kept.as_str()),
                (expected, rest),
                "{text}"
            );
        };
        check("buy milk", None, "buy milk");
        check("buy milk today", Some("2026-01-05 23:59"), "buy milk");
        check(
            "buy milk tomorrow at 5pm",
            Some("2026-01-06 17:00"),
            "buy milk",
        );
        check("buy milk by Friday", Some("2026-01-09 23:59"), "buy milk");
        check("buy milk on monday", Some("2026-01-12 23:59"), "buy milk");
        check("call Bob at 9:30", Some("2026-01-06 09:30"), "call Bob");
        check("call Bob at 5", Some("2026-01-05 17:00"), "call Bob");
        check("call Bob 11 am", Some("2026-01-05 11:00"), "call Bob");
        check("pay rent in 3 days", Some("2026-01-08 23:59"), "pay rent");
        check(
            "stand up in 30 minutes",
            Some("2026-01-05 10:30"),
            "stand up",
        );
        check(
            "pay rent due 2026-02-01, please",
            Some("2026-02-01 23:59"),
            "pay rent please",
        );
        check("call mom tonight", Some("2026-01-05 20:00"), "call mom");
        check("buy 5 apples", None, "buy 5 apples");
        check("read chapter 7", None, "read chapter 7");
        check(
            "lunch at noon the day after tomorrow",
            Some("2026-01-07 12:00"),
            "lunch",
        );
        check("meet at the station", None, "meet at the station");
        check("kal doodh", Some("2026-01-06 23:59"), "doodh");
        check("at 99:99", None, "at 99:99");
        check("", None, "");
    }
}
