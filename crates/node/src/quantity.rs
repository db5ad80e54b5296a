//! Quantities as numbers, for the kernel (Kubernetes API: resource.Quantity).

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// Returns the quantity in thousandths, rounded up; `None` if it is none.
pub fn milli(quantity: &Quantity) -> Option<i64> {
    parse(&quantity.0).map(|value| (value * 1000.0).ceil() as i64)
}

/// Returns the quantity in units, rounded up; `None` if it is none.
pub fn units(quantity: &Quantity) -> Option<i64> {
    parse(&quantity.0).map(|value| value.ceil() as i64)
}

fn parse(text: &str) -> Option<f64> {
    let split = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-')));
    let (number, suffix) = text.split_at(split.unwrap_or(text.len()));
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024f64.powi(2),
        "Gi" => 1024f64.powi(3),
        "Ti" => 1024f64.powi(4),
        "Pi" => 1024f64.powi(5),
        "Ei" => 1024f64.powi(6),
        exponent => 10f64.powi(exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    Some(number.parse::<f64>().ok()? * factor)
}
