//! A cluster of a test's own: its own home, kubeconfig and name, deleted when
//! the test is over.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// A cluster of a test's own.
#[derive(Debug)]
pub struct Cluster {
    home: PathBuf,
    name: String,
    /// Words that stand before the command, such as those of setpriv(1).
    before: Vec<String>,
    /// Whether the folder belongs to another one.
    is_guest: bool,
}

/// Returns a program that was built beside the tests.
///
/// # Panics
/// Panics if it was not: `cargo test --workspace` builds them all.
pub fn built(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a program knows its own path");
    // Tests stand in target/PROFILE/deps, other programs one folder above.
    let folders = own.ancestors().skip(1).take(2);
    let found = folders
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!(
            "{name} was not built beside {}: build the whole workspace",
            own.display()
        )
    })
}

/// Returns the root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests stand in the repository")
        .to_owned()
}

impl Cluster {
    /// Returns a cluster that does not exist yet, with an empty home.
    ///
    /// # Panics
    /// Panics if no folder can be made for it.
    pub fn new(name: &str) -> Cluster {
        let home = std::env::temp_dir().join(format!("coracle-test-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&home).expect("a folder for the test");
        Cluster {
            home,
            name: name.into(),
            before: Vec::new(),
            is_guest: false,
        }
    }

    /// Returns another cluster of the same home, with a kubeconfig of its own.
    /// It must be dropped first.
    pub fn beside(&self, name: &str) -> Cluster {
        Cluster {
            home: self.home.clone(),
            name: name.into(),
            before: self.before.clone(),
            is_guest: true,
        }
    }

    /// Returns the same cluster, run by the user with this id.
    ///
    /// # Panics
    /// Panics if the home cannot be given to the user.
    pub fn as_user(mut self, uid: u32) -> Cluster {
        std::os::unix::fs::chown(&self.home, Some(uid), Some(uid))
            .expect("root may give files away");
        let uid = uid.to_string();
        let words = [
            "setpriv",
            "--reuid",
            &uid,
            "--regid",
            &uid,
            "--clear-groups",
            "--",
        ];
        self.before.splice(0..0, words.map(String::from));
        self
    }

    /// Returns the same cluster, with these words before each command of ours,
    /// such as those that enter a namespace.
    pub fn behind(mut self, before: Vec<String>) -> Cluster {
        self.before.splice(0..0, before);
        self
    }

    /// Returns the folder of the test.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Returns a command of ours for this cluster.
    pub fn command(&self, args: &[&str]) -> Command {
        self.command_of(&built("coracle"), args)
    }

    /// Returns a command of another build of ours for this cluster.
    pub fn command_of(&self, program: &Path, args: &[&str]) -> Command {
        let program = program.to_owned();
        let mut words = self.before.iter().map(PathBuf::from).chain([program]);
        let mut command = Command::new(words.next().expect("there is the program itself"));
        command.args(words).args(args);
        self.environment(&mut command);
        command
    }

    fn environment(&self, command: &mut Command) {
        command
            .env("CORACLE_HOME", self.home.join("home"))
            .env("KUBECONFIG", self.kubeconfig())
            .env("CORACLE_CLUSTER", &self.name)
            .env("HOME", &self.home)
            .current_dir(&self.home);
    }

    /// Returns the kubeconfig that the cluster writes.
    pub fn kubeconfig(&self) -> PathBuf {
        match self.is_guest {
            true => self.home.join(format!("kubeconfig-{}", self.name)),
            false => self.home.join("kubeconfig"),
        }
    }

    /// Returns the certificate (PEM) of the cluster's authority, from its kubeconfig.
    ///
    /// # Panics
    /// Panics if the kubeconfig holds none.
    pub fn authority(&self) -> Vec<u8> {
        let text = std::fs::read_to_string(self.kubeconfig()).expect("the cluster was started");
        let config: serde_json::Value = serde_saphyr::from_str(&text).expect("it is YAML");
        let encoded = config["clusters"][0]["cluster"]["certificate-authority-data"].as_str();
        BASE64_STANDARD
            .decode(encoded.expect("the kubeconfig names an authority"))
            .expect("it is base64")
    }

    /// Runs a command of ours and returns what it printed.
    ///
    /// # Panics
    /// Panics with its output, and the engine's log, if it fails.
    pub fn run(&self, args: &[&str]) -> String {
        let output = self.command(args).output().expect("the program was built");
        self.check(&args.join(" "), &output)
    }

    /// Runs kubectl; `None` if there is none on the machine.
    ///
    /// # Panics
    /// Panics with its output if it fails.
    pub fn kubectl(&self, args: &[&str]) -> Option<String> {
        let output = self.kubectl_command(args).output().ok()?;
        Some(self.check(&format!("kubectl {}", args.join(" ")), &output))
    }

    /// Returns a command of kubectl for this cluster.
    pub fn kubectl_command(&self, args: &[&str]) -> Command {
        let fetched = repository().join("target/oracles/kubectl");
        let mut command = Command::new(if fetched.exists() {
            fetched
        } else {
            "kubectl".into()
        });
        command.args(args);
        self.environment(&mut command);
        command
    }

    fn check(&self, what: &str, output: &Output) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "{what} ended with {}\n{}{}\n{}",
            output.status,
            text(&output.stdout),
            text(&output.stderr),
            self.log("engine"),
        );
        text(&output.stdout)
    }

    /// Returns the end of a process's log.
    pub fn log(&self, process: &str) -> String {
        let path = self
            .home
            .join("home/clusters")
            .join(&self.name)
            .join(format!("logs/{process}.log"));
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(30).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Returns the host's process ids of the cluster's process called `kind`.
    pub fn processes(&self, kind: &str) -> Vec<i32> {
        let root = match kind {
            "gateway-worker" => "gateway",
            _ => "init",
        };
        let Some(root) = self.recorded(root) else {
            return Vec::new();
        };
        descendants(root)
            .into_iter()
            .filter(|pid| arguments(*pid).get(1).is_some_and(|word| word == kind))
            .collect()
    }

    /// Returns the id of a process as the cluster's record has it.
    fn recorded(&self, name: &str) -> Option<i32> {
        let path = self
            .home
            .join("home/clusters")
            .join(&self.name)
            .join("run/cluster.json");
        let record: serde_json::Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        i32::try_from(record[name]["pid"].as_i64()?).ok()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // A failed test must not leave its cluster behind; one that was never
        // started needs no program to say so.
        if self.home.join("home").exists() {
            let _ = self.command(&["delete", "--quiet"]).output();
        }
        if !self.is_guest {
            let _ = std::fs::remove_dir_all(&self.home);
        }
    }
}

/// Returns the words a process was started with.
pub fn arguments(pid: i32) -> Vec<String> {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect()
}

/// Returns a process and all below it.
pub fn descendants(root: i32) -> Vec<i32> {
    let parent = |pid: i32| -> Option<i32> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(')')?
            .1
            .split_whitespace()
            .nth(1)?
            .parse()
            .ok()
    };
    let all: Vec<i32> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    let mut found = vec![root];
    let mut at = 0;
    while let Some(&pid) = found.get(at) {
        found.extend(all.iter().filter(|child| parent(**child) == Some(pid)));
        at += 1;
    }
    found
}
