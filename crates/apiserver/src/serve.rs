//! Sockets: TLS with HTTP/2 and HTTP/1.1 (upgrades need the latter), client
//! certificates turned into identities, and a drain that lets requests finish.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::authn::certificate;
use crate::body;
use crate::dispatch;
use crate::identity::Identity;
use crate::server::ApiServer;

/// A client that does not finish its handshake by then is dropped.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Requests under way at shutdown get this long.
const DRAIN_MAX: Duration = Duration::from_secs(10);

impl ApiServer {
    /// Serves a listener until `shutdown`, then ends watches and lets the
    /// other requests finish. Offer `h2` and `http/1.1` in the TLS
    /// configuration; client certificates it verified become identities.
    ///
    /// # Errors
    /// When the listener cannot be used at all.
    pub async fn serve(
        &self,
        listener: std::net::TcpListener,
        tls: Arc<rustls::ServerConfig>,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let acceptor = TlsAcceptor::from(tls);
        let graceful = GracefulShutdown::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => self.spawn(stream, acceptor.clone(), &graceful),
                    Err(error) => {
                        // Out of descriptors and the like: others may end soon.
                        tracing::warn!(%error, "a connection was not accepted");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
                () = &mut shutdown => break,
            }
        }
        drop(listener);
        self.close();
        if tokio::time::timeout(DRAIN_MAX, graceful.shutdown())
            .await
            .is_err()
        {
            tracing::warn!("some requests did not finish in time");
        }
        Ok(())
    }

    fn spawn(&self, stream: TcpStream, acceptor: TlsAcceptor, graceful: &GracefulShutdown) {
        let server = self.clone();
        let watcher = graceful.watcher();
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await
            else {
                return;
            };
            let identity = stream
                .get_ref()
                .1
                .peer_certificates()
                .and_then(|chain| certificate::identity(chain.first()?));
            let service =
                service_fn(move |request| server.clone().answer(request, identity.clone()));
            let mut builder = Builder::new(TokioExecutor::new());
            // A watch a kind is one stream; clients open many on one connection.
            builder.http2().max_concurrent_streams(1000);
            let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
            if let Err(error) = watcher.watch(connection).await {
                tracing::debug!(%error, "a connection ended");
            }
        });
    }

    async fn answer(
        self,
        request: Request<Incoming>,
        identity: Option<Identity>,
    ) -> Result<http::Response<body::Body>, std::convert::Infallible> {
        let mut request = request.map(body::boxed);
        if let Some(identity) = identity {
            request.extensions_mut().insert(identity);
        }
        Ok(dispatch::handle(self.core.clone(), request).await)
    }
}
