//! The table that is printed.

use std::fmt;

/// A row: what, the measured figure, the budget, both in `unit`.
#[derive(Debug)]
struct Row {
    what: String,
    measured: f64,
    budget: f64,
    unit: &'static str,
    /// Before the budget: a floor says so.
    sign: &'static str,
}

/// The rows so far.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Row>,
}

impl Table {
    /// Adds a row.
    pub fn row(&mut self, what: impl Into<String>, measured: f64, budget: f64, unit: &'static str) {
        self.rows.push(Row {
            what: what.into(),
            measured,
            budget,
            unit,
            sign: "",
        });
    }

    /// Adds a rate: more is better, the budget is a floor.
    pub fn rate(&mut self, what: impl Into<String>, measured: f64, budget: f64) {
        self.rows.push(Row {
            what: what.into(),
            measured,
            budget,
            unit: "/s",
            sign: "\u{2265} ",
        });
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<58} {:>14} {:>14} {:>7}",
            "what", "measured", "budget", "ratio"
        )?;
        for row in &self.rows {
            let figure = |value: f64| format!("{value:.1} {}", row.unit);
            let ratio = row.measured / row.budget;
            writeln!(
                f,
                "{:<58} {:>14} {:>14} {ratio:>7.2}",
                row.what,
                figure(row.measured),
                format!("{}{}", row.sign, figure(row.budget))
            )?;
        }
        Ok(())
    }
}

/// Returns the value below which a share of the sorted values lies.
pub fn percentile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted
        .get(((last as f64) * share).round() as usize)
        .copied()
        .unwrap_or(f64::NAN)
}

/// Returns the middle of some values.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    percentile(&values, 0.5)
}
