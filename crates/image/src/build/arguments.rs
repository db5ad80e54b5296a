//! Arguments that hold for a whole build: those before the first `FROM`, the
//! platform's, and the ones that need no `ARG`.

use std::collections::BTreeMap;

use super::dockerfile::{self, Dockerfile, Expander, Located};
use super::{BuildError, BuildRequest};

/// Sets the one time in the image.
const EPOCH_ARGUMENT: &str = "SOURCE_DATE_EPOCH";

// <https://reproducible-builds.org/specs/source-date-epoch/>, as a build
// argument, as other builders take it.
pub(super) fn with_epoch(request: &BuildRequest) -> Result<BuildRequest, BuildError> {
    let mut request = request.clone();
    if let Some(text) = request.arguments.get(EPOCH_ARGUMENT) {
        let seconds = text
            .parse()
            .ok()
            .filter(|seconds| (0..1 << 33).contains(seconds));
        request.epoch_seconds = seconds.ok_or_else(|| {
            BuildError::Request(format!(
                "{EPOCH_ARGUMENT}={text} is no number of seconds since 1970"
            ))
        })?;
    }
    Ok(request)
}

/// Returns whether an argument needs no `ARG`: proxies, which do not count for
/// the cache either.
pub(super) fn is_predefined(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let one_case = name == lower || name == name.to_ascii_uppercase();
    let known = [
        "http_proxy",
        "https_proxy",
        "ftp_proxy",
        "no_proxy",
        "all_proxy",
    ];
    (one_case && known.contains(&lower.as_str())) || name == EPOCH_ARGUMENT
}

pub(super) fn global_arguments(
    request: &BuildRequest,
    dockerfile: &Dockerfile,
) -> Result<BTreeMap<String, String>, Located> {
    let mut arguments = platform_arguments(request);
    for (name, default) in &dockerfile.arguments {
        let value =
            match (request.arguments.get(name), default) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => {
                    let expanded = expand(dockerfile, &arguments, default);
                    Some(expanded.map_err(|message| {
                        dockerfile.located(1, format!("ARG {name}: {message}"))
                    })?)
                }
                (None, None) => None,
            };
        if let Some(value) = value {
            arguments.insert(name.clone(), value);
        }
    }
    Ok(arguments)
}

fn platform_arguments(request: &BuildRequest) -> BTreeMap<String, String> {
    let mut arguments = BTreeMap::new();
    let host = crate::oci::Platform::host();
    for (prefix, platform) in [("TARGET", &request.platform), ("BUILD", &host)] {
        let variant = platform.variant.clone().unwrap_or_default();
        arguments.insert(format!("{prefix}PLATFORM"), platform.to_string());
        arguments.insert(format!("{prefix}OS"), platform.os.clone());
        arguments.insert(format!("{prefix}ARCH"), platform.architecture.clone());
        arguments.insert(format!("{prefix}VARIANT"), variant);
    }
    arguments
}

pub(super) fn bases(
    dockerfile: &Dockerfile,
    arguments: &BTreeMap<String, String>,
) -> Result<Vec<String>, Located> {
    let base = |stage: &dockerfile::Stage| {
        let expanded = expand(dockerfile, arguments, &stage.base);
        let base = expanded.map_err(|message| dockerfile.located(stage.line, message))?;
        match base.is_empty() || base.ends_with(':') {
            true => Err(dockerfile.located(
                stage.line,
                format!("{} has no value; declare the ARG before the first FROM and give it a value with --build-arg", stage.base),
            )),
            false => Ok(base),
        }
    };
    dockerfile.stages.iter().map(base).collect()
}

fn expand(
    dockerfile: &Dockerfile,
    arguments: &BTreeMap<String, String>,
    text: &str,
) -> Result<String, String> {
    let lookup = |name: &str| arguments.get(name).cloned();
    let expander = Expander {
        escape: dockerfile.escape,
        lookup: &lookup,
    };
    expander.word(text)
}
