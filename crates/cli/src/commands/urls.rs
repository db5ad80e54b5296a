//! Where applications answer on the host: NodePorts, addresses of
//! LoadBalancers, hosts of Ingresses.

use serde_json::Value;

/// Returns the URLs of a Service, the one it was made for first; node ports
/// answer at `host`.
pub fn of_service(service: &Value, host: &str) -> Vec<String> {
    let mut urls = Vec::new();
    let ports: Vec<&Value> = items(&service["spec"]["ports"]).collect();
    if service["spec"]["type"] == "LoadBalancer" {
        for place in items(&service["status"]["loadBalancer"]["ingress"]) {
            let Some(host) = place["ip"].as_str().or(place["hostname"].as_str()) else {
                continue;
            };
            for port in ports.iter().filter(|port| is_tcp(port)) {
                if let Some(number) = port["port"].as_u64() {
                    urls.push(url(port, host, number));
                }
            }
        }
    }
    for port in ports.iter().filter(|port| is_tcp(port)) {
        if let Some(number) = port["nodePort"].as_u64() {
            urls.push(url(port, host, number));
        }
    }
    urls
}

/// Returns the URLs of an Ingress.
pub fn of_ingress(ingress: &Value) -> Vec<String> {
    let secured: Vec<&str> = items(&ingress["spec"]["tls"])
        .flat_map(|tls| items(&tls["hosts"]))
        .filter_map(Value::as_str)
        .collect();
    let Some(place) = items(&ingress["status"]["loadBalancer"]["ingress"]).next() else {
        return Vec::new();
    };
    let mut urls = Vec::new();
    for rule in items(&ingress["spec"]["rules"]) {
        let host = rule["host"].as_str().unwrap_or("localhost");
        let scheme = if secured.contains(&host) {
            "https"
        } else {
            "http"
        };
        let path = items(&rule["http"]["paths"])
            .filter_map(|path| path["path"].as_str())
            .find(|path| *path == "/" || path.is_empty())
            .or_else(|| items(&rule["http"]["paths"]).find_map(|path| path["path"].as_str()))
            .unwrap_or("/");
        let port = other_port(place, scheme);
        urls.push(format!("{scheme}://{host}{port}{path}"));
    }
    urls
}

/// Returns the port to be named where the usual one was taken on the host.
fn other_port(place: &Value, scheme: &str) -> &'static str {
    let usable = |wanted: u64| {
        items(&place["ports"]).any(|port| port["port"] == wanted && port["error"].is_null())
    };
    match scheme {
        "https" if !usable(443) && usable(8443) => ":8443",
        "http" if !usable(80) && usable(8080) => ":8080",
        _ => "",
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn is_tcp(port: &Value) -> bool {
    port["protocol"]
        .as_str()
        .is_none_or(|protocol| protocol == "TCP")
}

fn url(port: &Value, host: &str, number: u64) -> String {
    let name = port["name"].as_str().unwrap_or_default();
    let secure = number == 443 || port["port"] == 443 || name.starts_with("https");
    let scheme = if secure { "https" } else { "http" };
    match (scheme, number) {
        ("http", 80) | ("https", 443) => format!("{scheme}://{host}"),
        _ => format!("{scheme}://{host}:{number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn services_answer_on_the_host() {
        let check = |service: Value, expected: &[&str]| {
            assert_eq!(of_service(&service, "127.0.0.1"), expected);
        };
        check(
            json!({"spec": {"type": "ClusterIP", "ports": [{"port": 80}]}}),
            &[],
        );
        check(
            json!({"spec": {"type": "NodePort", "ports": [
                {"port": 80, "nodePort": 30080}, {"port": 53, "nodePort": 30053, "protocol": "UDP"}]}}),
            &["http://127.0.0.1:30080"],
        );
        check(
            json!({"spec": {"type": "LoadBalancer", "ports": [{"port": 80, "nodePort": 31000}]},
                "status": {"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}}}),
            &["http://127.0.0.1", "http://127.0.0.1:31000"],
        );
    }

    #[test]
    fn ingresses_answer_by_host() {
        let ingress = json!({
            "spec": {"tls": [{"hosts": ["todo.localhost"]}],
                "rules": [{"host": "todo.localhost", "http": {"paths": [{"path": "/api"}, {"path": "/"}]}}]},
            "status": {"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}},
        });
        assert_eq!(of_ingress(&ingress), ["https://todo.localhost/"]);
        let mut elsewhere = ingress;
        elsewhere["status"]["loadBalancer"]["ingress"][0]["ports"] = json!([
            {"port": 80}, {"port": 443, "error": "PortTaken"}, {"port": 8443},
        ]);
        assert_eq!(of_ingress(&elsewhere), ["https://todo.localhost:8443/"]);
    }
}
