//! Tables as helm prints them: cells padded to their column, tabs between
//! (gosuri/uitable); and as kubectl prints them: three blanks between.

/// Returns rows as helm's lists print them.
pub fn helm(rows: &[Vec<String>]) -> String {
    let widths = widths(rows);
    let mut out = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        out.push_str(&cells.join("\t"));
        out.push('\n');
    }
    out
}

/// Returns rows as kubectl prints them.
pub fn kubectl(rows: &[Vec<String>]) -> String {
    let widths = widths(rows);
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let is_last = at + 1 == row.len();
            if is_last {
                line.push_str(cell);
            } else {
                line.push_str(&format!("{cell:<width$}   "));
            }
        }
        out.push_str(&line);
        out.push('\n');
    }
    out
}

/// Returns rows below their titles, as kubectl prints them.
pub fn titled<const N: usize>(
    titles: [&str; N],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> String {
    let titles = titles.map(str::to_owned).to_vec();
    let rows: Vec<_> = std::iter::once(titles).chain(rows).collect();
    kubectl(&rows)
}

fn widths(rows: &[Vec<String>]) -> Vec<usize> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    (0..columns).map(width).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_padded() {
        let rows = [
            vec!["A".to_owned(), "BB".to_owned()],
            vec!["aaa".to_owned(), "b".to_owned()],
        ];
        assert_eq!(helm(&rows), "A  \tBB\naaa\tb \n");
        assert_eq!(kubectl(&rows), "A     BB\naaa   b\n");
    }
}
