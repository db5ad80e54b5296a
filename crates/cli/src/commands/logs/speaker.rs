//! Who writes a line: a prefix for each container, in a colour of its own.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use crate::paint::{Colour, Stream, paint};

/// Prints lines of several speakers.
pub struct Speakers {
    known: BTreeMap<String, usize>,
    width: usize,
    timestamps: bool,
}

impl Speakers {
    /// Returns nobody yet.
    pub fn new(timestamps: bool) -> Speakers {
        Speakers {
            known: BTreeMap::new(),
            width: 0,
            timestamps,
        }
    }

    /// Prints a line.
    pub fn say(&mut self, speaker: &str, time: &str, line: &str) {
        use std::io::Write;
        let next = self.known.len();
        let number = *self.known.entry(speaker.to_owned()).or_insert(next);
        self.width = self.width.max(speaker.chars().count());
        let prefix = format!("{speaker:<width$} |", width = self.width);
        let prefix = paint(Stream::Out, Colour::Speaker(number), &prefix);
        let time = if self.timestamps {
            format!("{time} ")
        } else {
            String::new()
        };
        // A reader that is gone (`| head`) ends the command.
        if writeln!(std::io::stdout(), "{prefix} {time}{line}").is_err() {
            std::process::exit(0);
        }
    }
}

/// Returns the name of a container as a speaker: its pod's, and its own where
/// the pod has several.
pub fn name(pod: &Pod, container: &str) -> String {
    let number = pod.spec.as_ref().map_or(0, |spec| {
        spec.containers.len() + spec.init_containers.as_ref().map_or(0, Vec::len)
    });
    if number > 1 {
        format!("{}/{container}", pod.name_any())
    } else {
        pod.name_any()
    }
}
