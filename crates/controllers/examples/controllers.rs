//! Serves the API with its controllers, but no scheduler and no node, in plain
//! HTTP on a port of loopback, everyone being the administrator: for comparing
//! what controllers make of objects with what others recorded.
//! `cargo run -p coracle-controllers --example controllers -- 127.0.0.1:8001`
//! prints where it listens.

use std::io::Write;

use coracle_apiserver::{ApiServer, Config, Identity};
use coracle_client::Caches;
use coracle_controllers::Context;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use kube::Client;

type Error = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let address = std::env::args()
        .nth(1)
        .ok_or("usage: controllers ADDRESS")?;
    let folder = tempfile::tempdir()?;
    let mut config = Config::new(folder.path().to_owned(), [7; 32]);
    // As an API server started without flags.
    config.allow_privileged = false;
    config.warn_inert = false;
    config.metrics = false;
    config.issuer = "https://kubernetes.default.svc".into();
    let server = ApiServer::open(config)?;
    let client = {
        let server = server.clone();
        move |identity| Client::new(server.service(identity), "default")
    };
    let manager = Identity::new("system:kube-controller-manager", &[]);
    let as_user = {
        let client = client.clone();
        move |user: &str| client(Identity::new(user, &["system:serviceaccounts"]))
    };
    let context = Context::new(Caches::new(client(manager)), "no authority", as_user);
    tokio::spawn(coracle_controllers::start(context));
    let listener = tokio::net::TcpListener::bind(address).await?;
    writeln!(std::io::stdout(), "http://{}", listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(server.service(Identity::admin()));
        tokio::spawn(async move {
            let builder = Builder::new(TokioExecutor::new());
            let _ = builder
                .serve_connection_with_upgrades(TokioIo::new(stream), service)
                .await;
        });
    }
}
