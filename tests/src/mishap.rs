//! What a user sees when something goes wrong: exit code and words.

use std::process::Output;

use crate::cluster::Cluster;

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Said {
    /// Its exit code.
    pub code: Option<i32>,
    /// Standard output, then standard error.
    pub text: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Said {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said {
            code: output.status.code(),
            text: text(&output.stdout) + &text(&output.stderr),
        }
    }
}

impl Said {
    /// Runs a command of ours, whatever comes of it.
    ///
    /// # Panics
    /// Panics if it cannot be run.
    pub fn by(cluster: &Cluster, args: &[&str]) -> Said {
        let output = cluster.command(args).output();
        output.expect("the program was built").into()
    }

    /// Checks the exit code, and that every part was said.
    ///
    /// # Panics
    /// Panics with all that was said if it was not.
    pub fn check(&self, what: &str, code: i32, parts: &[&str]) {
        for part in parts {
            assert!(
                self.text.contains(part),
                "{what}: {part:?} was not said:\n{}",
                self.text
            );
        }
        assert_eq!(self.code, Some(code), "{what}:\n{}", self.text);
    }
}
