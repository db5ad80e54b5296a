//! HTTP and HTTPS probes and hooks (upstream: pkg/probe/http).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use k8s_openapi::api::core::v1::{Container, HTTPGetAction};

use super::port;
use crate::fetch::{self, Page};

/// As much of an answer is read as upstream reads (maxRespBodyLength).
const BODY_MAX: usize = 10 * 1024;
/// Go's client gives up after this many.
const REDIRECTS_MAX: usize = 10;

/// A page as a URL names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    tls: bool,
    host: String,
    port: u16,
    path: String,
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}{}", self.host, self.port, self.path)
    }
}

impl Url {
    /// Returns what an action asks for.
    ///
    /// # Errors
    /// Fails if its port has no number.
    pub fn of(
        action: &HTTPGetAction,
        container: &Container,
        address: Ipv4Addr,
    ) -> Result<Url, String> {
        let host = action.host.clone().filter(|host| !host.is_empty());
        let path = action.path.as_deref().unwrap_or("/");
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Url {
            tls: action
                .scheme
                .as_deref()
                .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https")),
            host: host.unwrap_or_else(|| address.to_string()),
            port: port(&action.port, container)?,
            path: format!("{slash}{path}"),
        })
    }

    fn address(&self) -> Result<SocketAddr, String> {
        let host: IpAddr = match self.host.as_str() {
            "localhost" => Ipv4Addr::LOCALHOST.into(),
            host => host
                .parse()
                .map_err(|_| format!("dial tcp: lookup {host}: no such host"))?,
        };
        Ok(SocketAddr::new(host, self.port))
    }

    /// Returns where a redirect leads to; `None` if that is another host.
    fn redirected(&self, location: &str) -> Option<Url> {
        let absolute = location
            .strip_prefix("http://")
            .map(|rest| (false, rest))
            .or_else(|| location.strip_prefix("https://").map(|rest| (true, rest)));
        let Some((tls, rest)) = absolute else {
            if location.starts_with("//") {
                return None;
            }
            let path = if location.starts_with('/') {
                location.to_owned()
            } else {
                let folder = self.path.split('?').next().unwrap_or("/");
                let folder = folder.rsplit_once('/').map_or("", |(folder, _)| folder);
                format!("{folder}/{location}")
            };
            return Some(Url {
                path,
                ..self.clone()
            });
        };
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        let default = if tls { 443 } else { 80 };
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, port.parse().ok()?),
            None => (authority, default),
        };
        (host == self.host).then(|| Url {
            tls,
            host: host.into(),
            port,
            path: if path.starts_with('/') {
                path.into()
            } else {
                format!("/{path}")
            },
        })
    }
}

/// Asks once, without a limit of time.
///
/// # Errors
/// Says what is wrong with the answer.
pub async fn ask(action: &HTTPGetAction, url: &Url) -> Result<(), String> {
    let mut at = url.clone();
    for _ in 0..REDIRECTS_MAX {
        let failed = |text: String| format!("Get \"{at}\": {text}");
        let page = page(action, &at).map_err(failed)?;
        let answer = fetch::get(page).await.map_err(failed)?;
        match (answer.status, answer.location) {
            (301 | 302 | 303 | 307 | 308, Some(location)) => match at.redirected(&location) {
                Some(next) => at = next,
                // Another host is not asked; that there was an answer is enough.
                None => return Ok(()),
            },
            (200..400, _) => return Ok(()),
            (status, _) => return Err(format!("HTTP probe failed with statuscode: {status}")),
        }
    }
    Err(format!("Get \"{at}\": stopped after 10 redirects"))
}

fn page(action: &HTTPGetAction, url: &Url) -> Result<Page, String> {
    let mut headers = vec![
        ("User-Agent".to_owned(), "kube-probe/1.36".to_owned()),
        ("Accept".to_owned(), "*/*".to_owned()),
    ];
    for header in action.http_headers.iter().flatten() {
        headers.retain(|(name, value)| {
            !(name.eq_ignore_ascii_case(&header.name) && (value == "*/*" || name == "User-Agent"))
        });
        // An empty Accept asks for none to be sent.
        if !(header.name.eq_ignore_ascii_case("accept") && header.value.is_empty()) {
            headers.push((header.name.clone(), header.value.clone()));
        }
    }
    Ok(Page {
        address: url.address()?,
        tls: url.tls,
        path: url.path.clone(),
        headers,
        bytes_max: BODY_MAX,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn url(action: serde_json::Value) -> Result<String, String> {
        let action: HTTPGetAction = serde_json::from_value(action).expect("an action");
        let container: Container = serde_json::from_value(
            json!({"name": "c", "ports": [{"name": "web", "containerPort": 81}]}),
        )
        .expect("a container");
        Url::of(&action, &container, Ipv4Addr::new(10, 0, 0, 7)).map(|url| url.to_string())
    }

    #[test]
    fn an_action_names_a_page() {
        let check = |action, expected: &str| assert_eq!(url(action).as_deref(), Ok(expected));
        check(json!({"port": 80}), "http://10.0.0.7:80/");
        check(
            json!({"port": "web", "path": "ok?x=1"}),
            "http://10.0.0.7:81/ok?x=1",
        );
        check(
            json!({"port": 443, "scheme": "HTTPS", "host": "127.0.0.1", "path": "/h"}),
            "https://127.0.0.1:443/h",
        );
        assert!(url(json!({"port": "nowhere"})).is_err());
    }

    #[test]
    fn redirects_stay_on_the_host() {
        let at = Url {
            tls: false,
            host: "10.0.0.7".into(),
            port: 80,
            path: "/a/b?c".into(),
        };
        let check = |location: &str, expected: Option<&str>| {
            let found = at.redirected(location).map(|url| url.to_string());
            assert_eq!(found.as_deref(), expected, "{location}");
        };
        check("/ok", Some("http://10.0.0.7:80/ok"));
        check("ok", Some("http://10.0.0.7:80/a/ok"));
        check("https://10.0.0.7:8443/ok", Some("https://10.0.0.7:8443/ok"));
        check("https://10.0.0.7", Some("https://10.0.0.7:443/"));
        check("http://example.com/", None);
        check("//example.com/", None);
    }

    /// Serves one answer and returns the request and what the probe said.
    async fn exchange(
        action: serde_json::Value,
        answer: &'static str,
    ) -> (String, Result<(), String>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("the probe comes");
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.expect("a request");
            stream
                .write_all(answer.as_bytes())
                .await
                .expect("it is read");
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let mut action: HTTPGetAction = serde_json::from_value(action).expect("an action");
        action.port = k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::Int(port.into());
        let url = Url::of(&action, &Container::default(), Ipv4Addr::LOCALHOST).expect("a page");
        let result = ask(&action, &url).await;
        (served.await.expect("it was served"), result)
    }

    #[tokio::test]
    async fn headers_are_the_actions_or_the_usual_ones() {
        let action = json!({"port": 1, "path": "/x", "httpHeaders": [
            {"name": "Host", "value": "todo.localhost"}, {"name": "X-Probe", "value": "1"},
        ]});
        let (request, result) = exchange(
            action,
            "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n",
        )
        .await;
        assert_eq!(result, Ok(()));
        let request = request.to_lowercase();
        for expected in [
            "get /x http/1.1\r\n",
            "host: todo.localhost\r\n",
            "x-probe: 1\r\n",
            "user-agent: kube-probe/1.36\r\n",
            "accept: */*\r\n",
        ] {
            assert!(request.contains(expected), "{request}");
        }
        let action = json!({"port": 1, "httpHeaders": [{"name": "accept", "value": ""}, {"name": "user-agent", "value": "me"}]});
        let (request, result) =
            exchange(action, "HTTP/1.1 503 No\r\nconnection: close\r\n\r\n").await;
        assert_eq!(result, Err("HTTP probe failed with statuscode: 503".into()));
        let request = request.to_lowercase();
        assert!(
            request.contains("user-agent: me\r\n") && !request.contains("accept"),
            "{request}"
        );
    }

    #[tokio::test]
    async fn a_closed_port_is_told_as_go_does() {
        // Bound, so that nobody else gets it, and not listening.
        let held = tokio::net::TcpSocket::new_v4().expect("a socket");
        held.bind("127.0.0.1:0".parse().expect("an address"))
            .expect("a port");
        let port = held.local_addr().expect("it is bound").port();
        let action: HTTPGetAction =
            serde_json::from_value(json!({"port": port})).expect("an action");
        let url = Url::of(&action, &Container::default(), Ipv4Addr::LOCALHOST).expect("a page");
        let expected = format!(
            "Get \"http://127.0.0.1:{port}/\": dial tcp 127.0.0.1:{port}: connect: connection refused"
        );
        assert_eq!(ask(&action, &url).await, Err(expected));
    }
}
