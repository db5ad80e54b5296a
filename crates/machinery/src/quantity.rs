//! Resource quantities: `500m`, `1.5Gi`, `12e6`.
//!
//! [`Quantity`] is an exact decimal number (an `i128` mantissa and a power of
//! ten) that remembers the notation it was written in. It parses, compares,
//! adds and prints as `k8s.io/apimachinery/pkg/api/resource` does; nothing is
//! ever a floating point number. [`canonical`] is the text the API gives back
//! for a text a client wrote.
//!
//! Known differences: more than 35 significant digits are refused before the
//! point and rounded up after it, and `1000E` prints as `1000E`, where upstream
//! has no suffix and prints `1`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// The smallest power of ten that a quantity holds; smaller amounts round up.
const NANO: i32 = -9;
/// Decimal digits that upstream's 64-bit path takes; text in canonical form
/// is only given back verbatim on that path.
const FAST_DIGITS: i64 = 18;

/// Mantissas read from text stay below this once zeros are moved out, so that moving the exponent to a
/// multiple of three cannot overflow.
const MANTISSA_MAX: i128 = i128::MAX / 1000;

/// Why a text is not a quantity. The messages are upstream's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The text has not the form of number and suffix.
    #[error(
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    )]
    Format,
    /// The number cannot be read.
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    /// The suffix is unknown.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// The notation of a quantity, kept from its text to its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// Powers of ten with letters: `500m`, `12M`.
    #[default]
    DecimalSi,
    /// Powers of 1024: `12Mi`.
    BinarySi,
    /// Powers of ten as an exponent: `12e6`.
    DecimalExponent,
}

/// An exact amount together with its notation.
///
/// Equality and order compare the amount alone: `1` equals `1000m`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quantity {
    mantissa: i128,
    /// Power of ten by which the mantissa is multiplied; at least -9.
    scale: i32,
    format: Format,
}

/// Returns the text that the API gives back for `text`: the same text where
/// upstream considers it canonical, its canonical form otherwise.
///
/// # Errors
/// When `text` is not a quantity.
pub fn canonical(text: &str) -> Result<String, ParseError> {
    let (quantity, verbatim) = parse(text)?;
    Ok(if verbatim {
        text.to_owned()
    } else {
        quantity.to_string()
    })
}

impl Quantity {
    /// The quantity zero.
    pub const ZERO: Quantity = Quantity {
        mantissa: 0,
        scale: 0,
        format: Format::DecimalSi,
    };

    /// Returns `value` units.
    pub fn new(value: i64, format: Format) -> Quantity {
        Quantity {
            mantissa: value.into(),
            scale: 0,
            format,
        }
    }

    /// Returns `value` thousandths, as CPU time is counted.
    pub fn from_milli(value: i64, format: Format) -> Quantity {
        Quantity {
            mantissa: value.into(),
            scale: -3,
            format,
        }
    }

    /// Reads a quantity from a JSON value: a text, or a number as its digits.
    ///
    /// # Errors
    /// When the value is neither, or not a quantity.
    pub fn from_json(value: &serde_json::Value) -> Result<Quantity, ParseError> {
        match value {
            serde_json::Value::String(text) => text.trim().parse(),
            serde_json::Value::Number(number) => number.to_string().parse(),
            serde_json::Value::Null => Ok(Quantity::ZERO),
            _ => Err(ParseError::Format),
        }
    }

    /// The notation this quantity prints in.
    pub fn format(self) -> Format {
        self.format
    }

    /// Whether the amount is zero.
    pub fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// The sign: -1, 0 or 1.
    pub fn signum(self) -> i32 {
        self.mantissa.signum() as i32
    }

    /// The amount in whole units, rounded up; saturates at the range of `i64`.
    pub fn value(self) -> i64 {
        self.scaled_value(0)
    }

    /// The amount in thousandths, rounded up; saturates at the range of `i64`.
    pub fn milli_value(self) -> i64 {
        self.scaled_value(-3)
    }

    /// The amount in units of ten to the power `scale`, rounded up (towards
    /// positive infinity); saturates at the range of `i64`.
    pub fn scaled_value(self, scale: i32) -> i64 {
        let exponent = i64::from(self.scale) - i64::from(scale);
        let wide = if exponent >= 0 {
            checked_pow10(exponent).and_then(|factor| self.mantissa.checked_mul(factor))
        } else {
            Some(match checked_pow10(-exponent) {
                Some(divisor) => {
                    let (quotient, rest) = (
                        self.mantissa.div_euclid(divisor),
                        self.mantissa.rem_euclid(divisor),
                    );
                    quotient + i128::from(rest != 0)
                }
                None => i128::from(self.mantissa > 0),
            })
        };
        match wide {
            Some(wide) => wide.clamp(i64::MIN.into(), i64::MAX.into()) as i64,
            None if self.mantissa < 0 => i64::MIN,
            None => i64::MAX,
        }
    }

    /// The amount as a whole number of units, when it is one that fits.
    pub fn as_i64(self) -> Option<i64> {
        let (mantissa, scale) = strip(self.mantissa, self.scale);
        if mantissa == 0 {
            return Some(0);
        }
        if scale < 0 {
            return None;
        }
        let wide = mantissa.checked_mul(checked_pow10(scale.into())?)?;
        i64::try_from(wide).ok()
    }

    /// The amount as the nearest floating point number, for ratios and charts.
    pub fn to_f64(self) -> f64 {
        self.mantissa as f64 * 10f64.powi(self.scale)
    }

    /// Returns the amount rounded away from zero to a multiple of ten to the
    /// power `scale`.
    #[must_use]
    pub fn round_up(self, scale: i32) -> Quantity {
        if self.scale >= scale {
            return self;
        }
        let (mantissa, _) = divide_away(self.mantissa, i64::from(scale) - i64::from(self.scale));
        Quantity {
            mantissa,
            scale,
            format: self.format,
        }
    }

    /// Returns the sum. A zero takes the notation of the other operand;
    /// an overflow saturates.
    #[must_use]
    pub fn saturating_add(self, other: Quantity) -> Quantity {
        let format = if self.is_zero() {
            other.format
        } else {
            self.format
        };
        if other.is_zero() {
            return Quantity { format, ..self };
        }
        if self.is_zero() {
            return Quantity { format, ..other };
        }
        let scale = self.scale.min(other.scale);
        let sum = at_scale(self, scale).zip(at_scale(other, scale));
        let sum = sum.and_then(|(left, right)| left.checked_add(right));
        let Some(sum) = sum else {
            // So far apart, or so large, that the larger one is the sum as far
            // as its digits go.
            let larger = if cmp_magnitude(self, other).is_lt() {
                other
            } else {
                self
            };
            return Quantity { format, ..larger };
        };
        let (mantissa, scale) = strip(sum, scale);
        Quantity {
            mantissa,
            scale,
            format,
        }
    }

    /// Returns the difference, by the rules of [`Quantity::saturating_add`].
    #[must_use]
    pub fn saturating_sub(self, other: Quantity) -> Quantity {
        self.saturating_add(-other)
    }

    /// Returns the product with a whole number; an overflow saturates.
    #[must_use]
    pub fn saturating_mul(self, factor: i64) -> Quantity {
        let mantissa = self.mantissa.saturating_mul(factor.into());
        let scale = if mantissa == 0 { 0 } else { self.scale };
        Quantity {
            mantissa,
            scale,
            format: self.format,
        }
    }
}

impl std::ops::Neg for Quantity {
    type Output = Quantity;

    fn neg(self) -> Quantity {
        Quantity {
            mantissa: self.mantissa.saturating_neg(),
            ..self
        }
    }
}

impl FromStr for Quantity {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Quantity, ParseError> {
        parse(text).map(|(quantity, _)| quantity)
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Quantity) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Quantity) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Quantity) -> Ordering {
        match self.signum().cmp(&other.signum()) {
            Ordering::Equal if self.is_zero() => Ordering::Equal,
            Ordering::Equal => {
                let order = cmp_magnitude(*self, *other);
                if self.signum() < 0 {
                    order.reverse()
                } else {
                    order
                }
            }
            order => order,
        }
    }
}

impl fmt::Display for Quantity {
    /// Writes the canonical form: no precision lost, no fractional digits,
    /// the largest suffix that allows both.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0");
        }
        if self.format == Format::BinarySi
            && let Some((mantissa, suffix)) = self.binary_parts()
        {
            return write!(f, "{mantissa}{suffix}");
        }
        let (mantissa, exponent) = self.decimal_parts();
        write!(f, "{mantissa}")?;
        match self.format {
            Format::DecimalExponent if exponent == 0 => Ok(()),
            Format::DecimalExponent => write!(f, "e{exponent}"),
            _ => match decimal_suffix(exponent) {
                Some(suffix) => f.write_str(suffix),
                // Beyond all suffixes; sums can get here.
                None => write!(f, "e{exponent}"),
            },
        }
    }
}

impl Quantity {
    /// Mantissa and suffix in powers of 1024, unless the amount is below 1024
    /// or not whole: those print in powers of ten, which lose nothing.
    fn binary_parts(self) -> Option<(i128, &'static str)> {
        let (mantissa, scale) = strip(self.mantissa, self.scale);
        if scale < 0 {
            return None;
        }
        let mut amount = mantissa.checked_mul(checked_pow10(scale.into())?)?;
        if amount.abs() < 1024 {
            return None;
        }
        let mut suffix = 0;
        while amount.abs() >= 1024 && amount % 1024 == 0 && suffix + 1 < BINARY.len() {
            amount /= 1024;
            suffix += 1;
        }
        Some((amount, BINARY[suffix]))
    }

    /// Mantissa and an exponent that is a multiple of three and, for suffixes,
    /// at most that of `E`.
    fn decimal_parts(self) -> (i128, i32) {
        let (mut mantissa, mut exponent) = strip(self.mantissa, self.scale);
        let limit = if self.format == Format::DecimalExponent {
            i32::MAX
        } else {
            18
        };
        while exponent % 3 != 0 || exponent > limit {
            let Some(next) = mantissa.checked_mul(10) else {
                return strip(self.mantissa, self.scale);
            };
            mantissa = next;
            exponent -= 1;
        }
        (mantissa, exponent)
    }
}

const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

fn decimal_suffix(exponent: i32) -> Option<&'static str> {
    Some(match exponent {
        0 => "",
        -9 => "n",
        -6 => "u",
        -3 => "m",
        3 => "k",
        6 => "M",
        9 => "G",
        12 => "T",
        15 => "P",
        18 => "E",
        _ => return None,
    })
}

/// The parts of a quantity's text.
struct Parts<'a> {
    negative: bool,
    /// Digits before the point, leading zeros stripped; `0` if none.
    integer: &'a str,
    /// Digits after the point.
    fraction: &'a str,
    suffix: &'a str,
}

fn split(text: &str) -> Result<Parts<'_>, ParseError> {
    let negative = text.starts_with('-');
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (integer, rest) = leading(unsigned.trim_start_matches('0'), |byte| {
        byte.is_ascii_digit()
    });
    let (fraction, suffix) = match rest.strip_prefix('.') {
        Some(rest) => leading(rest, |byte| byte.is_ascii_digit()),
        None => ("", rest),
    };
    let (_, exponent) = leading(suffix, |byte| b"eEinumkKMGTP".contains(&byte));
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    if !exponent.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ParseError::Format);
    }
    Ok(Parts {
        negative,
        integer: if integer.is_empty() { "0" } else { integer },
        fraction,
        suffix,
    })
}

fn leading(text: &str, accept: impl Fn(u8) -> bool) -> (&str, &str) {
    let end = text
        .bytes()
        .position(|byte| !accept(byte))
        .unwrap_or(text.len());
    text.split_at(end)
}

/// Base, exponent and notation that a suffix stands for.
fn interpret(suffix: &str) -> Result<(Format, i32), ParseError> {
    if let Some(index) = BINARY.iter().skip(1).position(|known| *known == suffix) {
        return Ok((Format::BinarySi, (index as i32 + 1) * 10));
    }
    let decimal = match suffix {
        "n" => -9,
        "u" => -6,
        "m" => -3,
        "" => 0,
        "k" => 3,
        "M" => 6,
        "G" => 9,
        "T" => 12,
        "P" => 15,
        "E" => 18,
        _ => {
            let digits = suffix.strip_prefix(['e', 'E']).ok_or(ParseError::Suffix)?;
            let exponent = digits.parse().map_err(|_| ParseError::Suffix)?;
            return Ok((Format::DecimalExponent, exponent));
        }
    };
    Ok((Format::DecimalSi, decimal))
}

/// Parses a quantity and tells whether its text is given back verbatim.
fn parse(text: &str) -> Result<(Quantity, bool), ParseError> {
    if text.is_empty() {
        return Err(ParseError::Format);
    }
    let parts = split(text)?;
    let (format, exponent) = interpret(parts.suffix)?;
    let verbatim = is_verbatim(&parts, format, exponent);
    let quantity = amount(&parts, format, exponent)?;
    Ok((quantity, verbatim))
}

/// Whether upstream keeps the text: its 64-bit path applies and the digits
/// look canonical to it (`1500m` does, and so does `1.500`).
fn is_verbatim(parts: &Parts<'_>, format: Format, exponent: i32) -> bool {
    let digits = (parts.integer.len() + parts.fraction.len()) as i64;
    if format == Format::BinarySi {
        let room = 15 - parts.integer.len() as i64 - i64::from(exponent) * 3 / 10 - 1;
        let low = parts
            .integer
            .bytes()
            .next_back()
            .map_or(0, |_| low_bits(parts.integer));
        return parts.fraction.is_empty() && room >= 0 && low != 0;
    }
    let scale = i64::from(exponent) - parts.fraction.len() as i64;
    let first = parts.integer.as_bytes()[0];
    let zeros = trailing_zeros(parts.integer, parts.fraction);
    FAST_DIGITS >= digits && scale >= NANO.into() && scale % 3 == 0 && zeros < 3 && first != b'0'
}

/// The three lowest bits of a number in decimal digits.
fn low_bits(digits: &str) -> u32 {
    digits
        .bytes()
        .fold(0, |bits, digit| (bits * 10 + u32::from(digit - b'0')) & 7)
}

fn trailing_zeros(integer: &str, fraction: &str) -> usize {
    integer
        .bytes()
        .chain(fraction.bytes())
        .rev()
        .take_while(|digit| *digit == b'0')
        .count()
}

fn amount(parts: &Parts<'_>, format: Format, exponent: i32) -> Result<Quantity, ParseError> {
    let power = if format == Format::BinarySi {
        0
    } else {
        exponent
    };
    let mut exact = Exact {
        mantissa: 0,
        scale: 0,
        rest: false,
    };
    for digit in parts.integer.bytes() {
        exact.push(digit)?;
    }
    exact.scale = power;
    // Digits below nano are only remembered as "something": they round up.
    // A binary suffix lifts digits by up to 2^60, so ten more are kept then.
    let kept = if format == Format::BinarySi {
        19
    } else {
        9 + i64::from(power).max(0)
    };
    for (place, digit) in parts.fraction.bytes().enumerate() {
        if exact.full() || place as i64 >= kept {
            exact.rest |= digit != b'0';
        } else {
            exact.push(digit)?;
            exact.scale = exact.scale.saturating_sub(1);
        }
    }
    if format != Format::BinarySi && strip(exact.mantissa, 0).0 > MANTISSA_MAX {
        return Err(ParseError::Numeric);
    }
    if format == Format::BinarySi {
        exact.mantissa = exact
            .mantissa
            .checked_mul(1 << exponent)
            .unwrap_or(i128::MAX);
    }
    let mut quantity = exact.round(format);
    if format == Format::BinarySi {
        let most = Quantity::new(i64::MAX, format);
        quantity = if quantity > most { most } else { quantity };
        if !quantity.is_zero() && quantity < Quantity::new(1, format) {
            quantity.format = Format::DecimalSi;
        }
    }
    Ok(if parts.negative { -quantity } else { quantity })
}

/// A number being read, with a mark for digits too small to keep.
struct Exact {
    mantissa: i128,
    scale: i32,
    rest: bool,
}

impl Exact {
    fn full(&self) -> bool {
        self.mantissa > MANTISSA_MAX / 10
    }

    fn push(&mut self, digit: u8) -> Result<(), ParseError> {
        let grown = self
            .mantissa
            .checked_mul(10)
            .and_then(|wide| wide.checked_add((digit - b'0').into()));
        self.mantissa = grown.ok_or(ParseError::Numeric)?;
        Ok(())
    }

    /// Rounds up to nano.
    fn round(self, format: Format) -> Quantity {
        let (mut mantissa, mut scale) = strip(self.mantissa, self.scale);
        if scale < NANO {
            let (rounded, exact) = divide_away(mantissa, i64::from(NANO) - i64::from(scale));
            let bumped = i128::from(exact && self.rest);
            (mantissa, scale) = (rounded + bumped, NANO);
        } else if self.rest {
            let (lifted, lifted_scale) = lift(mantissa, scale, NANO);
            (mantissa, scale) = (lifted.saturating_add(1), lifted_scale);
        }
        Quantity {
            mantissa,
            scale: if mantissa == 0 { 0 } else { scale },
            format,
        }
    }
}

/// Moves factors of ten into the scale.
fn strip(mut mantissa: i128, mut scale: i32) -> (i128, i32) {
    if mantissa == 0 {
        return (0, 0);
    }
    while mantissa % 10 == 0 && scale < i32::MAX {
        mantissa /= 10;
        scale += 1;
    }
    (mantissa, scale)
}

/// Lowers the scale towards `target` as far as the mantissa has room.
fn lift(mut mantissa: i128, mut scale: i32, target: i32) -> (i128, i32) {
    while scale > target {
        if mantissa.abs() > MANTISSA_MAX / 10 {
            break;
        }
        mantissa *= 10;
        scale -= 1;
    }
    (mantissa, scale)
}

/// Divides by ten to the power `places`, away from zero; tells exactness.
fn divide_away(mantissa: i128, places: i64) -> (i128, bool) {
    let Some(divisor) = checked_pow10(places) else {
        return (mantissa.signum(), mantissa == 0);
    };
    let rest = mantissa % divisor;
    (mantissa / divisor + rest.signum(), rest == 0)
}

fn checked_pow10(exponent: i64) -> Option<i128> {
    10i128.checked_pow(u32::try_from(exponent).ok()?)
}

fn at_scale(quantity: Quantity, scale: i32) -> Option<i128> {
    let factor = checked_pow10(i64::from(quantity.scale) - i64::from(scale))?;
    quantity.mantissa.checked_mul(factor)
}

/// Compares the magnitudes of two amounts that are not zero.
fn cmp_magnitude(left: Quantity, right: Quantity) -> Ordering {
    let order = |quantity: Quantity| {
        let magnitude = quantity.mantissa.unsigned_abs();
        (
            magnitude,
            i64::from(quantity.scale) + i64::from(magnitude.ilog10()),
        )
    };
    let ((left_digits, left_top), (right_digits, right_top)) = (order(left), order(right));
    if left_top != right_top {
        return left_top.cmp(&right_top);
    }
    // The highest digits stand at the same power of ten, so the scales differ
    // by at most the digits of a mantissa: pad the shorter one.
    let (left_log, right_log) = (left_digits.ilog10(), right_digits.ilog10());
    let pad = |digits: u128, by: u32| digits * 10u128.pow(by);
    if left_log < right_log {
        pad(left_digits, right_log - left_log).cmp(&right_digits)
    } else {
        left_digits.cmp(&pad(right_digits, left_log - right_log))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(canonical(text).as_deref(), Ok(expected), "{text}");
    }

    #[test]
    fn texts_come_back_in_canonical_form() {
        for (text, expected) in [
            ("0", "0"),
            ("0n", "0"),
            ("0Ki", "0"),
            ("000", "0"),
            ("-0", "0"),
            ("+", "0"),
            (".", "0"),
            ("1", "1"),
            ("100m", "100m"),
            ("1000m", "1"),
            ("0.1", "100m"),
            ("1.5", "1500m"),
            ("0.5Gi", "512Mi"),
            ("1.5Gi", "1536Mi"),
            ("1024Mi", "1Gi"),
            ("1025Ki", "1025Ki"),
            ("1000Ki", "1000Ki"),
            ("512Ki", "512Ki"),
            ("8Ki", "8Ki"),
            ("0.5Ki", "512"),
            ("1.5Ki", "1536"),
            ("0.1Ki", "102400m"),
            ("1.1Ki", "1126400m"),
            ("12E", "12E"),
            ("12e6", "12e6"),
            ("12e3", "12e3"),
            ("12e4", "120e3"),
            ("12E4", "120e3"),
            ("1e-3", "1e-3"),
            ("1e-2", "10e-3"),
            ("1e3", "1e3"),
            ("100000", "100k"),
            ("128974848", "128974848"),
            ("129e6", "129e6"),
            ("129M", "129M"),
            ("123Mi", "123Mi"),
            ("1000k", "1M"),
            ("1500k", "1500k"),
            ("0.1m", "100u"),
            ("0.1n", "1n"),
            ("1.0000000001", "1000000001n"),
            ("-1.5", "-1500m"),
            ("-1.1Ki", "-1126400m"),
            ("9223372036854775807", "9223372036854775807"),
            ("9223372036854775808", "9223372036854775808"),
            ("1Pi", "1Pi"),
            ("8Ei", "9223372036854775807"),
            ("16Ei", "9223372036854775807"),
            ("1000E", "1000E"),
            // Texts that look canonical to upstream's scanner stay as they are.
            ("1.500", "1.500"),
            ("1.", "1."),
            ("+1", "+1"),
            ("+8Ki", "8Ki"),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn errors_are_upstreams() {
        for (text, expected) in [
            ("", ParseError::Format),
            ("1 Gi", ParseError::Format),
            ("abc", ParseError::Format),
            ("1Kib", ParseError::Format),
            ("1e3m", ParseError::Format),
            ("1.2.3", ParseError::Format),
            ("1KiB", ParseError::Format),
            ("1e", ParseError::Suffix),
            ("1i", ParseError::Suffix),
            ("1mm", ParseError::Suffix),
            ("1K", ParseError::Suffix),
            ("1e99999999999", ParseError::Suffix),
            ("1-", ParseError::Suffix),
        ] {
            assert_eq!(canonical(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn amounts_compare_across_notations() {
        let of = |text: &str| text.parse::<Quantity>().expect("a quantity");
        assert_eq!(of("1"), of("1000m"));
        assert_eq!(of("1Ki"), of("1024"));
        assert_eq!(of("1e3"), of("1k"));
        assert!(of("1e100") > of("1e99"));
        assert!(of("-1e100") < of("1n"));
        assert!(of("1G") < of("1Gi"));
        assert!(of("999m") < of("1"));
        assert!(of("-2") < of("-1999m"));
        assert_eq!(of("0"), of("0Gi"));
    }

    #[test]
    fn sums_keep_the_first_notation() {
        let of = |text: &str| text.parse::<Quantity>().expect("a quantity");
        assert_eq!(of("100m").saturating_add(of("900m")).to_string(), "1");
        assert_eq!(of("0").saturating_add(of("1Gi")).to_string(), "1Gi");
        assert_eq!(of("1Gi").saturating_add(of("1Mi")).to_string(), "1025Mi");
        assert_eq!(of("1Gi").saturating_sub(of("1Gi")).to_string(), "0");
        assert_eq!(of("1").saturating_sub(of("1500m")).to_string(), "-500m");
        assert_eq!(of("250m").saturating_mul(4).to_string(), "1");
        assert_eq!(of("1e100").saturating_add(of("1n")).to_string(), "10e99");
        assert_eq!(
            of("1000E").saturating_mul(1 << 40).to_string(),
            "1099511627776000E"
        );
    }

    #[test]
    fn values_round_up() {
        let of = |text: &str| text.parse::<Quantity>().expect("a quantity");
        assert_eq!(of("1500m").value(), 2);
        assert_eq!(of("1m").value(), 1);
        assert_eq!(of("-1500m").value(), -1);
        assert_eq!(of("1u").milli_value(), 1);
        assert_eq!(of("2").milli_value(), 2000);
        assert_eq!(of("1e100").value(), i64::MAX);
        assert_eq!(of("1Gi").as_i64(), Some(1 << 30));
        assert_eq!(of("1500m").as_i64(), None);
        assert_eq!(of("1001u").round_up(-3).to_string(), "2m");
        assert_eq!(of("-1001u").round_up(-3).to_string(), "-2m");
    }
}
