//! PostgreSQL as Debian packs it, outside the cluster.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::wait::until;

/// A running server; it ends with this value.
#[derive(Debug)]
pub struct Postgres {
    server: Option<Child>,
    folder: PathBuf,
    address: SocketAddr,
}

impl Postgres {
    /// Makes a database `todo` of the user `todo`, with a password, and serves it.
    ///
    /// # Panics
    /// Panics if PostgreSQL is not installed or does not start.
    pub fn start(folder: &Path, address: SocketAddr) -> Postgres {
        let folder = folder.join("postgres");
        std::fs::create_dir_all(&folder).expect("a folder for the test");
        std::fs::write(folder.join("password"), PASSWORD).expect("a file for the test");
        let owner = owner();
        for path in [folder.clone(), folder.join("password")] {
            std::os::unix::fs::chown(path, Some(owner), Some(owner))
                .expect("root may give files away");
        }
        let mut postgres = Postgres {
            server: None,
            folder,
            address,
        };
        let made = postgres
            .program("initdb")
            .args(["--auth=scram-sha-256", "--username=todo", "--no-sync"])
            .arg(format!(
                "--pwfile={}",
                postgres.folder.join("password").display()
            ))
            .arg(postgres.data())
            .stdout(Stdio::null())
            .status();
        assert!(made.is_ok_and(|status| status.success()), "initdb failed");
        let hba = postgres.data().join("pg_hba.conf");
        std::fs::write(
            hba,
            "local all all trust\nhost all all 0.0.0.0/0 scram-sha-256\n",
        )
        .expect("a file for the test");
        postgres.resume();
        let made = postgres
            .program("createdb")
            .args([
                "--username=todo",
                &format!("--port={}", address.port()),
                "--host",
            ])
            .arg(&postgres.folder)
            .arg("todo")
            .status();
        assert!(made.is_ok_and(|status| status.success()), "createdb failed");
        postgres
    }

    /// Returns the URL that pods connect to.
    pub fn url(&self) -> String {
        format!(
            "postgresql://todo:{PASSWORD}@{}/todo?sslmode=disable",
            self.address
        )
    }

    /// Ends the server at once; connections break.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let pid = server.id().to_string();
            // SIGINT is PostgreSQL's fast shutdown.
            let _ = Command::new("kill").args(["-INT", &pid]).status();
            let _ = server.wait();
        }
    }

    /// Starts the server again.
    ///
    /// # Panics
    /// Panics if it does not answer.
    pub fn resume(&mut self) {
        let server = self
            .program("postgres")
            .arg("-D")
            .arg(self.data())
            .args([
                "-c",
                &format!("listen_addresses={}", self.address.ip()),
                "-c",
                &format!("port={}", self.address.port()),
                "-k",
            ])
            .arg(&self.folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("PostgreSQL is installed");
        self.server = Some(server);
        let port = format!("--port={}", self.address.port());
        let ready = || {
            TcpStream::connect(self.address).is_ok()
                && self
                    .program("pg_isready")
                    .args(["--quiet", &port, "--host"])
                    .arg(&self.folder)
                    .status()
                    .is_ok_and(|status| status.success())
        };
        until("PostgreSQL answers", || {
            ready().then_some(()).ok_or_else(|| "not yet".to_owned())
        });
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// A program of PostgreSQL, run by its own user: the server refuses root.
    fn program(&self, name: &str) -> Command {
        let owner = owner().to_string();
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", &owner, "--regid", &owner, "--clear-groups", "--"])
            .arg(folder_of_programs().join(name))
            .current_dir(&self.folder);
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

const PASSWORD: &str = "sea-room";

/// The user `postgres`, whom Debian's package makes.
fn owner() -> u32 {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    line.and_then(|line| line.split(':').nth(2)?.parse().ok())
        .expect("PostgreSQL's package makes the user postgres")
}

fn folder_of_programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let folder = versions
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .max();
    folder.expect("PostgreSQL is installed")
}
