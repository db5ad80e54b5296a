//! The pages, one file each, and the frame around them.

pub mod chat;
pub mod dashboard;
pub mod entry;
pub mod failure;
mod form;
pub mod frame;
mod icons;
pub mod landing;
pub mod notifications;
pub mod passwords;
pub mod settings;
pub mod status;
pub mod task;

/// Returns text fit for one part of a path or query.
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Returns a path of ours as it is, anything else as `otherwise`: no form and
/// no link may lead to another site.
pub fn local<'a>(path: &'a str, otherwise: &'a str) -> &'a str {
    let second = path.as_bytes().get(1);
    let ours = path.starts_with('/') && !matches!(second, Some(b'/' | b'\\'));
    if ours && path.bytes().all(|byte| byte.is_ascii_graphic()) {
        path
    } else {
        otherwise
    }
}

/// Makes a sentence of an API message, which begins in lower case.
pub fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters
        .next()
        .map(|first| first.to_uppercase().to_string())
        .unwrap_or_default();
    format!("{first}{}.", characters.as_str().trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_paths_are_followed() {
        let check = |path: &str, expected: &str| assert_eq!(local(path, "/x"), expected, "{path}");
        check("/tasks/1", "/tasks/1");
        check("/dashboard?status=all", "/dashboard?status=all");
        check("/", "/");
        check("//evil.example", "/x");
        check("/\\evil.example", "/x");
        check("https://evil.example", "/x");
        check("javascript:alert(1)", "/x");
        check("/a\r\nSet-Cookie: b", "/x");
        check("", "/x");
    }
}
