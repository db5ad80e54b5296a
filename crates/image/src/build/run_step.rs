//! `RUN`: prepares the directories, has the command run, and makes a layer of
//! what it changed.

use std::path::{Path, PathBuf};

use super::arguments::is_predefined;
use super::builder::Builder;
use super::copy::{CopyRequest, CopySource, plan_copy};
use super::dockerfile::{Arguments, Instruction, Mount, MountKind, Run, RunCommand};
use super::run::{ExecuteError, ExecuteMount, ExecuteRequest, ExecuteSource};
use super::state::StageState;
use super::{BuildError, BuildEvent};
use crate::digest::{Digest, Hasher};
use crate::rootfs::{FoundKind, View, clean, write_layer};
use crate::store::StoreError;
use crate::store::layers::{LayerMeta, chain_id, make_root, write_meta};

/// Changes whenever the same command would be run in another way.
const RUN_VERSION: &[u8] = b"run 1";
/// Where a heredoc with `#!` is mounted.
const SCRIPT_PATH: &str = "/run/coracle-build-script";
/// What a runtime mounts in every container; empty mount points of it are no
/// part of an image.
const RUNTIME_PATHS: [&str; 7] = [
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/hostname",
    "/dev",
    "/proc",
    "/sys",
    "/etc",
];

/// A mount with what it contributes to the cache key.
struct Prepared {
    mount: ExecuteMount,
    key: Vec<u8>,
}

impl Builder<'_> {
    pub(super) fn run(
        &mut self,
        stage: usize,
        instruction: &Instruction,
        run: &Run,
        state: &mut StageState,
    ) -> Result<(), BuildError> {
        let line = instruction.line;
        let view = self.view(state)?;
        let arguments = self.run_arguments(run, state);
        let mut mounts = Vec::new();
        for mount in &run.mounts {
            mounts.push(self.mount(stage, mount, state, line)?);
        }
        if let RunCommand::Script(heredoc) = &run.command {
            mounts.push(self.script(&heredoc.text())?);
        }
        let network = self.request.network && run.network.unwrap_or(true);
        let epoch = self.request.epoch_seconds;
        let key = run_key(state, &arguments, &mounts, network, epoch);
        if self.reuse(key, state, &instruction.text)? {
            return Ok(());
        }
        let user = view.resolve_user(&state.config.user);
        let user = user.map_err(|error| self.at(line, error.to_string()))?;
        let mut environment = state.run_environment();
        let proxies = self
            .request
            .arguments
            .iter()
            .filter(|(name, _)| is_predefined(name));
        environment.extend(proxies.map(|(name, value)| (name.clone(), value.clone())));
        if !environment.iter().any(|(name, _)| name == "HOME") {
            environment.push(("HOME".to_owned(), user.home.clone()));
        }
        let directory = self.stage.scratch();
        let upper = directory.join("fs");
        let work = self.stage.scratch();
        make_root(&directory, &upper)?;
        make_root(&work, &work.join("w"))?;
        let request = ExecuteRequest {
            lowers: view.layers_uppermost_first().to_vec(),
            upper: upper.clone(),
            work: work.join("w"),
            arguments,
            environment,
            working_dir: state.working_dir().to_owned(),
            user,
            mounts: mounts.into_iter().map(|prepared| prepared.mount).collect(),
            network,
        };
        self.make_working_dir(&view, &request, line)?;
        self.execute(&request, instruction)?;
        remove_mount_points(&view, &request).map_err(StoreError::io("clean", &upper))?;
        self.take_upper(&directory, key, state, instruction)?;
        self.publish()
    }

    fn run_arguments(&self, run: &Run, state: &StageState) -> Vec<String> {
        match &run.command {
            RunCommand::Arguments(Arguments::Exec(words)) => words.clone(),
            RunCommand::Arguments(Arguments::Shell(text)) => {
                let mut words = state.shell();
                words.push(text.clone());
                words
            }
            // The kernel reads the first line.
            RunCommand::Script(_) => vec![SCRIPT_PATH.to_owned()],
        }
    }

    fn execute(
        &mut self,
        request: &ExecuteRequest,
        instruction: &Instruction,
    ) -> Result<(), BuildError> {
        let progress = &mut *self.progress;
        let done = match self.tools.execute {
            None => Err(ExecuteError::NoRuntime),
            Some(execute) => execute.execute(request, &mut |stream, bytes| {
                let bytes = bytes.to_vec();
                progress(BuildEvent::Output { stream, bytes });
            }),
        };
        done.map_err(|cause| BuildError::Run {
            at: self.dockerfile.located(instruction.line, cause.to_string()),
            cause,
        })
    }

    // Docker makes it too; a base image may name one it does not have.
    fn make_working_dir(
        &self,
        view: &View,
        request: &ExecuteRequest,
        line: u32,
    ) -> Result<(), BuildError> {
        let failed = |error: crate::rootfs::ViewError| self.plan_failed(line, error.into());
        let real = view.real_path(&request.working_dir).map_err(failed)?;
        if view.find(&real).map_err(failed)?.is_some() {
            return Ok(());
        }
        let path = request.upper.join(real.strip_prefix("/").unwrap_or(&real));
        std::fs::create_dir_all(&path).map_err(StoreError::io("make the directory", &path))?;
        Ok(())
    }

    fn take_upper(
        &mut self,
        directory: &Path,
        key: Digest,
        state: &mut StageState,
        instruction: &Instruction,
    ) -> Result<(), BuildError> {
        let blob = self.stage.blob()?;
        let upper = directory.join("fs");
        let written = write_layer(&upper, blob, self.request.epoch_seconds);
        let (blob, summary) = written.map_err(|error| {
            let want_of_room = std::error::Error::source(&error)
                .and_then(|cause| cause.downcast_ref())
                .and_then(|cause| self.stage.want_of_room(cause, &upper));
            want_of_room.unwrap_or_else(|| StoreError::Broken {
                what: "the result of a RUN step".to_owned(),
                reason: super::builder::chain(&error),
            })
        })?;
        let (digest, _) = self.stage.finish_blob(blob, None)?;
        self.stage.spend(summary.bytes)?;
        let chain = chain_id(state.chain(), digest);
        if self.stage.layer(digest, chain)?.is_none() {
            let meta = LayerMeta {
                diff_id: digest,
                chain_id: None,
                size_bytes: summary.bytes,
                members: summary.members,
                devices_skipped: 0,
            };
            write_meta(directory, &meta)?;
            self.stage.take_layer(directory, meta)?;
        }
        self.add_layer(key, digest, summary.bytes, state, &instruction.text)
    }

    fn mount(
        &mut self,
        stage: usize,
        mount: &Mount,
        state: &StageState,
        line: u32,
    ) -> Result<Prepared, BuildError> {
        let target = self.word(&mount.target, state, line)?;
        let target = clean(&Path::new(state.working_dir()).join(target));
        if target == Path::new("/") {
            return Err(self.at(line, "a mount cannot take the place of the root"));
        }
        let mut hasher = Hasher::new();
        hasher.field(target.as_os_str().as_encoded_bytes());
        let mut writable = mount.writable;
        let source = match &mount.kind {
            MountKind::Tmpfs { bytes_max } => ExecuteSource::Tmpfs {
                bytes_max: *bytes_max,
            },
            MountKind::Cache { id, mode, uid, gid } => {
                let id = match id {
                    Some(id) => self.word(id, state, line)?,
                    None => target.to_string_lossy().into_owned(),
                };
                ExecuteSource::Path(self.cache(&id, *mode, *uid, *gid)?)
            }
            MountKind::Bind { from, source } => {
                let path = self.word(source, state, line)?;
                let (source, content) = self.bind(stage, from.as_deref(), &path, line)?;
                hasher.field(content.hex().as_bytes());
                // A single file has no layer to write to, and is not ours.
                writable &= matches!(source, ExecuteSource::Layers(_));
                source
            }
        };
        Ok(Prepared {
            key: hasher.finish().hex().into_bytes(),
            mount: ExecuteMount {
                target,
                source,
                writable,
            },
        })
    }

    fn cache(&self, id: &str, mode: u32, uid: u32, gid: u32) -> Result<PathBuf, BuildError> {
        use std::os::unix::fs::{PermissionsExt, chown};
        let directory = self.stage.store().cache_dir(id)?;
        let inside = directory.join("data");
        if !inside.exists() {
            std::fs::create_dir(&inside).map_err(StoreError::io("make the directory", &inside))?;
            let permissions = std::fs::Permissions::from_mode(mode);
            let set = std::fs::set_permissions(&inside, permissions);
            set.map_err(StoreError::io("set the mode of", &inside))?;
            if (uid, gid) != (0, 0)
                && let Err(error) = chown(&inside, Some(uid), Some(gid))
            {
                tracing::warn!(%uid, %gid, %error, "a cache cannot be given to its user");
            }
        }
        Ok(inside)
    }

    fn bind(
        &mut self,
        stage: usize,
        from: Option<&str>,
        path: &str,
        line: u32,
    ) -> Result<(ExecuteSource, Digest), BuildError> {
        let source = self.source(stage, from, line)?;
        let path = clean(Path::new(path));
        let found = source
            .find(&path)
            .map_err(|error| self.plan_failed(line, error.into()))?;
        let Some(found) = found else {
            let message = format!(
                "{} does not exist in the source of the mount",
                path.display()
            );
            return Err(self.at(line, message));
        };
        let request = CopyRequest {
            sources: vec![CopySource::Path(path.to_string_lossy().into_owned())],
            destination: "/mounted/".to_owned(),
            working_dir: "/".to_owned(),
            ..CopyRequest::default()
        };
        let planned = plan_copy(&request, &source, &View::default(), &mut PathBuf::new);
        let plan = planned.map_err(|error| self.plan_failed(line, error))?;
        let content = plan
            .digest(0, &mut self.digests)
            .map_err(|error| self.plan_failed(line, error))?;
        let relative = found.path.strip_prefix("/").unwrap_or(&found.path);
        let layers = source.view.layers_uppermost_first();
        let mounted = match &found.kind {
            FoundKind::Directory => {
                let dirs = layers.iter().map(|layer| layer.join(relative));
                let dirs = dirs.filter(|dir| dir.is_dir()).collect();
                ExecuteSource::Layers(dirs)
            }
            _ => ExecuteSource::Path(found.source),
        };
        Ok((mounted, content))
    }

    fn script(&mut self, text: &str) -> Result<Prepared, BuildError> {
        use std::os::unix::fs::PermissionsExt;
        let path = self.stage.scratch();
        let written = std::fs::write(&path, text)
            .and_then(|()| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)));
        written.map_err(StoreError::io("write", &path))?;
        Ok(Prepared {
            key: Digest::of(text.as_bytes()).hex().into_bytes(),
            mount: ExecuteMount {
                target: PathBuf::from(SCRIPT_PATH),
                source: ExecuteSource::Path(path),
                writable: false,
            },
        })
    }
}

fn run_key(
    state: &StageState,
    arguments: &[String],
    mounts: &[Prepared],
    network: bool,
    epoch_seconds: i64,
) -> Digest {
    let mut hasher = Hasher::new();
    hasher.field(RUN_VERSION);
    let chain = state.chain().map(|chain| chain.hex()).unwrap_or_default();
    hasher.field(chain.as_bytes());
    hasher.field(&(arguments.len() as u64).to_le_bytes());
    arguments
        .iter()
        .for_each(|argument| hasher.field(argument.as_bytes()));
    for (name, value) in state.run_environment() {
        if !is_predefined(&name) {
            hasher.field(name.as_bytes());
            hasher.field(value.as_bytes());
        }
    }
    hasher.field(state.working_dir().as_bytes());
    hasher.field(state.config.user.as_bytes());
    mounts.iter().for_each(|mount| hasher.field(&mount.key));
    hasher.field(&[u8::from(network)]);
    hasher.field(&epoch_seconds.to_le_bytes());
    hasher.finish()
}

// A mount point that the runtime had to make is empty and was not there
// before; it is no part of the image, nor are the parents made for it.
fn remove_mount_points(view: &View, request: &ExecuteRequest) -> std::io::Result<()> {
    let mounts = request.mounts.iter().map(|mount| mount.target.clone());
    let runtime = RUNTIME_PATHS.iter().map(PathBuf::from);
    for target in mounts.chain(runtime) {
        let real = view.real_path(&target).unwrap_or(target);
        for path in real.ancestors().take_while(|path| *path != Path::new("/")) {
            if view.find_no_follow(path).ok().flatten().is_some() {
                break;
            }
            let inside = request.upper.join(path.strip_prefix("/").unwrap_or(path));
            if !remove_if_empty(&inside)? {
                break;
            }
        }
    }
    Ok(())
}

fn remove_if_empty(path: &Path) -> std::io::Result<bool> {
    use std::io::ErrorKind;
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(true);
        }
        Err(error) => return Err(error),
    };
    if metadata.is_file() && metadata.len() == 0 {
        return std::fs::remove_file(path).map(|()| true);
    }
    if !metadata.is_dir() {
        return Ok(false);
    }
    match std::fs::remove_dir(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(false),
        Err(error) => Err(error),
    }
}
