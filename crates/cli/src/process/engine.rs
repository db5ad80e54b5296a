//! The engine: API server, controllers, scheduler, network and node in one
//! process, each a client of the API over the in-memory transport.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::FromRawFd;
use std::sync::Arc;

use anyhow::Context;
use coracle_apiserver::{ApiServer, Config, Identity};
use coracle_client::{Caches, storage};
use coracle_cluster::pki::Pki;
use coracle_cluster::{HostNetwork, Shares, init};
use coracle_controllers::Context as Controllers;
use coracle_netdev::AddressPlan;
use coracle_network::Announcer;
use coracle_node::{Announce, Node, Provisioner};
use coracle_runtime::Cgroups;
use kube::Client;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use tokio::signal::unix::{SignalKind, signal};
use tower::ServiceExt;

use super::registries::Inside;
use super::{certificates, paths};

/// The domain of cluster names.
const DOMAIN: &str = "cluster.local";

/// Runs the engine of cluster `name` until it is asked to end.
pub fn main(name: &str, api_only: bool) -> anyhow::Result<()> {
    super::log::into(paths::log("engine"));
    rustix::thread::set_name(c"coracle-engine")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(run(name, api_only));
    // Residents never end by themselves.
    runtime.shutdown_background();
    result
}

async fn run(name: &str, api_only: bool) -> anyhow::Result<()> {
    let plan = AddressPlan::default();
    let pki = Pki::at(&paths::cluster().join("pki"));
    let server = open(&pki, &plan)?;
    let tls = tls(name, &pki)?;
    let mut terminated = signal(SignalKind::terminate())?;
    let (stop, _) = tokio::sync::watch::channel(false);
    let mut serving = tokio::task::JoinSet::new();
    for listener in listeners(&plan)? {
        let (server, tls, mut stopped) = (server.clone(), tls.clone(), stop.subscribe());
        serving.spawn(async move {
            let stopped = async move {
                let _ = stopped.wait_for(|stopped| *stopped).await;
            };
            server.serve(listener, tls, stopped).await
        });
    }
    if !api_only {
        start_residents(name, &server, &pki, plan)?;
    }
    terminated.recv().await;
    stop.send_replace(true);
    while let Some(result) = serving.join_next().await {
        result??;
    }
    server.close_store();
    Ok(())
}

fn open(pki: &Pki, plan: &AddressPlan) -> anyhow::Result<ApiServer> {
    let mut config = Config::new(paths::cluster().join("data"), pki.seal_key()?);
    config.token_key = pki.path("service-account.key");
    config.advertised = SocketAddr::from((plan.node(), plan.api_port)).to_string();
    config.root_ca = pki.authority()?;
    config.storage_provisioner = Some(storage::PROVISIONER.into());
    Ok(ApiServer::open(config)?)
}

/// Returns the sockets of the API: the host's, held by pid 1, and the cluster's own.
fn listeners(plan: &AddressPlan) -> anyhow::Result<Vec<TcpListener>> {
    let fd = init::descriptor("api").context("no API socket was inherited")?;
    // SAFETY: pid 1 handed over this descriptor, nothing else owns it here.
    let host = unsafe { TcpListener::from_raw_fd(fd) };
    let inside = TcpListener::bind((plan.node(), plan.api_port))
        .context("bind the API inside the cluster")?;
    Ok(vec![host, inside])
}

/// Returns the server's side of TLS; clients may prove themselves by certificate.
fn tls(name: &str, pki: &Pki) -> anyhow::Result<Arc<rustls::ServerConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pki.authority()?.as_bytes()) {
        roots.add(certificate?)?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(certificates::keep(name, pki)?);
    // Upgrades (exec, attach, port-forward) exist in HTTP/1.1 only.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The agent of everything that upstream's controller manager does.
const MANAGER: &str = "kube-controller-manager";

fn start_residents(
    name: &str,
    server: &ApiServer,
    pki: &Pki,
    plan: AddressPlan,
) -> anyhow::Result<()> {
    let as_agent = {
        let server = server.clone();
        // Field managers and audit know a client by its agent, as upstream's.
        move |agent: &'static str, identity: Identity| {
            let named = move |mut request: http::Request<kube::client::Body>| {
                let agent = http::HeaderValue::from_static(agent);
                request
                    .headers_mut()
                    .insert(http::header::USER_AGENT, agent);
                request
            };
            Client::new(server.service(identity).map_request(named), "default")
        }
    };
    let client = {
        let as_agent = as_agent.clone();
        move |identity: Identity| as_agent(MANAGER, identity)
    };
    let caches = Caches::new(client(Identity::new("system:kube-controller-manager", &[])));
    let as_user = {
        let client = client.clone();
        move |user: &str| {
            let groups = [
                "system:serviceaccounts",
                "system:serviceaccounts:kube-system",
            ];
            client(Identity::new(user, &groups))
        }
    };
    let (announcer, announcements) = coracle_network::announcements();
    let node = node(
        name,
        caches.clone(),
        as_agent("kubelet", Identity::node(name)),
        &plan,
        announcer,
    )?;
    server.set_kubelet(node.kubelet());
    tokio::spawn(coracle_controllers::start(Controllers::new(
        caches.clone(),
        &pki.authority()?,
        as_user,
    )));
    tokio::spawn(coracle_scheduler::run(
        caches.clone(),
        as_agent(
            "kube-scheduler",
            Identity::new("system:kube-scheduler", &[]),
        ),
    ));
    let provisioner = Provisioner::new(
        &caches,
        client(Identity::controller("persistent-volume-binder")),
        paths::cluster().join("data/volumes"),
        name,
    );
    tokio::spawn(provisioner.run());
    let host = HostNetwork::read(paths::cluster());
    let mut settings = coracle_network::Settings::new(plan);
    settings.host_addresses = coracle_network::forward::with_twin(host.address.into()).collect();
    settings.listen = host.listen;
    settings.authority = Some(authority(pki));
    let network = coracle_network::run(coracle_network::Options {
        client: as_agent("coracle-network", Identity::controller("coracle-network")),
        caches,
        settings,
        dataplane: paths::dataplane_socket(),
        announcements,
    });
    tokio::spawn(async move {
        if let Err(error) = network.await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the network is not kept"
            );
        }
    });
    tokio::spawn(async move {
        node.run().await;
        // Pid 1 starts this process again; the pods go on.
        tracing::error!("the node has ended; the engine starts anew");
        std::process::exit(1);
    });
    Ok(())
}

/// Returns what certifies the hosts of Ingresses that bring no certificate.
fn authority(pki: &Pki) -> coracle_network::Issue {
    let pki = pki.clone();
    coracle_network::Issue::new(move |hosts| {
        let pair = pki.issue(hosts)?;
        Ok((pair.certificate, pair.key))
    })
}

fn node(
    name: &str,
    caches: Caches,
    client: Client,
    plan: &AddressPlan,
    network: Announcer,
) -> anyhow::Result<Node> {
    let cluster = paths::cluster();
    let config = coracle_node::Config {
        name: name.into(),
        cluster: name.into(),
        pods: cluster.join("data/pods"),
        volumes: cluster.join("data/volumes"),
        shares: Shares::read(cluster).places(),
        logs: cluster.join("data/logs"),
        images: paths::images().into(),
        state: "/run/runtime".into(),
        run: "/run/node".into(),
        executable: "/proc/self/exe".into(),
        plan: plan.clone(),
        domain: DOMAIN.into(),
        registries: Arc::new(Inside::new(paths::gateway_socket())),
        announce: Announce::new(move |it| Box::pin(network.announce(it.pod, it.uid, it.address))),
        pods_max: 250,
    };
    Ok(Node::new(
        config,
        caches,
        client,
        Cgroups::open(std::path::Path::new("/sys/fs/cgroup")),
    )?)
}
