//! `coracle image load` and `coracle image save`.

use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{roll_changed, size};
use crate::commands::Global;
use crate::commands::progress::Progress;
use crate::commands::target::Target;
use crate::failure::{Failure, Outcome};
use crate::process::{Job, JobEvent, run_job};

pub(super) fn load(
    global: &Global,
    target: &Target,
    archive: &Path,
    name: Option<String>,
    no_roll: bool,
) -> Outcome {
    let step = Progress::new(global).step("Image");
    let (archive, told) = if archive == Path::new("-") {
        (own_descriptor(0), "standard input".to_owned())
    } else {
        (std::path::absolute(archive)?, archive.display().to_string())
    };
    let job = Job::Load {
        cluster: global.cluster.clone(),
        archive,
        name,
    };
    let result = run_job(&target.home, &job, |event| {
        if let JobEvent::Step { number, total, .. } = event {
            step.say(format!("layer {number} of {total}"));
        }
    });
    let events = match result {
        Ok(events) => events,
        Err(error) => {
            step.failed();
            return Err(load_failed(&error, &told));
        }
    };
    let loaded: Vec<String> = events
        .iter()
        .filter_map(|event| match event {
            JobEvent::Loaded { names, bytes } => {
                Some(format!("{} ({})", names.join(", "), size(*bytes)))
            }
            _ => None,
        })
        .collect();
    step.done(&format!("loaded {}", loaded.join(", ")));
    roll_changed(global, target, &events, no_roll)
}

pub(super) fn save(
    global: &Global,
    target: &Target,
    names: &[String],
    output: &Path,
    oci: bool,
) -> Outcome {
    let to_stdout = output == Path::new("-");
    if to_stdout && std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        return Err(Failure::usage("an archive is nothing for a terminal")
            .hint("name a file: --output FILE"));
    }
    let file = match to_stdout {
        true => None,
        false => Some(Output::create(output)?),
    };
    let descriptor = file.as_ref().map_or(1, |target| target.file.as_raw_fd());
    let output = own_descriptor(descriptor);
    let job = Job::Save {
        cluster: global.cluster.clone(),
        names: names.to_vec(),
        output,
        oci,
    };
    run_job(&target.home, &job, |_| {})?;
    file.map_or(Ok(()), Output::finish)
}

/// Says which archive is no good, and what makes good ones.
fn load_failed(error: &anyhow::Error, archive: &str) -> Failure {
    let text = format!("{error:#}");
    let failure = match text.contains(archive) {
        true => Failure::from(anyhow::anyhow!("{text}")),
        false => Failure::from(anyhow::anyhow!("{archive}: {text}")),
    };
    if text.contains("archive") || text.contains("is broken") {
        return failure.hint("archives come from coracle image save, docker save or skopeo copy");
    }
    failure
}

/// The file that an archive is written to: whole, or as it was before.
struct Output {
    file: File,
    path: PathBuf,
    /// Where it is written until it is whole; `None` for a pipe or a device.
    partial: Option<PathBuf>,
}

impl Output {
    fn create(path: &Path) -> Result<Output, Failure> {
        let is_other = std::fs::metadata(path).is_ok_and(|meta| !meta.is_file());
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".partial");
        let partial = (!is_other).then(|| path.with_file_name(name));
        let target = partial.as_deref().unwrap_or(path);
        let file =
            File::create(target).with_context(|| format!("could not write {}", path.display()))?;
        Ok(Output {
            file,
            path: path.to_owned(),
            partial,
        })
    }

    fn finish(mut self) -> Outcome {
        if let Some(partial) = self.partial.take() {
            std::fs::rename(&partial, &self.path)
                .with_context(|| format!("could not write {}", self.path.display()))?;
        }
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(partial) = &self.partial {
            // What failed is told already.
            let _ = std::fs::remove_file(partial);
        }
    }
}

/// Returns the path by which another process of the same user opens a
/// descriptor of this one.
fn own_descriptor(fd: RawFd) -> PathBuf {
    PathBuf::from(format!("/proc/{}/fd/{fd}", std::process::id()))
}
