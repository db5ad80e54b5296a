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
    /// What another program needs, and which.
    peer: Option<(f64, &'static str)>,
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
            peer: None,
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
            peer: None,
        });
    }

    /// Sets the figure of another program beside the last row. Where it comes
    /// from is told where it stands.
    pub fn peer(&mut self, name: &'static str, figure: f64) {
        if let Some(row) = self.rows.last_mut() {
            row.peer = Some((figure, name));
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<58} {:>14} {:>14} {:>7}  peer",
            "what", "measured", "budget", "ratio"
        )?;
        for row in &self.rows {
            let figure = |value: f64| format!("{value:.1} {}", row.unit);
            let ratio = row.measured / row.budget;
            write!(
                f,
                "{:<58} {:>14} {:>14} {ratio:>7.2}",
                row.what,
                figure(row.measured),
                format!("{}{}", row.sign, figure(row.budget))
            )?;
            match row.peer {
                Some((value, name)) => writeln!(f, "  {} {name}", figure(value))?,
                None => writeln!(f)?,
            }
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
