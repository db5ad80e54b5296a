//! `urlParse` and `urlJoin`, after Go's `net/url`.

use super::{Answer, Functions, M, S, text};
use crate::error::Error;
use crate::value::{Entries, Value};

pub(super) fn register(table: &mut Functions) {
    table.add("urlParse", &[S], |_, args| url_parse(&text(&args[0])));
    table.add("urlJoin", &[M], |_, args| url_join(&args[0]));
}

#[derive(Default)]
struct Url {
    scheme: String,
    opaque: String,
    userinfo: String,
    host: String,
    path: String,
    query: String,
    fragment: String,
}

fn url_parse(input: &str) -> Answer {
    let url = parse(input).map_err(|message| {
        let quoted = crate::strconv::quote(input.as_bytes(), false);
        let quoted = String::from_utf8_lossy(&quoted).into_owned();
        Error::message(format!("unable to parse url: parse {quoted}: {message}"))
    })?;
    let hostname = hostname(&url.host);
    let entries: Entries = [
        ("scheme", url.scheme),
        ("host", url.host),
        ("hostname", hostname),
        ("path", url.path),
        ("query", url.query),
        ("opaque", url.opaque),
        ("fragment", url.fragment),
        ("userinfo", url.userinfo),
    ]
    .into_iter()
    .map(|(key, value)| (key.into(), Value::from(value)))
    .collect();
    Ok(Value::map(entries))
}

fn hostname(host: &str) -> String {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default().into();
    }
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name.into(),
        _ => host.into(),
    }
}

/// Returns the scheme of a URL, empty if it has none.
///
/// # Errors
///
/// In the words of `net/url`.
pub fn scheme(input: &str) -> Result<String, String> {
    parse(input).map(|url| url.scheme)
}

fn parse(input: &str) -> Result<Url, String> {
    if input.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return Err("net/url: invalid control character in URL".into());
    }
    let mut url = Url::default();
    let (rest, fragment) = input.split_once('#').unwrap_or((input, ""));
    url.fragment = unescape(fragment)?;
    let (scheme, mut rest) = split_scheme(rest)?;
    url.scheme = scheme.to_ascii_lowercase();
    if let Some((before, query)) = rest.split_once('?') {
        url.query = query.into();
        rest = before;
    }
    if !rest.starts_with('/') {
        if !url.scheme.is_empty() {
            url.opaque = rest.into();
            return Ok(url);
        }
        let first = rest.split('/').next().unwrap_or_default();
        if first.contains(':') {
            return Err("first path segment in URL cannot contain colon".into());
        }
    }
    if (!url.scheme.is_empty() || !rest.starts_with("///")) && rest.starts_with("//") {
        let authority = &rest[2..];
        let end = authority.find('/').unwrap_or(authority.len());
        rest = &authority[end..];
        let authority = &authority[..end];
        match authority.rsplit_once('@') {
            Some((userinfo, host)) => {
                url.userinfo = userinfo.into();
                url.host = parse_host(host)?;
            }
            None => url.host = parse_host(authority)?,
        }
    }
    url.path = unescape(rest)?;
    Ok(url)
}

fn parse_host(host: &str) -> Result<String, String> {
    if host.starts_with('[') && !host.contains(']') {
        return Err("missing ']' in host".into());
    }
    let port = match host.rfind(']') {
        Some(end) => &host[end + 1..],
        None => host.rfind(':').map_or("", |at| &host[at..]),
    };
    let digits = port.strip_prefix(':').unwrap_or("");
    if !port.is_empty() && (!port.starts_with(':') || !digits.bytes().all(|b| b.is_ascii_digit())) {
        let quoted = crate::strconv::quote(port.as_bytes(), false);
        return Err(format!(
            "invalid port {} after host",
            String::from_utf8_lossy(&quoted)
        ));
    }
    if let Some(bad) = host
        .chars()
        .find(|c| matches!(c, ' ' | '^' | '`' | '{' | '}' | '|' | '\\'))
    {
        let quoted = crate::strconv::quote(bad.to_string().as_bytes(), false);
        return Err(format!(
            "invalid character {} in host name",
            String::from_utf8_lossy(&quoted)
        ));
    }
    Ok(host.into())
}

fn split_scheme(input: &str) -> Result<(&str, &str), String> {
    for (at, c) in input.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if at > 0 => {}
            ':' if at == 0 => return Err("missing protocol scheme".into()),
            ':' => return Ok((&input[..at], &input[at + 1..])),
            _ => break,
        }
    }
    Ok(("", input))
}

fn unescape(text: &str) -> Result<String, String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'%' {
            out.push(bytes[at]);
            at += 1;
            continue;
        }
        let digits = text
            .get(at + 1..at + 3)
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let Some(byte) = digits else {
            let shown = text.get(at..(at + 3).min(text.len())).unwrap_or("%");
            return Err(format!("invalid URL escape \"{shown}\""));
        };
        out.push(byte);
        at += 3;
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn escape_path(path: &str) -> String {
    let mut out = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(byte as char),
            b'-' | b'_' | b'.' | b'~' | b'$' | b'&' | b'+' | b',' | b'/' | b':' | b';' | b'='
            | b'@' | b'!' | b'\'' | b'(' | b')' | b'*' | b'[' | b']' => out.push(byte as char),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

fn url_join(dict: &Value) -> Answer {
    let part = |key: &str| -> Result<String, Error> {
        match dict.as_map().and_then(|map| map.get(key.as_bytes())) {
            None => Ok(String::new()),
            Some(Value::Str(text)) => Ok(text.to_text().into_owned()),
            Some(other) => Err(format!(
                "unable to parse {key} key, must be of type string, but {} found",
                other.kind().name()
            )
            .into()),
        }
    };
    let (scheme, opaque) = (part("scheme")?, part("opaque")?);
    let (host, path, userinfo) = (part("host")?, part("path")?, part("userinfo")?);
    let (query, fragment) = (part("query")?, part("fragment")?);
    let mut out = String::new();
    if !scheme.is_empty() {
        out.push_str(&scheme);
        out.push(':');
    }
    if !opaque.is_empty() {
        out.push_str(&opaque);
    } else {
        if !scheme.is_empty() || !host.is_empty() || !userinfo.is_empty() {
            if !host.is_empty() || !path.is_empty() || !userinfo.is_empty() {
                out.push_str("//");
            }
            if !userinfo.is_empty() {
                out.push_str(&userinfo);
                out.push('@');
            }
            out.push_str(&host);
        }
        if !path.is_empty() && !path.starts_with('/') && !host.is_empty() {
            out.push('/');
        }
        if out.is_empty()
            && path
                .split('/')
                .next()
                .is_some_and(|first| first.contains(':'))
        {
            out.push_str("./");
        }
        out.push_str(&escape_path(&path));
    }
    if !query.is_empty() {
        out.push('?');
        out.push_str(&query);
    }
    if !fragment.is_empty() {
        out.push('#');
        out.push_str(&escape_path(&fragment));
    }
    Ok(out.into())
}
