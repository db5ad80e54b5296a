//! The cluster that a command acts on: its folder, whether it runs, a client.

use std::path::PathBuf;

use coracle_cluster::pki::Pki;
use coracle_cluster::{ClusterDir, Home, Record, kubeconfig};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::Global;
use crate::failure::Failure;

/// The cluster that a command acts on.
pub struct Target {
    /// The folder of all clusters.
    pub home: Home,
    /// The cluster's own folder.
    pub dir: ClusterDir,
}

impl Target {
    /// Returns the cluster that the flags name; it need not exist.
    pub fn of(global: &Global) -> Result<Target, Failure> {
        let home = Home::from_environment()?;
        let dir = home.cluster(&global.cluster);
        Ok(Target { home, dir })
    }

    /// Returns the record of the cluster if it runs.
    pub fn running(&self) -> Option<Record> {
        Record::read(&self.dir)
    }

    /// Returns the record of the cluster, which must run.
    pub fn require_running(&self) -> Result<Record, Failure> {
        self.running()
            .ok_or_else(|| Failure::not_running(self.dir.name()))
    }

    /// Returns the entry by which clients reach the cluster.
    pub fn entry(&self, record: &Record) -> Result<kubeconfig::Entry, Failure> {
        let pki = Pki::at(&self.dir.pki());
        Ok(kubeconfig::Entry {
            name: self.dir.name().to_owned(),
            server: format!("https://{}", record.api),
            authority: pki.authority()?,
            user: pki.pair("admin")?,
        })
    }

    /// Returns a client that acts as the administrator.
    pub async fn client(&self, record: &Record) -> Result<Client, Failure> {
        let document: Kubeconfig = serde_json::from_value(self.entry(record)?.document())?;
        let config =
            Config::from_custom_kubeconfig(document, &KubeConfigOptions::default()).await?;
        Ok(Client::try_from(config)?)
    }
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
