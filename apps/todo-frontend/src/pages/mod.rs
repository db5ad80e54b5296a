//! The pages, one file each, and the frame around them.

pub mod chat;
pub mod dashboard;
pub mod entry;
pub mod failure;
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

/// Makes a sentence of an API message, which begins in lower case.
pub fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters
        .next()
        .map(|first| first.to_uppercase().to_string())
        .unwrap_or_default();
    format!("{first}{}.", characters.as_str().trim_end_matches('.'))
}
