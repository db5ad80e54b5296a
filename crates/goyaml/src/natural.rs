//! go-yaml's order of keys.

use std::cmp::Ordering;

/// Compares two keys: letters after everything else, numbers inside texts by
/// their value.
pub fn natural_cmp(a: &[u8], b: &[u8]) -> Ordering {
    let Some(at) = a.iter().zip(b).position(|(a, b)| a != b) else {
        return a.len().cmp(&b.len());
    };
    if a[at].is_ascii() && b[at].is_ascii() {
        return differ(a, b, at, (char::from(a[at]), char::from(b[at])));
    }
    let (a, b) = (String::from_utf8_lossy(a), String::from_utf8_lossy(b));
    let mut pairs = a.char_indices().zip(b.chars());
    match pairs.find(|((_, a), b)| a != b) {
        Some(((at, first), second)) => differ(a.as_bytes(), b.as_bytes(), at, (first, second)),
        None => a.len().cmp(&b.len()),
    }
}

/// Compares two texts that are the same up to `at`, where these characters
/// stand.
fn differ(a: &[u8], b: &[u8], at: usize, (first, second): (char, char)) -> Ordering {
    match (first.is_alphabetic(), second.is_alphabetic()) {
        (true, true) => return first.cmp(&second),
        (false, true) => return Ordering::Less,
        (true, false) => return Ordering::Greater,
        (false, false) => {}
    }
    let mut seed = 0i64;
    if first == '0' || second == '0' {
        let before = a[..at].iter().rev();
        let mut digits = before.take_while(|byte| byte.is_ascii_digit());
        if digits.any(|byte| *byte != b'0') {
            seed = 1;
        }
    }
    let number = |text: &[u8]| {
        let mut count = 0;
        let digits = text[at..].iter().take_while(|byte| byte.is_ascii_digit());
        let value = digits.fold(seed, |number, digit| {
            count += 1;
            number
                .wrapping_mul(10)
                .wrapping_add(i64::from(*digit - b'0'))
        });
        (value, count)
    };
    number(a).cmp(&number(b)).then_with(|| first.cmp(&second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stand_in_go_yamls_order() {
        let check = |a: &str, b: &str| {
            let order = natural_cmp(a.as_bytes(), b.as_bytes());
            assert_eq!(order, Ordering::Less, "{a} {b}");
            let back = natural_cmp(b.as_bytes(), a.as_bytes());
            assert_eq!(back, Ordering::Greater, "{b} {a}");
        };
        check("a2", "a10");
        check("a10", "b1");
        check("1", "a");
        check("_u", "1");
        check("A", "a");
        check("part9", "part10");
        check("ö2", "ö10");
        check("a", "ab");
        check("a1", "a01");
        check("a10b", "a1b");
    }
}
