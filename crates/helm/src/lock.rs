//! `Chart.lock`: which versions of its dependencies a chart was built with.
//!
//! Main type: [`Lock`]. Reference: `internal/resolver/resolver.go` and
//! `pkg/downloader/manager.go` of Helm.

use crate::convert::{Numbers, to_template};
use crate::metadata::{Dependency, Metadata};
use coracle_gotemplate::Value;
use coracle_gotemplate::json::encode;
use coracle_goyaml as yaml;
use sha2::{Digest, Sha256};

/// The contents of a lock file.
#[derive(Clone, Debug, Default)]
pub struct Lock {
    /// Name, repository and exact version of each dependency.
    pub dependencies: Vec<Dependency>,
    /// Digest of what `Chart.yaml` asks for and what was locked.
    pub digest: String,
    /// When it was made, as RFC 3339 has it.
    pub generated: String,
}

impl Lock {
    /// Makes the lock of a chart.
    pub fn new(wanted: &[Dependency], locked: Vec<Dependency>, generated: String) -> Lock {
        Lock {
            digest: digest(wanted, &locked),
            dependencies: locked,
            generated,
        }
    }

    /// Reads a lock file.
    ///
    /// # Errors
    ///
    /// When it is no YAML of that form.
    pub fn parse(text: &[u8]) -> Result<Lock, String> {
        // Dependencies are written as in Chart.yaml.
        let mut metadata = Metadata::default();
        metadata.read(text)?;
        let document = yaml::from_slice(text).map_err(|error| error.to_string())?;
        let field = |name: &str| match document.as_map().and_then(|map| map.get(name)) {
            Some(yaml::Value::Str(text)) => text.clone(),
            _ => String::new(),
        };
        Ok(Lock {
            dependencies: metadata.dependencies,
            digest: field("digest"),
            generated: field("generated"),
        })
    }

    /// Whether it was made for what a chart asks for now.
    pub fn fits(&self, wanted: &[Dependency]) -> bool {
        self.digest == digest(wanted, &self.dependencies)
    }

    /// Returns the text of the file.
    pub fn to_text(&self) -> String {
        let list = self.dependencies.iter().map(Dependency::to_document);
        let map = yaml::Map::from_iter([
            (
                "dependencies".to_owned(),
                yaml::Value::Seq(list.collect::<Vec<_>>()),
            ),
            ("digest".to_owned(), yaml::Value::Str(self.digest.clone())),
            (
                "generated".to_owned(),
                yaml::Value::Str(self.generated.clone()),
            ),
        ]);
        yaml::to_string(&yaml::Value::Map(map))
    }
}

/// SHA-256 of the JSON that Go writes of both lists.
fn digest(wanted: &[Dependency], locked: &[Dependency]) -> String {
    let list = |dependencies: &[Dependency]| {
        let items: Vec<String> = dependencies.iter().map(json).collect();
        format!("[{}]", items.join(","))
    };
    let text = format!("[{},{}]", list(wanted), list(locked));
    let hash = Sha256::digest(text.as_bytes());
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// A dependency in the order of Go's fields, empty ones left out.
fn json(dependency: &Dependency) -> String {
    let text = |text: &str| encoded(&Value::str(text));
    let mut fields = vec![format!("\"name\":{}", text(&dependency.name))];
    let mut optional = |name: &str, value: &str| {
        if !value.is_empty() {
            fields.push(format!("\"{name}\":{}", text(value)));
        }
    };
    optional("version", &dependency.version);
    fields.push(format!("\"repository\":{}", text(&dependency.repository)));
    let mut optional = |name: &str, value: &str| {
        if !value.is_empty() {
            fields.push(format!("\"{name}\":{}", text(value)));
        }
    };
    optional("condition", &dependency.condition);
    if !dependency.tags.is_empty() {
        let tags: Vec<String> = dependency.tags.iter().map(|tag| text(tag)).collect();
        fields.push(format!("\"tags\":[{}]", tags.join(",")));
    }
    if dependency.enabled {
        fields.push("\"enabled\":true".into());
    }
    if !dependency.import_values.is_empty() {
        let list = yaml::Value::Seq(dependency.import_values.clone());
        let list = encoded(&to_template(&list, Numbers::Kept));
        fields.push(format!("\"import-values\":{list}"));
    }
    if !dependency.alias.is_empty() {
        fields.push(format!("\"alias\":{}", text(&dependency.alias)));
    }
    format!("{{{}}}", fields.join(","))
}

fn encoded(value: &Value) -> String {
    let bytes = encode(value, true).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_helms() {
        // Written by helm 4.2.3 for these two.
        let lib = Dependency {
            name: "lib".into(),
            version: ">=0.1.0".into(),
            repository: "file://../lib".into(),
            ..Dependency::default()
        };
        let worker = Dependency {
            name: "worker".into(),
            version: "0.2.0".into(),
            repository: "file://../worker".into(),
            condition: "worker.enabled".into(),
            ..Dependency::default()
        };
        let locked = vec![
            Dependency {
                version: "0.1.0".into(),
                ..lib.clone()
            },
            Dependency {
                condition: String::new(),
                ..worker.clone()
            },
        ];
        let wanted = [lib, worker];
        let lock = Lock::new(&wanted, locked, "2026-01-02T03:04:05Z".into());
        assert_eq!(
            lock.digest,
            "sha256:4b790e11a03d4a0366e77b4dc72be0f9870791a3c79273710d462345e43d1d4a"
        );
        let read = Lock::parse(lock.to_text().as_bytes()).expect("it is a lock");
        assert!(read.fits(&wanted));
        assert!(!read.fits(&wanted[..1]));
    }
}
