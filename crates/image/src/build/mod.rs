//! Building images from Dockerfiles: [`build`].
//!
//! No daemon and no runtime: files are copied by this crate, commands are run
//! through [`Execute`], which the caller hands in. A layer's archive depends on
//! what goes into it and on nothing else: members sorted, one fixed time,
//! owners as numbers. Layers are kept uncompressed, which makes a rebuild as
//! fast as copying; they are compressed when they are pushed, and a saved archive
//! can be compressed as a whole.

mod arguments;
mod builder;
mod copy;
mod digests;
pub mod dockerfile;
mod error;
mod event;
mod glob;
mod graph;
mod ignore;
mod instructions;
mod layers;
mod plan;
mod request;
mod run;
mod run_step;
mod source;
mod state;

pub use builder::{Built, build};
pub use error::BuildError;
pub use event::BuildEvent;
pub use request::{BaseImages, BuildRequest, StoreImages, Tools};
pub use run::{Execute, ExecuteError, ExecuteMount, ExecuteRequest, ExecuteSource, Stream};
