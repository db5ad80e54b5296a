//! The way to the node: a kubelet-shaped HTTP service handed in at start.
//! Requests keep their upgrade, so that the node ends WebSocket and SPDY
//! itself; nothing is framed here.

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Request, Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};

use crate::body::{self, Body, BoxError};
use crate::status::{ApiError, ApiResult};

/// The node's service.
#[derive(Clone)]
pub struct Kubelet(BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>);

impl Kubelet {
    /// Wraps any HTTP service.
    pub fn new<S, B>(service: S) -> Kubelet
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let service = service
            .map_response(|response: Response<B>| response.map(body::boxed))
            .map_err(Into::into);
        Kubelet(BoxCloneSyncService::new(service))
    }

    fn call(&self, request: Request<Body>) -> BoxFuture<'static, Result<Response<Body>, BoxError>> {
        self.0.clone().oneshot(request).boxed()
    }

    /// Passes a request on. Its upgrade travels among its extensions; a service
    /// that is itself a client of another connection answers with an upgrade of
    /// its own, and the two are joined.
    ///
    /// # Errors
    /// 502 when the node does not answer.
    pub async fn pass(&self, mut request: Request<Body>) -> ApiResult<Response<Body>> {
        let downstream = request.extensions().get::<OnUpgrade>().cloned();
        request.headers_mut().remove(http::header::AUTHORIZATION);
        let answer = self.call(request).await;
        let mut response = answer.map_err(|error| {
            ApiError::new(
                502,
                "InternalError",
                format!("the node does not answer: {error}"),
            )
        })?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS
            && let Some(upstream) = response.extensions_mut().remove::<OnUpgrade>()
            && let Some(downstream) = downstream
        {
            tokio::spawn(join(downstream, upstream));
        }
        Ok(response)
    }
}

async fn join(downstream: OnUpgrade, upstream: OnUpgrade) {
    let (Ok(downstream), Ok(upstream)) = (downstream.await, upstream.await) else {
        tracing::debug!("an upgrade was not completed");
        return;
    };
    let mut downstream = TokioIo::new(downstream);
    let mut upstream = TokioIo::new(upstream);
    if let Err(error) = tokio::io::copy_bidirectional(&mut downstream, &mut upstream).await {
        tracing::debug!(%error, "an upgraded connection broke");
    }
}
