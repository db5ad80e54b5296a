//! Go's durations: `time.ParseDuration`, `Duration.String`, and sprig's rounding.

use super::parse::shown;

/// Go's `time.ParseDuration`, in nanoseconds.
pub(super) fn parse_duration(input: &str) -> Result<i128, String> {
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
pub(super) fn duration_text(nanoseconds: i128) -> String {
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

pub(super) fn rounded(nanoseconds: u128) -> String {
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
