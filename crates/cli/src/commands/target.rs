//! The cluster that a command acts on: its folder, whether it runs, a client;
//! or an existing cluster, by a context of the kubeconfig.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use coracle_cluster::pki::Pki;
use coracle_cluster::{ClusterDir, Home, HostNetwork, Record, kubeconfig};
use coracle_netdev::AddressPlan;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::Global;
use crate::failure::Failure;
use crate::process::certificates;
use coracle_release::why::similar;

/// The cluster that a command acts on.
pub struct Target {
    /// The folder of all clusters.
    pub home: Home,
    /// The folder of our own cluster; not that of an existing one.
    pub dir: ClusterDir,
    /// The existing cluster, if `--context` names one.
    pub remote: Option<Remote>,
}

/// An existing cluster.
#[derive(Debug, Clone)]
pub struct Remote {
    /// The context in the kubeconfig.
    pub context: String,
    kubeconfig: Option<PathBuf>,
}

impl Target {
    /// Returns the cluster that the flags name; it need not exist.
    pub fn of(global: &Global) -> Result<Target, Failure> {
        let home = Home::from_environment().map_err(|error| {
            Failure::machine(format!("nowhere to keep the cluster: {error}"))
                .hint("name a folder: CORACLE_HOME=DIR")
        })?;
        let dir = home.cluster(&global.cluster);
        let remote = global.context.clone().map(|context| Remote {
            context,
            kubeconfig: global.kubeconfig.clone(),
        });
        Ok(Target { home, dir, remote })
    }

    /// Returns the cluster of this machine that the flags name.
    ///
    /// # Errors
    /// Fails if they name an existing cluster, which is not ours to end.
    pub fn own(global: &Global) -> Result<Target, Failure> {
        let target = Target::of(global)?;
        let Some(remote) = &target.remote else {
            return Ok(target);
        };
        let context = &remote.context;
        Err(Failure::usage(format!(
            "this acts on clusters of this machine, and {context} is a context of the kubeconfig"
        ))
        .hint("leave out --context; if it is a default of yours: coracle config unset context"))
    }

    /// Returns the cluster's name for people.
    pub fn name(&self) -> &str {
        match &self.remote {
            Some(remote) => &remote.context,
            None => self.dir.name(),
        }
    }

    /// Returns the host's address on which the cluster's ports answer.
    pub fn host(&self) -> String {
        match &self.remote {
            Some(_) => Ipv4Addr::LOCALHOST.to_string(),
            None => HostNetwork::read(self.dir.path()).address.to_string(),
        }
    }

    /// Returns the record of the cluster if it runs.
    pub fn running(&self) -> Option<Record> {
        Record::read(&self.dir)
    }

    /// Returns the record of the cluster, which must run.
    pub fn require_running(&self) -> Result<Record, Failure> {
        self.running().ok_or_else(|| {
            let failure = Failure::not_running(self.dir.name());
            let known = self.home.clusters();
            match similar(self.dir.name(), known.iter().map(String::as_str)) {
                Some(meant) if !self.dir.exists() => {
                    failure.hint(format!("there is a cluster {meant}: --cluster {meant}"))
                }
                _ => failure,
            }
        })
    }

    /// Returns the entry by which clients reach the cluster.
    pub fn entry(&self, record: &Record) -> Result<kubeconfig::Entry, Failure> {
        let mut pki = Pki::at(&self.dir.pki());
        if pki.days_left("admin").is_none_or(|days| days < 1) {
            // The engine renews in good time, but not while nothing runs.
            let (names, addresses) =
                certificates::subjects(self.dir.name(), &AddressPlan::default());
            pki = Pki::prepare(&self.dir.pki(), &record.ids, &names, &addresses)?;
        }
        Ok(kubeconfig::Entry {
            name: self.dir.name().to_owned(),
            server: format!("https://{}", record.api),
            authority: pki.authority()?,
            user: pki.pair("admin")?,
        })
    }

    /// Returns a client of our own cluster that acts as the administrator.
    pub async fn client(&self, record: &Record) -> Result<Client, Failure> {
        let document: Kubeconfig = serde_json::from_value(self.entry(record)?.document())?;
        let config =
            Config::from_custom_kubeconfig(document, &KubeConfigOptions::default()).await?;
        Ok(Client::try_from(config)?)
    }

    /// Returns a client of the cluster, which must run or be reachable.
    pub async fn connect(&self) -> Result<Client, Failure> {
        match &self.remote {
            Some(remote) => remote.client().await,
            None => self.client(&self.require_running()?).await,
        }
    }
}

impl Remote {
    /// Returns a client that acts as the context's user; the cluster answers.
    async fn client(&self) -> Result<Client, Failure> {
        let document = self.document()?;
        let names: Vec<&str> = document
            .contexts
            .iter()
            .map(|context| context.name.as_str())
            .collect();
        if !names.contains(&self.context.as_str()) {
            return Err(self.unknown(&names));
        }
        let options = KubeConfigOptions {
            context: Some(self.context.clone()),
            ..KubeConfigOptions::default()
        };
        let config = Config::from_custom_kubeconfig(document, &options)
            .await
            .map_err(|error| {
                Failure::usage(format!(
                    "context {} of the kubeconfig cannot be used: {error}",
                    self.context
                ))
                .hint("its cluster and user must stand in the kubeconfig: kubectl config view")
            })?;
        let server = config.cluster_url.to_string();
        let client = Client::try_from(config)?;
        match client.apiserver_version().await {
            Ok(_) => Ok(client),
            Err(error) => Err(self.unreachable(&server, &error)),
        }
    }

    fn document(&self) -> Result<Kubeconfig, Failure> {
        let read = match &self.kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        read.map_err(|error| {
            Failure::usage(format!("the kubeconfig cannot be read: {}", chain(&error)))
                .hint("name another with --kubeconfig FILE")
        })
    }

    fn unknown(&self, names: &[&str]) -> Failure {
        let hint = match similar(&self.context, names.iter().copied()) {
            Some(meant) => format!("did you mean --context {meant}?"),
            None if names.is_empty() => "it has no contexts at all".to_owned(),
            None => format!("its contexts are {}", names.join(", ")),
        };
        Failure::usage(format!("the kubeconfig has no context {:?}", self.context)).hint(hint)
    }

    fn unreachable(&self, server: &str, error: &kube::Error) -> Failure {
        let failure = Failure::from(anyhow::anyhow!(
            "cluster {} does not answer at {server}: {}",
            self.context,
            chain(error)
        ));
        match error {
            kube::Error::Api(status) if status.code == 401 => {
                failure.hint("the context's credentials are refused; fetch new ones")
            }
            kube::Error::Api(_) => failure,
            _ => failure.hint("is it on, and does this machine reach that address?"),
        }
    }
}

/// Writes an error with all its causes, none twice.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let next = cause.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = cause.source();
    }
    text
}

/// Returns the kubeconfig that is changed and read.
pub fn kubeconfig_path(global: &Global) -> Result<PathBuf, Failure> {
    global
        .kubeconfig
        .clone()
        .or_else(kubeconfig::default_path)
        .ok_or_else(|| {
            Failure::usage("none of --kubeconfig, KUBECONFIG and HOME says where the kubeconfig is")
        })
}
