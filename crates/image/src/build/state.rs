//! What a stage of a build has become so far: [`StageState`].

use std::collections::BTreeMap;

use super::dockerfile::Expander;
use crate::digest::Digest;
use crate::oci::{ContainerConfig, Descriptor, History};
use crate::store::Image;
use crate::store::layers::chain_id;

/// Docker's `PATH` of an image that sets none.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A layer of a stage.
#[derive(Debug, Clone)]
pub(crate) struct BuiltLayer {
    pub(crate) blob: Descriptor,
    pub(crate) diff_id: Digest,
    pub(crate) chain_id: Digest,
}

/// A stage so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct StageState {
    pub(crate) config: ContainerConfig,
    pub(crate) author: Option<String>,
    pub(crate) history: Vec<History>,
    pub(crate) layers: Vec<BuiltLayer>,
    /// `ARG`s in force here.
    pub(crate) arguments: BTreeMap<String, String>,
    /// Whether `CMD` was set in this Dockerfile: `ENTRYPOINT` resets one that
    /// was inherited.
    pub(crate) cmd_is_own: bool,
}

impl StageState {
    /// Returns the empty stage: `FROM scratch`.
    pub(crate) fn scratch() -> Self {
        Self {
            config: ContainerConfig {
                env: vec![format!("PATH={DEFAULT_PATH}")],
                working_dir: "/".to_owned(),
                ..ContainerConfig::default()
            },
            ..Self::default()
        }
    }

    /// Returns the stage that starts with an image.
    pub(crate) fn from_image(image: &Image) -> Self {
        let mut state = Self {
            config: image.config.config.clone(),
            author: image.config.author.clone(),
            history: image.config.history.clone(),
            ..Self::default()
        };
        for layer in &image.layers {
            state.add_layer(layer.blob.clone(), layer.diff_id);
        }
        state
    }

    /// Returns the stage that starts with another stage.
    pub(crate) fn from_stage(stage: &Self) -> Self {
        Self {
            arguments: BTreeMap::new(),
            cmd_is_own: false,
            ..stage.clone()
        }
    }

    pub(crate) fn add_layer(&mut self, blob: Descriptor, diff_id: Digest) {
        let chain_id = chain_id(self.chain(), diff_id);
        self.layers.push(BuiltLayer {
            blob,
            diff_id,
            chain_id,
        });
    }

    /// Returns the chain id of all layers; `None` without layers.
    pub(crate) fn chain(&self) -> Option<Digest> {
        self.layers.last().map(|layer| layer.chain_id)
    }

    /// Returns a variable as instructions see it: the environment wins over
    /// arguments.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        let mut environment = self.config.environment();
        let set = environment.find(|(known, _)| *known == name);
        match set {
            Some((_, value)) => Some(value.to_owned()),
            None => self.arguments.get(name).cloned(),
        }
    }

    pub(crate) fn expand(&self, escape: char, text: &str) -> Result<String, String> {
        let lookup = |name: &str| self.variable(name);
        let expander = Expander {
            escape,
            lookup: &lookup,
        };
        expander.word(text)
    }

    pub(crate) fn set_env(&mut self, name: &str, value: &str) {
        let entry = format!("{name}={value}");
        let same = |known: &&mut String| {
            known
                .split_once('=')
                .is_some_and(|(known, _)| known == name)
        };
        match self.config.env.iter_mut().find(same) {
            Some(known) => *known = entry,
            None => self.config.env.push(entry),
        }
    }

    pub(crate) fn working_dir(&self) -> &str {
        match self.config.working_dir.as_str() {
            "" => "/",
            dir => dir,
        }
    }

    pub(crate) fn shell(&self) -> Vec<String> {
        let default = || vec!["/bin/sh".to_owned(), "-c".to_owned()];
        self.config.shell.clone().unwrap_or_else(default)
    }

    /// Returns the environment of a `RUN`: arguments first, then the image's
    /// environment, `PATH` always.
    pub(crate) fn run_environment(&self) -> Vec<(String, String)> {
        let mut environment: BTreeMap<String, String> = self.arguments.clone();
        for (name, value) in self.config.environment() {
            environment.insert(name.to_owned(), value.to_owned());
        }
        let path = "PATH".to_owned();
        environment
            .entry(path)
            .or_insert_with(|| DEFAULT_PATH.to_owned());
        environment.into_iter().collect()
    }
}
