//! A profile of the chart on a cluster of its own, with PostgreSQL and a
//! provider of an AI model outside.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::cluster::{Cluster, repository};
use crate::postgres::Postgres;
use crate::private::{OUTSIDE, in_private_network, is_root};
use crate::project::Project;
use crate::provider::Provider;
use crate::skip;

/// A profile on its cluster, with what it needs outside.
#[derive(Debug)]
pub struct Installed {
    /// The cluster.
    pub cluster: Cluster,
    /// The database, where the profile wants one.
    pub postgres: Option<Postgres>,
    /// The provider of the assistant's model.
    pub provider: Provider,
}

/// What a profile is made of.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Name of the cluster.
    pub name: &'static str,
    /// Files in the chart's folder `profiles`.
    pub files: &'static [&'static str],
    /// Tag that its images have.
    pub tag: &'static str,
    /// Whether it wants PostgreSQL.
    pub database: bool,
    /// The values a user adds, given the database's URL and the provider's.
    pub values: fn(database: &str, provider: &str) -> Value,
}

impl Installed {
    /// Starts what stands outside, then everything with one command.
    ///
    /// # Panics
    /// Panics if `up` fails.
    pub fn new(profile: &Profile) -> Installed {
        let installed = Installed::prepared(profile);
        installed.cluster.run(&["up"]);
        installed
    }

    /// Starts what stands outside and writes the project; nothing is deployed.
    ///
    /// # Panics
    /// Panics if something outside does not start.
    pub fn prepared(profile: &Profile) -> Installed {
        let cluster = Cluster::new(profile.name);
        let postgres = profile
            .database
            .then(|| Postgres::start(cluster.home(), (OUTSIDE, 5432).into()));
        let provider = Provider::start();
        let url = postgres.as_ref().map(Postgres::url).unwrap_or_default();
        let values = (profile.values)(&url, &provider.url());
        fs::write(cluster.home().join("values.yaml"), values.to_string())
            .expect("a file for the test");
        fs::write(cluster.home().join("turn.yaml"), "{}").expect("a file for the test");
        let folder = repository().join("charts/todo-app/profiles");
        let mut files: Vec<PathBuf> = profile.files.iter().map(|name| folder.join(name)).collect();
        files.extend(["values.yaml".into(), "turn.yaml".into()]);
        Project {
            tag: profile.tag,
            values: files,
        }
        .write(&cluster);
        Installed {
            cluster,
            postgres,
            provider,
        }
    }

    /// Runs kubectl.
    ///
    /// # Panics
    /// Panics if it fails.
    pub fn kubectl(&self, args: &[&str]) -> String {
        self.cluster
            .kubectl(args)
            .expect("kubectl is fetched by CI")
    }
}

/// Runs a case where everything it needs can be had.
///
/// # Panics
/// Panics when the body does.
pub fn case(test: &str, body: impl FnOnce()) {
    if !is_root() {
        return skip(&format!("{test}: PostgreSQL wants a user of its own"));
    }
    if !repository().join("target/oracles/kubectl").exists() {
        return skip(&format!("{test}: run `cargo xtask oracles` first"));
    }
    in_private_network(test, body);
}
