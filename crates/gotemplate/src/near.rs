//! "Did you mean": the nearest of some names.

/// Returns up to three names that differ little from `wanted`, nearest first.
pub fn nearest(wanted: &str, names: impl IntoIterator<Item = String>) -> Vec<String> {
    let limit = 2 * (wanted.chars().count() / 3).clamp(1, 4);
    let mut near: Vec<(usize, String)> = names
        .into_iter()
        .filter(|name| name != wanted)
        .map(|name| (distance(wanted, &name), name))
        .filter(|(_, name)| distance(&wanted.to_lowercase(), &name.to_lowercase()) <= limit)
        .collect();
    near.sort();
    near.dedup();
    near.into_iter().take(3).map(|(_, name)| name).collect()
}

/// Twice the edit distance; a letter of another case counts as half, two
/// letters changed over as one edit.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).map(|at| at * 2).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut row = vec![(i + 1) * 2];
        for (j, cb) in b.iter().enumerate() {
            let change = if ca == cb {
                0
            } else if ca.to_lowercase().eq(cb.to_lowercase()) {
                1
            } else {
                2
            };
            let mut best = (above[j] + change).min(above[j + 1] + 2).min(row[j] + 2);
            if i > 0 && j > 0 && *ca == b[j - 1] && a[i - 1] == *cb {
                best = best.min(before[j - 1] + 2);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_comes_first() {
        let names = || ["image", "images", "imagePullPolicy", "Image"].map(String::from);
        assert_eq!(nearest("imge", names()), ["image", "Image"]);
        assert_eq!(nearest("IMAGE", ["Image".to_owned()]), ["Image"]);
        assert_eq!(nearest("wbe", ["web".to_owned()]), ["web"]);
        assert_eq!(nearest("zzzzzz", names()), Vec::<String>::new());
    }
}
