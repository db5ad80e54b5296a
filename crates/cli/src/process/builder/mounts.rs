//! The mounts of a `RUN` step in the runtime's words.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use coracle_image::build::{ExecuteMount, ExecuteRequest, ExecuteSource};
use coracle_runtime::spec::{Bind, Mount, MountOptions, Rootfs, Source, Upper};
use coracle_runtime::{mount_bind, mount_layers, unmount};

/// What was mounted for one step, in the builder's own mount namespace; it is
/// taken away when the step is over.
#[derive(Default)]
pub(super) struct Prepared {
    pub mounts: Vec<Mount>,
    places: Vec<PathBuf>,
}

impl Drop for Prepared {
    fn drop(&mut self) {
        for place in &self.places {
            // At the latest it goes with the mount namespace.
            let _ = unmount(place);
        }
    }
}

impl Prepared {
    /// Prepares the mounts of a step. `place` is a folder of the step's own.
    pub(super) fn of(request: &ExecuteRequest, place: &Path) -> anyhow::Result<Prepared> {
        let mut prepared = Prepared::default();
        for (number, mount) in request.mounts.iter().enumerate() {
            let source = prepared.source(mount, number, request, place);
            let source = source.with_context(|| format!("mount {}", mount.target.display()))?;
            prepared.mounts.push(Mount {
                source,
                target: mount.target.to_string_lossy().into_owned(),
                options: MountOptions {
                    readonly: !mount.writable,
                    ..MountOptions::default()
                },
            });
        }
        Ok(prepared)
    }

    fn source(
        &mut self,
        mount: &ExecuteMount,
        number: usize,
        request: &ExecuteRequest,
        place: &Path,
    ) -> anyhow::Result<Source> {
        let dirs = match &mount.source {
            ExecuteSource::Path(path) => return Ok(Source::bind(path)),
            ExecuteSource::Tmpfs { bytes_max } => {
                return Ok(Source::Tmpfs {
                    bytes_max: bytes_max.unwrap_or(0),
                    mode: 0o1777,
                });
            }
            ExecuteSource::Layers(dirs) => dirs,
        };
        if let ([only], false) = (&dirs[..], mount.writable) {
            return Ok(Source::bind(only));
        }
        // What is written there lies beside the step's own changes, on the
        // same file system, and goes with them.
        let upper = match mount.writable {
            true => {
                let scratch = request.work.with_file_name(format!("mount-{number}"));
                let (dir, work) = (scratch.join("changes"), scratch.join("work"));
                fs::create_dir_all(&dir)?;
                fs::create_dir_all(&work)?;
                Some(Upper { dir, work })
            }
            false => None,
        };
        let layers = Rootfs {
            lowers: dirs.iter().rev().cloned().collect(),
            upper,
            readonly: !mount.writable,
        };
        let target = place.join(format!("mount-{number}"));
        fs::create_dir_all(&target)?;
        mount_layers(&layers, &target)?;
        self.places.push(target.clone());
        Ok(Source::bind(target))
    }

    /// Shows a small file of text.
    pub(super) fn text(&mut self, place: &Path, target: &str, text: &str) -> anyhow::Result<()> {
        let name = target.trim_start_matches('/').replace('/', "-");
        let path = place.join(name);
        fs::write(&path, text)?;
        self.mounts.push(Mount {
            source: Source::Bind(Bind {
                path,
                ..Bind::default()
            }),
            target: target.to_owned(),
            options: MountOptions::default(),
        });
        Ok(())
    }

    /// Gives a namespace a path, by which another process can enter it.
    pub(super) fn namespace(
        &mut self,
        place: &Path,
        namespace: &impl std::os::fd::AsRawFd,
    ) -> anyhow::Result<PathBuf> {
        let path = place.join("net");
        fs::write(&path, b"")?;
        let source = format!("/proc/self/fd/{}", namespace.as_raw_fd());
        mount_bind(Path::new(&source), &path, false)?;
        self.places.push(path.clone());
        Ok(path)
    }
}
