//! The user's kubeconfig: an entry is put in and taken out again without
//! disturbing what else stands there; the file is backed up before its first
//! change.

mod lock;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::pki::Pair;
use lock::Lock;

/// The kubeconfig could not be read, understood or written.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// The file could not be read or written.
    #[error("{}", path.display())]
    File {
        /// The kubeconfig.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not a kubeconfig.
    #[error("{} is not a kubeconfig: {message}", path.display())]
    Malformed {
        /// The kubeconfig.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
}

/// What a kubeconfig needs to know to reach a cluster.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Name of the cluster, the user and the context.
    pub name: String,
    /// The API's URL.
    pub server: String,
    /// The authority's certificate (PEM).
    pub authority: String,
    /// The user's certificate and key.
    pub user: Pair,
}

/// Returns the file that kubectl would change: the first of `KUBECONFIG`, else
/// `~/.kube/config`.
pub fn default_path() -> Option<PathBuf> {
    if let Some(list) = std::env::var_os("KUBECONFIG").filter(|list| !list.is_empty()) {
        return std::env::split_paths(&list).find(|path| !path.as_os_str().is_empty());
    }
    Some(PathBuf::from(std::env::var_os("HOME")?).join(".kube/config"))
}

impl Entry {
    /// Returns a kubeconfig that holds this entry alone.
    pub fn document(&self) -> Value {
        let mut document = Map::new();
        self.put(&mut document);
        Value::Object(document)
    }

    /// Puts the entry into the kubeconfig at `path` and makes it the current context.
    ///
    /// # Errors
    /// Fails if the file cannot be read or written or is no kubeconfig; it is
    /// then left as it was.
    pub fn merge_into(&self, path: &Path) -> Result<(), KubeconfigError> {
        let put = |document: &mut _| self.put(document);
        edit(path, put, |document| {
            back_up(path)?;
            store(path, document)
        })
    }

    fn put(&self, document: &mut Map<String, Value>) {
        let encode = |text: &str| STANDARD.encode(text);
        document.entry("apiVersion").or_insert_with(|| json!("v1"));
        document.entry("kind").or_insert_with(|| json!("Config"));
        put_named(
            document,
            "clusters",
            &self.name,
            json!({"name": self.name, "cluster": {
                "certificate-authority-data": encode(&self.authority),
                "server": self.server,
            }}),
        );
        put_named(
            document,
            "contexts",
            &self.name,
            json!({"name": self.name, "context": {
                "cluster": self.name, "user": self.name,
            }}),
        );
        put_named(
            document,
            "users",
            &self.name,
            json!({"name": self.name, "user": {
                "client-certificate-data": encode(&self.user.certificate),
                "client-key-data": encode(&self.user.key),
            }}),
        );
        document.insert("current-context".into(), json!(self.name));
    }
}

/// Takes the entry called `name` out of the kubeconfig at `path`.
///
/// # Errors
/// Fails if the file cannot be read or written or is no kubeconfig.
pub fn remove(path: &Path, name: &str) -> Result<(), KubeconfigError> {
    let take_out = |document: &mut _| take_out(document, name);
    edit(path, take_out, |document| match is_bare(document) {
        true => fs::remove_file(path).map_err(|source| failed(path, source)),
        false => store(path, document),
    })
}

fn take_out(document: &mut Map<String, Value>, name: &str) {
    for list in ["clusters", "contexts", "users"] {
        if let Some(Value::Array(entries)) = document.get_mut(list) {
            entries.retain(|entry| entry["name"] != name);
        }
    }
    let current = document.get("current-context");
    if current.is_some_and(|context| context == name) {
        let contexts = document.get("contexts").and_then(Value::as_array);
        let next = contexts.and_then(|contexts| contexts.first());
        let next = next.map_or(json!(""), |context| context["name"].clone());
        document.insert("current-context".into(), next);
    }
}

/// Changes the kubeconfig at `path`, under its lock; where nothing changes,
/// nothing is written, and nothing need be writable.
fn edit(
    path: &Path,
    change: impl Fn(&mut Map<String, Value>),
    write: impl Fn(&Map<String, Value>) -> Result<(), KubeconfigError>,
) -> Result<(), KubeconfigError> {
    let changed = || {
        let before = load(path)?;
        let mut document = before.clone();
        change(&mut document);
        Ok((document != before).then_some(document))
    };
    if changed()?.is_none() {
        return Ok(());
    }
    let _lock = Lock::take(path).map_err(|source| failed(path, source))?;
    match changed()? {
        Some(document) => write(&document),
        None => Ok(()),
    }
}

fn failed(path: &Path, source: io::Error) -> KubeconfigError {
    KubeconfigError::File {
        path: path.to_owned(),
        source,
    }
}

/// Returns whether nothing is left in the file but its frame.
fn is_bare(document: &Map<String, Value>) -> bool {
    document.iter().all(|(key, value)| match key.as_str() {
        "apiVersion" | "kind" => true,
        "current-context" => value == "",
        _ => value.as_array().is_some_and(Vec::is_empty),
    })
}

fn put_named(document: &mut Map<String, Value>, list: &str, name: &str, entry: Value) {
    let entries = document.entry(list).or_insert_with(|| json!([]));
    if !entries.is_array() {
        *entries = json!([]);
    }
    let Value::Array(entries) = entries else {
        return;
    };
    match entries.iter_mut().find(|existing| existing["name"] == name) {
        Some(existing) => *existing = entry,
        None => entries.push(entry),
    }
}

fn load(path: &Path) -> Result<Map<String, Value>, KubeconfigError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Map::new()),
        Err(source) => return Err(failed(path, source)),
    };
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    let malformed = |message: String| KubeconfigError::Malformed {
        path: path.to_owned(),
        message,
    };
    match serde_saphyr::from_str(&text) {
        Ok(Value::Object(document)) => Ok(document),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(_) => Err(malformed("the document is not a mapping".into())),
        Err(error) => Err(malformed(error.without_snippet().to_string())),
    }
}

/// Copies the file beside itself, unless a copy is there already.
fn back_up(path: &Path) -> Result<(), KubeconfigError> {
    let copy = path.with_file_name(format!(
        "{}.before-coracle",
        path.file_name().unwrap_or_default().to_string_lossy()
    ));
    if !path.exists() || copy.exists() {
        return Ok(());
    }
    fs::copy(path, &copy)
        .map(drop)
        .map_err(|source| KubeconfigError::File { path: copy, source })
}

/// Writes the document as JSON-compatible YAML, whole or not at all, for its owner alone.
fn store(path: &Path, document: &Map<String, Value>) -> Result<(), KubeconfigError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let failed = |source| failed(path, source);
    let text = serde_saphyr::to_string(document)
        .map_err(|error| failed(io::Error::other(error.to_string())))?;
    // A link stays a link: the file it names is replaced.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let partial = target.with_extension(format!("partial-{}", std::process::id()));
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&partial, &target))
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> Entry {
        Entry {
            name: name.into(),
            server: "https://127.0.0.1:6443".into(),
            authority: "authority".into(),
            user: Pair {
                certificate: "certificate".into(),
                key: "key".into(),
            },
        }
    }

    #[test]
    fn what_else_stands_in_the_file_stays() {
        let dir = tempfile::tempdir().expect("a folder for the test");
        let path = dir.path().join("config");
        let other = "apiVersion: v1\nkind: Config\ncurrent-context: work\nclusters:\n- name: work\n  cluster: {server: \"https://work\", extra: [1, two]}\ncontexts:\n- name: work\n  context: {cluster: work, user: me, namespace: n}\nusers:\n- name: me\n  user: {token: \"0123\"}\npreferences: {colors: true}\n";
        fs::write(&path, other).unwrap();
        let before = load(&path).unwrap();
        entry("coracle").merge_into(&path).unwrap();
        let merged = load(&path).unwrap();
        assert_eq!(merged["current-context"], "coracle");
        assert_eq!(merged["users"].as_array().unwrap().len(), 2);
        assert_eq!(
            fs::read_to_string(dir.path().join("config.before-coracle")).unwrap(),
            other
        );
        remove(&path, "coracle").unwrap();
        assert_eq!(load(&path).unwrap(), before);
    }

    #[test]
    fn a_file_that_held_nothing_else_goes_too() {
        let dir = tempfile::tempdir().expect("a folder for the test");
        let path = dir.path().join("config");
        entry("coracle").merge_into(&path).unwrap();
        remove(&path, "coracle").unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn changes_at_once_are_all_made() {
        let dir = tempfile::tempdir().expect("a folder for the test");
        let path = dir.path().join("kube/config");
        let names: Vec<String> = (0..16).map(|number| format!("c{number}")).collect();
        let at_once = |change: fn(&Path, &str)| {
            std::thread::scope(|scope| {
                for name in &names {
                    scope.spawn(|| change(&path, name));
                }
            });
        };
        at_once(|path, name| entry(name).merge_into(path).unwrap());
        assert_eq!(load(&path).unwrap()["users"].as_array().unwrap().len(), 16);
        at_once(|path, name| remove(path, name).unwrap());
        assert_eq!(fs::read_dir(dir.path().join("kube")).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_no_kubeconfig_is_left_alone() {
        let dir = tempfile::tempdir().expect("a folder for the test");
        let path = dir.path().join("config");
        fs::write(&path, "- a list\n").unwrap();
        assert!(entry("coracle").merge_into(&path).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "- a list\n");
    }
}
