//! How registries are used from this machine: flags, Docker's configuration,
//! certificates and proxies, read with the user's rights.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;
use clap::Args;
use coracle_image::build::dockerfile;
use coracle_image::reference::Reference;
use coracle_image::registry::{
    Credentials, Helpers, Login, Proxies, RegistryOptions, system_authorities,
};

use crate::failure::Failure;

/// Where Docker keeps the certificate authorities of single registries.
const CERTIFICATES: &str = "/etc/docker/certs.d";

/// Flags of commands that speak to registries.
#[derive(Debug, Clone, Default, Args)]
pub struct RegistryFlags {
    /// Login at the registry, USER:PASSWORD; with USER alone the password is
    /// read from standard input [default: that of ~/.docker/config.json].
    #[arg(long, value_name = "USER[:PASSWORD]")]
    pub creds: Option<String>,
    /// Certificate authority that is trusted besides the system's, in PEM form.
    #[arg(long, value_name = "FILE")]
    pub ca: Vec<PathBuf>,
    /// Registry that may be spoken to without TLS; this machine always may.
    #[arg(long, value_name = "HOST")]
    pub insecure_registry: Vec<String>,
}

impl RegistryFlags {
    /// Returns how the registries `hosts` are used.
    pub fn options(&self, hosts: &BTreeSet<String>) -> anyhow::Result<RegistryOptions> {
        let variable = |name: &str| std::env::var(name).ok();
        let mut options = RegistryOptions {
            credentials: docker_logins(hosts)?,
            proxies: Proxies::from_environment(variable),
            system: system_authorities(variable),
            host_authorities: host_authorities(Path::new(CERTIFICATES)),
            insecure: self.insecure_registry.iter().cloned().collect(),
            ..RegistryOptions::default()
        };
        for path in &self.ca {
            let text = std::fs::read_to_string(path);
            let text = text.with_context(|| format!("could not read {}", path.display()))?;
            options.authorities.push(text);
        }
        if let Some(creds) = &self.creds {
            let login = login(creds)?;
            for host in hosts {
                options.credentials.insert(host, login.clone());
            }
        }
        Ok(options)
    }
}

/// Returns the registry of an image.
pub fn host_of(name: &str) -> Result<BTreeSet<String>, Failure> {
    let reference = Reference::parse(name).map_err(|error| Failure::usage(error.to_string()))?;
    Ok(BTreeSet::from([reference.registry().to_owned()]))
}

/// Returns the registries that a Dockerfile names outright, for the helpers
/// that keep their logins.
pub fn hosts_of(dockerfile: &str) -> BTreeSet<String> {
    let Ok(parsed) = dockerfile::parse("Dockerfile", dockerfile) else {
        return BTreeSet::new();
    };
    let bases = parsed.stages.iter().filter(|stage| stage.base != "scratch");
    bases
        .filter_map(|stage| Reference::parse(&stage.base).ok())
        .map(|reference| reference.registry().to_owned())
        .collect()
}

fn login(creds: &str) -> anyhow::Result<Login> {
    let (user, password) = match creds.split_once(':') {
        Some((user, password)) => (user.to_owned(), password.to_owned()),
        None => {
            let mut password = String::new();
            std::io::stdin().read_line(&mut password)?;
            (creds.to_owned(), password.trim_end().to_owned())
        }
    };
    Ok(Login::Password { user, password })
}

/// Returns the file that `docker login` writes, where there is one.
pub fn docker_config() -> Option<(PathBuf, Vec<u8>)> {
    let folder = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".docker"));
    let path = folder.or_else(home)?.join("config.json");
    let text = std::fs::read(&path).ok()?;
    Some((path, text))
}

fn docker_logins(hosts: &BTreeSet<String>) -> anyhow::Result<Credentials> {
    let Some((path, text)) = docker_config() else {
        return Ok(Credentials::default());
    };
    let unusable = || path.display().to_string();
    let mut credentials = Credentials::from_config(&text).with_context(unusable)?;
    let helpers = Helpers::from_config(&text).with_context(unusable)?;
    for host in hosts {
        if let Some(helper) = helpers.of(host)
            && let Some(login) = ask_helper(helper, host)
        {
            credentials.insert(host, login);
        }
    }
    Ok(credentials)
}

/// Asks a program of Docker's for a login: the host on its standard input, an
/// object on its output (docker/docker-credential-helpers, README). One that
/// has none for this host is no failure.
fn ask_helper(helper: &str, host: &str) -> Option<Login> {
    let address = match host {
        "docker.io" => "https://index.docker.io/v1/",
        host => host,
    };
    let mut child = Command::new(format!("docker-credential-{helper}"))
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take()?;
    // A helper that does not read ends, and says so below.
    let _ = stdin.write_all(address.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().ok()?;
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    let word = |name: &str| answer[name].as_str().map(str::to_owned);
    let (user, secret) = (word("Username")?, word("Secret")?);
    Some(match user.as_str() {
        "<token>" => Login::Identity(secret),
        _ => Login::Password {
            user,
            password: secret,
        },
    })
}

/// Returns the authorities of single registries: `HOST/*.crt` below `folder`
/// (docker documentation, "Use trusted certificates").
pub fn host_authorities(folder: &Path) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    for host in entries(folder) {
        let name = host.file_name().unwrap_or_default().to_string_lossy();
        let texts = entries(&host)
            .into_iter()
            .filter(|path| path.extension().is_some_and(|extension| extension == "crt"))
            .filter_map(|path| std::fs::read_to_string(path).ok())
            .collect::<Vec<_>>();
        if !texts.is_empty() {
            found.insert(name.into_owned(), texts);
        }
    }
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}
