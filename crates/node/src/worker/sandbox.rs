//! The sandbox of a pod: its namespaces, its address, the files of `/etc` that
//! all its containers share.

use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;

use coracle_netdev::pod as netdev;
use coracle_runtime::{Runtime, Sandbox, SandboxSpec};
use futures::FutureExt;
use futures::future::OptionFuture;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use kube::ResourceExt;

use super::Worker;
use crate::announce::Announcement;
use crate::env::PodFacts;

/// A pod's namespaces, ready for containers.
#[derive(Debug)]
pub struct Ready {
    /// The namespaces; `None` where nothing really runs.
    pub sandbox: Option<Sandbox>,
    /// The pod's address; that of the node with the node's network.
    pub address: Option<Ipv4Addr>,
}

/// Why a pod has no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Every address is taken.
    #[error("no pod address is free")]
    NoAddress,
    /// The namespaces could not be made.
    #[error("{0}: {source}", source = source_of(.0))]
    Sandbox(coracle_runtime::SandboxError),
    /// The network could not be connected.
    #[error("connect the network: {0}")]
    Network(coracle_netdev::Error),
    /// The full host name is longer than the kernel takes.
    #[error(
        "failed to construct FQDN from pod hostname and cluster domain, FQDN {name} is too long ({HOSTNAME_MAX} characters is the max, {length} characters requested)"
    )]
    LongName {
        /// The name.
        name: String,
        /// Its length.
        length: usize,
    },
    /// A file could not be written.
    #[error("{0}")]
    File(#[from] io::Error),
}

fn source_of(error: &dyn std::error::Error) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}

fn uses_host_network(pod: &Pod) -> bool {
    pod.spec.as_ref().and_then(|spec| spec.host_network) == Some(true)
}

/// The kernel's limit of a host name; see sethostname(2).
const HOSTNAME_MAX: usize = 64;

/// Returns the pod's own host name, or its name cut to 63 characters.
fn short_hostname(pod: &Pod) -> String {
    let own = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.hostname.clone())
        .filter(|name| !name.is_empty());
    let name = own.unwrap_or_else(|| pod.name_any());
    name.chars()
        .take(63)
        .collect::<String>()
        .trim_end_matches(['-', '.'])
        .to_owned()
}

impl Worker {
    /// Returns the host name in the pod (upstream: kubelet_pods.go,
    /// GeneratePodHostNameAndDomain): the node's on its network.
    pub(super) fn hostname(&self) -> String {
        if uses_host_network(&self.pod) {
            return self.shared.config.name.clone();
        }
        let spec = self.pod.spec.as_ref();
        let is_full = spec.and_then(|spec| spec.set_hostname_as_fqdn) == Some(true);
        let full = self.full_hostname().filter(|_| is_full);
        full.unwrap_or_else(|| short_hostname(&self.pod))
    }

    /// Returns the pod's host name with its domain, if it has a subdomain.
    fn full_hostname(&self) -> Option<String> {
        let subdomain = self.pod.spec.as_ref()?.subdomain.as_ref()?;
        let name = short_hostname(&self.pod);
        let (namespace, domain) = (&self.key.namespace, &self.shared.config.domain);
        Some(format!("{name}.{subdomain}.{namespace}.svc.{domain}"))
    }

    /// Returns what fields of the pod its containers may show.
    pub(super) fn facts(&self) -> PodFacts<'_> {
        let address = self.sandbox.as_ref().and_then(|sandbox| sandbox.address);
        PodFacts {
            pod: &self.pod,
            pod_ip: address
                .map(|address| address.to_string())
                .unwrap_or_default(),
            host_ip: self.shared.config.address().to_string(),
            allocatable: self.shared.allocatable.clone(),
        }
    }

    /// Makes the pod's namespaces and connects them, or finds those it has.
    pub(super) async fn make_sandbox(&mut self) -> Result<Ready, Error> {
        let name = self.hostname();
        if name.len() > HOSTNAME_MAX {
            return Err(Error::LongName {
                length: name.len(),
                name,
            });
        }
        let host_network = uses_host_network(&self.pod);
        let address = if host_network {
            self.shared.config.address()
        } else {
            self.shared
                .addresses
                .take(&self.uid)
                .ok_or(Error::NoAddress)?
        };
        let Some(runtime) = self.shared.machine.linux() else {
            return Ok(Ready {
                sandbox: None,
                address: Some(address),
            });
        };
        let sandbox = self.namespaces(runtime, host_network, address).await?;
        self.write_files(host_network, address)?;
        fs::write(
            self.paths.dir.join("sandbox.json"),
            serde_json::json!({"address": address}).to_string(),
        )?;
        Ok(Ready {
            sandbox: Some(sandbox),
            address: Some(address),
        })
    }

    /// Tells of the pod's own address; the future ends when it is known.
    pub(super) fn announce(
        &self,
        address: Option<Ipv4Addr>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let own = address.filter(|_| !uses_host_network(&self.pod));
        let known = own.map(|address| {
            self.shared.config.announce.tell(Announcement {
                pod: self.key.clone(),
                uid: self.uid.clone(),
                address,
            })
        });
        OptionFuture::from(known).map(drop)
    }

    async fn namespaces(
        &self,
        runtime: &Runtime,
        host_network: bool,
        address: Ipv4Addr,
    ) -> Result<Sandbox, Error> {
        let existing = runtime.sandboxes().unwrap_or_default();
        if let Some(old) = existing
            .into_iter()
            .find(|sandbox| sandbox.id() == self.uid)
        {
            if old.is_alive() {
                return Ok(old);
            }
            let _ = old.remove().await;
        }
        let spec = self.pod.spec.clone().unwrap_or_default();
        let sandbox = runtime
            .create_sandbox(self.sandbox_spec(&spec, host_network))
            .await;
        let sandbox = sandbox.map_err(Error::Sandbox)?;
        if let Some(net) = sandbox.net() {
            let connected = self.connect(File::open(net)?, address);
            if let Err(error) = connected {
                let _ = sandbox.remove().await;
                return Err(Error::Network(error));
            }
        }
        Ok(sandbox)
    }

    fn sandbox_spec(&self, spec: &PodSpec, host_network: bool) -> SandboxSpec {
        let sysctls = spec
            .security_context
            .as_ref()
            .and_then(|context| context.sysctls.clone());
        SandboxSpec {
            id: self.uid.clone(),
            hostname: self.hostname(),
            host_network,
            host_ipc: spec.host_ipc == Some(true),
            host_pids: spec.host_pid == Some(true),
            share_pids: spec.share_process_namespace == Some(true),
            sysctls: sysctls
                .into_iter()
                .flatten()
                .map(|sysctl| (sysctl.name, sysctl.value))
                .collect(),
        }
    }

    fn connect(&self, net: File, address: Ipv4Addr) -> Result<(), coracle_netdev::Error> {
        netdev::attach(&netdev::Attach {
            netns: net.as_fd(),
            address,
            node: self.shared.config.address(),
            host_interface: &interface(address),
            mtu: netdev::MTU_DEFAULT,
        })?;
        self.set_net_sysctls(&net)
    }

    /// Sets the pod's settings of the network once more: connecting it has put
    /// the usual ones in their place.
    fn set_net_sysctls(&self, net: &File) -> Result<(), coracle_netdev::Error> {
        let context = self
            .pod
            .spec
            .as_ref()
            .and_then(|spec| spec.security_context.as_ref());
        let sysctls = context.and_then(|context| context.sysctls.clone());
        let own: Vec<(String, String)> = sysctls
            .into_iter()
            .flatten()
            .filter_map(|sysctl| {
                let name = sysctl.name.replace('.', "/");
                Some((name.strip_prefix("net/")?.to_owned(), sysctl.value))
            })
            .collect();
        if own.is_empty() {
            return Ok(());
        }
        coracle_netdev::netns::enter(net.as_fd(), || {
            own.iter()
                .try_for_each(|(name, value)| coracle_netdev::sysctl::set(name, value))
        })?
    }

    /// Writes the files of `/etc` that the containers share
    /// (upstream: kubelet_pods.go, ensureHostsFile).
    fn write_files(&self, host_network: bool, address: Ipv4Addr) -> io::Result<()> {
        fs::create_dir_all(self.paths.etc(""))?;
        let spec = self.pod.spec.clone().unwrap_or_default();
        let mut hosts = String::from(
            "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n",
        );
        if !host_network {
            let full = self.full_hostname().map(|name| name + "\t");
            hosts.push_str(&format!(
                "{address}\t{}{}\n",
                full.unwrap_or_default(),
                short_hostname(&self.pod)
            ));
        }
        let aliases = spec.host_aliases.clone().unwrap_or_default();
        if !aliases.is_empty() {
            hosts.push_str("\n# Entries added by HostAliases.\n");
        }
        for alias in aliases {
            hosts.push_str(&format!(
                "{}\t{}\n",
                alias.ip,
                alias.hostnames.unwrap_or_default().join("\t")
            ));
        }
        fs::write(self.paths.etc("hosts"), hosts)?;
        fs::write(self.paths.etc("hostname"), format!("{}\n", self.hostname()))?;
        fs::write(self.paths.etc("resolv.conf"), self.resolv_conf(&spec))
    }

    /// Returns the pod's resolv.conf (Kubernetes: DNS for Services and Pods).
    fn resolv_conf(&self, spec: &PodSpec) -> String {
        let config = spec.dns_config.clone().unwrap_or_default();
        let domain = &self.shared.config.domain;
        let (mut servers, mut searches, mut options) = (Vec::new(), Vec::new(), Vec::new());
        let policy = match spec.dns_policy.as_deref().unwrap_or("ClusterFirst") {
            // With the node's network only ClusterFirstWithHostNet asks for it.
            "ClusterFirst" if uses_host_network(&self.pod) => "Default",
            policy => policy,
        };
        if policy != "None" {
            servers.push(self.shared.config.plan.dns_service().to_string());
        }
        if !matches!(policy, "None" | "Default") {
            searches.push(format!("{}.svc.{domain}", self.key.namespace));
            searches.push(format!("svc.{domain}"));
            searches.push(domain.clone());
            options.push("ndots:5".to_owned());
        }
        servers.extend(config.nameservers.into_iter().flatten());
        searches.extend(config.searches.into_iter().flatten());
        for option in config.options.into_iter().flatten() {
            let Some(name) = option.name else { continue };
            options.retain(|have: &String| have.split(':').next() != Some(&name));
            options.push(
                option
                    .value
                    .map_or(name.clone(), |value| format!("{name}:{value}")),
            );
        }
        let mut text = String::new();
        if !searches.is_empty() {
            text.push_str(&format!("search {}\n", searches.join(" ")));
        }
        for server in servers {
            text.push_str(&format!("nameserver {server}\n"));
        }
        if !options.is_empty() {
            text.push_str(&format!("options {}\n", options.join(" ")));
        }
        text
    }

    /// Lets the pod's namespaces and address go.
    pub(super) async fn release_sandbox(&mut self) {
        let Some(ready) = self.sandbox.take() else {
            return;
        };
        if let Some(sandbox) = ready.sandbox {
            self.disconnect(&sandbox, ready.address).await;
        }
        self.shared.addresses.release(&self.uid);
        *self.handle.address.write() = None;
    }
}

impl Worker {
    async fn disconnect(&self, sandbox: &Sandbox, address: Option<Ipv4Addr>) {
        if let Some(address) = address.filter(|_| !uses_host_network(&self.pod))
            && let Err(error) = netdev::detach(&interface(address))
        {
            tracing::warn!(pod = %self.key, %error, "the pod's interface was not removed");
        }
        if let Err(error) = sandbox.remove().await {
            tracing::warn!(pod = %self.key, %error, "the pod's namespaces were not removed");
        }
    }
}

/// Returns the name of the interface that leads to a pod (at most 15 bytes).
fn interface(address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("pod{a:02x}{b:02x}{c:02x}{d:02x}")
}
