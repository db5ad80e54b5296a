//! A PostgreSQL of a test's own, from the programs of the machine.

use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

/// A PostgreSQL of the test's own; `None`, loudly, where there is none.
pub struct Postgres {
    folder: tempfile::TempDir,
    child: Child,
    programs: PathBuf,
    port: u16,
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server refuses to be root; `nobody` exists wherever root does.
const NOBODY: u32 = 65534;

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

fn command(programs: &Path, name: &str) -> Command {
    let mut command = Command::new(programs.join(name));
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

impl Postgres {
    pub fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            assert_ne!(
                std::env::var("CI").as_deref(),
                Ok("true"),
                "PostgreSQL is missing on CI"
            );
            eprintln!("SKIPPED: no initdb found, PostgreSQL is NOT tested");
            return None;
        };
        let folder = tempfile::tempdir().expect("temporary folder");
        if is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).expect("chown");
        }
        let password = folder.path().join("password");
        std::fs::write(&password, "right").expect("written");
        let data = folder.path().join("data");
        let made = command(&programs, "initdb")
            .args([
                "--auth=scram-sha-256",
                "--username=todo",
                "--no-sync",
                "--pwfile",
            ])
            .arg(&password)
            .arg("--pgdata")
            .arg(&data)
            .stdout(Stdio::null())
            .status()
            .expect("initdb runs");
        assert!(made.success());
        let port = free_port();
        let child = Self::spawn(&programs, folder.path(), port);
        Some(Self {
            folder,
            child,
            programs,
            port,
        })
    }

    fn spawn(programs: &Path, folder: &Path, port: u16) -> Child {
        command(programs, "postgres")
            .args([
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "fsync=off",
                "-c",
                "unix_socket_directories=",
            ])
            .args(["-c", &format!("port={port}"), "-D"])
            .arg(folder.join("data"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("postgres runs")
    }

    pub fn restart(&mut self) {
        self.stop();
        self.child = Self::spawn(&self.programs, self.folder.path(), self.port);
    }

    /// Stops it at once, with every process of a connection: while one is left,
    /// the next server refuses the data (PostgreSQL, "Shutting Down the Server").
    pub fn stop(&mut self) {
        if self.child.try_wait().expect("it is ours").is_some() {
            return;
        }
        let server = self.child.id().to_string();
        let told = Command::new("kill").args(["-QUIT", &server]).status();
        assert!(told.is_ok_and(|told| told.success()), "it runs");
        let _ = self.child.wait();
    }

    /// The folder with its certificate and its data.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Counts the connections of clients: each has a process that says so.
    pub fn connections(&self) -> usize {
        let own = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.child.id()));
        let children = own.unwrap_or_default();
        let titles = children
            .split_whitespace()
            .filter_map(|pid| std::fs::read(format!("/proc/{pid}/cmdline")).ok());
        titles
            .filter(|title| title.starts_with(b"postgres: todo "))
            .count()
    }

    pub fn url(&self, password: &str, query: &str) -> String {
        format!(
            "postgresql://todo:{password}@127.0.0.1:{}/postgres?{query}",
            self.port
        )
    }

    /// Gives the server a certificate of its own and requires nothing else.
    pub fn turn_tls_on(&mut self) -> bool {
        let data = self.folder.path().join("data");
        let made = Command::new("openssl")
            .args([
                "req",
                "-new",
                "-x509",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=localhost",
                "-keyout",
            ])
            .arg(data.join("server.key"))
            .arg("-out")
            .arg(data.join("server.crt"))
            .stderr(Stdio::null())
            .status();
        if !made.is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED: no openssl, TLS to PostgreSQL is NOT tested");
            return false;
        }
        for name in ["server.key", "server.crt"] {
            let path = data.join(name);
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
                .expect("mode");
            if is_root() {
                chown(&path, Some(NOBODY), Some(NOBODY)).expect("chown");
            }
        }
        let configuration = data.join("postgresql.conf");
        let text = std::fs::read_to_string(&configuration).expect("configuration");
        std::fs::write(&configuration, format!("{text}\nssl = on\n")).expect("written");
        self.restart();
        true
    }
}

/// Chooses a port that nobody else comes by: below those that the kernel gives
/// away, and another for each server of these tests.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = (std::process::id() % 200) as u16 * 100;
    loop {
        let port = 10_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn programs() -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    let debian = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    folders.extend(debian.map(|version| version.path().join("bin")));
    folders
        .into_iter()
        .find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}
