//! The layers of a build: made from a plan or remembered, put on top of a
//! stage, and handed to the store.

use std::path::PathBuf;

use super::builder::Builder;
use super::copy::CopyRequest;
use super::plan::Plan;
use super::source::Source;
use super::state::StageState;
use super::{BuildError, BuildEvent};
use crate::digest::Digest;
use crate::rootfs::View;
use crate::store::StoreError;
use crate::store::layers::chain_id;
use crate::store::steps::Step;

impl Builder<'_> {
    /// Returns the directories of a stage's layers, lowest first.
    pub(super) fn layer_dirs(&self, state: &StageState) -> Result<Vec<PathBuf>, BuildError> {
        let mut dirs = Vec::with_capacity(state.layers.len());
        for layer in &state.layers {
            let unpacked = self.stage.layer(layer.diff_id, layer.chain_id)?;
            let unpacked = unpacked.ok_or(StoreError::Missing {
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
        request: &CopyRequest,
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

    /// Makes finished layers part of the store and remembers their steps.
    pub(super) fn publish(&mut self) -> Result<(), BuildError> {
        self.stage.publish()?;
        for (key, step) in std::mem::take(&mut self.pending) {
            self.stage.store().remember_step(key, &step)?;
        }
        Ok(())
    }
}
