//! One thing that was looked at.

use std::fmt;

/// How a thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Good,
    /// Clusters run, with a limit that is said.
    Fair,
    /// Clusters do not run.
    Bad,
}

impl State {
    /// Returns the word for it in data.
    pub fn word(self) -> &'static str {
        match self {
            State::Good => "good",
            State::Fair => "fair",
            State::Bad => "bad",
        }
    }
}

/// What mends a finding.
type Mend = Box<dyn Fn() -> std::io::Result<()>>;

/// One thing that was looked at.
pub struct Finding {
    /// What.
    pub name: &'static str,
    /// How it stands.
    pub state: State,
    /// What there is to say.
    pub says: String,
    /// What mends it: a command, or words.
    pub remedy: Option<String>,
    /// Whether `--fix` has mended it.
    pub was_mended: bool,
    mend: Option<Mend>,
}

impl Finding {
    fn new(name: &'static str, state: State, says: impl fmt::Display) -> Finding {
        Finding {
            name,
            state,
            says: says.to_string(),
            remedy: None,
            was_mended: false,
            mend: None,
        }
    }

    /// Returns a finding of something that is as it should be.
    pub fn good(name: &'static str, says: impl fmt::Display) -> Finding {
        Finding::new(name, State::Good, says)
    }

    /// Returns a finding of something with a limit.
    pub fn fair(name: &'static str, says: impl fmt::Display) -> Finding {
        Finding::new(name, State::Fair, says)
    }

    /// Returns a finding of something that keeps clusters from running.
    pub fn bad(name: &'static str, says: impl fmt::Display) -> Finding {
        Finding::new(name, State::Bad, says)
    }

    /// Says what mends it.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Finding {
        self.remedy = Some(remedy.into());
        self
    }

    /// Knows how to mend it.
    pub fn mended_by(mut self, mend: impl Fn() -> std::io::Result<()> + 'static) -> Finding {
        self.mend = Some(Box::new(mend));
        self
    }

    /// Mends it if it can be mended; returns whether something was done.
    pub fn mend(&mut self) -> bool {
        let Some(mend) = self.mend.take().filter(|_| self.state != State::Good) else {
            return false;
        };
        match mend() {
            Ok(()) => self.was_mended = true,
            Err(error) => self.says.push_str(&format!(" (mending failed: {error})")),
        }
        true
    }

    /// Takes over from an earlier look that this was mended.
    pub fn remember(&mut self, before: &Finding) {
        if before.was_mended && before.name == self.name && self.state == State::Good {
            self.was_mended = true;
            self.says.push_str(" (mended)");
        }
    }
}
