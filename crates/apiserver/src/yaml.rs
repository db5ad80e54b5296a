//! YAML bodies, read with the scalars of YAML 1.1 as Go's parser resolves them,
//! so that a manifest means the same here as to upstream. Returns JSON values.

use serde_json::Value;

/// Reads one document; of duplicate keys the last counts. Returns the value
/// and one message per duplicate key.
///
/// # Errors
/// What the parser says, with the line.
pub fn read(text: &str) -> Result<(Value, Vec<String>), String> {
    let options = |duplicates| {
        serde_saphyr::options! {
            legacy_octal_numbers: true,
            duplicate_keys: duplicates,
        }
    };
    let strict = serde_saphyr::from_str_with_options::<Value>(
        text,
        options(serde_saphyr::DuplicateKeyPolicy::Error),
    );
    match strict {
        Ok(value) => Ok((value, Vec::new())),
        Err(first) => {
            let last = options(serde_saphyr::DuplicateKeyPolicy::LastWins);
            match serde_saphyr::from_str_with_options::<Value>(text, last) {
                Ok(value) => Ok((value, vec![in_go(&first.to_string())])),
                Err(error) => Err(in_go(&error.to_string())),
            }
        }
    }
}

/// Shortens a message with its excerpt to the one line that Go's parser gives.
fn in_go(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let line = line.trim_start_matches("error: ");
    let Some((place, why)) = line.split_once(": ") else {
        return line.to_owned();
    };
    let number = place.split_whitespace().nth(1).unwrap_or_default();
    let why = if why.starts_with("unclosed bracket") {
        "did not find expected node content"
    } else {
        why
    };
    format!("line {number}: {why}")
}
