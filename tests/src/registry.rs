//! Debian's `docker-registry` on a test's island: TLS by an authority of its
//! own, one login.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::island::{ADDRESS, DOMAIN, Island};

/// The login: `user` with the password `s3cret`.
pub const LOGIN: (&str, &str) = ("user", "s3cret");
/// The same as htpasswd writes it.
const HTPASSWD: &str = "user:$2y$05$abcdefghijklmnopqrstuuLK7U1u6pVRmL7L1BBM2aS35PSZnDXlK\n";
const PORT: u16 = 5443;

/// A registry with a login and a private authority.
#[derive(Debug)]
pub struct Registry {
    /// Host and port as images name it.
    pub host: String,
    /// The authority's certificate.
    pub authority: PathBuf,
}

impl Registry {
    /// Starts a registry; `None` where it is not installed.
    ///
    /// # Panics
    /// Panics if it does not start.
    pub fn start(island: &mut Island, folder: &Path) -> Option<Registry> {
        let version = Command::new("docker-registry").arg("--version").output();
        if version.is_err() {
            crate::skip("docker-registry is not installed");
            return None;
        }
        let folder = folder.join("registry");
        std::fs::create_dir_all(&folder).expect("a folder for the test");
        let name = format!("registry.{DOMAIN}");
        certificates(&folder, &name);
        let path = |name: &str| folder.join(name).display().to_string();
        std::fs::write(path("htpasswd"), HTPASSWD).expect("a file for the test");
        let config = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             auth: {{htpasswd: {{realm: test, path: {}}}}}\n\
             http: {{addr: '{ADDRESS}:{PORT}', secret: x, tls: {{certificate: {}, key: {}}}}}\n",
            path("data"),
            path("htpasswd"),
            path("server.crt"),
            path("server.key"),
        );
        std::fs::write(path("config.yml"), config).expect("a file for the test");
        let mut server = island.command("docker-registry");
        server.args(["serve", &path("config.yml")]);
        island.serve(server, PORT);
        Some(Registry {
            host: format!("{name}:{PORT}"),
            authority: folder.join("ca.crt"),
        })
    }

    /// Returns Docker's `config.json` with the login.
    pub fn docker_config(&self) -> String {
        let (username, password) = LOGIN;
        serde_json::json!({"auths": {&self.host: {"username": username, "password": password}}})
            .to_string()
    }
}

fn certificates(folder: &Path, name: &str) {
    let openssl = |words: &str| {
        let done = Command::new("openssl")
            .args(words.split(' '))
            .current_dir(folder)
            .output()
            .expect("openssl is installed");
        assert!(done.status.success(), "openssl {words}: {done:?}");
    };
    std::fs::write(folder.join("names"), format!("subjectAltName=DNS:{name}\n"))
        .expect("a file for the test");
    openssl(
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.crt",
    );
    openssl("req -newkey rsa:2048 -nodes -subj /CN=registry -keyout server.key -out server.csr");
    openssl(
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt",
    );
}
