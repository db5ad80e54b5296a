//! The table that is printed, for people or as JSON.

use std::fmt;

use serde_json::{Value, json};

/// A row: what, the measured figure, what it is held against.
#[derive(Debug)]
struct Row {
    what: String,
    measured: f64,
    unit: &'static str,
    budget: Option<f64>,
    /// Whether the budget is the least there should be, not the most.
    is_floor: bool,
    /// What another program needs, and which.
    peer: Option<(f64, &'static str)>,
}

/// The rows so far.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Row>,
}

impl Table {
    /// Adds a row. A budget that is no number, as when the program that would
    /// have set it is not there, is none.
    pub fn row(&mut self, what: impl Into<String>, measured: f64, budget: f64, unit: &'static str) {
        self.rows.push(Row {
            what: what.into(),
            measured,
            unit,
            budget: Some(budget).filter(|budget| budget.is_finite()),
            is_floor: false,
            peer: None,
        });
    }

    /// Adds a row without a budget: the figure alone.
    pub fn figure(&mut self, what: impl Into<String>, measured: f64, unit: &'static str) {
        self.row(what, measured, f64::NAN, unit);
    }

    /// Adds a rate: more is better, the budget is a floor.
    pub fn rate(&mut self, what: impl Into<String>, measured: f64, budget: f64) {
        self.row(what, measured, budget, "/s");
        if let Some(row) = self.rows.last_mut() {
            row.is_floor = true;
        }
    }

    /// Sets the figure of another program beside the last row. Where it comes
    /// from is told where it stands.
    pub fn peer(&mut self, name: &'static str, figure: f64) {
        if let Some(row) = self.rows.last_mut() {
            row.peer = Some((figure, name));
        }
    }

    /// Returns the rows for programs; what a row does not have is null.
    pub fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let peer = row
                .peer
                .map(|(figure, name)| json!({"name": name, "figure": figure}));
            json!({
                "what": row.what,
                "measured": row.measured,
                "unit": row.unit,
                "budget": row.budget,
                "budgetIsFloor": row.is_floor,
                "ratio": row.ratio(),
                "peer": peer,
            })
        });
        rows.collect()
    }
}

impl Row {
    /// Returns the measured figure as a share of the budget.
    fn ratio(&self) -> Option<f64> {
        self.budget.map(|budget| self.measured / budget)
    }

    fn figure(&self, value: f64) -> String {
        format!("{value:.1} {}", self.unit)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.is_floor { "\u{2265} " } else { "" };
        let budget = self.budget.map(|budget| self.figure(budget));
        let budget = budget.map(|budget| format!("{sign}{budget}"));
        let ratio = self.ratio().map(|ratio| format!("{ratio:.2}"));
        let peer = self
            .peer
            .map(|(value, name)| format!("{} {name}", self.figure(value)));
        let line = format!(
            "{:<58} {:>14} {:>14} {:>7}  {}",
            self.what,
            self.figure(self.measured),
            budget.unwrap_or_default(),
            ratio.unwrap_or_default(),
            peer.unwrap_or_default()
        );
        f.write_str(line.trim_end())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<58} {:>14} {:>14} {:>7}  peer",
            "what", "measured", "budget", "ratio"
        )?;
        self.rows.iter().try_for_each(|row| writeln!(f, "{row}"))
    }
}

/// Returns the value below which a share of the sorted values lies; no number
/// when there are none.
pub fn percentile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted
        .get(((last as f64) * share).round() as usize)
        .copied()
        .unwrap_or(f64::NAN)
}

/// Returns the middle of some values; no number when there are none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    percentile(&values, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the words of the only row, and its budget and ratio in JSON.
    fn check(fill: impl Fn(&mut Table), words: &[&str], budget: Value, ratio: Value) {
        let mut table = Table::default();
        fill(&mut table);
        let text = table.to_string();
        let line = text.lines().nth(1).expect("a row");
        assert_eq!(line.split_whitespace().collect::<Vec<_>>(), words);
        let row = &table.json()[0];
        assert_eq!((&row["budget"], &row["ratio"]), (&budget, &ratio), "{row}");
        assert_eq!(row["measured"], 10.0);
    }

    #[test]
    fn a_row_shows_what_it_has() {
        check(
            |table| table.row("start", 10.0, 40.0, "ms"),
            &["start", "10.0", "ms", "40.0", "ms", "0.25"],
            json!(40.0),
            json!(0.25),
        );
        check(
            |table| table.rate("creates", 10.0, 5.0),
            &["creates", "10.0", "/s", "\u{2265}", "5.0", "/s", "2.00"],
            json!(5.0),
            json!(2.0),
        );
        let with_peer = |table: &mut Table| {
            table.row("start", 10.0, 40.0, "ms");
            table.peer("kind", 33.0);
        };
        let words = [
            "start", "10.0", "ms", "40.0", "ms", "0.25", "33.0", "ms", "kind",
        ];
        check(with_peer, &words, json!(40.0), json!(0.25));
    }

    #[test]
    fn without_a_budget_there_is_no_ratio() {
        let words = ["names", "10.0", "/s"];
        let figure = |table: &mut Table| table.figure("names", 10.0, "/s");
        check(figure, &words, Value::Null, Value::Null);
        let absent = |table: &mut Table| table.row("names", 10.0, median(Vec::new()), "/s");
        check(absent, &words, Value::Null, Value::Null);
    }
}
