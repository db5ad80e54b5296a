//! The logs of the cluster's own processes: files in its folder.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use super::super::target::Target;
use super::speaker::Speakers;
use crate::failure::{Failure, Outcome};

/// How often the files are looked at for more.
const LOOK: Duration = Duration::from_millis(200);

/// A log that is read on.
struct Tail {
    name: String,
    path: PathBuf,
    at: u64,
    rest: String,
}

/// Prints the logs, process by process; then what comes, if `follow` is set.
pub fn print(target: &Target, tail: Option<i64>, follow: bool) -> Outcome {
    let folder = target.dir.logs();
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".log"))
        .collect();
    names.sort();
    if names.is_empty() {
        return Err(Failure::from(anyhow::anyhow!(
            "cluster {} has written no logs",
            target.dir.name()
        )));
    }
    let mut speakers = Speakers::new(false);
    let mut tails: Vec<Tail> = names
        .into_iter()
        .map(|name| Tail {
            path: folder.join(&name),
            name: name.trim_end_matches(".log").to_owned(),
            at: 0,
            rest: String::new(),
        })
        .collect();
    for log in &mut tails {
        let lines = log.more();
        let skipped = tail.map_or(0, |tail| {
            lines
                .len()
                .saturating_sub(usize::try_from(tail).unwrap_or(0))
        });
        for line in lines.iter().skip(skipped) {
            speakers.say(&log.name, "", line);
        }
    }
    if !follow {
        return Ok(());
    }
    loop {
        std::thread::sleep(LOOK);
        for log in &mut tails {
            for line in log.more() {
                speakers.say(&log.name, "", &line);
            }
        }
    }
}

impl Tail {
    /// Returns the whole lines that were written since the last look.
    fn more(&mut self) -> Vec<String> {
        let Ok(mut file) = File::open(&self.path) else {
            return Vec::new();
        };
        // A file that has become shorter was begun anew.
        if file
            .metadata()
            .is_ok_and(|metadata| metadata.len() < self.at)
        {
            self.at = 0;
        }
        let mut bytes = Vec::new();
        let read = file
            .seek(SeekFrom::Start(self.at))
            .and_then(|_| file.read_to_end(&mut bytes));
        if read.is_err() {
            return Vec::new();
        }
        self.at += bytes.len() as u64;
        self.rest.push_str(&String::from_utf8_lossy(&bytes));
        let Some(end) = self.rest.rfind('\n') else {
            return Vec::new();
        };
        let whole: String = self.rest.drain(..=end).collect();
        whole.lines().map(str::to_owned).collect()
    }
}
