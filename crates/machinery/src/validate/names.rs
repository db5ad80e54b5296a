//! Rules for texts: labels, subdomains, qualified names, port names and the
//! like. Each returns what is wrong, in upstream's words; nothing when fine.

/// Number rule that many kinds share.
pub(crate) const NOT_NEGATIVE: &str = "must be greater than or equal to 0";
/// Rule of fields that never change.
pub(crate) const IMMUTABLE: &str = "field is immutable";

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const QUALIFIED: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

fn regex_error(message: &str, examples: &[&str], regex: &str) -> String {
    let examples: Vec<String> = examples.iter().map(|e| format!("'{e}', ")).collect();
    match examples.is_empty() {
        true => format!("{message} (regex used for validation is '{regex}')"),
        false => format!(
            "{message} (e.g. {}regex used for validation is '{regex}')",
            examples.join(" or ")
        ),
    }
}

fn too_long(max: usize) -> String {
    format!("must be no more than {max} characters")
}

fn too_many_bytes(max: usize) -> String {
    format!("must be no more than {max} bytes")
}

/// `must be between LOW and HIGH, inclusive`.
pub(crate) fn range(low: i64, high: i64) -> String {
    format!("must be between {low} and {high}, inclusive")
}

fn is_lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// One label, of any length.
fn matches_label(text: &[u8]) -> bool {
    match text {
        [] => false,
        [first, .., last] if !is_lower(*first) || !is_lower(*last) => false,
        [one] => is_lower(*one),
        all => all.iter().all(|byte| is_lower(*byte) || *byte == b'-'),
    }
}

fn matches_subdomain(text: &str) -> bool {
    text.split('.').all(|label| matches_label(label.as_bytes()))
}

fn matches_qualified(text: &str) -> bool {
    let bytes = text.as_bytes();
    match bytes {
        [] => false,
        [first, .., last] if !first.is_ascii_alphanumeric() || !last.is_ascii_alphanumeric() => {
            false
        }
        [one] => one.is_ascii_alphanumeric(),
        all => all
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')),
    }
}

/// A DNS label (RFC 1123).
pub fn label(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > 63 {
        wrong.push(too_long(63));
    }
    if !matches_label(text.as_bytes()) {
        if matches_subdomain(text) {
            wrong.push("must not contain dots".into());
        } else {
            wrong.push(regex_error(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
                &["my-name", "123-abc"],
                LABEL,
            ));
        }
    }
    wrong
}

/// A DNS subdomain (RFC 1123).
pub fn subdomain(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > 253 {
        wrong.push(too_long(253));
    }
    if !matches_subdomain(text) {
        wrong.push(regex_error(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
            &["example.com"],
            SUBDOMAIN,
        ));
    }
    wrong
}

/// A DNS subdomain that may contain underscores.
pub fn subdomain_with_underscore(text: &str) -> Vec<String> {
    const REGEX: &str = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*";
    let fits = |label: &str| {
        let label = label.strip_prefix('_').unwrap_or(label).as_bytes();
        let ends = label.first().zip(label.last());
        ends.is_some_and(|(first, last)| is_lower(*first) && is_lower(*last))
            && label
                .iter()
                .all(|b| is_lower(*b) || matches!(b, b'-' | b'_'))
    };
    let mut wrong = Vec::new();
    if text.len() > 253 {
        wrong.push(too_long(253));
    }
    if !text.split('.').all(fits) {
        wrong.push(regex_error(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character",
            &["example.com"],
            REGEX,
        ));
    }
    wrong
}

/// A DNS label that starts with a letter (RFC 1035).
pub fn label_1035(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > 63 {
        wrong.push(too_long(63));
    }
    let starts = text.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
    if !starts || !matches_label(text.as_bytes()) {
        wrong.push(regex_error(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
            &["my-name", "abc-123"],
            "[a-z]([-a-z0-9]*[a-z0-9])?",
        ));
    }
    wrong
}

/// A subdomain behind `*.`.
pub fn wildcard_subdomain(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > 253 {
        wrong.push(too_long(253));
    }
    if !text.strip_prefix("*.").is_some_and(matches_subdomain) {
        wrong.push(regex_error(
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
            &["*.example.com"],
            &format!("\\*\\.{SUBDOMAIN}"),
        ));
    }
    wrong
}

/// A qualified name, which is what a label key is: `[prefix/]name`.
pub fn qualified(text: &str) -> Vec<String> {
    const WHAT: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
    const EXAMPLES: &[&str] = &["MyName", "my.name", "123-abc"];
    let mut wrong = Vec::new();
    let mut parts = text.split('/');
    let (first, second, third) = (parts.next(), parts.next(), parts.next());
    let name = match (first, second, third) {
        (Some(name), None, _) => name,
        (Some(prefix), Some(name), None) => {
            if prefix.is_empty() {
                wrong.push("prefix part must be non-empty".into());
            } else {
                wrong.extend(subdomain(prefix).iter().map(|m| format!("prefix part {m}")));
            }
            name
        }
        _ => {
            let rule = regex_error(WHAT, EXAMPLES, QUALIFIED);
            wrong.push(format!(
                "a valid label key {rule} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            ));
            return wrong;
        }
    };
    if name.is_empty() {
        wrong.push("name part must be non-empty".into());
    } else if name.len() > 63 {
        wrong.push(format!("name part {}", too_many_bytes(63)));
    }
    if !matches_qualified(name) {
        wrong.push(format!(
            "name part {}",
            regex_error(WHAT, EXAMPLES, QUALIFIED)
        ));
    }
    wrong
}

/// A label's value.
pub fn label_value(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > 63 {
        wrong.push(too_many_bytes(63));
    }
    if !text.is_empty() && !matches_qualified(text) {
        wrong.push(regex_error(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
            &["MyValue", "my_value", "12345"],
            &format!("({QUALIFIED})?"),
        ));
    }
    wrong
}

/// A name that can be a segment of a path.
pub fn path_segment(text: &str) -> Vec<String> {
    if matches!(text, "." | "..") {
        return vec![format!("may not be '{text}'")];
    }
    path_segment_prefix(text)
}

/// The beginning of a name that can be a segment of a path.
pub fn path_segment_prefix(text: &str) -> Vec<String> {
    ["/", "%"]
        .iter()
        .filter(|part| text.contains(**part))
        .map(|part| format!("may not contain '{part}'"))
        .collect()
}

/// The name of a port (IANA service name).
pub fn port_name(text: &str) -> Vec<String> {
    let bytes = text.as_bytes();
    let mut wrong = Vec::new();
    if bytes.len() > 15 {
        wrong.push(too_long(15));
    }
    if bytes.is_empty() || !bytes.iter().all(|byte| is_lower(*byte) || *byte == b'-') {
        wrong.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".into());
    }
    if !bytes.iter().any(u8::is_ascii_lowercase) {
        wrong.push("must contain at least one letter (a-z)".into());
    }
    if text.contains("--") {
        wrong.push("must not contain consecutive hyphens".into());
    }
    if text.starts_with('-') || text.ends_with('-') {
        wrong.push("must not begin or end with a hyphen".into());
    }
    wrong
}

/// The number of a port.
pub fn port_number(number: i64) -> Vec<String> {
    match number {
        1..=65535 => Vec::new(),
        _ => vec![range(1, 65535)],
    }
}

/// A user or group id.
pub fn id(number: i64) -> Vec<String> {
    match number {
        0..=0x7fff_ffff => Vec::new(),
        _ => vec![range(0, i32::MAX.into())],
    }
}

/// A percentage such as `25%`.
pub fn percent(text: &str) -> Vec<String> {
    let digits = text.strip_suffix('%');
    if digits.is_some_and(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit())) {
        return Vec::new();
    }
    vec![regex_error(
        "a valid percent string must be a numeric string followed by an ending '%'",
        &["1%", "93%"],
        "[0-9]+%",
    )]
}

/// The name of an HTTP header.
pub fn header_name(text: &str) -> Vec<String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if !text.is_empty() && text.bytes().all(fits) {
        return Vec::new();
    }
    vec![regex_error(
        "a valid HTTP header must consist of alphanumeric characters or '-'",
        &["X-Header-Name"],
        "[-A-Za-z0-9]+",
    )]
}

/// The name of an environment variable: printable ASCII without `=`.
pub fn variable(text: &str) -> Vec<String> {
    if text.is_empty() {
        return vec!["environment variable name must be non-empty".into()];
    }
    if text.chars().any(|c| !matches!(c, ' '..='~') || c == '=') {
        return vec![
            "a valid environment variable name must consist only of printable ASCII characters other than '='".into(),
        ];
    }
    Vec::new()
}

/// A key of a ConfigMap or Secret.
pub fn config_key(text: &str) -> Vec<String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    let mut wrong = Vec::new();
    if text.len() > 253 {
        wrong.push(too_long(253));
    }
    if text.is_empty() || !text.bytes().all(fits) {
        wrong.push(regex_error(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            &["key.name", "KEY_NAME", "key-name"],
            "[-._a-zA-Z0-9]+",
        ));
    }
    if matches!(text, "." | "..") {
        wrong.push(format!("must not be '{text}'"));
    } else if text.starts_with("..") {
        wrong.push("must not start with '..'".into());
    }
    wrong
}

/// Whether Go's `unicode.IsPrint` holds: no control, formatting or private
/// characters, and no space but the plain one. Characters that Unicode has not
/// assigned pass here.
pub fn is_printable(c: char) -> bool {
    let formats = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    let private = matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..);
    c == ' ' || !(c.is_control() || c.is_whitespace() || formats || private)
}

/// A C identifier.
pub fn c_identifier(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rule: fn(&str) -> Vec<String>, good: &[&str], bad: &[&str]) {
        for text in good {
            assert_eq!(rule(text), Vec::<String>::new(), "{text:?} is fine");
        }
        for text in bad {
            assert_ne!(rule(text), Vec::<String>::new(), "{text:?} is not fine");
        }
    }

    #[test]
    fn texts_follow_their_rules() {
        let long = "a".repeat(64);
        check(
            label,
            &["a", "1", "a-b"],
            &["", "-a", "a-", "A", "a.b", "a_b", &long],
        );
        check(
            subdomain,
            &["a.b", "1.2-3"],
            &["", "a..b", ".a", "a.", "a.-b"],
        );
        check(label_1035, &["a", "a1"], &["1a", "", "a-"]);
        check(
            qualified,
            &["A_b.c", "x.y/Z", "a"],
            &["", "/a", "a/", "a/b/c", "-a", &long],
        );
        check(label_value, &["", "A_b"], &["-", "a b", &long]);
        check(
            port_name,
            &["http", "p-1"],
            &["", "1", "a--b", "-a", "Http", "abcdefghijklmnop"],
        );
        check(percent, &["1%", "100%"], &["%", "1", "1.5%"]);
        check(variable, &["A", "a b", "1"], &["", "a=b", "ü", "\n"]);
        check(
            config_key,
            ["a", "..a.b"].get(..1).unwrap_or_default(),
            &["", ".", "..", "..a", "a/b"],
        );
        check(path_segment, &["a", "..."], &[".", "..", "a/b", "a%"]);
        check(wildcard_subdomain, &["*.a"], &["*", "a.*", "*.*.a"]);
        check(subdomain_with_underscore, &["_a.b_c", "a"], &["__", "a_"]);
    }

    #[test]
    fn messages_carry_examples_and_the_rule() {
        assert_eq!(
            label("Bad_Name"),
            [
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            ]
        );
        assert_eq!(label("a.b"), ["must not contain dots"]);
    }
}
