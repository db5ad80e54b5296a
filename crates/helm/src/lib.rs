//! Charts: loading, values with their origin, dependencies, rendering. No I/O.
//!
//! [`Chart::load`] takes the files of a folder, [`Chart::load_archive`] the
//! bytes of a `.tgz`; [`Values`] gathers `-f` and `--set`; [`render`] gives the
//! documents of a release; [`print::template`] prints them as `helm template`
//! does. Not here: reading the disk, clusters, releases.

mod ahead;
pub mod archive;
pub mod capabilities;
pub mod chart;
pub mod coalesce;
pub mod compat;
pub mod convert;
pub mod dependencies;
pub mod error;
mod explain;
mod files;
mod funcs;
pub mod glob;
pub mod ignore;
mod job;
pub mod lint;
pub mod lock;
pub mod manifest;
pub mod metadata;
pub mod package;
pub mod print;
pub mod provenance;
mod reading;
pub mod render;
pub mod schema;
mod schema_path;
mod schema_words;
pub mod show;
mod sources;
mod stack;
pub mod strvals;
mod toml;
mod trace_text;
pub mod values;
mod values_type;

pub use capabilities::{Capabilities, KubeVersion};
pub use chart::{Chart, File, LoadError};
pub use compat::Level;
pub use coracle_gotemplate::funcs::urls::scheme as url_scheme;
pub use coracle_gotemplate::near::nearest;
pub use coracle_gotemplate::semver;
pub use error::{Place, RenderError, Step};
pub use lock::Lock;
pub use manifest::{Hook, Manifest};
pub use metadata::{Dependency, Metadata};
pub use render::{Lookup, NoCluster, Options, Release, Rendered, render, render_with};
pub use schema_words::regex_error;
pub use values::{Origin, Values, ValuesError};
