//! The job of building an image.

use anyhow::Context;
use coracle_image::build::{BuildEvent, Stream, Tools, build as build_image};
use coracle_image::store::ImageStore;

use super::bases::Bases;
use super::execute::Containers;
use super::job::{BuildJob, JobEvent};
use super::prepare::Prepared;
use super::{say, say_changes};

/// A line longer than this is told in parts.
const LINE_BYTES_MAX: usize = 4096;

pub(super) fn build(store: &ImageStore, job: &BuildJob, prepared: Prepared) -> anyhow::Result<()> {
    let request = prepared.request.context("the job has no request")?;
    let threads = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let images = Bases {
        store,
        job,
        platform: &request.platform,
        threads: &threads,
    };
    let containers = Containers::new(threads.handle().clone(), job.host_ports.clone());
    let tools = Tools {
        images: &images,
        execute: Some(&containers),
    };
    let mut teller = Teller::default();
    let mut tell = |event| teller.tell(event);
    let built = build_image(store, &job.cluster, &request, &tools, &mut tell)?;
    say_changes(&built.names);
    say(&JobEvent::Built {
        digest: built.digest.to_string(),
        id: built.id.to_string(),
        made: built.steps_made,
        total: built.steps,
    });
    // Nothing that is still under way matters any more.
    threads.shutdown_background();
    Ok(())
}

/// Puts the words of commands together into lines.
#[derive(Default)]
struct Teller {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Teller {
    fn tell(&mut self, event: BuildEvent) {
        match event {
            BuildEvent::Output { stream, bytes } => self.output(stream, &bytes),
            BuildEvent::Step {
                number,
                total,
                instruction,
                ..
            } => say(&JobEvent::Step {
                number,
                total,
                text: instruction,
            }),
            BuildEvent::Cached => say(&JobEvent::Cached),
            BuildEvent::Warning { line, message } => say(&JobEvent::Warning {
                text: match line {
                    0 => message,
                    line => format!("line {line}: {message}"),
                },
            }),
            BuildEvent::Layer { .. } => {}
        }
    }

    /// Empty bytes are the end of a stream.
    fn output(&mut self, stream: Stream, bytes: &[u8]) {
        let waiting = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        for byte in bytes {
            match byte {
                b'\n' => say_line(waiting),
                byte => waiting.push(*byte),
            }
            if waiting.len() >= LINE_BYTES_MAX {
                say_line(waiting);
            }
        }
        if bytes.is_empty() && !waiting.is_empty() {
            say_line(waiting);
        }
    }
}

fn say_line(line: &mut Vec<u8>) {
    say(&JobEvent::Output {
        text: shown(&String::from_utf8_lossy(line)),
    });
    line.clear();
}

/// Returns a line as a terminal may show it: of a line that a program has
/// written over, the last state, without the sequences that steer a terminal.
fn shown(line: &str) -> String {
    let line = line.trim_end_matches('\r');
    let last = line.rsplit('\r').next().unwrap_or_default();
    let mut text = String::with_capacity(last.len());
    let mut chars = last.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            // ECMA-48, 5.4: control sequences end in a byte of @ to ~.
            '\u{1b}' if chars.next_if_eq(&'[').is_some() => {
                while chars
                    .next()
                    .is_some_and(|char| !('@'..='~').contains(&char))
                {}
            }
            '\t' => text.push('\t'),
            char if char.is_control() => {}
            char => text.push(char),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_shown_without_what_steers_a_terminal() {
        let check = |line: &str, expected: &str| assert_eq!(shown(line), expected);
        check("plain\ttext", "plain\ttext");
        check("1%\r50%\r100%", "100%");
        check("windows\r", "windows");
        check("\u{1b}[1;31mred\u{1b}[0m \u{7}end", "red end");
        check("cut \u{1b}[1", "cut ");
    }
}
