//! Dockerfiles as text: lines, words, variables, instructions.
//!
//! Written after the Dockerfile reference
//! <https://docs.docker.com/reference/dockerfile/>. Nothing here reads a file.

mod ast;
mod error;
mod expand;
mod flags;
mod lines;
mod parse;
mod words;

pub use ast::{
    Arguments, Copy, Dockerfile, Healthcheck, Instruction, Kind, Mount, MountKind, Run, RunCommand,
    Stage,
};
pub use error::Located;
pub use expand::Expander;
pub use lines::Heredoc;
pub use parse::parse;
