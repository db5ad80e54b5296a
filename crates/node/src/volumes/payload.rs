//! What is in a volume of files: ConfigMaps, Secrets, the downward API, tokens.

use std::collections::BTreeMap;
use std::time::SystemTime;

use k8s_openapi::api::core::v1::{
    ConfigMap, DownwardAPIVolumeFile, KeyToPath, Secret, ServiceAccountTokenProjection, Volume,
    VolumeProjection,
};
use kube::ResourceExt;

use super::atomic::File;
use crate::env::{self, PodFacts};
use crate::security;
use crate::shared::Shared;

/// Permission bits of a file without others.
const MODE: i32 = 0o644;

/// The files of a volume.
#[derive(Debug, Default)]
pub struct Payload {
    /// Files by relative path.
    pub files: BTreeMap<String, File>,
    /// Whether they must never reach a disk.
    pub secret: bool,
    /// When a token among them must be renewed.
    pub renew_at: Option<SystemTime>,
}

/// Which keys of a ConfigMap or Secret become files, and how.
struct Choice<'a> {
    /// The object's name.
    name: &'a str,
    /// Keys and their paths; `None` or none at all takes every key.
    items: Option<&'a [KeyToPath]>,
    /// Whether the object and its keys may be missing.
    optional: bool,
    /// Permission bits of files that name none.
    mode: i32,
}

impl Payload {
    /// Collects the files of a volume; `None` if it is not made of files.
    ///
    /// # Errors
    /// Says in upstream's words what is missing.
    pub async fn of(
        shared: &Shared,
        facts: &PodFacts<'_>,
        volume: &Volume,
    ) -> Result<Option<Payload>, String> {
        let mut payload = Payload::default();
        if let Some(source) = &volume.config_map {
            let choice = Choice {
                name: &source.name,
                items: source.items.as_deref(),
                optional: source.optional == Some(true),
                mode: source.default_mode.unwrap_or(MODE),
            };
            payload.config_map(shared, facts, &choice)?;
        } else if let Some(source) = &volume.secret {
            let choice = Choice {
                name: source.secret_name.as_deref().unwrap_or_default(),
                items: source.items.as_deref(),
                optional: source.optional == Some(true),
                mode: source.default_mode.unwrap_or(MODE),
            };
            payload.secret(shared, facts, &choice)?;
        } else if let Some(source) = &volume.downward_api {
            payload.downward(
                facts,
                source.items.as_deref(),
                source.default_mode.unwrap_or(MODE),
            )?;
        } else if let Some(source) = &volume.projected {
            let mode = source.default_mode.unwrap_or(MODE);
            for projection in source.sources.iter().flatten() {
                payload.projection(shared, facts, projection, mode).await?;
            }
        } else {
            return Ok(None);
        }
        Ok(Some(payload))
    }

    async fn projection(
        &mut self,
        shared: &Shared,
        facts: &PodFacts<'_>,
        source: &VolumeProjection,
        mode: i32,
    ) -> Result<(), String> {
        if let Some(source) = &source.config_map {
            let choice = Choice {
                name: &source.name,
                items: source.items.as_deref(),
                optional: source.optional == Some(true),
                mode,
            };
            self.config_map(shared, facts, &choice)?;
        }
        if let Some(source) = &source.secret {
            let choice = Choice {
                name: &source.name,
                items: source.items.as_deref(),
                optional: source.optional == Some(true),
                mode,
            };
            self.secret(shared, facts, &choice)?;
        }
        if let Some(source) = &source.downward_api {
            self.downward(facts, source.items.as_deref(), mode)?;
        }
        if let Some(source) = &source.service_account_token {
            self.token(shared, facts, source, mode).await?;
        }
        Ok(())
    }

    fn config_map(
        &mut self,
        shared: &Shared,
        facts: &PodFacts<'_>,
        choice: &Choice<'_>,
    ) -> Result<(), String> {
        let namespace = facts.pod.namespace().unwrap_or_default();
        let map = shared.config_maps.get(&namespace, choice.name);
        self.select("configmap", choice, map.map(|map| config_map_data(&map)))
    }

    fn secret(
        &mut self,
        shared: &Shared,
        facts: &PodFacts<'_>,
        choice: &Choice<'_>,
    ) -> Result<(), String> {
        self.secret = true;
        let namespace = facts.pod.namespace().unwrap_or_default();
        let secret = shared.secrets.get(&namespace, choice.name);
        self.select("secret", choice, secret.map(|secret| secret_data(&secret)))
    }

    /// Takes all keys of an object, or those that were chosen under their paths.
    fn select(
        &mut self,
        kind: &str,
        choice: &Choice<'_>,
        data: Option<BTreeMap<String, Vec<u8>>>,
    ) -> Result<(), String> {
        let Some(data) = data else {
            return match choice.optional {
                true => Ok(()),
                false => Err(format!("{kind} \"{}\" not found", choice.name)),
            };
        };
        let Some(items) = choice.items.filter(|items| !items.is_empty()) else {
            for (key, content) in data {
                self.put(&key, content, choice.mode);
            }
            return Ok(());
        };
        for item in items {
            match data.get(&item.key) {
                Some(content) => {
                    self.put(
                        &item.path,
                        content.clone(),
                        item.mode.unwrap_or(choice.mode),
                    );
                }
                None if choice.optional => {}
                None => {
                    return Err(format!(
                        "{kind} references non-existent {kind} key: {}",
                        item.key
                    ));
                }
            }
        }
        Ok(())
    }

    fn downward(
        &mut self,
        facts: &PodFacts<'_>,
        items: Option<&[DownwardAPIVolumeFile]>,
        mode: i32,
    ) -> Result<(), String> {
        for item in items.unwrap_or_default() {
            let value = if let Some(reference) = &item.field_ref {
                env::field(facts, &reference.field_path)
            } else if let Some(reference) = &item.resource_field_ref {
                let name = reference.container_name.as_deref().unwrap_or_default();
                let containers = facts.pod.spec.iter().flat_map(|spec| &spec.containers);
                let container = containers
                    .into_iter()
                    .find(|container| container.name == name)
                    .ok_or_else(|| format!("container {name} not found"))?;
                let divisor = reference
                    .divisor
                    .as_ref()
                    .map(|divisor| divisor.0.as_str())
                    .unwrap_or("");
                env::resource(facts, container, &reference.resource, divisor)
            } else {
                continue;
            };
            let value = value.map_err(|error| error.to_string())?;
            self.put(&item.path, value.into_bytes(), item.mode.unwrap_or(mode));
        }
        Ok(())
    }

    async fn token(
        &mut self,
        shared: &Shared,
        facts: &PodFacts<'_>,
        source: &ServiceAccountTokenProjection,
        mode: i32,
    ) -> Result<(), String> {
        self.secret = true;
        let token = shared
            .tokens
            .token(facts.pod, source)
            .await
            .map_err(|error| format!("failed to fetch token: {error}"))?;
        self.renew_at = Some(
            self.renew_at
                .map_or(token.renew_at, |at| at.min(token.renew_at)),
        );
        // Where it is known who reads it, nobody else does (upstream:
        // pkg/volume/projected, collectData).
        let owner = security::only_user(facts.pod);
        let is_known = owner.is_some() || super::fs_group(facts.pod).is_some();
        let file = File {
            content: token.text.into_bytes(),
            mode: if is_known { 0o600 } else { bits(mode) },
            owner,
        };
        self.files.insert(source.path.clone(), file);
        Ok(())
    }

    fn put(&mut self, path: &str, content: Vec<u8>, mode: i32) {
        self.files.insert(
            path.to_owned(),
            File {
                content,
                mode: bits(mode),
                owner: None,
            },
        );
    }
}

fn bits(mode: i32) -> u32 {
    mode.unsigned_abs() & 0o777
}

fn config_map_data(map: &ConfigMap) -> BTreeMap<String, Vec<u8>> {
    let text = map
        .data
        .iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value.clone().into_bytes()));
    let binary = map
        .binary_data
        .iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value.0.clone()));
    text.chain(binary).collect()
}

fn secret_data(secret: &Secret) -> BTreeMap<String, Vec<u8>> {
    secret
        .data
        .iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value.0.clone()))
        .collect()
}
