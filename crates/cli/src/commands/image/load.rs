//! `coracle image load` and `coracle image save`.

use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};

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
    let archive = if archive == Path::new("-") {
        own_descriptor(0)
    } else {
        std::path::absolute(archive)?
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
            return Err(error.into());
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
    let file = if to_stdout {
        None
    } else {
        Some(std::fs::File::create(output)?)
    };
    let output = own_descriptor(file.as_ref().map_or(1, AsRawFd::as_raw_fd));
    let job = Job::Save {
        cluster: global.cluster.clone(),
        names: names.to_vec(),
        output,
        oci,
    };
    run_job(&target.home, &job, |_| {})?;
    Ok(())
}

/// Returns the path by which another process of the same user opens a
/// descriptor of this one.
fn own_descriptor(fd: RawFd) -> PathBuf {
    PathBuf::from(format!("/proc/{}/fd/{fd}", std::process::id()))
}
