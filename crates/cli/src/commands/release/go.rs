//! Go's ways of writing times and JSON, for output that people's scripts read.

use serde_json::Value;

/// Returns a time as `time.ANSIC` has it: `Mon Jan _2 15:04:05 2006`.
pub fn ansic(time: &str) -> String {
    parsed(time).map_or_else(String::new, |(civil, _)| {
        civil.strftime("%a %b %e %H:%M:%S %Y").to_string()
    })
}

/// Returns a time as `time.Time.String` has it.
pub fn plain(time: &str) -> String {
    parsed(time).map_or_else(
        || "-".into(),
        |(civil, offset)| format!("{} {offset}", civil.strftime("%Y-%m-%d %H:%M:%S%.f")),
    )
}

/// Returns a time as `time.RFC3339` has it, without fractions.
pub fn rfc3339(time: &str) -> String {
    match time.find('.') {
        Some(dot) => {
            let end = time[dot..].find(['Z', '+', '-']).map(|at| dot + at);
            format!("{}{}", &time[..dot], &time[end.unwrap_or(time.len())..])
        }
        None => time.to_owned(),
    }
}

/// Formats a time as a Go layout says.
pub fn layout(time: &str, layout: &str) -> String {
    let Some((civil, offset)) = parsed(time) else {
        return "-".into();
    };
    // Longer names first: Go takes the longest that fits.
    const PARTS: &[(&str, &str)] = &[
        ("January", "%B"),
        ("Monday", "%A"),
        ("2006", "%Y"),
        ("Jan", "%b"),
        ("Mon", "%a"),
        ("01", "%m"),
        ("02", "%d"),
        ("_2", "%e"),
        ("15", "%H"),
        ("03", "%I"),
        ("04", "%M"),
        ("05", "%S"),
        ("06", "%y"),
        ("PM", "%p"),
    ];
    let numeric = offset.split(' ').next().unwrap_or_default();
    let name = offset.split(' ').nth(1).unwrap_or_default();
    let mut out = String::new();
    let mut rest = layout;
    while !rest.is_empty() {
        if let Some((go, ours)) = PARTS.iter().find(|(go, _)| rest.starts_with(go)) {
            out.push_str(&civil.strftime(ours).to_string());
            rest = &rest[go.len()..];
        } else if let Some(after) = rest.strip_prefix("Z07:00") {
            if numeric == "+0000" {
                out.push('Z');
            } else {
                out.push_str(&format!("{}:{}", &numeric[..3], &numeric[3..]));
            }
            rest = after;
        } else if let Some(after) = rest.strip_prefix("Z0700") {
            out.push_str(if numeric == "+0000" { "Z" } else { numeric });
            rest = after;
        } else if let Some(after) = rest.strip_prefix("-0700") {
            out.push_str(numeric);
            rest = after;
        } else if let Some(after) = rest.strip_prefix("MST") {
            out.push_str(name);
            rest = after;
        } else {
            let mut chars = rest.chars();
            out.extend(chars.next());
            rest = chars.as_str();
        }
    }
    out
}

/// Splits an RFC 3339 time into what the clock showed and Go's `-0700 MST`.
fn parsed(time: &str) -> Option<(jiff::civil::DateTime, String)> {
    if time.is_empty() || time.starts_with("0001-01-01") {
        return None;
    }
    let date_end = time.find('T')? + 1;
    let zone = time[date_end..]
        .find(['Z', '+', '-'])
        .map(|at| date_end + at)?;
    let civil = time[..zone].parse().ok()?;
    let offset = match &time[zone..] {
        "Z" | "+00:00" => "+0000 UTC".to_owned(),
        offset => {
            let plain = offset.replace(':', "");
            format!("{plain} {plain}")
        }
    };
    Some((civil, offset))
}

/// Returns JSON as `json.Encoder` writes it: on one line, `<`, `>` and `&`
/// escaped.
pub fn json(value: &Value) -> String {
    let mut out = String::new();
    for c in value.to_string().chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_gos() {
        let time = "2026-03-05T07:08:09.120Z";
        assert_eq!(ansic(time), "Thu Mar  5 07:08:09 2026");
        assert_eq!(plain(time), "2026-03-05 07:08:09.12 +0000 UTC");
        assert_eq!(
            plain("2026-03-05T07:08:09+01:00"),
            "2026-03-05 07:08:09 +0100 +0100"
        );
        assert_eq!(rfc3339(time), "2026-03-05T07:08:09Z");
        assert_eq!(
            rfc3339("2026-03-05T07:08:09.5+01:00"),
            "2026-03-05T07:08:09+01:00"
        );
        assert_eq!(
            layout(time, "2006-01-02 15:04:05Z0700"),
            "2026-03-05 07:08:09Z"
        );
        assert_eq!(layout(time, "Mon, _2 Jan"), "Thu,  5 Mar");
        assert_eq!(plain(""), "-");
    }

    #[test]
    fn json_is_gos() {
        assert_eq!(
            json(&serde_json::json!({"b": "<&>", "a": 1})),
            r#"{"b":"\u003c\u0026\u003e","a":1}"#
        );
    }
}
