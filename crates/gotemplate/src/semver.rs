//! Versions and constraints in the grammar of `Masterminds/semver` v3.
//!
//! Main types: [`Version`], [`Constraints`]. The `semver` crate knows another
//! grammar (no `||`, no hyphen ranges, other rules for pre-releases).

use regex::{Captures, Regex};
use std::cmp::Ordering;
use std::sync::LazyLock;

const INVALID: &str = "invalid semantic version";

/// A version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// First number.
    pub major: u64,
    /// Second number.
    pub minor: u64,
    /// Third number.
    pub patch: u64,
    /// Pre-release, without the minus.
    pub pre: String,
    /// Build metadata, without the plus.
    pub metadata: String,
    /// As written.
    pub original: String,
}

impl Version {
    /// Parses a version; `v1`, `1.2` and the like are accepted.
    ///
    /// # Errors
    ///
    /// The library's text.
    pub fn parse(text: &str) -> Result<Version, String> {
        let body = text.strip_prefix('v').unwrap_or(text);
        let (body, metadata) = match body.split_once('+') {
            Some((body, metadata)) if identifiers(metadata, false) => (body, metadata),
            Some(_) => return Err(refusal(text)),
            None => (body, ""),
        };
        let (numbers, pre) = match body.split_once('-') {
            Some((numbers, pre)) if identifiers(pre, true) => (numbers, pre),
            Some(_) => return Err(refusal(text)),
            None => (body, ""),
        };
        let mut parts = [0u64; 3];
        let segments: Vec<&str> = numbers.split('.').collect();
        if segments.len() > 3 {
            return Err(refusal(text));
        }
        for (part, segment) in parts.iter_mut().zip(&segments) {
            if segment.is_empty() || !segment.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(refusal(text));
            }
            *part = segment.parse().map_err(|_| {
                format!("error parsing version segment: strconv.ParseUint: parsing \"{segment}\": value out of range")
            })?;
        }
        let [major, minor, patch] = parts;
        Ok(Version {
            major,
            minor,
            patch,
            pre: pre.into(),
            metadata: metadata.into(),
            original: text.into(),
        })
    }

    /// Parses a version that must have three numbers and no `v`.
    ///
    /// # Errors
    ///
    /// The library's text.
    pub fn parse_strict(text: &str) -> Result<Version, String> {
        if text.is_empty() {
            return Err("version string empty".into());
        }
        let numbers = text.split(['-', '+']).next().unwrap_or_default();
        if text.starts_with('v') {
            return Err("invalid characters in version".into());
        }
        if numbers.split('.').count() != 3 {
            return Err(INVALID.into());
        }
        if !numbers.split('.').all(number) {
            return Err(refusal(text));
        }
        Version::parse(text)
    }

    /// Orders two versions; metadata does not count.
    pub fn compare(&self, other: &Version) -> Ordering {
        (self.major, self.minor, self.patch)
            .cmp(&(other.major, other.minor, other.patch))
            .then_with(|| compare_pre(&self.pre, &other.pre))
    }

    /// Returns the next version: 0 raises major, 1 minor, 2 patch.
    pub fn bumped(&self, which: u8) -> Version {
        let mut next = Version::default();
        (next.major, next.minor, next.patch) = match which {
            0 => (self.major + 1, 0, 0),
            1 => (self.major, self.minor + 1, 0),
            _ if !self.pre.is_empty() => (self.major, self.minor, self.patch),
            _ => (self.major, self.minor, self.patch + 1),
        };
        let v = if self.original.starts_with('v') {
            "v"
        } else {
            ""
        };
        next.original = format!("{v}{next}");
        next
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if !self.pre.is_empty() {
            write!(f, "-{}", self.pre)?;
        }
        if !self.metadata.is_empty() {
            write!(f, "+{}", self.metadata)?;
        }
        Ok(())
    }
}

fn number(segment: &str) -> bool {
    !segment.is_empty()
        && segment.bytes().all(|byte| byte.is_ascii_digit())
        && (segment == "0" || !segment.starts_with('0'))
}

/// Dot-separated identifiers; in a pre-release numbers have no leading zero.
fn identifiers(text: &str, pre: bool) -> bool {
    text.split('.').all(|part| {
        let numeric = part.bytes().all(|byte| byte.is_ascii_digit());
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !(pre && numeric && !number(part))
    })
}

/// The library says more when the text is nearly a version.
fn refusal(text: &str) -> String {
    let body = text.strip_prefix('v').unwrap_or(text);
    let numbers = body.split(['-', '+']).next().unwrap_or_default();
    let near = !numbers.is_empty()
        && numbers.split('.').count() <= 3
        && numbers
            .split('.')
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    let pre = body.split('+').next().and_then(|body| body.split_once('-'));
    if near {
        if numbers.split('.').any(|part| !number(part)) {
            return "version segment starts with 0".into();
        }
        if pre.is_some_and(|(_, pre)| identifiers(pre, false) && !identifiers(pre, true)) {
            return "version segment starts with 0".into();
        }
    }
    INVALID.into()
}

fn compare_pre(a: &str, b: &str) -> Ordering {
    match (a.is_empty(), b.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        _ => {}
    }
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        let order = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => match (a.parse::<u64>(), b.parse::<u64>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => a.cmp(b),
            },
        };
        if order.is_ne() {
            return order;
        }
    }
}

const OPERATORS: &str = r"=||!=|>|<|>=|=>|<=|=<|~|~>|\^";
const VERSION: &str = r"v?([0-9|x|X|\*]+)(\.[0-9|x|X|\*]+)?(\.[0-9|x|X|\*]+)?(-([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?(\+([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?";

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is a constant")
}

static ONE: LazyLock<Regex> =
    LazyLock::new(|| regex(&format!(r"^\s*({OPERATORS})\s*({VERSION})\s*$")));
static RANGE: LazyLock<Regex> =
    LazyLock::new(|| regex(&format!(r"\s*({VERSION})\s+-\s+({VERSION})\s*")));
static FIND: LazyLock<Regex> = LazyLock::new(|| regex(&format!(r"({OPERATORS})\s*({VERSION})")));
static VALID: LazyLock<Regex> = LazyLock::new(|| {
    regex(&format!(
        r"^(\s*({OPERATORS})\s*({VERSION})\s*)((?:\s+|,\s*)({OPERATORS})\s*({VERSION})\s*)*$"
    ))
});

/// Alternatives of constraints that must all hold.
#[derive(Clone, Debug)]
pub struct Constraints {
    alternatives: Vec<Vec<Constraint>>,
}

#[derive(Clone, Debug)]
struct Constraint {
    operator: String,
    version: Version,
    minor_dirty: bool,
    patch_dirty: bool,
    dirty: bool,
}

impl Constraints {
    /// Parses constraints.
    ///
    /// # Errors
    ///
    /// The library's text.
    pub fn parse(text: &str) -> Result<Constraints, String> {
        let mut rewritten = text.to_owned();
        // Compiling the expression takes longer than this look.
        if text.split_whitespace().any(|word| word == "-") {
            for captures in RANGE.captures_iter(text) {
                let range = format!(">= {}, <= {} ", &captures[1], &captures[11]);
                rewritten = rewritten.replacen(&captures[0], &range, 1);
            }
        }
        let mut alternatives = Vec::new();
        for part in rewritten.split("||") {
            if let Some(captures) = ONE.captures(part) {
                // The usual case needs none of the larger expressions.
                alternatives.push(vec![Constraint::of(&captures)?]);
                continue;
            }
            if !VALID.is_match(part) {
                return Err(format!("improper constraint: {part:?}"));
            }
            let found: Result<Vec<_>, _> = FIND
                .find_iter(part)
                .map(|found| Constraint::parse(found.as_str()))
                .collect();
            alternatives.push(found?);
        }
        Ok(Constraints { alternatives })
    }

    /// Whether the version satisfies the constraints.
    pub fn check(&self, version: &Version) -> bool {
        self.alternatives.iter().any(|all| {
            let pre = all
                .iter()
                .any(|constraint| !constraint.version.pre.is_empty());
            (version.pre.is_empty() || pre)
                && all.iter().all(|constraint| constraint.check(version))
        })
    }
}

fn is_x(text: Option<&str>) -> bool {
    matches!(
        text.map(|text| text.trim_start_matches('.')),
        None | Some("" | "x" | "*" | "X")
    )
}

impl Constraint {
    fn parse(text: &str) -> Result<Constraint, String> {
        let Some(captures) = ONE.captures(text) else {
            return Err(format!("improper constraint: {text:?}"));
        };
        Constraint::of(&captures)
    }

    /// Makes a constraint of what [`ONE`] has found.
    fn of(captures: &Captures<'_>) -> Result<Constraint, String> {
        let group = |at: usize| captures.get(at).map(|found| found.as_str());
        let pre = group(6).unwrap_or_default();
        let (mut minor_dirty, mut patch_dirty, mut dirty) = (false, false, false);
        let written = group(2).unwrap_or_default();
        let version = if is_x(group(3)) {
            dirty = true;
            format!("0.0.0{pre}")
        } else if is_x(group(4)) {
            (minor_dirty, dirty) = (true, true);
            format!("{}.0.0{pre}", group(3).unwrap_or_default())
        } else if is_x(group(5)) {
            (patch_dirty, dirty) = (true, true);
            let (major, minor) = (group(3).unwrap_or_default(), group(4).unwrap_or_default());
            format!("{major}{minor}.0{pre}")
        } else {
            written.to_owned()
        };
        let version = Version::parse(&version).map_err(|_| "constraint parser error".to_owned())?;
        Ok(Constraint {
            operator: group(1).unwrap_or_default().to_owned(),
            version,
            minor_dirty,
            patch_dirty,
            dirty,
        })
    }

    fn check(&self, version: &Version) -> bool {
        let order = version.compare(&self.version);
        match self.operator.as_str() {
            "!=" => self.not_equal(version),
            ">" => self.greater(version),
            "<" => order.is_lt(),
            ">=" | "=>" => order.is_ge(),
            "<=" | "=<" => self.less_or_equal(version),
            "~" | "~>" => self.tilde(version),
            "^" => self.caret(version),
            _ if self.dirty => self.tilde(version),
            _ => order.is_eq(),
        }
    }

    fn not_equal(&self, v: &Version) -> bool {
        let c = &self.version;
        if self.dirty {
            if c.major != v.major || (c.minor != v.minor && !self.minor_dirty) {
                return true;
            }
            if self.minor_dirty {
                return false;
            }
            if c.patch != v.patch && !self.patch_dirty {
                return true;
            }
            if self.patch_dirty {
                let pre = !v.pre.is_empty() || !c.pre.is_empty();
                return pre && compare_pre(&v.pre, &c.pre).is_ne();
            }
        }
        v.compare(c).is_ne()
    }

    fn greater(&self, v: &Version) -> bool {
        let c = &self.version;
        if self.dirty {
            if v.major != c.major {
                return v.major > c.major;
            }
            if self.minor_dirty {
                return false;
            }
            if self.patch_dirty {
                return v.minor > c.minor;
            }
        }
        v.compare(c).is_gt()
    }

    fn less_or_equal(&self, v: &Version) -> bool {
        let c = &self.version;
        if !self.dirty {
            return v.compare(c).is_le();
        }
        !(v.major > c.major || (v.major == c.major && v.minor > c.minor && !self.minor_dirty))
    }

    fn tilde(&self, v: &Version) -> bool {
        let c = &self.version;
        if v.compare(c).is_lt() {
            return false;
        }
        if (c.major, c.minor, c.patch) == (0, 0, 0) && !self.minor_dirty && !self.patch_dirty {
            return true;
        }
        v.major == c.major && (v.minor == c.minor || self.minor_dirty)
    }

    fn caret(&self, v: &Version) -> bool {
        let c = &self.version;
        if v.compare(c).is_lt() {
            return false;
        }
        if c.major > 0 || self.minor_dirty {
            return v.major == c.major;
        }
        if v.major > 0 {
            return false;
        }
        if c.minor > 0 || self.patch_dirty {
            return v.minor == c.minor;
        }
        v.minor == 0 && c.patch == v.patch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints() {
        let check = |constraint: &str, version: &str, expected: bool| {
            let constraints = Constraints::parse(constraint).expect(constraint);
            let version = Version::parse(version).expect(version);
            assert_eq!(
                constraints.check(&version),
                expected,
                "{constraint} {version}"
            );
        };
        check(">=1.21-0", "1.36.0", true);
        check(">=1.21-0", "v1.21.3-gke.100", true);
        check(">=1.21", "v1.21.3-gke.100", false);
        check("^1.2", "1.3.0-rc.1", false);
        check("^1.2.3", "1.9.9", true);
        check("^0.2.3", "0.3.0", false);
        check("~1.2.3", "1.2.9", true);
        check("~1.2.3", "1.3.0", false);
        check("1.2 - 1.4.5", "1.4.5", true);
        check("1.2 - 1.4.5", "1.4.6", false);
        check(">1.2, <3.0.0 || >=4.2.3", "4.2.3", true);
        check(">=1.0 <2.0", "1.5.0", true);
        check("*", "3.0.0", true);
        check("1.x", "1.9.0", true);
        check("!=1.x", "1.9.0", false);
        check(">11", "11.1.0", false);
        check("<=1.2", "1.2.9", true);
        check("=1.2.3", "v1.2.3", true);
        assert!(Constraints::parse("abc").is_err());
        assert!(Version::parse("1.2.3.4").is_err());
        let loose = Version::parse("v1.02").expect("zeros in front are taken");
        assert_eq!((loose.major, loose.minor, loose.patch), (1, 2, 0));
        assert_eq!(
            Version::parse_strict("1.02.0"),
            Err("version segment starts with 0".into())
        );
    }
}
