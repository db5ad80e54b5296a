//! Remembered build steps: `steps/<key>.json` says which layer an instruction
//! over a parent and its inputs gave.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ImageStore, StoreError};
use crate::digest::Digest;

/// The layer a step gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Step {
    /// Digest of the layer blob.
    pub(crate) blob: Digest,
    /// Digest of the uncompressed layer.
    pub(crate) diff_id: Digest,
    /// The layer with all below it.
    pub(crate) chain_id: Digest,
}

impl ImageStore {
    fn steps_dir(&self) -> PathBuf {
        self.dir.join("steps")
    }

    /// Returns the remembered step; a broken record is no record.
    pub(crate) fn step(&self, key: Digest) -> Option<Step> {
        let path = self.steps_dir().join(format!("{}.json", key.hex()));
        let text = std::fs::read(path).ok()?;
        serde_json::from_slice(&text).ok()
    }

    pub(crate) fn remember_step(&self, key: Digest, step: &Step) -> Result<(), StoreError> {
        let path = self.steps_dir().join(format!("{}.json", key.hex()));
        let text = serde_json::to_vec(step).map_err(|error| StoreError::Broken {
            what: path.display().to_string(),
            reason: error.to_string(),
        })?;
        super::files::replace(&path, &text, false)
    }

    pub(crate) fn steps(&self) -> Result<Vec<Step>, StoreError> {
        let directory = self.steps_dir();
        let mut steps = Vec::new();
        for entry in std::fs::read_dir(&directory).map_err(StoreError::io("list", &directory))? {
            let path = entry.map_err(StoreError::io("list", &directory))?.path();
            let text = std::fs::read(&path).unwrap_or_default();
            steps.extend(serde_json::from_slice::<Step>(&text).ok());
        }
        Ok(steps)
    }

    pub(crate) fn drop_steps(&self) -> Result<(), StoreError> {
        let directory = self.steps_dir();
        super::files::remove_tree(&directory).map_err(StoreError::io("remove", &directory))?;
        super::files::make_directory(&directory)
    }
}
