//! Requests that the API server passes on to pods and Services, below
//! `/api/v1/namespaces/NAMESPACE/pods/NAME:PORT/proxy/` and the like
//! (Kubernetes: Access Services Running on Clusters). Links in pages stay as
//! they are.

use std::io;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt;
use serde_json::json;

use super::{Body, Kubelet, Refusal, text};
use crate::fetch;

const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// What belongs to one connection and is not passed on (RFC 9110, section 7.6.1).
const OF_CONNECTION: [header::HeaderName; 5] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::TE,
    header::UPGRADE,
    header::PROXY_AUTHENTICATE,
];

/// Who is asked for, as the path says it.
#[derive(Debug, Clone, Copy)]
pub struct To<'a> {
    /// `pods` or `services`.
    pub plural: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// `SCHEME:NAME:PORT`, of which only the name is never empty.
    pub target: &'a str,
}

/// Passes a request on.
pub async fn serve<B>(
    kubelet: &Kubelet,
    to: To<'_>,
    request: Request<B>,
) -> Result<Response<Body>, Refusal>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (scheme, rest) = to.target.split_once(':').unwrap_or(("", to.target));
    let (name, port) = rest.split_once(':').unwrap_or((rest, ""));
    let found = match to.plural {
        "pods" => pod_address(kubelet, to.namespace, name, port)?,
        _ => service_address(kubelet, to.namespace, name, port),
    };
    let asked = match found {
        Ok(address) => ask(address, scheme == "https", to, request)
            .await
            .map_err(|error| format!("error trying to reach service: {error}")),
        Err(why) => Err(why),
    };
    Ok(asked.unwrap_or_else(unavailable))
}

/// Returns where a pod's port is: the first that it declares, if none is given
/// (upstream: pkg/registry/core/pod/strategy.go, ResourceLocation).
fn pod_address(
    kubelet: &Kubelet,
    namespace: &str,
    name: &str,
    port: &str,
) -> Result<Result<SocketAddr, String>, Refusal> {
    let address = *kubelet.pod(namespace, name)?.address.read();
    let Some(address) = address else {
        return Ok(Err(format!("pod {name:?} has no address yet")));
    };
    let pod = kubelet.shared.pods.get(namespace, name);
    let containers = pod.as_ref().and_then(|pod| pod.spec.as_ref());
    let mut declared = containers
        .into_iter()
        .flat_map(|spec| &spec.containers)
        .flat_map(|container| container.ports.iter().flatten());
    let number = match port {
        "" => declared
            .next()
            .map_or(Some(80), |port| number(port.container_port)),
        port => port.parse().ok(),
    };
    let number = number.ok_or_else(|| Refusal::bad(format!("{port:?} is no number of a port")))?;
    Ok(Ok(SocketAddr::from((address, number))))
}

fn number(port: i32) -> Option<u16> {
    u16::try_from(port).ok()
}

fn service_address(
    kubelet: &Kubelet,
    namespace: &str,
    name: &str,
    port: &str,
) -> Result<SocketAddr, String> {
    let service = kubelet.shared.services.get(namespace, name);
    let slices = kubelet.shared.endpoint_slices.matching(namespace, |slice| {
        slice.labels().get(SERVICE_NAME).map(String::as_str) == Some(name)
    });
    let slices = slices.iter().map(|slice| &**slice);
    endpoint(service.as_deref(), slices, port)
        .ok_or_else(|| format!("no endpoints available for service {name:?}"))
}

/// Returns a ready endpoint that serves the port, which is given by its name or
/// its number (upstream: pkg/registry/core/service/storage, ResourceLocation).
fn endpoint<'a>(
    service: Option<&Service>,
    slices: impl Iterator<Item = &'a EndpointSlice>,
    port: &str,
) -> Option<SocketAddr> {
    let spec = service.and_then(|service| service.spec.as_ref());
    let mut ports = spec
        .into_iter()
        .flat_map(|spec| spec.ports.iter().flatten());
    let name = match port.parse::<i32>() {
        Ok(number) => ports.find(|port| port.port == number)?.name.as_deref(),
        Err(_) => Some(port),
    };
    let name = name.unwrap_or_default();
    slices.into_iter().find_map(|slice| {
        let mut ports = slice.ports.iter().flatten();
        let port = ports.find(|port| port.name.as_deref().unwrap_or_default() == name)?;
        let mut ready = slice.endpoints.iter().flatten().filter(|endpoint| {
            let conditions = endpoint.conditions.as_ref();
            conditions.and_then(|conditions| conditions.ready) != Some(false)
        });
        let address: IpAddr = ready.next()?.addresses.first()?.parse().ok()?;
        Some(SocketAddr::new(address, number(port.port?)?))
    })
}

async fn ask<B>(
    address: SocketAddr,
    tls: bool,
    to: To<'_>,
    request: Request<B>,
) -> Result<Response<Body>, String>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = fetch::connect(address, tls, &["http/1.1"]).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    tokio::spawn(connection.with_upgrades());
    let answer = sender.send_request(outward(request, address)?).await;
    let mut answer = answer.map_err(|error| error.to_string())?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        leave_connection(answer.headers_mut());
    }
    lead_back(answer.headers_mut(), to);
    Ok(answer.map(|body| body.map_err(io::Error::other).boxed()))
}

/// Returns the request as the pod sees it: what follows the target is its path.
fn outward<B>(request: Request<B>, address: SocketAddr) -> Result<Request<B>, String> {
    let (mut parts, body) = request.into_parts();
    let whole = parts
        .uri
        .path_and_query()
        .map_or("", |whole| whole.as_str());
    // As in /proxy/pods/NAMESPACE/TARGET/PATH.
    let path = whole.splitn(6, '/').nth(5).unwrap_or_default();
    let uri: Uri = format!("/{path}")
        .parse()
        .map_err(|error: http::uri::InvalidUri| error.to_string())?;
    let host = HeaderValue::try_from(address.to_string()).map_err(|error| error.to_string())?;
    parts.uri = uri;
    parts.version = http::Version::HTTP_11;
    parts.extensions.clear();
    parts.headers.entry(header::HOST).or_insert(host);
    if !parts.headers.contains_key(header::UPGRADE) {
        leave_connection(&mut parts.headers);
    }
    Ok(Request::from_parts(parts, body))
}

fn leave_connection(headers: &mut HeaderMap) {
    for name in OF_CONNECTION {
        headers.remove(name);
    }
}

/// Lets a redirect of the same host lead through the API server again (upstream:
/// apimachinery/pkg/util/proxy/transport.go, rewriteURL).
fn lead_back(headers: &mut HeaderMap, to: To<'_>) {
    let location = headers.get(header::LOCATION);
    let Some(location) = location.and_then(|location| location.to_str().ok()) else {
        return;
    };
    if !location.starts_with('/') || location.starts_with("//") {
        return;
    }
    let To {
        plural,
        namespace,
        target,
    } = to;
    let through = format!("/api/v1/namespaces/{namespace}/{plural}/{target}/proxy{location}");
    if let Ok(value) = HeaderValue::try_from(through) {
        headers.insert(header::LOCATION, value);
    }
}

fn unavailable(message: String) -> Response<Body> {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": "ServiceUnavailable", "code": 503,
    });
    let code = StatusCode::SERVICE_UNAVAILABLE;
    text(code, "application/json", status.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_service_is_its_first_ready_endpoint() {
        let service: Service = serde_json::from_value(json!({"spec": {"ports": [
            {"name": "web", "port": 80}, {"name": "admin", "port": 81},
        ]}}))
        .expect("a service");
        let slices: Vec<EndpointSlice> = serde_json::from_value(json!([
            {"addressType": "IPv4", "endpoints": [], "ports": [{"name": "web", "port": 8080}]},
            {"addressType": "IPv4", "endpoints": [
                {"addresses": ["10.0.0.1"], "conditions": {"ready": false}},
                {"addresses": ["10.0.0.2"], "conditions": {"ready": true}},
            ], "ports": [{"name": "web", "port": 8080}]},
        ]))
        .expect("slices");
        let check = |port: &str, expected: Option<&str>| {
            let found = endpoint(Some(&service), slices.iter(), port);
            let expected = expected.map(|text| text.parse().expect("an address"));
            assert_eq!(found, expected, "{port}");
        };
        check("web", Some("10.0.0.2:8080"));
        check("80", Some("10.0.0.2:8080"));
        check("81", None);
        check("82", None);
        check("", None);
    }

    #[test]
    fn a_request_goes_out_with_the_path_after_the_target() {
        let check = |path: &str, expected: &str| {
            let request = Request::get(path)
                .header("connection", "close")
                .body(())
                .expect("a request");
            let address = SocketAddr::from(([10, 0, 0, 1], 80));
            let request = outward(request, address).expect("a request");
            assert_eq!(request.uri(), expected);
            assert_eq!(request.headers()[header::HOST], "10.0.0.1:80");
            assert!(!request.headers().contains_key(header::CONNECTION));
        };
        check("/proxy/pods/default/:p:/", "/");
        check("/proxy/pods/default/:p:80/a%20b/?c=/d", "/a%20b/?c=/d");
    }

    #[test]
    fn a_redirect_comes_back_to_the_api_server() {
        let to = To {
            plural: "services",
            namespace: "default",
            target: ":web:",
        };
        let check = |location: &str, expected: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::LOCATION, location.parse().expect("a value"));
            lead_back(&mut headers, to);
            assert_eq!(
                Value::from(headers[header::LOCATION].to_str().ok()),
                expected
            );
        };
        let through = "/api/v1/namespaces/default/services/:web:/proxy/login";
        check("/login", through);
        check("https://example.com/", "https://example.com/");
        check("//example.com/", "//example.com/");
    }
}
