//! Go's words for what a text of `--set` cannot mean.

use coracle_goyaml::Value;

/// Go's `%q` of a string.
pub(super) fn quoted(text: &str) -> String {
    let quoted = coracle_gotemplate::strconv::quote(text.as_bytes(), false);
    String::from_utf8_lossy(&quoted).into_owned()
}

/// Go's `%q` of a slice of characters.
pub(super) fn quoted_runes(text: &str) -> String {
    let runes: Vec<String> = text
        .chars()
        .map(|c| {
            let quoted = coracle_gotemplate::strconv::quote_char(c, false);
            String::from_utf8_lossy(&quoted).into_owned()
        })
        .collect();
    format!("[{}]", runes.join(" "))
}

/// Why Go's `Atoi` takes no such text.
pub fn bad_integer(text: &str) -> String {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let cause = match is_number {
        true => "value out of range",
        false => "invalid syntax",
    };
    format!("strconv.Atoi: parsing {}: {cause}", quoted(text))
}

/// Why a value that is there cannot hold what is to be set in it.
pub(super) fn conversion(value: &Value, wanted: &str) -> String {
    let kind = match value {
        Value::Null => {
            return format!(
                "unable to parse key: interface conversion: interface {{}} is nil, not {wanted}"
            );
        }
        Value::Bool(_) => "bool",
        Value::Int(_) => "int64",
        Value::Uint(_) | Value::Float(_) => "float64",
        Value::Str(_) => "string",
        Value::Seq(_) => "[]interface {}",
        Value::Map(_) => "map[string]interface {}",
    };
    format!("unable to parse key: interface conversion: interface {{}} is {kind}, not {wanted}")
}
