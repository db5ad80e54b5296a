//! Remembered build steps: `steps/<key>.json` says which layer an instruction
//! over a parent and its inputs gave.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

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
        let text = std::fs::read(&path).ok()?;
        let step = serde_json::from_slice(&text).ok()?;
        // The file's time says when the step was last of use.
        if let Ok(file) = std::fs::File::open(&path)
            && let Err(error) = file.set_modified(SystemTime::now())
        {
            tracing::debug!(%error, "the use of a build step is not noted");
        }
        Some(step)
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

    pub(crate) fn drop_steps_older_than(&self, age: Duration) -> Result<(), StoreError> {
        let directory = self.steps_dir();
        for entry in std::fs::read_dir(&directory).map_err(StoreError::io("list", &directory))? {
            let path = entry.map_err(StoreError::io("list", &directory))?.path();
            let used = std::fs::metadata(&path).and_then(|metadata| metadata.modified());
            let idle = used
                .ok()
                .and_then(|used| used.elapsed().ok())
                .unwrap_or_default();
            if idle >= age {
                std::fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
            }
        }
        Ok(())
    }
}
