//! Building images from Dockerfiles.

pub mod dockerfile;
mod glob;
mod ignore;
