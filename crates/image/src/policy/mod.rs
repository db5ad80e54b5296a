//! What an image should and should not be: [`check`] returns findings, each
//! with its fix.
//!
//! The rules of requirements 001: a size limit, a numeric user that is not
//! root, a HEALTHCHECK, no secret material in layers or configuration. A
//! finding never holds the secret it speaks of.

mod secrets;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::rootfs::UserError;
use crate::store::Image;

/// What is asked of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Most bytes of file content; `None` is no limit.
    pub size_bytes_max: Option<u64>,
    /// Whether a user that is not root is needed.
    pub non_root: bool,
    /// Whether a health check is needed.
    pub healthcheck: bool,
    /// Whether layers and configuration are searched for secrets.
    pub secrets: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            size_bytes_max: None,
            non_root: true,
            healthcheck: true,
            secrets: true,
        }
    }
}

/// Which rule a finding belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// The image is too large.
    Size,
    /// It runs as root, or as a user nobody can tell from root.
    User,
    /// It has no health check.
    Healthcheck,
    /// It holds secret material.
    Secret,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth a look: a key in a library's test data, say.
    Warning,
    /// The image does not pass.
    Error,
}

/// Something about an image that should be mended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// How bad it is.
    pub severity: Severity,
    /// What was found.
    pub message: String,
    /// What to do about it.
    pub fix: String,
    /// Where, for findings in layers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// A place in a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// Number of the layer, from 1, lowest first.
    pub layer: usize,
    /// Digest of the layer.
    pub diff_id: Digest,
    /// Path in the image.
    pub path: PathBuf,
    /// Line in the file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// A layer that could not be searched.
#[derive(Debug, thiserror::Error)]
#[error("cannot search {path}")]
pub struct PolicyError {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

/// Checks an image; the worst findings come first.
///
/// # Errors
///
/// Fails when a layer cannot be read.
pub fn check(image: &Image, policy: &Policy) -> Result<Vec<Finding>, PolicyError> {
    let mut findings = Vec::new();
    if let Some(limit) = policy.size_bytes_max {
        findings.extend(size(image, limit));
    }
    if policy.non_root {
        findings.extend(user(image));
    }
    if policy.healthcheck {
        findings.extend(health(image));
    }
    if policy.secrets {
        secrets::configuration(image, &mut findings);
        secrets::layers(image, &mut findings)?;
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Ok(findings)
}

fn error(rule: Rule, message: String, fix: impl Into<String>) -> Finding {
    Finding {
        rule,
        severity: Severity::Error,
        message,
        fix: fix.into(),
        place: None,
    }
}

fn size(image: &Image, limit: u64) -> Option<Finding> {
    if image.size_bytes <= limit {
        return None;
    }
    let largest = image
        .layers
        .iter()
        .enumerate()
        .max_by_key(|(_, layer)| layer.size_bytes);
    let fix = match largest {
        Some((index, layer)) => format!(
            "layer {} holds {}; build in one stage and COPY --from it only what runs",
            index + 1,
            megabytes(layer.size_bytes)
        ),
        None => "build in one stage and COPY --from it only what runs".to_owned(),
    };
    let (size, limit) = (megabytes(image.size_bytes), megabytes(limit));
    Some(error(
        Rule::Size,
        format!("the image holds {size}, the limit is {limit}"),
        fix,
    ))
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

fn user(image: &Image) -> Option<Finding> {
    let config = &image.config.config;
    if config.runs_as_non_root_number() {
        return None;
    }
    let name = config.user.split(':').next().unwrap_or_default();
    let root = "add `USER 1001:1001` as the last USER of the Dockerfile, and COPY --chown=1001:1001 what it writes";
    if matches!(name, "" | "0" | "root") {
        return Some(error(Rule::User, "the image runs as root".to_owned(), root));
    }
    let message = format!(
        "the image runs as \"{name}\", a name: Kubernetes cannot tell that it is not root (runAsNonRoot)"
    );
    let fix = match image.view().resolve_user(&config.user) {
        Ok(user) if user.uid == 0 => root.to_owned(),
        Ok(user) => format!("write `USER {}:{}`", user.uid, user.gid),
        Err(UserError::Unknown { .. }) => {
            format!("the image does not know {name}; write a number, such as `USER 1001:1001`")
        }
        Err(UserError::View(_)) => root.to_owned(),
    };
    Some(error(Rule::User, message, fix))
}

fn health(image: &Image) -> Option<Finding> {
    let health = image.config.config.healthcheck.as_ref();
    let fix = "add a HEALTHCHECK, such as `HEALTHCHECK CMD [\"/app/server\", \"healthcheck\"]`";
    match health {
        Some(health) if health.is_active() => None,
        Some(_) => {
            let message = "the image switches its health check off".to_owned();
            Some(error(Rule::Healthcheck, message, "remove HEALTHCHECK NONE"))
        }
        None => Some(error(
            Rule::Healthcheck,
            "the image has no HEALTHCHECK".to_owned(),
            fix,
        )),
    }
}
