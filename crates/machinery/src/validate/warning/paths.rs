//! Files of one volume whose paths overlap.

use std::fmt;

use super::super::{At, quote};

/// A path in a volume, and what puts it there where that is worth saying.
#[derive(PartialEq, Eq)]
struct File {
    path: String,
    source: String,
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quote(&self.path))?;
        match self.source.as_str() {
            "" => Ok(()),
            source => write!(f, " ({source})"),
        }
    }
}

impl File {
    fn new(path: &str, source: &str) -> File {
        File {
            path: path.trim_end_matches('/').to_owned(),
            source: source.to_owned(),
        }
    }

    /// Whether one is the other, or lies below it.
    fn overlaps(&self, other: &File) -> bool {
        let inside =
            |a: &File, b: &File| format!("{}/", a.path).starts_with(&format!("{}/", b.path));
        let named = !self.path.is_empty() && !other.path.is_empty();
        named && (inside(self, other) || inside(other, self))
    }
}

/// The volumes of a pod.
pub(super) fn overlaps(volumes: &At<'_>, found: &mut Vec<String>) {
    for volume in volumes.items() {
        let name = quote(volume.field("name").text());
        for (kind, of) in [
            ("configMap", "name"),
            ("secret", "secretName"),
            ("downwardAPI", ""),
        ] {
            let source = volume.field(kind);
            let what = match kind {
                "configMap" => format!("ConfigMap {}", quote(source.field(of).text())),
                "secret" => format!("Secret {}", quote(source.field(of).text())),
                _ => "DownwardAPI".to_owned(),
            };
            report(&format!("{name} ({what})"), items(&source, ""), found);
        }
        let projected = volume.field("projected");
        let mut files = Vec::new();
        for source in projected.field("sources").items() {
            if source.is_empty() {
                found.push(format!("volume {name} (Projected) has no sources provided"));
            }
            files.append(&mut projection(&source));
        }
        report(&format!("{name} (Projected)"), files, found);
    }
}

fn items(source: &At<'_>, what: &str) -> Vec<File> {
    let items = source.field("items");
    let files = items
        .items()
        .map(|item| File::new(item.field("path").text(), what));
    files.collect()
}

fn projection(source: &At<'_>) -> Vec<File> {
    let named = |kind: &str, what: &str| {
        let name = source.field(kind).field("name").text().to_owned();
        items(&source.field(kind), &format!("{what} {}", quote(&name)))
    };
    if source.field("configMap").field("items").is_set() {
        return named("configMap", "ConfigMap");
    }
    if source.field("secret").field("items").is_set() {
        return named("secret", "Secret");
    }
    let (downward, token) = (
        source.field("downwardAPI"),
        source.field("serviceAccountToken"),
    );
    let (bundle, pair) = (
        source.field("clusterTrustBundle"),
        source.field("podCertificate"),
    );
    if downward.field("items").is_set() {
        return items(&downward, "DownwardAPI");
    }
    if token.is_set() {
        return vec![File::new(token.field("path").text(), "ServiceAccountToken")];
    }
    if bundle.is_set() {
        let named = ["name", "signerName"].map(|name| bundle.field(name).text().to_owned());
        let name = named
            .iter()
            .find(|name| !name.is_empty())
            .map_or("", String::as_str);
        let what = format!("ClusterTrustBundle {}", quote(name));
        return vec![File::new(bundle.field("path").text(), &what)];
    }
    [
        ("certificateChainPath", "PodCertificate chain"),
        ("keyPath", "PodCertificate key"),
        ("credentialBundlePath", "PodCertificate credential bundle"),
    ]
    .into_iter()
    .filter(|(name, _)| !pair.field(name).is_empty())
    .map(|(name, what)| File::new(pair.field(name).text(), what))
    .collect()
}

fn report(volume: &str, files: Vec<File>, found: &mut Vec<String>) {
    for (index, file) in files.iter().enumerate() {
        for other in files[..index].iter().filter(|other| file.overlaps(other)) {
            found.push(format!(
                "volume {volume}: overlapping paths: {file} with {other}"
            ));
        }
    }
}
