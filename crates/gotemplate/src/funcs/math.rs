//! Sprig's arithmetic, after its `numeric.go`.

use super::cast::{to_float64, to_int64};
use super::{A, Answer, F, Functions, I, S, int, text};
use crate::value::{Elem, List, Value};

/// Longer lists than this are refused.
const COUNT_MAX: i64 = 10_000_000;

pub(super) fn register(table: &mut Functions) {
    table.add("atoi", &[S], |_, args| {
        Ok(Value::Int(
            crate::strconv::atoi(&text(&args[0])).unwrap_or(0),
        ))
    });
    table.add("int64", &[A], |_, args| {
        Ok(Value::Int64(to_int64(&args[0])))
    });
    table.add("int", &[A], |_, args| Ok(Value::Int(to_int64(&args[0]))));
    table.add("float64", &[A], |_, args| {
        Ok(Value::Float(to_float64(&args[0])))
    });
    table.add("toDecimal", &[A], |_, args| {
        let digits = crate::fmt::sprint(&args[..1]);
        let digits = String::from_utf8_lossy(&digits);
        Ok(Value::Int64(i64::from_str_radix(&digits, 8).unwrap_or(0)))
    });
    table.add("until", &[I], |_, args| {
        let count = int(&args[0]);
        until_step(0, count, if count < 0 { -1 } else { 1 }).map(ints)
    });
    table.add("untilStep", &[I, I, I], |_, args| {
        until_step(int(&args[0]), int(&args[1]), int(&args[2])).map(ints)
    });
    table.variadic("seq", &[I], |_, args| seq(args));
    table.add("add1", &[A], |_, args| {
        Ok(Value::Int64(to_int64(&args[0]).wrapping_add(1)))
    });
    table.variadic("add", &[A], |_, args| {
        Ok(Value::Int64(
            args.iter().map(to_int64).fold(0, i64::wrapping_add),
        ))
    });
    table.add("sub", &[A, A], |_, args| {
        Ok(Value::Int64(
            to_int64(&args[0]).wrapping_sub(to_int64(&args[1])),
        ))
    });
    table.variadic("mul", &[A, A], |_, args| {
        Ok(Value::Int64(
            args.iter().map(to_int64).fold(1, i64::wrapping_mul),
        ))
    });
    table.add("div", &[A, A], |_, args| divide(args, i64::wrapping_div));
    table.add("mod", &[A, A], |_, args| divide(args, i64::wrapping_rem));
    for name in ["max", "biggest"] {
        table.variadic(name, &[A, A], |_, args| {
            Ok(Value::Int64(args.iter().map(to_int64).max().unwrap_or(0)))
        });
    }
    table.variadic("min", &[A, A], |_, args| {
        Ok(Value::Int64(args.iter().map(to_int64).min().unwrap_or(0)))
    });
    table.variadic("maxf", &[A, A], |_, args| {
        Ok(fold(args, |a, b| if b > a { b } else { a }))
    });
    table.variadic("minf", &[A, A], |_, args| {
        Ok(fold(args, |a, b| if b < a { b } else { a }))
    });
    table.add("ceil", &[A], |_, args| {
        Ok(Value::Float(to_float64(&args[0]).ceil()))
    });
    table.add("floor", &[A], |_, args| {
        Ok(Value::Float(to_float64(&args[0]).floor()))
    });
    table.variadic("round", &[A, I, F], |_, args| Ok(round(args)));
    table.add("add1f", &[A], |_, args| {
        Ok(decimal(&[args[0].clone(), Value::Int(1)], '+'))
    });
    table.variadic("addf", &[A], |_, args| {
        let mut all = vec![Value::Int(0)];
        all.extend_from_slice(args);
        Ok(decimal(&all, '+'))
    });
    table.variadic("subf", &[A, A], |_, args| Ok(decimal(args, '-')));
    table.variadic("mulf", &[A, A], |_, args| Ok(decimal(args, '*')));
    table.variadic("divf", &[A, A], |_, args| {
        if args[1..].iter().any(|arg| to_float64(arg) == 0.0) {
            return Err("decimal division by 0".into());
        }
        Ok(decimal(args, '/'))
    });
}

fn ints(numbers: Vec<i64>) -> Value {
    Value::List(List::typed(
        Elem::Int,
        numbers.into_iter().map(Value::Int).collect(),
    ))
}

fn divide(args: &[Value], operation: fn(i64, i64) -> i64) -> Answer {
    let (a, b) = (to_int64(&args[0]), to_int64(&args[1]));
    if b == 0 {
        return Err("runtime error: integer divide by zero".into());
    }
    Ok(Value::Int64(operation(a, b)))
}

fn fold(args: &[Value], choose: fn(f64, f64) -> f64) -> Value {
    let mut numbers = args.iter().map(to_float64);
    let first = numbers.next().unwrap_or(0.0);
    Value::Float(numbers.fold(first, |a, b| {
        if a.is_nan() || b.is_nan() {
            f64::NAN
        } else {
            choose(a, b)
        }
    }))
}

fn until_step(start: i64, stop: i64, step: i64) -> Result<Vec<i64>, crate::error::Error> {
    let empty = if stop < start { step >= 0 } else { step <= 0 };
    if empty {
        return Ok(Vec::new());
    }
    let count = (i128::from(stop) - i128::from(start)).abs() / i128::from(step).abs();
    if count > i128::from(COUNT_MAX) {
        return Err(format!("a list of {count} numbers is too long").into());
    }
    let mut numbers = Vec::new();
    let mut at = start;
    while (step > 0 && at < stop) || (step < 0 && at > stop) {
        numbers.push(at);
        at = at.saturating_add(step);
    }
    Ok(numbers)
}

fn seq(args: &[Value]) -> Answer {
    let numbers = match args {
        [end] => {
            let end = int(end);
            let step = if end < 1 { -1 } else { 1 };
            until_step(1, end.saturating_add(step), step)?
        }
        [start, end] => {
            let (start, end) = (int(start), int(end));
            let step = if end < start { -1 } else { 1 };
            until_step(start, end.saturating_add(step), step)?
        }
        [start, step, end] => {
            let (start, step, end) = (int(start), int(step), int(end));
            if end < start && step > 0 {
                return Ok("".into());
            }
            let increment = if end < start { -1 } else { 1 };
            until_step(start, end.saturating_add(increment), step)?
        }
        _ => return Ok("".into()),
    };
    let texts: Vec<String> = numbers.iter().map(i64::to_string).collect();
    Ok(texts.join(" ").into())
}

fn round(args: &[Value]) -> Value {
    let on = match args.get(2) {
        Some(Value::Float(on)) => *on,
        _ => 0.5,
    };
    let power = 10f64.powf(int(&args[1]) as f64);
    let digit = power * to_float64(&args[0]);
    let rounded = if digit.fract() >= on {
        digit.ceil()
    } else {
        digit.floor()
    };
    Value::Float(rounded / power)
}

/// A decimal number: `unscaled × 10^-scale`, as `shopspring/decimal` keeps it.
#[derive(Clone, Copy)]
struct Decimal {
    unscaled: i128,
    scale: u32,
}

impl Decimal {
    fn parse(number: f64) -> Option<Decimal> {
        let text = crate::strconv::format_float(number, b'f', -1);
        let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
        let unscaled = format!("{whole}{part}").parse().ok()?;
        Some(Decimal {
            unscaled,
            scale: part.len() as u32,
        })
    }

    fn rescaled(self, scale: u32) -> Option<i128> {
        self.unscaled
            .checked_mul(10i128.checked_pow(scale.checked_sub(self.scale)?)?)
    }

    fn apply(self, other: Decimal, operation: char) -> Option<Decimal> {
        let scale = self.scale.max(other.scale);
        match operation {
            '*' => Some(Decimal {
                unscaled: self.unscaled.checked_mul(other.unscaled)?,
                scale: self.scale + other.scale,
            }),
            '/' => self.divide(other),
            _ => {
                let (a, b) = (self.rescaled(scale)?, other.rescaled(scale)?);
                let unscaled = if operation == '+' {
                    a.checked_add(b)?
                } else {
                    a.checked_sub(b)?
                };
                Some(Decimal { unscaled, scale })
            }
        }
    }

    /// Sixteen digits after the point, rounded half away from zero.
    fn divide(self, other: Decimal) -> Option<Decimal> {
        const PRECISION: u32 = 16;
        let up = PRECISION + other.scale;
        let numerator = self.unscaled.checked_mul(10i128.checked_pow(up)?)?;
        let denominator = other
            .unscaled
            .checked_mul(10i128.checked_pow(self.scale)?)?;
        let quotient = numerator / denominator;
        let rest = (numerator % denominator).abs().checked_mul(2)?;
        let sign = if (numerator < 0) == (denominator < 0) {
            1
        } else {
            -1
        };
        let unscaled = if rest >= denominator.abs() {
            quotient + sign
        } else {
            quotient
        };
        Some(Decimal {
            unscaled,
            scale: PRECISION,
        })
    }

    fn to_f64(self) -> f64 {
        format!("{}e-{}", self.unscaled, self.scale)
            .parse()
            .unwrap_or(f64::NAN)
    }
}

fn decimal(args: &[Value], operation: char) -> Value {
    let exact = || {
        let mut numbers = args.iter().map(|arg| Decimal::parse(to_float64(arg)));
        let first = numbers.next()??;
        numbers.try_fold(first, |a, b| a.apply(b?, operation))
    };
    if let Some(number) = exact() {
        return Value::Float(number.to_f64());
    }
    // Too large for exact digits: plain floating point.
    let mut numbers = args.iter().map(to_float64);
    let first = numbers.next().unwrap_or(0.0);
    Value::Float(numbers.fold(first, |a, b| match operation {
        '+' => a + b,
        '-' => a - b,
        '*' => a * b,
        _ => a / b,
    }))
}
