//! The writer that equals go-yaml v2 as `sigs.k8s.io/yaml` drives it.
//!
//! Main type: [`Writer`], fed with events. After libyaml's `emitter.c` for
//! what such documents hold: block collections, strings, numbers, nothing
//! anchored or tagged. [`Dialect::V3`] is go-yaml v3 with an indent of two,
//! which `toYamlPretty` uses.

use crate::resolve::{Scalar, resolve};
use std::cmp::Ordering;

/// Lines longer than this are folded at spaces.
const BEST_WIDTH: usize = 80;
const BEST_INDENT: isize = 2;
/// Longer keys are written as `? key`.
const SIMPLE_KEY_MAX: usize = 128;

/// Which go-yaml to equal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Dialect {
    /// Version 2: lists are not indented below their key.
    #[default]
    V2,
    /// Version 3: lists are indented, long lines are not folded.
    V3,
}

#[derive(Clone, Copy, PartialEq)]
enum Context {
    Root,
    Sequence,
    Mapping,
}

enum Level {
    Sequence {
        first: bool,
    },
    Mapping {
        first: bool,
        simple: bool,
        key_next: bool,
    },
}

#[derive(Clone, Copy, PartialEq)]
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

/// Writes one document from events.
pub struct Writer {
    out: Vec<u8>,
    dialect: Dialect,
    indent: isize,
    indents: Vec<isize>,
    levels: Vec<Level>,
    column: usize,
    whitespace: bool,
    indention: bool,
}

impl Default for Writer {
    fn default() -> Self {
        Writer::new(Dialect::V2)
    }
}

impl Writer {
    /// Makes a writer.
    pub fn new(dialect: Dialect) -> Self {
        Writer {
            out: Vec::new(),
            dialect,
            indent: 0,
            indents: Vec::new(),
            levels: Vec::new(),
            column: 0,
            whitespace: true,
            indention: true,
        }
    }

    /// Ends the document and returns its text.
    pub fn finish(mut self) -> Vec<u8> {
        self.indent = 0;
        self.write_indent();
        self.out
    }

    /// Starts a mapping; an empty one is `{}` and needs no end.
    pub fn begin_map(&mut self, empty: bool) {
        self.before_node(None);
        if empty {
            self.indicator(b"{", true, true, false);
            self.indicator(b"}", false, false, false);
            return;
        }
        self.levels.push(Level::Mapping {
            first: true,
            simple: true,
            key_next: true,
        });
    }

    /// Ends a mapping that was not empty.
    pub fn end_map(&mut self) {
        self.end();
    }

    /// Starts a sequence; an empty one is `[]` and needs no end.
    pub fn begin_seq(&mut self, empty: bool) {
        let context = self.before_node(None);
        if empty {
            self.indicator(b"[", true, true, false);
            self.indicator(b"]", false, false, false);
            return;
        }
        // Below a key, version 2 writes the dashes under the key itself.
        let indentless =
            self.dialect == Dialect::V2 && context == Context::Mapping && !self.indention;
        self.increase_indent(indentless);
        self.levels.push(Level::Sequence { first: true });
    }

    /// Ends a sequence that was not empty.
    pub fn end_seq(&mut self) {
        self.end();
    }

    /// Writes null, a boolean or a number as it is.
    pub fn plain(&mut self, text: &str) {
        self.before_node(Some(text.as_bytes()));
        self.write_plain(text.as_bytes(), true);
    }

    /// Writes a float: in version 2 as it looks after JSON.
    pub fn float(&mut self, number: f64) {
        let text = match self.dialect {
            Dialect::V2 => crate::number::through_json(number),
            Dialect::V3 => crate::number::general(number, false),
        };
        self.plain(&text);
    }

    /// Writes a string, quoted where it must be. It has to be UTF-8.
    pub fn string(&mut self, text: &[u8]) {
        let key = self.key_is_next();
        self.before_node(Some(text));
        let simple_key = key && self.last_key_is_simple();
        self.write_string(text, simple_key);
    }

    fn key_is_next(&self) -> bool {
        matches!(
            self.levels.last(),
            Some(Level::Mapping { key_next: true, .. })
        )
    }

    fn last_key_is_simple(&self) -> bool {
        matches!(
            self.levels.last(),
            Some(Level::Mapping { simple: true, .. })
        )
    }

    fn end(&mut self) {
        self.levels.pop();
        self.indent = self.indents.pop().unwrap_or(0);
    }

    fn increase_indent(&mut self, indentless: bool) {
        self.indents.push(self.indent);
        // The outermost collection starts at column zero.
        if self.indents.len() > 1 && !indentless {
            self.indent += BEST_INDENT;
        }
    }

    /// Writes what stands before a node: the dash of an item, the indent of a
    /// key, the colon before a value.
    fn before_node(&mut self, scalar: Option<&[u8]>) -> Context {
        let Some(mut level) = self.levels.pop() else {
            return Context::Root;
        };
        let context = match &mut level {
            Level::Sequence { first } => {
                *first = false;
                self.write_indent();
                self.indicator(b"-", true, false, true);
                Context::Sequence
            }
            Level::Mapping {
                first,
                simple,
                key_next: key_next @ true,
            } => {
                if std::mem::replace(first, false) {
                    self.increase_indent(false);
                }
                self.write_indent();
                *key_next = false;
                *simple =
                    scalar.is_some_and(|text| text.len() <= SIMPLE_KEY_MAX && !has_break(text));
                if !*simple {
                    self.indicator(b"?", true, false, true);
                }
                Context::Mapping
            }
            Level::Mapping {
                simple, key_next, ..
            } => {
                *key_next = true;
                if *simple {
                    self.indicator(b":", false, false, false);
                } else {
                    self.write_indent();
                    self.indicator(b":", true, false, true);
                }
                Context::Mapping
            }
        };
        self.levels.push(level);
        context
    }

    fn write_string(&mut self, text: &[u8], simple_key: bool) {
        let analysis = analyze(text);
        let plain = match resolve(&String::from_utf8_lossy(text)) {
            Scalar::Str if is_base60(text) => false,
            Scalar::Str => self.dialect == Dialect::V2 || !is_old_bool(text),
            Scalar::Merge => true,
            _ => false,
        };
        let mut style = if text.contains(&b'\n') {
            Style::Literal
        } else if plain {
            Style::Plain
        } else {
            Style::Double
        };
        if simple_key && analysis.multiline {
            style = Style::Double;
        }
        if style == Style::Plain && (!analysis.plain_allowed || text.is_empty()) {
            style = Style::Single;
        }
        if style == Style::Single && !analysis.single_allowed {
            style = Style::Double;
        }
        if style == Style::Literal && (!analysis.block_allowed || simple_key) {
            style = Style::Double;
        }
        // Further lines of a scalar stand one level deeper.
        self.indent += BEST_INDENT;
        match style {
            Style::Plain => self.write_plain(text, !simple_key),
            Style::Single => self.write_single(text, !simple_key),
            Style::Double => self.write_double(text, !simple_key),
            Style::Literal => self.write_literal(text),
        }
        self.indent -= BEST_INDENT;
    }

    fn put(&mut self, byte: u8) {
        self.out.push(byte);
        self.column += 1;
    }

    fn put_break(&mut self) {
        self.out.push(b'\n');
        self.column = 0;
    }

    /// Copies one character; returns its length.
    fn copy(&mut self, text: &[u8], at: usize) -> usize {
        let width = width(text[at]).min(text.len() - at);
        self.out.extend_from_slice(&text[at..at + width]);
        self.column += 1;
        width
    }

    fn write_break(&mut self, text: &[u8], at: usize) -> usize {
        if text[at] == b'\n' {
            self.put_break();
            return 1;
        }
        let width = self.copy(text, at);
        self.column = 0;
        width
    }

    fn write_indent(&mut self) {
        let indent = self.indent.max(0) as usize;
        if !self.indention || self.column > indent || (self.column == indent && !self.whitespace) {
            self.put_break();
        }
        while self.column < indent {
            self.put(b' ');
        }
        self.whitespace = true;
        self.indention = true;
    }

    fn indicator(&mut self, text: &[u8], need_space: bool, is_space: bool, is_indention: bool) {
        if need_space && !self.whitespace {
            self.put(b' ');
        }
        self.out.extend_from_slice(text);
        self.column += text.len();
        self.whitespace = is_space;
        self.indention = self.indention && is_indention;
    }

    fn too_long(&self) -> bool {
        self.dialect == Dialect::V2 && self.column > BEST_WIDTH
    }

    fn write_plain(&mut self, text: &[u8], allow_breaks: bool) {
        if !self.whitespace {
            self.put(b' ');
        }
        let mut spaces = false;
        let mut at = 0;
        while at < text.len() {
            if text[at] == b' ' {
                let fold =
                    allow_breaks && !spaces && self.too_long() && text.get(at + 1) != Some(&b' ');
                if fold {
                    self.write_indent();
                    at += 1;
                } else {
                    at += self.copy(text, at);
                }
                spaces = true;
            } else {
                at += self.copy(text, at);
                self.indention = false;
                spaces = false;
            }
        }
        self.whitespace = false;
        self.indention = false;
    }

    fn write_single(&mut self, text: &[u8], allow_breaks: bool) {
        self.indicator(b"'", true, false, false);
        let (mut spaces, mut breaks) = (false, false);
        let mut at = 0;
        while at < text.len() {
            if text[at] == b' ' {
                let inner = at > 0 && at + 1 < text.len() && text[at + 1] != b' ';
                if allow_breaks && !spaces && self.too_long() && inner {
                    self.write_indent();
                    at += 1;
                } else {
                    at += self.copy(text, at);
                }
                spaces = true;
            } else if is_break(text, at) {
                if !breaks && text[at] == b'\n' {
                    self.put_break();
                }
                at += self.write_break(text, at);
                self.indention = true;
                breaks = true;
            } else {
                if breaks {
                    self.write_indent();
                }
                if text[at] == b'\'' {
                    self.put(b'\'');
                }
                at += self.copy(text, at);
                self.indention = false;
                spaces = false;
                breaks = false;
            }
        }
        self.indicator(b"'", false, false, false);
        self.whitespace = false;
        self.indention = false;
    }

    fn write_double(&mut self, text: &[u8], allow_breaks: bool) {
        self.indicator(b"\"", true, false, false);
        let mut spaces = false;
        let mut at = 0;
        while at < text.len() {
            let byte = text[at];
            if !is_printable(text, at)
                // go-yaml looks for the mark at the start, wherever it is.
                || is_bom(text, 0)
                || is_break(text, at)
                || byte == b'"'
                || byte == b'\\'
            {
                at += self.write_escape(text, at);
                spaces = false;
            } else if byte == b' ' {
                let inner = at > 0 && at + 1 < text.len();
                if allow_breaks && !spaces && self.too_long() && inner {
                    self.write_indent();
                    if text[at + 1] == b' ' {
                        self.put(b'\\');
                    }
                    at += 1;
                } else {
                    at += self.copy(text, at);
                }
                spaces = true;
            } else {
                at += self.copy(text, at);
                spaces = false;
            }
        }
        self.indicator(b"\"", false, false, false);
        self.whitespace = false;
        self.indention = false;
    }

    fn write_escape(&mut self, text: &[u8], at: usize) -> usize {
        let width = width(text[at]).min(text.len() - at);
        let c = std::str::from_utf8(&text[at..at + width])
            .ok()
            .and_then(|text| text.chars().next())
            .unwrap_or('\u{FFFD}');
        let escaped = match c {
            '\0' => "\\0".into(),
            '\x07' => "\\a".into(),
            '\x08' => "\\b".into(),
            '\t' => "\\t".into(),
            '\n' => "\\n".into(),
            '\x0b' => "\\v".into(),
            '\x0c' => "\\f".into(),
            '\r' => "\\r".into(),
            '\x1b' => "\\e".into(),
            '"' => "\\\"".into(),
            '\\' => "\\\\".into(),
            '\u{85}' => "\\N".into(),
            '\u{A0}' => "\\_".into(),
            '\u{2028}' => "\\L".into(),
            '\u{2029}' => "\\P".into(),
            c if (c as u32) <= 0xFF => format!("\\x{:02X}", c as u32),
            c if (c as u32) <= 0xFFFF => format!("\\u{:04X}", c as u32),
            c => format!("\\U{:08X}", c as u32),
        };
        for byte in escaped.bytes() {
            self.put(byte);
        }
        width
    }

    fn write_literal(&mut self, text: &[u8]) {
        self.indicator(b"|", true, false, false);
        if matches!(text.first(), Some(b' ')) || is_break(text, 0) {
            let hint = [b'0' + BEST_INDENT as u8];
            self.indicator(&hint, false, false, false);
        }
        if let Some(hint) = chomp_hint(text) {
            self.indicator(&[hint], false, false, false);
        }
        self.put_break();
        self.indention = true;
        self.whitespace = true;
        let mut breaks = true;
        let mut at = 0;
        while at < text.len() {
            if is_break(text, at) {
                at += self.write_break(text, at);
                self.indention = true;
                breaks = true;
            } else {
                if breaks {
                    self.write_indent();
                }
                at += self.copy(text, at);
                self.indention = false;
                breaks = false;
            }
        }
    }
}

/// `-` strips the final line break, `+` keeps several, nothing keeps one.
fn chomp_hint(text: &[u8]) -> Option<u8> {
    let last = last_char_start(text, text.len())?;
    if !is_break(text, last) {
        return Some(b'-');
    }
    match last_char_start(text, last) {
        None => Some(b'+'),
        Some(before) if is_break(text, before) => Some(b'+'),
        Some(_) => None,
    }
}

fn last_char_start(text: &[u8], end: usize) -> Option<usize> {
    let mut at = end.checked_sub(1)?;
    while at > 0 && text[at] & 0xC0 == 0x80 {
        at -= 1;
    }
    Some(at)
}

struct Analysis {
    multiline: bool,
    plain_allowed: bool,
    single_allowed: bool,
    block_allowed: bool,
}

/// libyaml's `yaml_emitter_analyze_scalar`, for block context.
fn analyze(text: &[u8]) -> Analysis {
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

fn width(byte: u8) -> usize {
    match byte {
        0xF0.. => 4,
        0xE0.. => 3,
        0xC0.. => 2,
        _ => 1,
    }
}

fn is_break(text: &[u8], at: usize) -> bool {
    match text.get(at) {
        Some(b'\r' | b'\n') => true,
        Some(0xC2) => text.get(at + 1) == Some(&0x85),
        Some(0xE2) => {
            text.get(at + 1) == Some(&0x80) && matches!(text.get(at + 2), Some(0xA8 | 0xA9))
        }
        _ => false,
    }
}

fn has_break(text: &[u8]) -> bool {
    (0..text.len()).any(|at| is_break(text, at))
}

fn is_bom(text: &[u8], at: usize) -> bool {
    text[at..].starts_with(&[0xEF, 0xBB, 0xBF])
}

fn is_printable(text: &[u8], at: usize) -> bool {
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
fn is_base60(text: &[u8]) -> bool {
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
fn is_old_bool(text: &[u8]) -> bool {
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

/// go-yaml's order of keys: letters after everything else, numbers inside
/// texts by their value.
pub fn natural_cmp(a: &[u8], b: &[u8]) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    let a: Vec<char> = String::from_utf8_lossy(a).chars().collect();
    let b: Vec<char> = String::from_utf8_lossy(b).chars().collect();
    for at in 0..a.len().min(b.len()) {
        if a[at] == b[at] {
            continue;
        }
        return natural_differ(&a, &b, at);
    }
    a.len().cmp(&b.len())
}

fn natural_differ(a: &[char], b: &[char], at: usize) -> Ordering {
    let (letter_a, letter_b) = (a[at].is_alphabetic(), b[at].is_alphabetic());
    if letter_a && letter_b {
        return a[at].cmp(&b[at]);
    }
    if letter_a || letter_b {
        return if letter_b {
            Ordering::Less
        } else {
            Ordering::Greater
        };
    }
    let mut seed = 0i64;
    if a[at] == '0' || b[at] == '0' {
        let digits = a[..at].iter().rev().take_while(|c| c.is_ascii_digit());
        if digits.into_iter().any(|c| *c != '0') {
            seed = 1;
        }
    }
    let number = |chars: &[char]| {
        let digits = chars[at..].iter().take_while(|c| c.is_ascii_digit());
        let mut count = 0;
        let value = digits.fold(seed, |number, digit| {
            count += 1;
            number
                .wrapping_mul(10)
                .wrapping_add(i64::from(*digit as u32 - '0' as u32))
        });
        (value, count)
    };
    number(a).cmp(&number(b)).then_with(|| a[at].cmp(&b[at]))
}
