//! Progress of a build: [`BuildEvent`].

use super::run::Stream;
use crate::digest::Digest;

/// What happens during a build, for the caller to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildEvent {
    /// An instruction starts.
    Step {
        /// Stage, by name or number.
        stage: String,
        /// Number of the step, from 1, over all stages that are built.
        number: usize,
        /// Number of steps.
        total: usize,
        /// Line in the Dockerfile.
        line: u32,
        /// The instruction.
        instruction: String,
    },
    /// The instruction's result was known already.
    Cached,
    /// The instruction made a layer.
    Layer {
        /// Its digest.
        diff_id: Digest,
        /// Bytes of file content.
        size_bytes: u64,
    },
    /// A `RUN` command wrote something.
    Output {
        /// Where to.
        stream: Stream,
        /// What.
        bytes: Vec<u8>,
    },
    /// Something is odd but not wrong.
    Warning {
        /// Line in the Dockerfile; 0 when it belongs to none.
        line: u32,
        /// What.
        message: String,
    },
}
