//! Flags of instructions (`--name=value`) and the values in them.

use super::ast::{Mount, MountKind};

/// Flags as written, in order.
#[derive(Debug, Default)]
pub(super) struct Flags {
    entries: Vec<(String, Option<String>)>,
}

impl Flags {
    /// Takes the flags off the start of `text` and returns the rest.
    pub(super) fn take(text: &str, escape: char) -> (Self, &str) {
        let mut flags = Self::default();
        let mut rest = text.trim_start();
        while rest.starts_with("--") {
            let (word, after) = first_word(rest, escape);
            rest = after.trim_start();
            let Some(word) = word.strip_prefix("--").filter(|word| !word.is_empty()) else {
                break;
            };
            let entry = match word.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (word.to_owned(), None),
            };
            flags.entries.push(entry);
        }
        (flags, rest)
    }

    /// Fails when a flag is not among `known`.
    pub(super) fn only(&self, known: &[&str], instruction: &str) -> Result<(), String> {
        for (name, _) in &self.entries {
            if !known.contains(&name.as_str()) {
                return Err(format!("{instruction} has no flag --{name}"));
            }
        }
        Ok(())
    }

    /// Returns a flag's value.
    pub(super) fn value(&self, name: &str) -> Result<Option<String>, String> {
        let mut values = self.values(name)?;
        match values.len() {
            0 | 1 => Ok(values.pop()),
            _ => Err(format!("--{name} is given twice")),
        }
    }

    /// Returns the values of a flag that may stand several times.
    pub(super) fn values(&self, name: &str) -> Result<Vec<String>, String> {
        let mut values = Vec::new();
        for (_, value) in self.entries.iter().filter(|(known, _)| known == name) {
            match value {
                Some(value) => values.push(value.clone()),
                None => return Err(format!("--{name} needs a value: --{name}=…")),
            }
        }
        Ok(values)
    }
}

// Quotes are removed; an escape keeps the next character as it is.
fn first_word(text: &str, escape: char) -> (String, &str) {
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((index, c)) = chars.next() {
        match (quote, c) {
            (None, c) if c.is_whitespace() => return (word, &text[index..]),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (_, c) if c == escape => word.extend(chars.next().map(|(_, c)| c)),
            (_, c) => word.push(c),
        }
    }
    (word, "")
}

/// Reads a duration as Go writes it: `1m30s`, `500ms`, `0`.
pub(super) fn duration_nanoseconds(text: &str) -> Result<i64, String> {
    let broken = || format!("\"{text}\" is no duration such as 30s, 1m30s or 500ms");
    if text == "0" {
        return Ok(0);
    }
    let (mut total, mut rest) = (0.0_f64, text);
    if rest.is_empty() {
        return Err(broken());
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(broken)?;
        let number: f64 = rest[..digits].parse().map_err(|_| broken())?;
        rest = &rest[digits..];
        let unit = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        total += number
            * match &rest[..unit] {
                "ns" => 1.0,
                "us" | "µs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3600e9,
                _ => return Err(broken()),
            };
        rest = &rest[unit..];
    }
    match total.is_finite() && total < 9e18 {
        true => Ok(total as i64),
        false => Err(broken()),
    }
}

/// Reads one `--mount` value: fields separated by commas.
pub(super) fn mount(text: &str) -> Result<Mount, String> {
    let mut fields = MountFields::default();
    for field in text.split(',') {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (field, None),
        };
        fields.set(&key.to_ascii_lowercase(), value)?;
    }
    fields.finish()
}

#[derive(Default)]
struct MountFields {
    kind: Option<String>,
    target: Option<String>,
    source: Option<String>,
    from: Option<String>,
    id: Option<String>,
    writable: Option<bool>,
    mode: Option<u32>,
    uid: u32,
    gid: u32,
    bytes_max: Option<u64>,
}

impl MountFields {
    fn set(&mut self, key: &str, value: Option<&str>) -> Result<(), String> {
        let text = || {
            let text = value.filter(|value| !value.is_empty());
            text.map(str::to_owned)
                .ok_or_else(|| format!("the mount's {key} needs a value"))
        };
        let number = || {
            let text = text()?;
            text.parse()
                .map_err(|_| format!("the mount's {key} is no number"))
        };
        let flag = || match value {
            None | Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(_) => Err(format!("the mount's {key} is true or false")),
        };
        match key {
            "type" => self.kind = Some(text()?),
            "target" | "dst" | "destination" => self.target = Some(text()?),
            "source" | "src" => self.source = Some(text()?),
            "from" => self.from = Some(text()?),
            "id" => self.id = Some(text()?),
            "rw" | "readwrite" => self.writable = Some(flag()?),
            "ro" | "readonly" => self.writable = Some(!flag()?),
            "uid" => self.uid = number()?,
            "gid" => self.gid = number()?,
            "mode" => {
                let mode = u32::from_str_radix(&text()?, 8);
                self.mode = Some(mode.map_err(|_| "the mount's mode is octal, such as 0755")?);
            }
            "size" => self.bytes_max = Some(size(&text()?)?),
            // All caches here are shared; a lock would only make builds wait.
            "sharing" => match text()?.as_str() {
                "shared" | "private" | "locked" => {}
                other => return Err(format!("unknown sharing \"{other}\"")),
            },
            "required" | "env" => {}
            other => return Err(format!("a mount has no field \"{other}\"")),
        }
        Ok(())
    }

    fn finish(self) -> Result<Mount, String> {
        let kind = self.kind.as_deref().unwrap_or("bind");
        if let "secret" | "ssh" = kind {
            return Err(format!(
                "--mount=type={kind} is not supported; pass what is not secret as --build-arg"
            ));
        }
        let target = self.target.ok_or("a mount needs target=/path")?;
        let (kind, writable) = match kind {
            "bind" => {
                let source = self.source.unwrap_or_else(|| "/".to_owned());
                let from = self.from;
                (MountKind::Bind { from, source }, false)
            }
            "cache" => {
                if self.from.is_some() {
                    return Err("a cache mount cannot start from a stage".to_owned());
                }
                let kind = MountKind::Cache {
                    id: self.id,
                    mode: self.mode.unwrap_or(0o755),
                    uid: self.uid,
                    gid: self.gid,
                };
                (kind, true)
            }
            "tmpfs" => {
                let bytes_max = self.bytes_max;
                (MountKind::Tmpfs { bytes_max }, true)
            }
            other => {
                return Err(format!(
                    "unknown mount type \"{other}\"; there are bind, cache and tmpfs"
                ));
            }
        };
        Ok(Mount {
            kind,
            target,
            writable: self.writable.unwrap_or(writable),
        })
    }
}

fn size(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let digits = lower
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(lower.len());
    let shift = match lower[digits..].trim_end_matches(['b', 'i']) {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        _ => return Err(format!("\"{text}\" is no size such as 64m")),
    };
    let number = lower[..digits].parse::<u64>().ok();
    let bytes = number.and_then(|number| number.checked_mul(1 << shift));
    bytes.ok_or_else(|| format!("\"{text}\" is no size such as 64m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        let check = |text: &str, expected: Option<i64>| {
            assert_eq!(duration_nanoseconds(text).ok(), expected, "{text}");
        };
        check("30s", Some(30_000_000_000));
        check("1m30s", Some(90_000_000_000));
        check("1.5h", Some(5_400_000_000_000));
        check("500ms", Some(500_000_000));
        check("0", Some(0));
        for text in ["", "30", "s", "-1s", "1x", "1e3s", "99999999999h"] {
            check(text, None);
        }
    }

    #[test]
    fn mounts_are_read() {
        let cache = mount("type=cache,target=/root/.cache,id=x,mode=0700,uid=5").expect("valid");
        assert!(cache.writable);
        let kind = MountKind::Cache {
            id: Some("x".to_owned()),
            mode: 0o700,
            uid: 5,
            gid: 0,
        };
        assert_eq!(cache.kind, kind);
        let bind = mount("target=/src,source=a,from=deps,rw").expect("valid");
        assert!(bind.writable && bind.target == "/src");
        let tmpfs = mount("type=tmpfs,dst=/tmp,size=64m").expect("valid");
        assert_eq!(
            tmpfs.kind,
            MountKind::Tmpfs {
                bytes_max: Some(64 << 20)
            }
        );
        for text in [
            "type=secret,id=x",
            "type=cache",
            "type=what,target=/x",
            "bad",
            "type=tmpfs,target=/x,size=1q",
        ] {
            assert!(mount(text).is_err(), "{text}");
        }
    }
}
