//! What a builder is asked to do and what it answers: [`Job`] and [`JobEvent`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use coracle_image::policy::Policy;
use coracle_image::registry::RegistryOptions;
use serde::{Deserialize, Serialize};

/// What the builder is asked to do.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "job")]
pub enum Job {
    /// Build an image from a Dockerfile.
    Build(Box<BuildJob>),
    /// List a cluster's images.
    List {
        /// The cluster.
        cluster: String,
    },
    /// Load the images of an archive or an OCI layout.
    Load {
        /// The cluster.
        cluster: String,
        /// The archive, or the folder of the layout.
        archive: PathBuf,
        /// A name for an archive's only image, instead of those it carries.
        name: Option<String>,
    },
    /// Write images as one archive.
    Save {
        /// The cluster.
        cluster: String,
        /// The images.
        names: Vec<String>,
        /// An open file that is written, by a path of `/proc`.
        output: PathBuf,
        /// Whether the archive is an OCI layout only.
        oci: bool,
    },
    /// Fetch an image from a registry.
    Pull {
        /// The cluster.
        cluster: String,
        /// The image.
        name: String,
        /// Its platform; `None` is this machine's.
        platform: Option<String>,
        /// How registries are used.
        registries: Box<RegistryOptions>,
    },
    /// Send an image to a registry.
    Push {
        /// The cluster.
        cluster: String,
        /// The image.
        name: String,
        /// Its name there; `None` is the same.
        to: Option<String>,
        /// How registries are used.
        registries: Box<RegistryOptions>,
    },
    /// Give an image another name.
    Tag {
        /// The cluster.
        cluster: String,
        /// The image.
        from: String,
        /// Its further name.
        to: String,
    },
    /// Describe an image.
    Inspect {
        /// The cluster.
        cluster: String,
        /// The image.
        name: String,
    },
    /// Tell how an image came to be.
    History {
        /// The cluster.
        cluster: String,
        /// The image.
        name: String,
    },
    /// Hold an image against a policy.
    Check {
        /// The cluster.
        cluster: String,
        /// The image.
        name: String,
        /// What is asked of it.
        policy: Policy,
    },
    /// Remove what no cluster names.
    Prune {
        /// Whether what builds remember goes as well.
        build_cache: bool,
    },
    /// Limit the store.
    Limit {
        /// Most bytes; `None` is no limit.
        bytes_max: Option<u64>,
    },
    /// Take names away from a cluster's images.
    Remove {
        /// The cluster.
        cluster: String,
        /// The names.
        names: Vec<String>,
    },
    /// Remove what a cluster leaves behind: its image names and its data.
    Forget {
        /// The cluster.
        cluster: String,
    },
}

/// An image to be built.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildJob {
    /// The cluster whose name the image gets.
    pub cluster: String,
    /// Folder of the files that it copies.
    pub context: PathBuf,
    /// The Dockerfile; `None` is `Dockerfile` in the context.
    pub file: Option<PathBuf>,
    /// The Dockerfile's text, where it is no file.
    pub text: Option<String>,
    /// Folders that stand in for stages or images.
    pub contexts: BTreeMap<String, PathBuf>,
    /// Values of `ARG`s.
    pub arguments: BTreeMap<String, String>,
    /// The stage to build; `None` is the last one.
    pub target: Option<String>,
    /// Names of the image.
    pub names: Vec<String>,
    /// Labels besides those of the Dockerfile.
    pub labels: BTreeMap<String, String>,
    /// Its platform; `None` is this machine's.
    pub platform: Option<String>,
    /// Whether `RUN` has a network.
    pub network: bool,
    /// Ports of the host's loopback that `RUN` may reach.
    pub host_ports: Vec<u16>,
    /// Whether remembered steps are used.
    pub use_cache: bool,
    /// Whether base images are asked of their registry though they are here.
    pub pull: bool,
    /// How registries are used.
    pub registries: RegistryOptions,
}

/// What the builder answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "event")]
pub enum JobEvent {
    /// An instruction begins.
    Step {
        /// Its number, from 1.
        number: usize,
        /// How many there are.
        total: usize,
        /// The instruction.
        text: String,
    },
    /// The instruction's result was known already.
    Cached,
    /// A command of the build has written a line.
    Output {
        /// The line.
        text: String,
    },
    /// So much of an image has come or gone.
    Moved {
        /// The image.
        name: String,
        /// Bytes so far.
        bytes: u64,
        /// Bytes in all.
        total: u64,
    },
    /// Something is odd but not wrong.
    Warning {
        /// What.
        text: String,
    },
    /// Names stand for other images than before.
    Changed {
        /// The names, as people write them.
        names: Vec<String>,
    },
    /// An image was loaded.
    Loaded {
        /// Its names.
        names: Vec<String>,
        /// Bytes of its files.
        bytes: u64,
    },
    /// An image was pulled or pushed.
    Exchanged {
        /// Its name.
        name: String,
        /// Digest of its manifest on the registry.
        digest: String,
        /// Bytes that went over the line.
        bytes: u64,
    },
    /// An image, described.
    Described {
        /// What there is to say.
        facts: serde_json::Value,
    },
    /// An image was built.
    Built {
        /// Digest of its manifest.
        digest: String,
        /// Its id.
        id: String,
        /// Steps whose layer was made; the others were known or make none.
        made: usize,
        /// Steps in all.
        total: usize,
    },
    /// An image of the list.
    Image {
        /// Its name; empty without one.
        name: String,
        /// Its id.
        id: String,
        /// Digest of its manifest.
        digest: String,
        /// When it was made, as its maker says.
        created: Option<String>,
        /// Bytes of its files.
        bytes: u64,
    },
    /// What the store holds.
    Store {
        /// Bytes that were made free.
        freed: u64,
        /// Bytes that it holds.
        bytes: u64,
        /// Most bytes it may hold; `None` is no limit.
        bytes_max: Option<u64>,
    },
    /// The job failed.
    Failed {
        /// Why.
        text: String,
    },
}
