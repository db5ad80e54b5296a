//! Lists of indexes of indexed jobs, such as `0-2,5`. Only reads them; which
//! field holds one and what it must agree with is the job's.

use super::quote;

/// Returns how many indexes a list names.
///
/// # Errors
/// What is wrong with the list, in upstream's words.
pub(super) fn count(text: &str, completions: i64) -> Result<i64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    let mut last = None;
    let mut total = 0;
    for part in text.split(',') {
        let (first, end) = interval(part, completions)?;
        if let Some(last) = last.filter(|last| *last >= first) {
            return Err(out_of_order(last, first));
        }
        total += end - first + 1;
        last = Some(end);
    }
    Ok(total)
}

/// Returns the first index that two lists share. Parts that cannot be read are
/// passed over: they are told of where the list itself is judged.
pub(super) fn shared(completed: &str, failed: &str, completions: i64) -> Option<i64> {
    let read = |text: &str| -> Vec<(i64, i64)> {
        let parts = text.split(',').filter(|_| !text.is_empty());
        parts
            .filter_map(|part| interval(part, completions).ok())
            .collect()
    };
    let (completed, failed) = (read(completed), read(failed));
    let (mut c, mut f) = (completed.iter(), failed.iter());
    let (mut one, mut other) = (c.next(), f.next());
    while let (Some((cx, cy)), Some((fx, fy))) = (one, other) {
        if cx <= fy && fx <= cy {
            return Some(*cx.max(fx));
        }
        if cx <= fx {
            one = c.next();
        } else {
            other = f.next();
        }
    }
    None
}

fn out_of_order(previous: i64, current: i64) -> String {
    format!("non-increasing order, previous: {previous}, current: {current}")
}

fn interval(text: &str, completions: i64) -> Result<(i64, i64), String> {
    let mut ends = text.split('-');
    let (first, last) = (ends.next().unwrap_or_default(), ends.next());
    if ends.next().is_some() {
        return Err(format!(
            "the fragment {} violates the requirement that an index interval can have at most two parts separated by '-'",
            quote(text)
        ));
    }
    let first = index(first, completions)?;
    let Some(last) = last else {
        return Ok((first, first));
    };
    let last = index(last, completions)?;
    match first >= last {
        true => Err(out_of_order(first, last)),
        false => Ok((first, last)),
    }
}

fn index(text: &str, completions: i64) -> Result<i64, String> {
    let number: i64 = text.parse().map_err(|_| {
        format!(
            "cannot convert string to integer for index: {}",
            quote(text)
        )
    })?;
    match number >= completions {
        true => Err(format!("too large index: {}", quote(text))),
        false => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use super::{count, shared};

    #[test]
    fn lists_are_increasing_and_below_the_completions() {
        let check = |text: &str, expected: Result<i64, &str>| {
            assert_eq!(count(text, 10), expected.map_err(str::to_owned), "{text}");
        };
        check("", Ok(0));
        check("1", Ok(1));
        check("0-2,5,7-9", Ok(7));
        check("3,1", Err("non-increasing order, previous: 3, current: 1"));
        check("3-3", Err("non-increasing order, previous: 3, current: 3"));
        check("10", Err("too large index: \"10\""));
        check(
            "x",
            Err("cannot convert string to integer for index: \"x\""),
        );
        check(
            "1-2-3",
            Err(
                "the fragment \"1-2-3\" violates the requirement that an index interval can have at most two parts separated by '-'",
            ),
        );
        assert_eq!(shared("0-2,5", "3,4", 10), None);
        assert_eq!(shared("0-2,5", "1-4", 10), Some(1));
        assert_eq!(shared("x,5", "5", 10), Some(5));
        assert_eq!(shared("", "5", 10), None);
    }
}
