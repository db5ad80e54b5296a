//! Instructions as data.

use super::lines::Heredoc;

/// A parsed Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// How the user names the file.
    pub file: String,
    /// The escape character.
    pub escape: char,
    /// `ARG`s before the first `FROM`: name and default.
    pub arguments: Vec<(String, Option<String>)>,
    /// The stages in order.
    pub stages: Vec<Stage>,
    /// The text, for excerpts.
    pub(crate) lines: Vec<String>,
}

/// One `FROM` and what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Line of the `FROM`.
    pub line: u32,
    /// Image or stage, variables not yet replaced.
    pub base: String,
    /// `--platform`, variables not yet replaced.
    pub platform: Option<String>,
    /// Name after `AS`, in lower case.
    pub name: Option<String>,
    /// The instructions.
    pub instructions: Vec<Instruction>,
}

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// First line.
    pub line: u32,
    /// The text with continuations joined.
    pub text: String,
    /// What it asks for.
    pub kind: Kind,
}

/// What an instruction asks for. Words are not yet expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `ARG`: names and defaults.
    Arg(Vec<(String, Option<String>)>),
    /// `ENV`: names and values.
    Env(Vec<(String, String)>),
    /// `LABEL`: keys and values.
    Label(Vec<(String, String)>),
    /// `COPY`, and `ADD` of local files.
    Copy(Copy),
    /// `RUN`.
    Run(Run),
    /// `CMD`.
    Cmd(Arguments),
    /// `ENTRYPOINT`.
    Entrypoint(Arguments),
    /// `SHELL`.
    Shell(Vec<String>),
    /// `WORKDIR`.
    Workdir(String),
    /// `USER`.
    User(String),
    /// `EXPOSE`.
    Expose(Vec<String>),
    /// `VOLUME`.
    Volume(Vec<String>),
    /// `STOPSIGNAL`.
    StopSignal(String),
    /// `HEALTHCHECK`.
    Healthcheck(Healthcheck),
    /// `MAINTAINER`.
    Maintainer(String),
}

/// A command: exec form or shell form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arguments {
    /// JSON list: run as it is.
    Exec(Vec<String>),
    /// Text for the shell.
    Shell(String),
}

/// `COPY` or `ADD`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Copy {
    /// Whether archives are unpacked: `ADD`.
    pub unpack: bool,
    /// `--from`.
    pub from: Option<String>,
    /// `--chown`.
    pub chown: Option<String>,
    /// `--chmod`.
    pub chmod: Option<String>,
    /// `--exclude`, several times.
    pub excludes: Vec<String>,
    /// Sources; a heredoc stands as its opening word.
    pub sources: Vec<String>,
    /// Destination.
    pub destination: String,
    /// Bodies of the heredocs among the sources.
    pub heredocs: Vec<Heredoc>,
}

/// `RUN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The command.
    pub command: RunCommand,
    /// `--mount`, several times.
    pub mounts: Vec<Mount>,
    /// `--network`: false for `none`; `None` when not said.
    pub network: Option<bool>,
}

/// What `RUN` runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunCommand {
    /// A plain command.
    Arguments(Arguments),
    /// One heredoc that starts with `#!`: a program of its own.
    Script(Heredoc),
}

/// `RUN --mount`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted.
    pub kind: MountKind,
    /// Where, variables not yet replaced.
    pub target: String,
    /// Whether it can be written.
    pub writable: bool,
}

/// What a `RUN --mount` mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountKind {
    /// Files of a context, stage or image.
    Bind {
        /// Stage, image or context; the main context when `None`.
        from: Option<String>,
        /// Path in it.
        source: String,
    },
    /// A directory kept between builds.
    Cache {
        /// Which one; the target when not said.
        id: Option<String>,
        /// Mode of the directory when it is made.
        mode: u32,
        /// Owner when it is made.
        uid: u32,
        /// Group when it is made.
        gid: u32,
    },
    /// An empty directory in memory.
    Tmpfs {
        /// Most bytes in it.
        bytes_max: Option<u64>,
    },
}

/// `HEALTHCHECK`; `None` fields are inherited.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Healthcheck {
    /// The command; `None` is `HEALTHCHECK NONE`.
    pub command: Option<Arguments>,
    /// `--interval`, nanoseconds.
    pub interval: i64,
    /// `--timeout`, nanoseconds.
    pub timeout: i64,
    /// `--start-period`, nanoseconds.
    pub start_period: i64,
    /// `--start-interval`, nanoseconds.
    pub start_interval: i64,
    /// `--retries`.
    pub retries: i64,
}

impl Dockerfile {
    /// Returns an error that points at a line.
    pub(crate) fn located(&self, line: u32, message: impl Into<String>) -> super::Located {
        let index = (line as usize).saturating_sub(1);
        super::Located {
            file: self.file.clone(),
            line,
            excerpt: self.lines.get(index).cloned().unwrap_or_default(),
            message: message.into(),
        }
    }
}
