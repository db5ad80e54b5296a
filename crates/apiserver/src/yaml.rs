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
                Ok(value) => Ok((value, vec![first.to_string()])),
                Err(error) => Err(error.to_string()),
            }
        }
    }
}
