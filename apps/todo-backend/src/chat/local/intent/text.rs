//! The words of a message: without polite openings, quotes and marks.

/// Without polite openings and closing marks.
pub(super) fn clean(message: &str) -> String {
    const OPENINGS: [&str; 14] = [
        "please ",
        "can you ",
        "could you ",
        "would you ",
        "hey, ",
        "hey ",
        "hi, ",
        "ok, ",
        "i want to ",
        "i'd like to ",
        "i would like to ",
        "let's ",
        "kindly ",
        "براہ کرم ",
    ];
    let mut text = message.trim().replace('’', "'");
    while let Some(rest) = OPENINGS
        .iter()
        .find_map(|opening| strip_start(&text, opening))
    {
        text = rest.trim().to_owned();
    }
    let text = text.trim_end_matches(['.', '!', '?', '؟', '۔', ' ']);
    let text = strip_end(text, " please")
        .or_else(|| strip_end(text, ", please"))
        .unwrap_or(text);
    text.trim().to_owned()
}

/// `strip_prefix` that ignores the case of ASCII letters.
pub(super) fn strip_start<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    let head = text.get(..start.len())?;
    head.eq_ignore_ascii_case(start)
        .then(|| text.get(start.len()..))
        .flatten()
}

/// `strip_suffix` that ignores the case of ASCII letters.
pub(super) fn strip_end<'a>(text: &'a str, end: &str) -> Option<&'a str> {
    let cut = text.len().checked_sub(end.len())?;
    let tail = text.get(cut..)?;
    tail.eq_ignore_ascii_case(end)
        .then(|| text.get(..cut))
        .flatten()
}

const QUOTES: [(char, char); 4] = [('"', '"'), ('\'', '\''), ('“', '”'), ('‘', '’')];

/// Whether all of a text stands in quotes.
pub(super) fn is_quoted(text: &str) -> bool {
    text.chars().count() > 2
        && QUOTES
            .iter()
            .any(|(open, close)| text.starts_with(*open) && text.ends_with(*close))
}

/// Returns a text without the quotes around it.
pub(super) fn unquoted(text: &str) -> &str {
    if is_quoted(text) {
        let mut characters = text.chars();
        characters.next();
        characters.next_back();
        return characters.as_str().trim();
    }
    text
}

/// Returns a text that begins with a capital letter.
pub(super) fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}
