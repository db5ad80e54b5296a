//! Schedules of cron jobs: five fields or a descriptor, as the Go library
//! `robfig/cron` reads them. Only checks; when a job runs is the controller's.

/// A field of a schedule: its bounds and the names it knows.
struct Field {
    low: u32,
    high: u32,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field {
        low: 0,
        high: 59,
        names: &[],
    },
    Field {
        low: 0,
        high: 23,
        names: &[],
    },
    Field {
        low: 1,
        high: 31,
        names: &[],
    },
    Field {
        low: 1,
        high: 12,
        names: &[
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ],
    },
    Field {
        low: 0,
        high: 6,
        names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    },
];

/// Checks a schedule.
///
/// # Errors
/// What is wrong with it, in the library's words.
pub(super) fn check(text: &str) -> Result<(), String> {
    let text = match text.strip_prefix("CRON_TZ=").or(text.strip_prefix("TZ=")) {
        // The zone ends at the first space; whether it may stand there is
        // another rule.
        Some(rest) => rest.split_once(' ').map_or("", |(_, rest)| rest.trim()),
        None => text,
    };
    if let Some(descriptor) = text.strip_prefix('@') {
        return check_descriptor(descriptor, text);
    }
    let parts: Vec<&str> = text.split_whitespace().collect();
    if parts.len() != FIELDS.len() {
        return Err(format!(
            "expected exactly 5 fields, found {}: [{}]",
            parts.len(),
            parts.join(" ")
        ));
    }
    for (part, field) in parts.iter().zip(&FIELDS) {
        for range in part.split(',').filter(|range| !range.is_empty()) {
            check_range(range, field)?;
        }
    }
    Ok(())
}

fn check_descriptor(name: &str, whole: &str) -> Result<(), String> {
    match name {
        "yearly" | "annually" | "monthly" | "weekly" | "daily" | "midnight" | "hourly" => Ok(()),
        _ if name.starts_with("every ") => check_duration(&name["every ".len()..], whole),
        _ => Err(format!("unrecognized descriptor: {whole}")),
    }
}

/// A duration as Go writes them: `1h30m`.
fn check_duration(text: &str, whole: &str) -> Result<(), String> {
    let fault = |what: &str| {
        let quoted = super::quote(text);
        Err(format!(
            "failed to parse duration {whole}: time: {what} {quoted}"
        ))
    };
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if unsigned == "0" {
        return Ok(());
    }
    if unsigned.is_empty() {
        return fault("invalid duration");
    }
    let mut rest = unsigned;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let after = &rest[digits..];
        let fraction = after.strip_prefix('.').unwrap_or(after);
        let tail = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
        if digits == 0 && fraction.len() == tail.len() {
            return fault("invalid duration");
        }
        let end = tail.find(|c: char| c == '.' || c.is_ascii_digit());
        let unit = &tail[..end.unwrap_or(tail.len())];
        match unit {
            "" => return fault("missing unit in duration"),
            "ns" | "us" | "µs" | "μs" | "ms" | "s" | "m" | "h" => {}
            other => {
                let what = format!("unknown unit {} in duration", super::quote(other));
                return fault(&what);
            }
        }
        rest = &tail[unit.len()..];
    }
    Ok(())
}

/// `*`, `a`, `a-b`, each with an optional `/step`.
fn check_range(text: &str, field: &Field) -> Result<(), String> {
    let mut parts = text.split('/');
    let range = parts.next().unwrap_or_default();
    let step = parts.next();
    if parts.next().is_some() {
        return Err(format!("too many slashes: {text}"));
    }
    let any = matches!(range.split('-').next(), Some("*" | "?"));
    let (start, end) = if any {
        (field.low, field.high)
    } else {
        let mut ends = range.split('-');
        let start = number(ends.next().unwrap_or_default(), field)?;
        let end = match ends.next() {
            Some(end) => number(end, field)?,
            None => start,
        };
        if ends.next().is_some() {
            return Err(format!("too many hyphens: {text}"));
        }
        // "N/step" means from N to the end.
        (
            start,
            if step.is_some() && !range.contains('-') {
                field.high
            } else {
                end
            },
        )
    };
    let step = step.map(digits).transpose()?;
    if start < field.low {
        return Err(format!(
            "beginning of range ({start}) below minimum ({}): {text}",
            field.low
        ));
    }
    if end > field.high {
        return Err(format!(
            "end of range ({end}) above maximum ({}): {text}",
            field.high
        ));
    }
    if start > end {
        return Err(format!(
            "beginning of range ({start}) beyond end of range ({end}): {text}"
        ));
    }
    if step == Some(0) {
        return Err(format!("step of range should be a positive number: {text}"));
    }
    Ok(())
}

fn number(text: &str, field: &Field) -> Result<u32, String> {
    let lower = text.to_ascii_lowercase();
    match field.names.iter().position(|name| *name == lower) {
        Some(index) => Ok(index as u32 + field.low),
        None => digits(text),
    }
}

fn digits(text: &str) -> Result<u32, String> {
    let negative = text
        .strip_prefix('-')
        .is_some_and(|rest| rest.parse::<u32>().is_ok());
    if negative {
        return Err(format!("negative number ({text}) not allowed: {text}"));
    }
    text.parse().map_err(|_| {
        format!(
            "failed to parse int from {text}: strconv.Atoi: parsing {}: invalid syntax",
            super::quote(text)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn schedules_have_five_fields() {
        for good in [
            "* * * * *",
            "*/5 0-6,12 1 JAN-MAR sun",
            "@hourly",
            "@every 1h",
            "@every 1h30m",
            "@every .5s",
            "0,,5 * * * *",
            "5/15 * * * ?",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        assert_eq!(
            check("* * * * * *"),
            Err("expected exactly 5 fields, found 6: [* * * * * *]".to_owned())
        );
        assert_eq!(
            check("60 * * * *"),
            Err("end of range (60) above maximum (59): 60".to_owned())
        );
        for bad in [
            "",
            "a * * * *",
            "*/0 * * * *",
            "5-1 * * * *",
            "* * 0 * *",
            "@often",
            "@every",
            "@every 1",
            "@every x",
            "1/2/3 * * * *",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
