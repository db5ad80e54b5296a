//! The texts of numbers as Go writes them.

/// Go's `strconv.FormatFloat(number, 'g', -1, …)`; `narrow` takes the digits
/// of a 32-bit float.
pub fn general(number: f64, narrow: bool) -> String {
    let scientific = if narrow {
        format!("{:e}", number as f32)
    } else {
        format!("{number:e}")
    };
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    // The shortest text switches to an exponent as if six digits were asked.
    if number != 0.0 && !(-4..6).contains(&exponent) {
        return with_exponent(mantissa, exponent);
    }
    if narrow {
        format!("{}", number as f32)
    } else {
        format!("{number}")
    }
}

fn with_exponent(mantissa: &str, exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// The text that a float has after `json.Marshal`, go-yaml's reader and its
/// writer: whole numbers are integers where 64 bits hold them.
pub fn through_json(number: f64) -> String {
    let whole = number.fract() == 0.0;
    if whole && (-1e19..1e20).contains(&number) {
        // Shortest digits, padded with zeros; minus zero is zero.
        let digits = match number {
            0.0 => "0".into(),
            number => format!("{number}"),
        };
        if digits.parse::<i64>().is_ok() || digits.parse::<u64>().is_ok() {
            return digits;
        }
    }
    general(number, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats() {
        let check = |number: f64, expected: &str| assert_eq!(through_json(number), expected);
        check(1_000_000.0, "1000000");
        check(0.5, "0.5");
        check(1e21, "1e+21");
        check(3e20, "3e+20");
        check(1e-7, "1e-07");
        check(12_345_678_901_234_567_890.0, "12345678901234567000");
        check(-0.0, "0");
        check(-9_223_372_036_854_775_808.0, "-9.223372036854776e+18");
        check(1234567.5, "1.2345675e+06");
        check(123456.5, "123456.5");
    }
}
