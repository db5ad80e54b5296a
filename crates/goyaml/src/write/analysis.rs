//! What a text holds, and which styles can therefore write it.
//!
//! Main function: [`analyze`].

/// What a text is for the writer.
pub(super) struct Analysis {
    pub(super) multiline: bool,
    pub(super) plain_allowed: bool,
    pub(super) single_allowed: bool,
    pub(super) block_allowed: bool,
}

/// libyaml's `yaml_emitter_analyze_scalar`, for block context.
pub(super) fn analyze(text: &[u8]) -> Analysis {
    let mut analysis = Analysis {
        multiline: false,
        plain_allowed: true,
        single_allowed: true,
        block_allowed: true,
    };
    if text.is_empty() {
        analysis.block_allowed = false;
        return analysis;
    }
    if is_word(text) {
        return analysis;
    }
    let mut indicators = text.starts_with(b"---") || text.starts_with(b"...");
    let mut special = false;
    let (mut edge, mut trailing_space) = (false, false);
    let (mut break_space, mut space_break) = (false, false);
    let (mut previous_space, mut previous_break) = (false, false);
    let mut preceded_by_whitespace = true;
    let mut at = 0;
    while at < text.len() {
        let width = width(text[at]).min(text.len() - at);
        let (first, last) = (at == 0, at + width >= text.len());
        let followed = last || matches!(text[at + width], b' ' | b'\t');
        indicators |= if first {
            match text[0] {
                b'#' | b',' | b'[' | b']' | b'{' | b'}' | b'&' | b'*' | b'!' | b'|' | b'>'
                | b'\'' | b'"' | b'%' | b'@' | b'`' => true,
                b'?' | b':' | b'-' => followed,
                _ => false,
            }
        } else {
            match text[at] {
                b':' => followed,
                b'#' => preceded_by_whitespace,
                _ => false,
            }
        };
        special |= !is_printable(text, at);
        if text[at] == b' ' {
            edge |= first || last;
            trailing_space |= last;
            break_space |= previous_break;
            (previous_space, previous_break) = (true, false);
        } else if is_break(text, at) {
            analysis.multiline = true;
            edge |= first || last;
            space_break |= previous_space;
            (previous_space, previous_break) = (false, true);
        } else {
            (previous_space, previous_break) = (false, false);
        }
        preceded_by_whitespace = matches!(text[at], b' ' | b'\t') || is_break(text, at);
        at += width;
    }
    analysis.plain_allowed =
        !(edge || break_space || space_break || special || analysis.multiline || indicators);
    analysis.single_allowed = !(break_space || space_break || special);
    analysis.block_allowed = !(trailing_space || space_break || special);
    analysis
}

/// Whether a text is of characters alone that mean nothing to YAML: most are.
fn is_word(text: &[u8]) -> bool {
    let is_usual = |byte: &u8| byte.is_ascii_alphanumeric() || b"_/".contains(byte);
    let (first, rest) = text.split_first().unwrap_or((&0, &[]));
    is_usual(first)
        && rest
            .iter()
            .all(|byte| is_usual(byte) || b".-".contains(byte))
}

pub(super) fn width(byte: u8) -> usize {
    match byte {
        0xF0.. => 4,
        0xE0.. => 3,
        0xC0.. => 2,
        _ => 1,
    }
}

pub(super) fn is_break(text: &[u8], at: usize) -> bool {
    match text.get(at) {
        Some(b'\r' | b'\n') => true,
        Some(0xC2) => text.get(at + 1) == Some(&0x85),
        Some(0xE2) => {
            text.get(at + 1) == Some(&0x80) && matches!(text.get(at + 2), Some(0xA8 | 0xA9))
        }
        _ => false,
    }
}

pub(super) fn has_break(text: &[u8]) -> bool {
    (0..text.len()).any(|at| is_break(text, at))
}

pub(super) fn is_bom(text: &[u8], at: usize) -> bool {
    text[at..].starts_with(&[0xEF, 0xBB, 0xBF])
}

pub(super) fn is_printable(text: &[u8], at: usize) -> bool {
    let next = |ahead: usize| text.get(at + ahead).copied().unwrap_or(0);
    match text[at] {
        0x0A | 0x20..=0x7E => true,
        0xC2 => next(1) >= 0xA0,
        0xC3..=0xEC | 0xEE => true,
        0xED => next(1) < 0xA0,
        0xEF if is_bom(text, at) => false,
        0xEF => next(1) != 0xBF || !matches!(next(2), 0xBE | 0xBF),
        _ => false,
    }
}

/// `[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?`: go-yaml does not read it
/// as a number but quotes it for others who do.
pub(super) fn is_base60(text: &[u8]) -> bool {
    if !matches!(text.first(), Some(b'0'..=b'9' | b'+' | b'-')) {
        return false;
    }
    let Ok(text) = std::str::from_utf8(text) else {
        return false;
    };
    let rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut parts = rest.split(':');
    let first = parts.next().unwrap_or_default();
    if !first.starts_with(|c: char| c.is_ascii_digit())
        || !first
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'_')
    {
        return false;
    }
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return false;
    };
    let minute = |part: &str| match part.as_bytes() {
        [digit] => digit.is_ascii_digit(),
        [tens, digit] => (b'0'..=b'5').contains(tens) && digit.is_ascii_digit(),
        _ => false,
    };
    let (last, fraction) = last.split_once('.').unwrap_or((last, ""));
    fraction
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'_')
        && minute(last)
        && middle.iter().all(|part| minute(part))
}

/// Version 3 reads `yes` and the like as strings but quotes them.
pub(super) fn is_old_bool(text: &[u8]) -> bool {
    matches!(
        text,
        b"y" | b"Y"
            | b"yes"
            | b"Yes"
            | b"YES"
            | b"on"
            | b"On"
            | b"ON"
            | b"n"
            | b"N"
            | b"no"
            | b"No"
            | b"NO"
            | b"off"
            | b"Off"
            | b"OFF"
    )
}
