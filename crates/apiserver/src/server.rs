//! The server: [`ApiServer`] opens the store, seeds what a cluster begins with
//! and answers requests, from sockets (`serve.rs`) and from inside the process
//! ([`ApiServer::service`]) alike.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as TaskContext, Poll};

use bytes::Bytes;
use coracle_store::{OpenError as StoreError, Options, Seal, Store};
use futures::future::BoxFuture;
use http::{Request, Response};
use parking_lot::RwLock;
use tokio::sync::watch;

use crate::admission::services::{Allocations, Ipv4Range, PortRange};
use crate::authn::tokens::{TokenError, TokenKeys};
use crate::authz::Authorizer;
use crate::body::{self, Body, BoxError};
use crate::bootstrap;
use crate::custom::Customs;
use crate::dispatch;
use crate::identity::Identity;
use crate::inflight::InFlight;
use crate::kubelet::Kubelet;
use crate::metrics::Metrics;
use crate::object::Stored;
use crate::openapi::Documents;

/// What a server is given.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder of the store; created if absent.
    pub data_dir: PathBuf,
    /// Addresses of Services.
    pub service_range: Ipv4Range,
    /// Ports of Services on nodes.
    pub node_port_range: PortRange,
    /// Issuer of service-account tokens, and their default audience.
    pub issuer: String,
    /// File of the key that signs tokens; created (0600) if absent.
    pub token_key: PathBuf,
    /// Whether containers may be privileged; upstream's flag `--allow-privileged`.
    pub allow_privileged: bool,
    /// Whether creating what is not acted on earns a warning that names it.
    pub warn_inert: bool,
    /// Whether a node answers the metrics groups: there is a role for their readers then.
    pub metrics: bool,
    /// Seals Secrets on disk.
    pub seal_key: [u8; 32],
    /// Provisioner of the default storage class `standard`; `None`: there is no class.
    pub storage_provisioner: Option<String>,
    /// Address that clients reach the server at, `host:port`, as discovery tells it.
    pub advertised: String,
    /// PEM of the certificate authority that clients verify the server with;
    /// published as ConfigMap `kube-root-ca.crt` by the controller that does so.
    pub root_ca: String,
}

impl Config {
    /// Upstream's defaults, with everything kept below `data_dir`.
    #[must_use]
    pub fn new(data_dir: PathBuf, seal_key: [u8; 32]) -> Config {
        Config {
            token_key: data_dir.join("service-account.key"),
            data_dir,
            service_range: Ipv4Range::default(),
            node_port_range: PortRange::default(),
            issuer: "https://kubernetes.default.svc.cluster.local".to_owned(),
            seal_key,
            allow_privileged: true,
            warn_inert: true,
            metrics: true,
            storage_provisioner: None,
            advertised: "127.0.0.1:6443".to_owned(),
            root_ca: String::new(),
        }
    }
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data folder cannot be made.
    #[error("cannot create {path}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The store does not open.
    #[error("the store does not open")]
    Store(#[from] StoreError),
    /// The token key cannot be read or made.
    #[error("the key of service-account tokens is not usable")]
    TokenKey(#[from] TokenError),
    /// The first objects cannot be written.
    #[error("the first objects cannot be written: {reason}")]
    Bootstrap {
        /// What was refused.
        reason: String,
    },
}

/// Everything the requests share.
pub struct Core {
    /// The store.
    pub store: Store<Stored>,
    /// What was configured.
    pub config: Config,
    /// Signs and verifies tokens.
    pub tokens: TokenKeys,
    /// Who may do what.
    pub authorizer: Authorizer,
    /// Addresses and ports of Services.
    pub allocations: Allocations,
    /// Custom resources.
    pub customs: Customs,
    /// OpenAPI documents.
    pub documents: Documents,
    /// How many requests are served at once.
    pub in_flight: InFlight,
    /// Counters.
    pub metrics: Metrics,
    /// The node, once there is one.
    pub kubelet: RwLock<Option<Kubelet>>,
    closing: watch::Sender<bool>,
    ready: AtomicBool,
}

impl Core {
    /// Tells watches and other long answers when to end.
    pub fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    /// Whether `/readyz` says so.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed) && !*self.closing.borrow()
    }
}

/// The API server. Clones share one store.
#[derive(Clone)]
pub struct ApiServer {
    pub(crate) core: Arc<Core>,
}

impl ApiServer {
    /// Opens the store and seeds what a cluster begins with.
    ///
    /// # Errors
    /// When the data is in use, newer or damaged; see [`OpenError`].
    pub fn open(config: Config) -> Result<ApiServer, OpenError> {
        std::fs::create_dir_all(&config.data_dir).map_err(|source| OpenError::Folder {
            path: config.data_dir.clone(),
            source,
        })?;
        let seal = Seal::new(&config.seal_key, vec!["/core/secrets/".to_owned()]);
        let options = Options {
            seal: Some(seal),
            ..Options::default()
        };
        let store: Store<Stored> = Store::open(&config.data_dir.join("store"), options)?;
        let tokens = TokenKeys::open(&config.token_key, &config.issuer)?;
        bootstrap::seed(&store, &config).map_err(|reason| OpenError::Bootstrap { reason })?;
        let core = Core {
            authorizer: Authorizer::new(&store),
            allocations: Allocations::new(&store, config.service_range, config.node_port_range),
            documents: Documents::default(),
            customs: Customs::new(&store),
            metrics: Metrics::default(),
            in_flight: InFlight::default(),
            kubelet: RwLock::new(None),
            closing: watch::channel(false).0,
            ready: AtomicBool::new(true),
            store,
            tokens,
            config,
        };
        Ok(ApiServer {
            core: Arc::new(core),
        })
    }

    /// Returns an in-memory transport that acts as `identity`, for
    /// `kube::Client::new` and the like.
    #[must_use]
    pub fn service(&self, identity: Identity) -> InProcess {
        InProcess {
            core: self.core.clone(),
            identity,
        }
    }

    /// Hands over the node's kubelet-shaped HTTP service.
    pub fn set_kubelet<S, B>(&self, service: S)
    where
        S: tower::Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        *self.core.kubelet.write() = Some(Kubelet::new(service));
    }

    /// Ends watches and refuses new work; what is being written is finished.
    pub fn close(&self) {
        self.core.closing.send_replace(true);
    }

    /// Writes what is pending and gives up the lock of the store.
    pub fn close_store(&self) {
        self.core.store.close();
    }

    /// Returns the public keys of service-account tokens, as served at `/openid/v1/jwks`.
    #[must_use]
    pub fn jwks(&self) -> serde_json::Value {
        self.core.tokens.jwks()
    }
}

/// In-memory transport with an identity. See [`ApiServer::service`].
#[derive(Clone)]
pub struct InProcess {
    core: Arc<Core>,
    identity: Identity,
}

impl<B> tower::Service<Request<B>> for InProcess
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut request = request.map(body::boxed);
        request.extensions_mut().insert(self.identity.clone());
        let core = self.core.clone();
        Box::pin(async move { Ok(dispatch::handle(core, request).await) })
    }
}
