//! Secrets in the files of every layer: a file that a later layer removes can
//! still be read.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::forms::search;
use super::variable;
use crate::policy::{Finding, Place, PolicyError, Rule, Severity};
use crate::store::{Image, Layer};

/// Files larger than this are no configuration; only their start is searched.
const SEARCHED_BYTES_MAX: u64 = 1 << 20;

/// Finds secrets in the files of all layers.
pub(in crate::policy) fn layers(
    image: &Image,
    findings: &mut Vec<Finding>,
) -> Result<(), PolicyError> {
    for (index, layer) in image.layers.iter().enumerate() {
        let mut searcher = Searcher {
            image,
            layer,
            number: index + 1,
            findings: &mut *findings,
        };
        searcher.directory(Path::new(""))?;
    }
    Ok(())
}

struct Searcher<'a> {
    image: &'a Image,
    layer: &'a Layer,
    number: usize,
    findings: &'a mut Vec<Finding>,
}

impl Searcher<'_> {
    fn directory(&mut self, below: &Path) -> Result<(), PolicyError> {
        let full = self.layer.dir.join(below);
        let fail = |source| PolicyError {
            path: full.clone(),
            source,
        };
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&full).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            names.push((entry.file_name(), entry.file_type().map_err(fail)?));
        }
        names.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, kind) in names {
            let path = below.join(name);
            if kind.is_dir() {
                self.directory(&path)?;
            } else if kind.is_file() {
                self.file(&path).map_err(|source| PolicyError {
                    path: self.layer.dir.join(&path),
                    source,
                })?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> io::Result<()> {
        let mut content = Vec::new();
        let file = match File::open(self.layer.dir.join(path)) {
            Ok(file) => file,
            // An ordinary user in a single-id namespace cannot read all.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
            Err(error) => return Err(error),
        };
        file.take(8192).read_to_end(&mut content)?;
        if content.contains(&0) || content.is_empty() {
            return Ok(());
        }
        if content.len() == 8192 {
            content.clear();
            let file = File::open(self.layer.dir.join(path))?;
            file.take(SEARCHED_BYTES_MAX).read_to_end(&mut content)?;
        }
        if let Some((what, offset)) = material(path, &content) {
            self.add(path, what, line_of(&content, offset));
        }
        Ok(())
    }

    fn add(&mut self, path: &Path, what: &str, line: u32) {
        let shown = Path::new("/").join(path);
        let view = self.image.view();
        let visible = view.find_no_follow(&shown).ok().flatten();
        let removed = visible.is_none_or(|found| found.source != self.layer.dir.join(path));
        let mut message = format!("{} holds {what}", shown.display());
        if removed {
            message.push_str("; a later layer hides it, but it can still be read from the image");
        }
        self.findings.push(Finding {
            rule: Rule::Secret,
            severity: severity(path),
            message,
            fix: fix(path, removed),
            place: Some(Place {
                layer: self.number,
                diff_id: self.layer.diff_id,
                path: shown,
                line: Some(line),
            }),
        });
    }
}

fn fix(path: &Path, removed: bool) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match removed {
        true => format!(
            "do not copy {name} at all: list it in .dockerignore, or copy it in a stage that does not become the image; then replace the secret"
        ),
        false => format!(
            "list {name} in .dockerignore and hand it in with a Secret when the pod starts; then replace the secret"
        ),
    }
}

/// What a file holds, by its name or its content.
fn material(path: &Path, content: &[u8]) -> Option<(&'static str, usize)> {
    if let Some(hit) = search(content) {
        // A login is only one in the file made for it.
        let is_login = hit.name == "a password in a registry login";
        if !is_login || path.ends_with(".docker/config.json") || path.ends_with(".dockercfg") {
            return Some((hit.name, hit.offset));
        }
    }
    let name = path.file_name()?.to_string_lossy();
    let contains = |text: &str| {
        content
            .windows(text.len())
            .position(|window| window == text.as_bytes())
    };
    match name.as_ref() {
        ".netrc" | "_netrc" => contains("password").map(|offset| ("a password", offset)),
        ".npmrc" => contains("_authToken=")
            .or_else(|| contains("_password="))
            .map(|offset| ("a registry token", offset)),
        ".pypirc" => contains("password").map(|offset| ("a password", offset)),
        ".git-credentials" | ".pgpass" => Some(("passwords", 0)),
        "credentials" if path.ends_with(".aws/credentials") => Some(("AWS credentials", 0)),
        "config" if path.ends_with(".kube/config") => contains("client-key-data")
            .or_else(|| contains("token:"))
            .map(|offset| ("cluster credentials", offset)),
        _ if is_env_file(&name) => env_file(content),
        _ => None,
    }
}

fn is_env_file(name: &str) -> bool {
    let sample = [".example", ".sample", ".template", ".dist", ".defaults"];
    let env = name == ".env" || name.starts_with(".env.");
    env && !sample.iter().any(|suffix| name.ends_with(suffix))
}

fn env_file(content: &[u8]) -> Option<(&'static str, usize)> {
    let text = String::from_utf8_lossy(content);
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim().trim_start_matches("export ");
        if let Some((name, value)) = trimmed.split_once('=') {
            let value = value.trim().trim_matches(['"', '\'']);
            if !trimmed.starts_with('#') && variable(name.trim(), value).is_some() {
                return Some(("settings with secrets", offset));
            }
        }
        offset += line.len();
    }
    None
}

fn line_of(content: &[u8], offset: usize) -> u32 {
    let before = &content[..offset.min(content.len())];
    before.iter().filter(|byte| **byte == b'\n').count() as u32 + 1
}

// Libraries bring keys for their own tests; they open nothing.
fn severity(path: &Path) -> Severity {
    const LIBRARIES: [&str; 6] = [
        "node_modules",
        "site-packages",
        "dist-packages",
        "lib",
        "lib64",
        "share",
    ];
    const TESTS: [&str; 9] = [
        "test",
        "tests",
        "testdata",
        "test-data",
        "fixtures",
        "examples",
        "example",
        "doc",
        "docs",
    ];
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    let library = parts
        .iter()
        .position(|part| LIBRARIES.contains(&part.as_ref()));
    let in_tests = library.is_some_and(|index| {
        parts[index..]
            .iter()
            .any(|part| TESTS.contains(&part.as_ref()))
    });
    let snakeoil = path == Path::new("etc/ssl/private/ssl-cert-snakeoil.key");
    match in_tests || snakeoil {
        true => Severity::Warning,
        false => Severity::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, content: &str, expected: Option<&str>) {
        let found = material(Path::new(path), content.as_bytes()).map(|(what, _)| what);
        assert_eq!(found, expected, "{path}: {content}");
    }

    #[test]
    fn secret_material_is_told_from_text() {
        let body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ";
        let key = |kind: &str| format!("-----BEGIN {kind}PRIVATE KEY-----\n{body}\n");
        check("k.pem", &key(""), Some("a private key"));
        check("k.pem", &key("RSA "), Some("a private key"));
        check("id_ed25519", &key("OPENSSH "), Some("a private key"));
        check(
            "k.json",
            &format!("-----BEGIN PRIVATE KEY-----\\n{body}"),
            Some("a private key"),
        );
        let encrypted = format!(
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0\n\n{body}"
        );
        check("k.pem", &encrypted, Some("a private key"));
        check("doc.md", "-----BEGIN PRIVATE KEY-----\n...", None);
        check(
            "cert.pem",
            "-----BEGIN CERTIFICATE-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwgg",
            None,
        );
        check(
            "x",
            "aws AKIAZ7Q3K5N2W9X8B4T1 here",
            Some("an AWS access key"),
        );
        check("x", "AKIAIOSFODNN7EXAMPLE", None);
        check(
            "x",
            "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
            Some("a GitHub token"),
        );
        check(
            "x",
            "sk-proj-a8Kd92mXp0Qw7Zr5Tn3Vb6Yc1Ue4Hs9J",
            Some("an OpenAI or Anthropic key"),
        );
        check(
            "x.css",
            ".sk-circle-fade-dot-loading-animation-container",
            None,
        );
        check("x", "sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", None);
        check(
            ".env",
            "# c\nPORT=80\nDB_PASSWORD=hunter22\n",
            Some("settings with secrets"),
        );
        check(".env", "PORT=80\nNODE_ENV=production\n", None);
        check(
            ".env.production",
            "DATABASE_URL=postgres://u:p4ss@db/x\n",
            Some("settings with secrets"),
        );
        check(".env.example", "DB_PASSWORD=hunter22\n", None);
        check(
            "app/.env",
            "API_KEY=\nSECRET=changeme\nTOKEN=${TOKEN}\n",
            None,
        );
        check(
            "root/.docker/config.json",
            r#"{"auths":{"r":{"auth":"dXNlcjpwYXNz"}}}"#,
            Some("a password in a registry login"),
        );
        check("other.json", r#"{"auth":"dXNlcjpwYXNz"}"#, None);
        check(
            "root/.npmrc",
            "//registry/:_authToken=abc",
            Some("a registry token"),
        );
        check(
            "root/.aws/credentials",
            "[default]",
            Some("AWS credentials"),
        );
    }

    #[test]
    fn test_keys_of_libraries_are_warnings() {
        let check =
            |path: &str, expected| assert_eq!(severity(Path::new(path)), expected, "{path}");
        check("app/node_modules/x/test/key.pem", Severity::Warning);
        check("usr/lib/python3.11/test/keycert.pem", Severity::Warning);
        check("app/key.pem", Severity::Error);
        check("app/test/key.pem", Severity::Error);
    }
}
