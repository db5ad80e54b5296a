//! The build itself: stage by stage, instruction by instruction.

use std::collections::{BTreeMap, BTreeSet};

use super::arguments::{bases, global_arguments, is_predefined, with_epoch};
use super::digests::FileDigests;
use super::dockerfile::{self, Dockerfile};
use super::graph::{Graph, Origin, graph, is_replaced, origin};
use super::plan::{Owner, PlanError};
use super::source::Source;
use super::state::StageState;
use super::{BuildError, BuildEvent, BuildRequest, Tools};
use crate::digest::Digest;
use crate::oci::{Descriptor, History, ImageConfig, Manifest, RootFs, media_type};
use crate::reference::Reference;
use crate::rootfs::{UserError, View};
use crate::store::steps::Step;
use crate::store::{ImageStore, NameChange, Stage};

/// An image that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Digest of the manifest.
    pub digest: Digest,
    /// Docker's image id.
    pub id: Digest,
    /// Its names, and what they stood for before.
    pub names: Vec<NameChange>,
    /// Steps whose layer was known already.
    pub steps_cached: usize,
    /// Steps whose layer was made.
    pub steps_made: usize,
    /// Steps in all.
    pub steps: usize,
}

/// Builds an image into the store and names it for a cluster.
///
/// # Errors
///
/// Fails at the first instruction that fails; steps that were finished are
/// remembered, no name has changed.
pub fn build(
    store: &ImageStore,
    cluster: &str,
    request: &BuildRequest,
    tools: &Tools<'_>,
    progress: &mut dyn FnMut(BuildEvent),
) -> Result<Built, BuildError> {
    let request = &with_epoch(request)?;
    let dockerfile = dockerfile::parse(&request.file, &request.text)?;
    let arguments = global_arguments(request, &dockerfile)?;
    let bases = bases(&dockerfile, &arguments)?;
    let graph = graph(request, &dockerfile, &bases)?;
    let total = graph
        .needed
        .iter()
        .map(|index| dockerfile.stages[*index].instructions.len() + 1);
    let mut builder = Builder {
        total: total.sum(),
        request,
        dockerfile: &dockerfile,
        tools,
        progress,
        stage: store.stage()?,
        arguments,
        bases,
        finished: BTreeMap::new(),
        contexts: BTreeMap::new(),
        used_arguments: BTreeSet::new(),
        pending: Vec::new(),
        digests: FileDigests::open(store.digests_path(&request.context)),
        number: 0,
        cached: 0,
        made: 0,
    };
    let image = builder
        .stages(&graph)
        .and_then(|state| builder.image(&state));
    // What was finished serves the next attempt, whatever became of this one.
    let published = builder.publish();
    builder.digests.save();
    let (digest, id) = image?;
    published?;
    let keys = match request.names.is_empty() {
        true => vec![id.to_string()],
        false => request.names.iter().map(Reference::key).collect(),
    };
    let names: Vec<_> = keys.into_iter().map(|key| (key, digest)).collect();
    Ok(Built {
        digest,
        id,
        names: builder.stage.commit(cluster, &names)?,
        steps_cached: builder.cached,
        steps_made: builder.made,
        steps: builder.number,
    })
}

pub(super) struct Builder<'a> {
    pub(super) request: &'a BuildRequest,
    pub(super) dockerfile: &'a Dockerfile,
    pub(super) tools: &'a Tools<'a>,
    pub(super) progress: &'a mut dyn FnMut(BuildEvent),
    pub(super) stage: Stage,
    /// `ARG`s before the first `FROM`, and the platform's.
    pub(super) arguments: BTreeMap<String, String>,
    bases: Vec<String>,
    pub(super) finished: BTreeMap<usize, StageState>,
    contexts: BTreeMap<String, Source>,
    pub(super) used_arguments: BTreeSet<String>,
    /// Steps to be remembered once their layers are in the store.
    pub(super) pending: Vec<(Digest, Step)>,
    pub(super) digests: FileDigests,
    number: usize,
    total: usize,
    pub(super) cached: usize,
    pub(super) made: usize,
}

impl Builder<'_> {
    fn stages(&mut self, graph: &Graph) -> Result<StageState, BuildError> {
        for index in &graph.needed {
            let state = self.one_stage(*index)?;
            self.finished.insert(*index, state);
        }
        self.warn_of_unused_arguments();
        Ok(self.finished[&graph.target].clone())
    }

    fn one_stage(&mut self, index: usize) -> Result<StageState, BuildError> {
        let definition = &self.dockerfile.stages[index];
        let name = definition.name.clone().unwrap_or_else(|| index.to_string());
        let line = definition.line;
        if is_replaced(self.request, self.dockerfile, index) {
            self.announce(&name, line, &format!("build context {name}"));
            return self.context_stage(&name, line);
        }
        let base = self.bases[index].clone();
        self.announce(&name, line, &format!("FROM {base}"));
        let mut state = self.start(index, &base)?;
        for instruction in &definition.instructions {
            self.announce(&name, instruction.line, &instruction.text);
            self.instruction(index, instruction, &mut state)?;
        }
        Ok(state)
    }

    fn announce(&mut self, stage: &str, line: u32, instruction: &str) {
        self.number += 1;
        (self.progress)(BuildEvent::Step {
            stage: stage.to_owned(),
            number: self.number,
            total: self.total,
            line,
            instruction: instruction.to_owned(),
        });
    }

    pub(super) fn warn(&mut self, line: u32, message: impl Into<String>) {
        let message = message.into();
        (self.progress)(BuildEvent::Warning { line, message });
    }

    fn start(&mut self, index: usize, base: &str) -> Result<StageState, BuildError> {
        let line = self.dockerfile.stages[index].line;
        match origin(self.request, self.dockerfile, index, base, true) {
            Origin::Scratch => Ok(StageState::scratch()),
            Origin::Stage(found) => Ok(StageState::from_stage(&self.finished[&found])),
            Origin::Context(name) => self.context_stage(&name, line),
            Origin::Image(name) => {
                let image = self.base_image(&name, line)?;
                self.check_base(&image.config, line)?;
                Ok(StageState::from_image(&image))
            }
        }
    }

    fn check_base(&mut self, config: &ImageConfig, line: u32) -> Result<(), BuildError> {
        if !config.config.on_build.is_empty() {
            let message = "the base image has ONBUILD instructions, which are not supported";
            return Err(self.at(line, message));
        }
        let platform = config.platform();
        if !platform.runs_on(&self.request.platform) {
            let wanted = &self.request.platform;
            self.warn(
                line,
                format!("the base image is for {platform}, the build for {wanted}"),
            );
        }
        Ok(())
    }

    // A directory as a root file system: one layer, no configuration.
    fn context_stage(&mut self, name: &str, line: u32) -> Result<StageState, BuildError> {
        let source = self.context(Some(name))?;
        let request = super::copy::CopyRequest {
            sources: vec![super::copy::CopySource::Path("/".to_owned())],
            destination: "/".to_owned(),
            working_dir: "/".to_owned(),
            ..Default::default()
        };
        let mut state = StageState::scratch();
        let plan = self.plan_copy(&request, &source, &state, line)?;
        self.add_plan(&plan, &mut state, line, &format!("build context {name}"))?;
        Ok(state)
    }

    fn base_image(&self, name: &str, line: u32) -> Result<crate::Image, BuildError> {
        let reference = Reference::parse(name).map_err(|error| self.at(line, error.to_string()))?;
        self.tools.images.base(&reference).map_err(|cause| {
            let name = reference.familiar();
            let message = format!("base image {name}: {}", chain(&*cause));
            BuildError::Base {
                at: self.dockerfile.located(line, message),
                reference: Box::new(reference),
                cause,
            }
        })
    }

    /// Returns the tree that `--from` names, or the main context.
    pub(super) fn source(
        &mut self,
        index: usize,
        from: Option<&str>,
        line: u32,
    ) -> Result<Source, BuildError> {
        let Some(name) = from else {
            return self.context(None);
        };
        match origin(self.request, self.dockerfile, index, name, false) {
            Origin::Context(name) => self.context(Some(&name)),
            Origin::Stage(found) => {
                let layers = self.layer_dirs(&self.finished[&found])?;
                Ok(Source::layers(layers))
            }
            Origin::Image(name) => {
                let image = self.base_image(&name, line)?;
                Ok(Source::layers(
                    image.layers.into_iter().map(|layer| layer.dir),
                ))
            }
            Origin::Scratch => Err(self.at(line, "there is nothing to copy from scratch")),
        }
    }

    fn context(&mut self, name: Option<&str>) -> Result<Source, BuildError> {
        let key = name.unwrap_or_default();
        if let Some(source) = self.contexts.get(key) {
            return Ok(source.clone());
        }
        let source = match name {
            Some(name) => Source::directory(&self.request.contexts[name], None)?,
            None => Source::directory(&self.request.context, self.request.own_ignore.as_ref())?,
        };
        self.contexts.insert(key.to_owned(), source.clone());
        Ok(source)
    }

    /// Writes an instruction into the image's history.
    pub(super) fn note(&self, state: &mut StageState, created_by: &str, empty_layer: bool) {
        state.history.push(History {
            created: Some(self.created()),
            created_by: Some(created_by.to_owned()),
            empty_layer,
            ..History::default()
        });
    }

    fn created(&self) -> String {
        let time = jiff::Timestamp::from_second(self.request.epoch_seconds);
        time.unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
    }

    fn image(&mut self, state: &StageState) -> Result<(Digest, Digest), BuildError> {
        let platform = &self.request.platform;
        let mut config = ImageConfig {
            created: Some(self.created()),
            author: state.author.clone(),
            architecture: platform.architecture.clone(),
            variant: platform.variant.clone(),
            os: platform.os.clone(),
            config: state.config.clone(),
            rootfs: RootFs::default(),
            history: state.history.clone(),
            ..ImageConfig::default()
        };
        config.config.labels.extend(self.request.labels.clone());
        config.rootfs.diff_ids = state.layers.iter().map(|layer| layer.diff_id).collect();
        let (id, size) = self.put(&config)?;
        let layers = state.layers.iter().map(|layer| layer.blob.clone());
        let manifest = Manifest::new(
            Descriptor::new(media_type::CONFIG, id, size),
            layers.collect(),
        );
        let (digest, _) = self.put(&manifest)?;
        Ok((digest, id))
    }

    fn put(&mut self, document: &impl serde::Serialize) -> Result<(Digest, u64), BuildError> {
        let text = serde_json::to_vec(document)
            .map_err(|error| BuildError::Request(format!("the image has no JSON form: {error}")))?;
        Ok((self.stage.put(&text)?, text.len() as u64))
    }

    fn warn_of_unused_arguments(&mut self) {
        let given = self.request.arguments.keys();
        let unused: Vec<String> = given
            .filter(|name| !self.used_arguments.contains(*name) && !is_predefined(name))
            .cloned()
            .collect();
        for name in unused {
            self.warn(
                0,
                format!("--build-arg {name} is not used: no stage that is built has ARG {name}"),
            );
        }
    }

    pub(super) fn at(&self, line: u32, message: impl Into<String>) -> BuildError {
        self.dockerfile.located(line, message).into()
    }

    pub(super) fn plan_failed(&self, line: u32, error: PlanError) -> BuildError {
        let want_of_room = match &error {
            PlanError::Read { path, source } => self.stage.want_of_room(source, path),
            _ => None,
        };
        match want_of_room {
            Some(error) => error.into(),
            None => self.at(line, chain(&error)),
        }
    }

    /// Returns the owner `--chown` or `USER` means for new files.
    pub(super) fn owner(&self, view: &View, spec: &str) -> Result<Owner, UserError> {
        let resolved = view.resolve_user(spec)?;
        // A number without a group is its own group (Dockerfile reference,
        // "COPY --chown").
        let gid = match spec.parse::<u32>() {
            Ok(uid) => uid,
            Err(_) => resolved.gid,
        };
        Ok(Owner {
            uid: resolved.uid,
            gid,
        })
    }
}

/// Returns an error with its causes in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
