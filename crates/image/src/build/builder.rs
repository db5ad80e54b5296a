//! The build itself: stage by stage, instruction by instruction.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::digests::FileDigests;
use super::dockerfile::{self, Dockerfile, Expander, Located};
use super::graph::{Graph, Origin, graph, is_replaced, origin};
use super::plan::{Owner, Plan, PlanError};
use super::source::Source;
use super::state::StageState;
use super::{BuildError, BuildEvent, BuildRequest, Tools};
use crate::digest::Digest;
use crate::oci::{Descriptor, History, ImageConfig, Manifest, RootFs, media_type};
use crate::reference::Reference;
use crate::rootfs::{UserError, View};
use crate::store::layers::chain_id;
use crate::store::steps::Step;
use crate::store::{ImageStore, NameChange, Stage};

/// Sets the one time in the image.
const EPOCH_ARGUMENT: &str = "SOURCE_DATE_EPOCH";

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
    pending: Vec<(Digest, Step)>,
    pub(super) digests: FileDigests,
    number: usize,
    total: usize,
    cached: usize,
    made: usize,
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

    /// Returns the directories of a stage's layers, lowest first.
    pub(super) fn layer_dirs(&self, state: &StageState) -> Result<Vec<PathBuf>, BuildError> {
        let mut dirs = Vec::with_capacity(state.layers.len());
        for layer in &state.layers {
            let unpacked = self.stage.layer(layer.diff_id, layer.chain_id)?;
            let unpacked = unpacked.ok_or(crate::store::StoreError::Missing {
                what: "layer",
                digest: layer.diff_id,
            })?;
            dirs.push(unpacked.dir);
        }
        Ok(dirs)
    }

    pub(super) fn view(&self, state: &StageState) -> Result<View, BuildError> {
        Ok(View::new(self.layer_dirs(state)?))
    }

    pub(super) fn plan_copy(
        &mut self,
        request: &super::copy::CopyRequest,
        source: &Source,
        state: &StageState,
        line: u32,
    ) -> Result<Plan, BuildError> {
        let below = self.view(state)?;
        let stage = &mut self.stage;
        let planned = super::copy::plan_copy(request, source, &below, &mut || stage.scratch());
        planned.map_err(|error| self.plan_failed(line, error))
    }

    /// Makes a plan's layer, or finds it remembered, and puts it on top.
    pub(super) fn add_plan(
        &mut self,
        plan: &Plan,
        state: &mut StageState,
        line: u32,
        created_by: &str,
    ) -> Result<(), BuildError> {
        let epoch = self.request.epoch_seconds;
        let key = plan
            .digest(epoch, &mut self.digests)
            .map_err(|error| self.plan_failed(line, error))?;
        if self.reuse(key, state, created_by)? {
            return Ok(());
        }
        let blob = self.stage.blob()?;
        let blob = plan
            .write(blob, epoch)
            .map_err(|error| self.plan_failed(line, error))?;
        let (digest, _) = self.stage.finish_blob(blob, None)?;
        let lowers = self.layer_dirs(state)?;
        let chain = chain_id(state.chain(), digest);
        let (layer, _) = self.stage.ensure_layer(digest, digest, chain, &lowers)?;
        self.add_layer(key, digest, layer.meta.size_bytes, state, created_by)
    }

    /// Puts a remembered layer on top, when there is one.
    pub(super) fn reuse(
        &mut self,
        key: Digest,
        state: &mut StageState,
        created_by: &str,
    ) -> Result<bool, BuildError> {
        if !self.request.use_cache {
            return Ok(false);
        }
        let step = match self.pending.iter().find(|(known, _)| *known == key) {
            Some((_, step)) => Some(step.clone()),
            None => self.stage.store().step(key),
        };
        let Some(step) = step else {
            return Ok(false);
        };
        let chain = chain_id(state.chain(), step.diff_id);
        let whole = self.stage.blob_size(step.blob).is_some()
            && self.stage.layer(step.diff_id, chain)?.is_some();
        if !whole {
            return Ok(false);
        }
        let descriptor = self.stage.describe_layer(step.blob)?;
        state.add_layer(descriptor, step.diff_id);
        self.note(state, created_by, false);
        self.cached += 1;
        (self.progress)(BuildEvent::Cached);
        Ok(true)
    }

    pub(super) fn add_layer(
        &mut self,
        key: Digest,
        digest: Digest,
        size_bytes: u64,
        state: &mut StageState,
        created_by: &str,
    ) -> Result<(), BuildError> {
        let descriptor = self.stage.describe_layer(digest)?;
        state.add_layer(descriptor, digest);
        let step = Step {
            blob: digest,
            diff_id: digest,
            chain_id: chain_id(None, digest),
        };
        self.pending.push((key, step));
        self.made += 1;
        self.note(state, created_by, false);
        let diff_id = digest;
        (self.progress)(BuildEvent::Layer {
            diff_id,
            size_bytes,
        });
        Ok(())
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

    /// Makes finished layers part of the store and remembers their steps.
    pub(super) fn publish(&mut self) -> Result<(), BuildError> {
        self.stage.publish()?;
        for (key, step) in std::mem::take(&mut self.pending) {
            self.stage.store().remember_step(key, &step)?;
        }
        Ok(())
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

// <https://reproducible-builds.org/specs/source-date-epoch/>, as a build
// argument, as other builders take it.
fn with_epoch(request: &BuildRequest) -> Result<BuildRequest, BuildError> {
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

fn global_arguments(
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

fn bases(
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
