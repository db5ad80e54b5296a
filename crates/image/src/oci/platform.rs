//! Operating system and architecture in the words of images.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A platform such as `linux/amd64` (names are Go's `GOOS` and `GOARCH`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// CPU architecture, `amd64`.
    pub architecture: String,
    /// Operating system, `linux`.
    pub os: String,
    /// CPU variant, such as `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Returns the platform of this machine.
    pub fn host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "aarch64" => ("arm64", None),
            "arm" => ("arm", Some("v7")),
            "x86" => ("386", None),
            "powerpc64" => ("ppc64le", None),
            "loongarch64" => ("loong64", None),
            other => (other, None),
        };
        Self {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            variant: variant.map(str::to_owned),
        }
    }

    /// Reads `os/architecture[/variant]`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let os = parts.next().filter(|part| !part.is_empty())?;
        let architecture = parts.next().filter(|part| !part.is_empty())?;
        let variant = parts.next();
        if parts.next().is_some() {
            return None;
        }
        let architecture = match architecture {
            "x86_64" | "x86-64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Some(Self {
            architecture: architecture.to_owned(),
            os: os.to_owned(),
            variant: variant.map(str::to_owned),
        })
    }

    /// Returns whether an image of this platform runs on `machine`; an arm64
    /// variant `v8` and none mean the same.
    pub fn runs_on(&self, machine: &Self) -> bool {
        let same = self.os == machine.os && self.architecture == machine.architecture;
        match (&self.variant, &machine.variant) {
            (Some(mine), Some(theirs)) => same && mine <= theirs,
            _ => same,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_compares() {
        let amd64 = Platform::parse("linux/amd64").expect("valid");
        assert_eq!(amd64.to_string(), "linux/amd64");
        assert_eq!(Platform::parse("linux/x86_64"), Some(amd64.clone()));
        for text in ["", "linux", "linux/", "/amd64", "a/b/c/d"] {
            assert_eq!(Platform::parse(text), None, "{text}");
        }
        let v8 = Platform::parse("linux/arm64/v8").expect("valid");
        let plain = Platform::parse("linux/arm64").expect("valid");
        assert!(v8.runs_on(&plain) && plain.runs_on(&v8) && !v8.runs_on(&amd64));
        let v6 = Platform::parse("linux/arm/v6").expect("valid");
        let v7 = Platform::parse("linux/arm/v7").expect("valid");
        assert!(v6.runs_on(&v7) && !v7.runs_on(&v6));
    }
}
