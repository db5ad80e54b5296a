//! Where a verb works: a cluster, a namespace, and as whom it speaks.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use coracle_helm::{NoCluster, Release};
use coracle_release::{DryRun, OldValues, Options, Session, Source};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::commands::Global;
use crate::commands::target::Target;
use crate::facts::Cluster;
use crate::failure::Failure;
use crate::look::{self, Look};

/// Flags that say where.
#[derive(Debug, Clone, Default, Args)]
pub struct Where {
    /// Namespace of the release.
    #[arg(long, short)]
    pub namespace: Option<String>,
}

/// How a verb speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// As coracle.
    Coracle,
    /// Word for word as helm.
    Helm,
}

/// Where a verb works.
pub struct Place {
    client: Option<Client>,
    /// The cluster's name for messages, and whether it is one of ours.
    cluster: String,
    is_own: bool,
    namespace: String,
    /// How it speaks.
    pub manner: Manner,
    /// Says only what was asked for and what failed.
    pub quiet: bool,
    /// Says everything (`--debug`).
    pub debug: bool,
}

/// How helm's flags and environment name the cluster.
#[derive(Debug, Clone, Default)]
pub struct HelmCluster {
    /// `--kubeconfig`.
    pub kubeconfig: Option<PathBuf>,
    /// `--kube-context`.
    pub context: Option<String>,
    /// `--kube-apiserver`.
    pub server: Option<String>,
    /// `--kube-token`.
    pub token: Option<String>,
    /// `--kube-as-user`.
    pub as_user: Option<String>,
    /// `--kube-as-group`.
    pub as_groups: Vec<String>,
    /// `--kube-ca-file`.
    pub ca_file: Option<PathBuf>,
    /// `--kube-tls-server-name`.
    pub tls_server_name: Option<String>,
    /// `--kube-insecure-skip-tls-verify`.
    pub insecure: bool,
}

impl Place {
    /// Returns the place that coracle's flags name: our own cluster, or that of
    /// `--context`.
    pub async fn of_coracle(global: &Global, at: &Where, offline: bool) -> Result<Place, Failure> {
        let (client, default) = if offline {
            (None, None)
        } else if let Some(context) = &global.context {
            let cluster = HelmCluster {
                kubeconfig: global.kubeconfig.clone(),
                context: Some(context.clone()),
                ..HelmCluster::default()
            };
            let (client, namespace) = cluster.connect().await?;
            (Some(client), Some(namespace))
        } else {
            let target = Target::of(global)?;
            let record = target.require_running()?;
            (Some(target.client(&record).await?), None)
        };
        let namespace = at.namespace.clone().or(default);
        Ok(Place {
            client,
            cluster: match &global.context {
                Some(context) => context.clone(),
                None => global.cluster.clone(),
            },
            is_own: global.context.is_none(),
            namespace: namespace.unwrap_or_else(|| "default".into()),
            manner: Manner::Coracle,
            quiet: global.quiet,
            debug: false,
        })
    }

    /// Returns the place of `coracle helm`: our cluster, in Helm's words.
    pub async fn of_own(
        global: &Global,
        namespace: Option<String>,
        debug: bool,
        offline: bool,
    ) -> Result<Place, Failure> {
        let place = Place::of_coracle(global, &Where { namespace }, offline).await?;
        Ok(Place {
            manner: Manner::Helm,
            quiet: false,
            debug,
            ..place
        })
    }

    /// Returns the place that helm's flags name.
    pub async fn of_helm(
        cluster: &HelmCluster,
        namespace: Option<String>,
        debug: bool,
        offline: bool,
    ) -> Result<Place, Failure> {
        let (client, default) = if offline {
            (None, cluster.namespace())
        } else {
            let (client, namespace) = cluster.connect().await?;
            (Some(client), namespace)
        };
        Ok(Place {
            client,
            cluster: cluster.context.clone().unwrap_or_default(),
            is_own: false,
            namespace: namespace.filter(|name| !name.is_empty()).unwrap_or(default),
            manner: Manner::Helm,
            quiet: false,
            debug,
        })
    }

    /// Returns the namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Returns the client.
    pub fn client(&self) -> Result<&Client, Failure> {
        let client = self.client.as_ref();
        client.ok_or_else(|| anyhow::anyhow!("this needs a cluster").into())
    }

    /// Returns a session for the releases of the namespace.
    pub fn session(&self) -> Result<Session, Failure> {
        self.session_in(&self.namespace)
    }

    /// Returns a session for the releases of another namespace.
    pub fn session_in(&self, namespace: &str) -> Result<Session, Failure> {
        let client = match &self.client {
            Some(client) => client.clone(),
            // What is only simulated here asks nobody.
            None => Client::try_from(Config::new(http::Uri::from_static("http://127.0.0.1:1")))?,
        };
        let session = Session::new(client, namespace);
        Ok(session.held_by(own_holder(), is_dead))
    }
}

impl Place {
    /// Tells what would go wrong, before anything is changed.
    ///
    /// Helm says nothing of that kind, what is only simulated harms nobody, and
    /// values of an old revision are not known here.
    ///
    /// # Errors
    /// Fails if the API would refuse an object.
    pub async fn look_first(
        &self,
        source: &Source,
        options: &Options,
        is_install: bool,
    ) -> Result<(), Failure> {
        let takes_old_values = !is_install
            && match options.old_values {
                OldValues::Reset => false,
                OldValues::IfNoneGiven => source.values.map().is_empty(),
                OldValues::Reuse | OldValues::ResetThenReuse => true,
            };
        let is_helm = self.manner == Manner::Helm;
        if is_helm || takes_old_values || options.dry_run != DryRun::None {
            return Ok(());
        }
        let client = self.client()?;
        let look = Look {
            chart: source.chart.clone(),
            values: source.values.clone(),
            release: Release {
                name: source.name.clone(),
                namespace: self.namespace.clone(),
                revision: 1,
                is_install,
            },
            capabilities: coracle_release::capabilities(client).await?,
            lookup: match &source.lookup {
                Some(lookup) => lookup.clone(),
                None => Arc::new(NoCluster),
            },
            create_namespace: options.create_namespace,
        };
        let cluster = Cluster {
            client: client.clone(),
            name: self.cluster.clone(),
            is_own: self.is_own,
        };
        look::tell(look, &cluster, self.quiet).await
    }
}

impl HelmCluster {
    /// Whether a flag says which cluster.
    pub fn is_named(&self) -> bool {
        self.kubeconfig.is_some() || self.context.is_some() || self.server.is_some()
    }

    fn options(&self) -> KubeConfigOptions {
        KubeConfigOptions {
            context: self.context.clone().filter(|name| !name.is_empty()),
            ..KubeConfigOptions::default()
        }
    }

    fn document(&self) -> Result<Kubeconfig, Failure> {
        let read = match &self.kubeconfig {
            Some(path) if !path.as_os_str().is_empty() => Kubeconfig::read_from(path),
            _ => Kubeconfig::read(),
        };
        read.map_err(|error| {
            Failure::from(anyhow::anyhow!(
                "Kubernetes cluster unreachable: the kubeconfig cannot be read: {error}"
            ))
            .hint("name one by --kubeconfig or KUBECONFIG, or start a cluster: coracle start")
        })
    }

    /// Returns a client and the context's namespace.
    async fn connect(&self) -> Result<(Client, String), Failure> {
        let mut config = if self.server.is_some() && self.kubeconfig.is_none() {
            Config::new(http::Uri::default())
        } else {
            let document = self.document()?;
            let known: Vec<String> = document
                .contexts
                .iter()
                .map(|context| context.name.clone())
                .collect();
            let config = Config::from_custom_kubeconfig(document, &self.options()).await;
            config.map_err(|error| {
                Failure::from(anyhow::anyhow!("Kubernetes cluster unreachable: {error}")).hint(
                    format!("the kubeconfig has the contexts {}", known.join(", ")),
                )
            })?
        };
        if let Some(server) = &self.server {
            config.cluster_url = server.parse()?;
        }
        if let Some(token) = &self.token {
            config.auth_info.token = Some(token.clone().into());
        }
        if self.as_user.is_some() {
            config.auth_info.impersonate.clone_from(&self.as_user);
        }
        if !self.as_groups.is_empty() {
            config.auth_info.impersonate_groups = Some(self.as_groups.clone());
        }
        if let Some(file) = &self.ca_file {
            config.root_cert = Some(certificates(&std::fs::read(file)?)?);
        }
        if self.tls_server_name.is_some() {
            config.tls_server_name.clone_from(&self.tls_server_name);
        }
        config.accept_invalid_certs |= self.insecure;
        let namespace = config.default_namespace.clone();
        Ok((Client::try_from(config)?, namespace))
    }

    /// Returns the context's namespace without asking the cluster.
    fn namespace(&self) -> String {
        let found = self.document().ok().and_then(|document| {
            let wanted = self
                .context
                .clone()
                .or_else(|| document.current_context.clone())?;
            let context = document
                .contexts
                .into_iter()
                .find(|one| one.name == wanted)?;
            context.context?.namespace
        });
        found.unwrap_or_else(|| "default".into())
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, Failure> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let certificates: Result<Vec<Vec<u8>>, _> = CertificateDer::pem_slice_iter(pem)
        .map(|certificate| certificate.map(|der| der.to_vec()))
        .collect();
    certificates.map_err(|error| anyhow::anyhow!("certificate authority: {error}").into())
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// Names this process for others who want to work on the same release.
fn own_holder() -> String {
    let user = std::env::var("USER").unwrap_or_else(|_| "somebody".into());
    format!("{user}@{} (pid {})", host(), std::process::id())
}

/// Whether a holder is a process of this machine that has ended.
fn is_dead(holder: &str) -> bool {
    let parsed = holder.split_once('@').and_then(|(_, rest)| {
        let (host, pid) = rest.split_once(" (pid ")?;
        Some((host, pid.strip_suffix(')')?.parse::<u32>().ok()?))
    });
    parsed.is_some_and(|(at, pid)| {
        // Another pid namespace may have the same host name: it is asked about
        // its own processes only, so a foreign living one may look dead here.
        at == host() && !std::path::Path::new(&format!("/proc/{pid}")).exists()
    })
}
