//! What goes on during an operation, on standard error: rows that move on a
//! terminal, plain lines elsewhere.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::Duration;

use coracle_release::{Change, Event, Row};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::place::{Manner, Place};
use crate::commands::progress::duration;
use crate::paint::{Colour, Stream, paint};

/// Rows shown at once; the others are counted.
const ROWS_MAX: usize = 12;

/// Tells of an operation.
pub struct Teller {
    manner: Manner,
    quiet: bool,
    terminal: Option<MultiProgress>,
    bars: HashMap<String, ProgressBar>,
    said: HashMap<String, String>,
}

impl Teller {
    /// Returns a teller for a place.
    pub fn new(place: &Place) -> Teller {
        let terminal = !place.quiet && std::io::stderr().is_terminal();
        Teller {
            manner: place.manner,
            quiet: place.quiet,
            terminal: terminal.then(MultiProgress::new),
            bars: HashMap::new(),
            said: HashMap::new(),
        }
    }

    /// Hears an event.
    pub fn hear(&mut self, event: Event) {
        match event {
            Event::Warning(text) => self.warn(&text),
            Event::Recovered {
                version,
                status,
                holder,
            } => {
                let by = holder.map_or(String::new(), |holder| format!(" by {holder}"));
                self.warn(&format!(
                    "revision {version} was left {status}{by}; it is recorded as failed now"
                ));
            }
            Event::Log {
                pod,
                container,
                text,
            } => {
                for line in text.lines() {
                    self.line(&match self.manner {
                        Manner::Helm => line.to_owned(),
                        Manner::Coracle => format!("{pod}/{container} | {line}"),
                    });
                }
            }
            Event::Hook {
                event,
                title,
                ended,
            } => self.hook(&event, &title, ended),
            Event::Object { title, change } => self.object(&title, change),
            Event::Diff {
                title,
                change,
                text,
            } => self.diff(&title, change, &text),
            Event::Waiting(rows) => self.rows(&rows),
        }
    }

    /// Takes what moves from the terminal.
    pub fn end(&mut self) {
        for (_, bar) in self.bars.drain() {
            bar.finish_and_clear();
        }
        if let Some(terminal) = &self.terminal {
            let _ = terminal.clear();
        }
    }

    fn line(&self, text: &str) {
        match &self.terminal {
            Some(terminal) => {
                let _ = terminal.println(text);
            }
            None => eprintln!("{text}"),
        }
    }

    fn warn(&self, text: &str) {
        match self.manner {
            Manner::Helm if text.starts_with("warning:") || text.starts_with("Warning:") => {
                self.line(text);
            }
            Manner::Helm => self.line(&format!("level=WARN msg={text:?}")),
            Manner::Coracle => self.line(&format!("warning: {text}")),
        }
    }

    /// A diff is what was asked for, so it is data.
    fn diff(&self, title: &str, change: Change, text: &str) {
        println!("{title} would be {}", change.word());
        for line in text.lines() {
            let colour = match line.as_bytes().first() {
                Some(b'+') => Some(Colour::Green),
                Some(b'-') => Some(Colour::Red),
                _ => None,
            };
            match colour {
                Some(colour) => println!("{}", paint(Stream::Out, colour, line)),
                None => println!("{line}"),
            }
        }
        println!();
    }

    fn hook(&mut self, event: &str, title: &str, ended: Option<(bool, Duration)>) {
        let key = format!("{event} {title}");
        match ended {
            None => {
                if let Some(terminal) = &self.terminal {
                    let bar = terminal.add(spinner(title));
                    bar.set_message(format!("{event} hook"));
                    self.bars.insert(key, bar);
                }
            }
            Some((well, took)) => {
                if let Some(bar) = self.bars.remove(&key) {
                    bar.finish_and_clear();
                }
                if self.manner == Manner::Coracle && !self.quiet {
                    let mark = if well { "✓" } else { "✗" };
                    self.line(&format!("{mark} {event} hook {title}  {}", duration(took)));
                }
            }
        }
    }

    fn object(&self, title: &str, change: Change) {
        if self.manner == Manner::Coracle && !self.quiet && change != Change::Unchanged {
            self.line(&format!("  {title} {}", change.word()));
        }
    }

    fn rows(&mut self, rows: &[Row]) {
        if self.terminal.is_some() {
            self.moving_rows(rows);
        } else if self.manner == Manner::Coracle && !self.quiet {
            self.plain_rows(rows);
        }
    }

    fn moving_rows(&mut self, rows: &[Row]) {
        let Some(terminal) = self.terminal.clone() else {
            return;
        };
        let unready: Vec<&Row> = rows.iter().filter(|row| !row.is_ready).collect();
        let shown = &unready[..unready.len().min(ROWS_MAX)];
        self.bars.retain(|title, bar| {
            let stays = shown.iter().any(|row| row.title == *title);
            if !stays {
                bar.finish_and_clear();
            }
            stays
        });
        for row in shown {
            let bar = self.bars.entry(row.title.clone()).or_insert_with(|| {
                let bar = terminal.add(spinner(&row.title));
                bar.enable_steady_tick(Duration::from_millis(100));
                bar
            });
            bar.set_message(state(row));
        }
    }

    /// Says of each row what is new.
    fn plain_rows(&mut self, rows: &[Row]) {
        for row in rows {
            let state = state(row);
            // A row that is ready from the start is no news.
            let is_news = match self.said.get(&row.title) {
                None => !row.is_ready,
                Some(said) => *said != state,
            };
            if is_news {
                self.line(&format!("  {}: {state}", row.title));
            }
            self.said.insert(row.title.clone(), state);
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.end();
    }
}

fn state(row: &Row) -> String {
    match &row.because {
        Some(because) if !row.is_ready => format!("{} ({because})", row.state),
        _ => row.state.clone(),
    }
}

fn spinner(title: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner:.cyan} {prefix:<32} {wide_msg}") {
        bar.set_style(style);
    }
    bar.set_prefix(title.to_owned());
    bar
}
