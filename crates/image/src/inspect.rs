//! An image described for a reader: [`Inspection`], and how it came to be:
//! [`history`].

use serde::Serialize;

use crate::digest::Digest;
use crate::oci::{ContainerConfig, Healthcheck};
use crate::store::Image;

/// What `image inspect` shows.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inspection {
    /// The name it was found by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Docker's image id.
    pub id: Digest,
    /// Digest of the manifest.
    pub digest: Digest,
    /// Platform, `linux/amd64`.
    pub platform: String,
    /// When it was made, as its maker says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Bytes of file content in all layers.
    pub size_bytes: u64,
    /// Bytes of the layers as they are stored and sent.
    pub stored_bytes: u64,
    /// User as configured; empty is root.
    pub user: String,
    /// Whether it runs as a number that is not root.
    pub non_root: bool,
    /// The health check in words; `None` when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<String>,
    /// The whole container configuration.
    pub config: ContainerConfig,
    /// The layers, lowest first.
    pub layers: Vec<InspectedLayer>,
}

/// One layer in an inspection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InspectedLayer {
    /// Digest of the uncompressed archive.
    pub diff_id: Digest,
    /// Bytes of file content.
    pub size_bytes: u64,
    /// Bytes as stored and sent.
    pub stored_bytes: u64,
    /// The instruction it came from, when the image says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
}

impl Inspection {
    /// Describes an image.
    pub fn of(image: &Image) -> Self {
        let config = &image.config;
        Self {
            name: image
                .reference
                .as_ref()
                .map(|reference| reference.familiar()),
            id: image.id,
            digest: image.digest,
            platform: config.platform().to_string(),
            created: config.created.clone(),
            size_bytes: image.size_bytes,
            stored_bytes: image.layers.iter().map(|layer| layer.blob.size).sum(),
            user: config.config.user.clone(),
            non_root: config.config.runs_as_non_root_number(),
            healthcheck: config.config.healthcheck.as_ref().and_then(describe_health),
            config: config.config.clone(),
            layers: layers(image),
        }
    }
}

/// One instruction of an image's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// The instruction, as its maker wrote it.
    pub created_by: String,
    /// When, as its maker says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Its layer's digest; `None` when it made none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff_id: Option<Digest>,
    /// Bytes of file content in its layer.
    pub size_bytes: u64,
}

/// Returns the instructions that made an image, the latest first. Layers that
/// its history does not speak of come last.
pub fn history(image: &Image) -> Vec<HistoryEntry> {
    let mut layers = image.layers.iter();
    let mut entries: Vec<HistoryEntry> = Vec::new();
    for entry in &image.config.history {
        let layer = match entry.empty_layer {
            true => None,
            false => layers.next(),
        };
        entries.push(HistoryEntry {
            created_by: entry.created_by.clone().unwrap_or_default(),
            created: entry.created.clone(),
            diff_id: layer.map(|layer| layer.diff_id),
            size_bytes: layer.map_or(0, |layer| layer.size_bytes),
        });
    }
    entries.reverse();
    entries.extend(layers.map(|layer| HistoryEntry {
        created_by: String::new(),
        created: None,
        diff_id: Some(layer.diff_id),
        size_bytes: layer.size_bytes,
    }));
    entries
}

fn layers(image: &Image) -> Vec<InspectedLayer> {
    let history = image
        .config
        .history
        .iter()
        .filter(|entry| !entry.empty_layer);
    let mut created_by = history.map(|entry| entry.created_by.clone());
    let layers = image.layers.iter().map(|layer| InspectedLayer {
        diff_id: layer.diff_id,
        size_bytes: layer.size_bytes,
        stored_bytes: layer.blob.size,
        created_by: created_by.next().flatten(),
    });
    layers.collect()
}

fn describe_health(health: &Healthcheck) -> Option<String> {
    let (kind, words) = health.test.split_first()?;
    let command = match kind.as_str() {
        "NONE" => return Some("disabled".to_owned()),
        "CMD" | "CMD-SHELL" => words.join(" "),
        _ => health.test.join(" "),
    };
    let mut text = command;
    let times = [
        ("every", health.interval),
        ("timeout", health.timeout),
        ("start period", health.start_period),
    ];
    for (name, nanoseconds) in times {
        if nanoseconds > 0 {
            let seconds = nanoseconds as f64 / 1e9;
            text.push_str(&format!(", {name} {seconds} s"));
        }
    }
    if health.retries > 0 {
        text.push_str(&format!(", {} tries", health.retries));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_checks_read_well() {
        let mut health = Healthcheck {
            test: vec![
                "CMD".to_owned(),
                "/app/x".to_owned(),
                "healthcheck".to_owned(),
            ],
            interval: 30_000_000_000,
            timeout: 1_500_000_000,
            retries: 3,
            ..Healthcheck::default()
        };
        let expected = "/app/x healthcheck, every 30 s, timeout 1.5 s, 3 tries";
        assert_eq!(describe_health(&health).as_deref(), Some(expected));
        health.test = vec!["NONE".to_owned()];
        assert_eq!(describe_health(&health).as_deref(), Some("disabled"));
        health.test.clear();
        assert_eq!(describe_health(&health), None);
    }
}
