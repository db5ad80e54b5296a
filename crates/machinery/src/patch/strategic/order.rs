//! The order in which merged items end up.
//!
//! The order asked for by the patch wins over the order of the patch's list,
//! and that over the order of the live list.

use serde_json::Value;

use super::Result;
use super::as_map;
use super::lists::{is_delete, key_of};

/// Splits items into those that stand in `order` and the others.
pub(super) fn partition(
    items: Vec<Value>,
    order: &[Value],
    merge_key: Option<&str>,
) -> Result<(Vec<Value>, Vec<Value>)> {
    let Some(merge_key) = merge_key else {
        return Ok(items.into_iter().partition(|item| order.contains(item)));
    };
    let (mut ordered, mut others) = (Vec::new(), Vec::new());
    for item in items {
        let key = key_of(&item, merge_key)?;
        let mut found = false;
        for place in order {
            found = found || as_map(place)?.get(merge_key) == Some(key);
        }
        if found {
            ordered.push(item)
        } else {
            others.push(item)
        }
    }
    Ok((ordered, others))
}

/// Brings both parts of a merged list into one: the items of the patch by
/// `patch_order`, the others by `live_order`, interleaved as the live order
/// suggests.
pub(super) fn normalize(
    patch: Vec<Value>,
    others: Vec<Value>,
    patch_order: &[Value],
    live_order: &[Value],
    merge_key: &str,
    maps: bool,
) -> Result<Vec<Value>> {
    let merge_key = maps.then_some(merge_key);
    let patch = sort(patch, patch_order, merge_key)?;
    let others = sort(others, live_order, merge_key)?;
    Ok(interleave(others, patch, live_order, merge_key))
}

/// Sorts items by their place in `order`; deletions go last.
fn sort(items: Vec<Value>, order: &[Value], merge_key: Option<&str>) -> Result<Vec<Value>> {
    let (mut kept, mut deleted) = (Vec::new(), Vec::new());
    if let Some(merge_key) = merge_key {
        for item in items.iter().chain(order) {
            key_of(item, merge_key)?;
        }
    }
    for item in items {
        let deletes = merge_key.is_some() && is_delete(as_map(&item)?);
        if deletes {
            deleted.push(item)
        } else {
            kept.push(item)
        }
    }
    let places: Vec<Option<usize>> = kept
        .iter()
        .map(|item| place(order, item, merge_key))
        .collect();
    let mut indices: Vec<usize> = (0..kept.len()).collect();
    // An item without a place counts as smaller than any other. That is no
    // order, so the result depends on the algorithm: see `stable`.
    stable(
        &mut indices,
        &|left: usize, right: usize| match (places[left], places[right]) {
            (Some(left), Some(right)) => left < right,
            _ => true,
        },
    );
    let mut slots: Vec<Option<Value>> = kept.into_iter().map(Some).collect();
    let sorted = indices.into_iter().filter_map(|index| slots[index].take());
    Ok(sorted.chain(deleted).collect())
}

fn place(order: &[Value], item: &Value, merge_key: Option<&str>) -> Option<usize> {
    match merge_key {
        Some(merge_key) => order
            .iter()
            .position(|other| other.get(merge_key) == item.get(merge_key)),
        None => order.iter().position(|other| other == item),
    }
}

/// Inserts `others` between the items of `patch`, each before the first item
/// that follows it in the live list. Items unknown there come first.
fn interleave(
    others: Vec<Value>,
    patch: Vec<Value>,
    live_order: &[Value],
    merge_key: Option<&str>,
) -> Vec<Value> {
    let mut merged = Vec::with_capacity(others.len() + patch.len());
    let (mut others, mut patch) = (others.into_iter().peekable(), patch.into_iter().peekable());
    while let (Some(other), Some(item)) = (others.peek(), patch.peek()) {
        let places = (
            place(live_order, other, merge_key),
            place(live_order, item, merge_key),
        );
        let before = matches!(places, (Some(other), Some(item)) if other < item);
        merged.extend(if before { others.next() } else { patch.next() });
    }
    merged.extend(others);
    merged.extend(patch);
    merged
}

/// Blocks of this many items are sorted by insertion.
const BLOCK: usize = 20;

/// A stable sort that makes the comparisons of Go's `sort.SliceStable`:
/// insertion sort in blocks, then SymMerge (Kim and Kutzner, "Stable Minimum
/// Storage Merging by Symmetric Comparisons"). With a comparison that is no
/// order, only the same comparisons give the same result.
fn stable(items: &mut [usize], less: &dyn Fn(usize, usize) -> bool) {
    let count = items.len();
    let mut start = 0;
    while start < count {
        let end = (start + BLOCK).min(count);
        insertion(&mut items[start..end], less);
        start = end;
    }
    let mut width = BLOCK;
    while width < count {
        let mut start = 0;
        while start + width < count {
            let end = (start + 2 * width).min(count);
            sym_merge(items, start, start + width, end, less);
            start += 2 * width;
        }
        width *= 2;
    }
}

fn insertion(items: &mut [usize], less: &dyn Fn(usize, usize) -> bool) {
    for end in 1..items.len() {
        let mut place = end;
        while place > 0 && less(items[place], items[place - 1]) {
            items.swap(place, place - 1);
            place -= 1;
        }
    }
}

/// Merges the sorted runs `first..middle` and `middle..last`.
fn sym_merge(
    items: &mut [usize],
    first: usize,
    middle: usize,
    last: usize,
    less: &dyn Fn(usize, usize) -> bool,
) {
    if middle - first == 1 {
        let after = search(middle, last, |place| less(items[place], items[first]));
        items[first..after].rotate_left(1);
        return;
    }
    if last - middle == 1 {
        let after = search(first, middle, |place| !less(items[middle], items[place]));
        items[after..last].rotate_right(1);
        return;
    }
    let half = first + (last - first) / 2;
    let sum = half + middle;
    let (low, high) = if middle > half {
        (sum - last, half)
    } else {
        (first, middle)
    };
    let mirror = sum - 1;
    let start = search(low, high, |place| {
        !less(items[mirror - place], items[place])
    });
    let end = sum - start;
    if start < middle && middle < end {
        items[start..end].rotate_left(middle - start);
    }
    if first < start && start < half {
        sym_merge(items, first, start, half, less);
    }
    if half < end && end < last {
        sym_merge(items, half, end, last, less);
    }
}

/// Returns the first place in `low..high` where `forward` does not hold.
fn search(mut low: usize, mut high: usize, forward: impl Fn(usize) -> bool) -> usize {
    while low < high {
        let middle = low + (high - low) / 2;
        if forward(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_stably() {
        for count in [0, 1, 2, 19, 20, 21, 40, 41, 100, 257] {
            let keys: Vec<usize> = (0..count).map(|index| (index * 7919) % 13).collect();
            let mut sorted: Vec<usize> = (0..count).collect();
            stable(&mut sorted, &|left, right| keys[left] < keys[right]);
            let mut expected: Vec<usize> = (0..count).collect();
            expected.sort_by_key(|index| keys[*index]);
            assert_eq!(sorted, expected);
        }
    }

    #[test]
    fn items_without_a_place_are_turned_round() {
        let mut items = vec![0, 1, 2];
        stable(&mut items, &|_, _| true);
        assert_eq!(items, [2, 1, 0]);
    }
}
