//! Words of an instruction: split at spaces, quotes and escapes kept.

/// Splits at white space outside quotes. Quotes and escapes stay for the
/// expansion to remove.
pub(super) fn split_words(text: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote: Option<char> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == escape && quote != Some('\'') {
            word.push(c);
            word.extend(chars.next());
            continue;
        }
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            None => {}
        }
        word.push(c);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Returns the arguments of a JSON form, `None` when it is not one.
pub(super) fn json_words(text: &str) -> Option<Vec<String>> {
    match text.trim_start().starts_with('[') {
        true => serde_json::from_str(text.trim()).ok(),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_outside_quotes() {
        let check = |text: &str, expected: &[&str]| {
            assert_eq!(split_words(text, '\\'), expected, "{text}");
        };
        check("", &[]);
        check("  a\tb  ", &["a", "b"]);
        check(r#"a="b c" d"#, &[r#"a="b c""#, "d"]);
        check(r"a='b c'\ d e", &[r"a='b c'\ d", "e"]);
        check(r#"a="b \" c" d"#, &[r#"a="b \" c""#, "d"]);
        check("a=\"open b", &["a=\"open b"]);
    }
}
