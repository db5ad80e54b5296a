//! The forms that keys and tokens have, and the search for them.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::bytes::{Regex, RegexSet};

/// A form that a secret has.
struct Form {
    name: &'static str,
    pattern: &'static str,
    /// Whether the text after the prefix must look random.
    random: bool,
}

/// Forms of keys and tokens, as their issuers document them.
const FORMS: [Form; 17] = [
    form(
        "a private key",
        r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----(?:\s|\\n|\\r)*(?:[A-Za-z-]+: [^\n]*\s+)*[A-Za-z0-9+/=]{32}",
        false,
    ),
    form("an AWS access key", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b", true),
    form(
        "an AWS secret key",
        r#"(?i)aws_secret_access_key["']?\s*[=:]\s*["']?[A-Za-z0-9/+]{40}\b"#,
        false,
    ),
    form("a GitHub token", r"\bgh[pousr]_[A-Za-z0-9]{36,}\b", true),
    form("a GitHub token", r"\bgithub_pat_[A-Za-z0-9_]{60,}\b", true),
    form("a GitLab token", r"\bglpat-[A-Za-z0-9_-]{20,}", true),
    form("a Slack token", r"\bxox[abprs]-[0-9A-Za-z-]{20,}", true),
    form(
        "an OpenAI or Anthropic key",
        r"\bsk-(?:proj-|ant-|svcacct-)?[A-Za-z0-9_-]{32,}",
        true,
    ),
    form("a Stripe key", r"\b[sr]k_live_[0-9a-zA-Z]{24,}\b", true),
    form("a Google API key", r"\bAIza[0-9A-Za-z_-]{35}\b", true),
    form(
        "a Google service account key",
        r#""private_key_id"\s*:\s*"[0-9a-f]{40}""#,
        false,
    ),
    form("an npm token", r"\bnpm_[A-Za-z0-9]{36}\b", true),
    form(
        "a PyPI token",
        r"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,}",
        false,
    ),
    form("a Docker Hub token", r"\bdckr_pat_[A-Za-z0-9_-]{20,}", true),
    form("a Hugging Face token", r"\bhf_[A-Za-z0-9]{34}\b", true),
    form(
        "a SendGrid key",
        r"\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}\b",
        true,
    ),
    form(
        "a password in a registry login",
        r#""auth"\s*:\s*"[A-Za-z0-9+/=]{8,}""#,
        false,
    ),
];

const fn form(name: &'static str, pattern: &'static str, random: bool) -> Form {
    Form {
        name,
        pattern,
        random,
    }
}

static PATTERNS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let compiled = FORMS.iter().map(|form| Regex::new(form.pattern));
    compiled
        .map(|regex| regex.expect("the table's patterns are tested"))
        .collect()
});

static ANY: LazyLock<RegexSet> = LazyLock::new(|| {
    let patterns = FORMS.iter().map(|form| form.pattern);
    RegexSet::new(patterns).expect("the table's patterns are tested")
});

/// Something that has the form of a secret.
pub(super) struct Hit {
    pub(super) name: &'static str,
    pub(super) offset: usize,
}

pub(super) fn search(content: &[u8]) -> Option<Hit> {
    for index in &ANY.matches(content) {
        for found in PATTERNS[index].find_iter(content) {
            if FORMS[index].random && !looks_random(found.as_bytes()) {
                continue;
            }
            return Some(Hit {
                name: FORMS[index].name,
                offset: found.start(),
            });
        }
    }
    None
}

// Documentation writes AKIAIOSFODNN7EXAMPLE and sk-xxxxxxxx.
fn looks_random(text: &[u8]) -> bool {
    let digits = text.iter().any(u8::is_ascii_digit);
    let distinct: BTreeSet<_> = text.iter().collect();
    let upper = text.to_ascii_uppercase();
    let example = upper.windows(7).any(|window| window == b"EXAMPLE");
    digits && distinct.len() >= 10 && !example
}
