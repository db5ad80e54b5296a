//! The network as containers and the host meet it: names asked by a resolver
//! in a container, Services of every type, balancers, and policies, which
//! `coracle why` explains.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use coracle_tests::cluster::repository;
use coracle_tests::lab::{self, Lab};
use coracle_tests::private::in_private_network;
use coracle_tests::site;
use coracle_tests::skip;
use coracle_tests::wait::until;
use serde_json::{Value, json};

const NODE_PORT: u16 = 31_485;
const UDP_PORT: u16 = 31_486;
/// The host's name server of these cases, and the one name it knows.
const UPSTREAM: (Ipv4Addr, u16) = (Ipv4Addr::new(127, 0, 0, 53), 53);
const OUTSIDE_NAME: &str = "far.example.test";
const OUTSIDE_ADDRESS: [u8; 4] = [192, 0, 2, 77];

/// What makes a container answer HTTP with its pod's name.
const SERVE: &str =
    "mkdir -p /tmp/w; hostname > /tmp/w/index.html; exec httpd -f -p 8080 -h /tmp/w";

/// Pods that answer HTTP with their names, and echo datagrams.
fn servers(replicas: u32) -> Value {
    let echo = json!({
        "name": "echo", "image": "site:1", "imagePullPolicy": "Never", "env": [{"name": "PORT", "value": "8053"}],
        "ports": [{"name": "echo", "containerPort": 8053, "protocol": "UDP"}],
    });
    let container = json!({
        "name": "c", "image": lab::IMAGE, "command": ["sh", "-c", SERVE],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1, "timeoutSeconds": 60},
    });
    let labels = json!({"app": "web"});
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "web"},
        "spec": {
            "serviceName": "members", "replicas": replicas, "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {
                "terminationGracePeriodSeconds": 1, "containers": [container, echo],
            }},
        },
    })
}

fn service(name: &str, more: Value) -> Value {
    let mut spec = json!({
        "selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
    });
    lab::merge(&mut spec, more);
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})
}

/// Waits until a command in the client's container says this.
fn says(lab: &Lab, script: &str, expected: &str) {
    until(script, || {
        let said = lab.inside("client", "c", script);
        match said.contains(expected) {
            true => Ok(()),
            false => Err(said),
        }
    });
}

/// Answers the one name that is known outside (RFC 1035, section 4).
fn upstream() {
    let socket = UdpSocket::bind(UPSTREAM).expect("the network is this test's own");
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut buffer) {
            let answer = answer(&buffer[..length]);
            let _ = socket.send_to(&answer, client);
        }
    });
    let file = std::env::temp_dir().join(format!("coracle-resolv-{}", std::process::id()));
    let text = format!("nameserver {}\n", UPSTREAM.0);
    std::fs::write(&file, text).expect("a file for the test");
    let covered = Command::new("mount")
        .arg("--bind")
        .args([file.as_os_str(), "/etc/resolv.conf".as_ref()])
        .status();
    assert!(covered.is_ok_and(|status| status.success()));
    let _ = std::fs::remove_file(&file);
}

fn answer(query: &[u8]) -> Vec<u8> {
    let mut name = Vec::new();
    let mut at = 12;
    while let Some(length) = query.get(at).copied().map(usize::from).filter(|&n| n > 0) {
        name.push(String::from_utf8_lossy(&query[at + 1..at + 1 + length]).into_owned());
        at += 1 + length;
    }
    let question = &query[12..at + 5];
    let is_known = name.join(".") == OUTSIDE_NAME;
    let wants_address = question[question.len() - 4..question.len() - 2] == [0, 1];
    let mut answer = query[..2].to_vec();
    let code = if is_known { 0 } else { 3 };
    let count = u8::from(is_known && wants_address);
    answer.extend([0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0]);
    answer.extend(question);
    if count > 0 {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(OUTSIDE_ADDRESS);
    }
    answer
}

fn names(lab: &Lab) {
    let vip = lab.object("service", "web")["spec"]["clusterIP"].clone();
    let vip = vip.as_str().expect("an address").to_owned();
    let first = lab.object("pod", "web-0")["status"]["podIP"].clone();
    let first = first.as_str().expect("an address").to_owned();
    let ask = |kind: &str, name: &str| format!("nslookup -type={kind} {name}");
    says(lab, &ask("a", "web.default.svc.cluster.local"), &vip);
    says(lab, &ask("a", "members.default.svc.cluster.local"), &first);
    says(
        lab,
        &ask("a", "web-0.members.default.svc.cluster.local"),
        &first,
    );
    let srv = "_http._tcp.members.default.svc.cluster.local";
    says(
        lab,
        &ask("srv", srv),
        "8080 web-0.members.default.svc.cluster.local",
    );
    let dashed = first.replace('.', "-");
    says(
        lab,
        &ask("a", &format!("{dashed}.default.pod.cluster.local")),
        &first,
    );
    says(
        lab,
        &format!("nslookup {vip}"),
        "web.default.svc.cluster.local",
    );
    says(
        lab,
        &format!("nslookup {first}"),
        "web-0.members.default.svc.cluster.local",
    );
    let outside = Ipv4Addr::from(OUTSIDE_ADDRESS).to_string();
    says(
        lab,
        &ask("a", "alias.default.svc.cluster.local"),
        OUTSIDE_NAME,
    );
    says(lab, &ask("a", OUTSIDE_NAME), &outside);
    says(lab, &ask("a", "no.such.name.test"), "NXDOMAIN");
    // A short name, by the search domains of the container's resolv.conf.
    says(lab, &ask("a", "web"), &vip);
}

/// A shell command that fetches a page: `wget` would look up the port's name,
/// which a static program cannot.
fn fetching(place: &str) -> String {
    format!("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | timeout 3 nc {place} | tail -n 1")
}

/// Asks a Service so often from a pod; returns who answered.
fn who_answers(lab: &Lab, pod: &str, place: &str, times: u32) -> BTreeSet<String> {
    let script = format!("for i in $(seq {times}); do {}; done", fetching(place));
    let said = lab.inside(pod, "c", &script);
    said.lines().map(str::to_owned).collect()
}

/// Waits until so many pods answer at a place.
fn until_answered(lab: &Lab, pod: &str, place: &str, times: u32, pods: usize) {
    until(
        &format!("{pods} pods answer {pod} at {place}"),
        || match who_answers(lab, pod, place, times) {
            seen if seen.len() == pods => Ok(()),
            seen => Err(format!("{seen:?}")),
        },
    );
}

fn services(lab: &Lab) {
    let place = |name: &str| cluster_ip(lab, name);
    until_answered(lab, "client", &place("web"), 30, 2);
    until_answered(lab, "client", &place("sticky"), 1, 1);
    until_answered(lab, "client", &place("sticky"), 15, 1);
    // A pod reaches itself by its own Service.
    until_answered(lab, "web-0", &place("web"), 20, 2);
    // With an internal policy of Local the only node's pods answer.
    until_answered(lab, "client", &place("near"), 1, 1);
    let port = format!("{} {NODE_PORT}", lab_node(lab));
    until_answered(lab, "client", &port, 1, 1);
}

/// Affinity ends when a client stays away for longer than its time.
fn affinity_ends(lab: &Lab) {
    let place = cluster_ip(lab, "brief");
    let mut seen = BTreeSet::new();
    until("another pod answers", || {
        seen.extend(who_answers(lab, "client", &place, 1));
        std::thread::sleep(Duration::from_secs(2));
        match seen.len() {
            2 => Ok(()),
            _ => Err(format!("{seen:?}")),
        }
    });
}

/// Pods that are not ready yet, or not any more.
fn unready(lab: &Lab) {
    let conditions = |service: &str| {
        let label = format!("kubernetes.io/service-name={service}");
        let slices = lab.kubectl(&["get", "endpointslices", "-l", &label, "-o", "json"]);
        let slices: Value = serde_json::from_str(&slices).expect("kubectl writes JSON");
        slices["items"][0]["endpoints"][0]["conditions"].clone()
    };
    let state = |ready: bool, serving: bool, terminating: bool| json!({"ready": ready, "serving": serving, "terminating": terminating});
    let until_known = |service: &str, expected: Value| {
        until(&format!("{service}: {expected}"), || {
            match conditions(service) {
                found if found == expected => Ok(()),
                found => Err(found.to_string()),
            }
        });
    };
    until_known("late", state(false, false, false));
    let refused = lab.inside("client", "c", &fetching(&cluster_ip(lab, "late")));
    assert!(!refused.contains("late"), "{refused}");
    // Whoever asks for all addresses gets this one too, by name as well.
    until_known("early", state(true, false, false));
    says(lab, &fetching(&cluster_ip(lab, "early")), "late");
    let address = lab.object("pod", "late")["status"]["podIP"].clone();
    let address = address.as_str().expect("an address").to_owned();
    let ask = |name: &str| format!("nslookup -type=a {name}.default.svc.cluster.local");
    says(lab, &ask("early-members"), &address);
    says(lab, &ask("late-members"), "NXDOMAIN");
    // The last endpoint serves until it is gone.
    lab.kubectl(&["delete", "pod", "ends", "--wait=false"]);
    until_known("ends", state(false, true, true));
    says(lab, &fetching(&cluster_ip(lab, "ends")), "ends");
}

/// The node tells whoever balances from outside whether it has endpoints.
fn health_check(lab: &Lab) {
    let port = lab.object("service", "local")["spec"]["healthCheckNodePort"].as_u64();
    let port = port.and_then(|port| u16::try_from(port).ok());
    let port = port.expect("it was given one");
    until("two endpoints are told", || {
        let text = fetch(([127, 0, 0, 1], port).into())?;
        match text.contains("\"localEndpoints\": 2") {
            true => Ok(()),
            false => Err(text),
        }
    });
    let ask = format!(
        "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | timeout 3 nc {} {port}",
        lab_node(lab)
    );
    says(lab, &ask, "\"serviceProxyHealthy\": true");
}

/// Returns where a Service is reached, as `nc` wants it.
fn cluster_ip(lab: &Lab, name: &str) -> String {
    let service = lab.object("service", name);
    let vip = service["spec"]["clusterIP"].as_str();
    format!("{} 80", vip.expect("an address"))
}

fn lab_node(lab: &Lab) -> String {
    let nodes = lab.kubectl(&[
        "get",
        "nodes",
        "-o",
        "jsonpath={.items[0].status.addresses[0].address}",
    ]);
    nodes.trim().to_owned()
}

fn fetch(address: SocketAddr) -> Result<String, String> {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    };
    match ask() {
        Ok(text) if text.contains(" 200 ") => Ok(text),
        Ok(text) => Err(text),
        Err(error) => Err(error.to_string()),
    }
}

fn from_the_host(lab: &Lab) {
    let local = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    until("the node port answers", || {
        fetch(local(NODE_PORT)).map(drop)
    });
    until("datagrams come back", || {
        let socket = UdpSocket::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
        let wait = Some(Duration::from_secs(1));
        socket
            .set_read_timeout(wait)
            .map_err(|error| error.to_string())?;
        socket
            .send_to(b"hello", local(UDP_PORT))
            .map_err(|error| error.to_string())?;
        let mut buffer = [0; 64];
        let length = socket
            .recv(&mut buffer)
            .map_err(|error| error.to_string())?;
        match &buffer[..length] {
            answer if answer.ends_with(b" hello") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    // Two balancers that want the same port have it at two addresses.
    let mut addresses = BTreeSet::new();
    for name in ["balanced", "balanced-too"] {
        let service = lab.until("service", name, |service| {
            service["status"]["loadBalancer"]["ingress"][0]["ip"].is_string()
        });
        let ip = service["status"]["loadBalancer"]["ingress"][0]["ip"].clone();
        let ip: Ipv4Addr = ip
            .as_str()
            .and_then(|ip| ip.parse().ok())
            .expect("an address");
        until(&format!("{name} answers"), || {
            fetch((ip, 9090).into()).map(drop)
        });
        addresses.insert(ip);
    }
    assert_eq!(addresses.len(), 2, "{addresses:?}");
    let status = lab.cluster.run(&["status"]);
    for ip in addresses {
        assert!(status.contains(&format!("{ip}:9090")), "{status}");
    }
}

fn policy(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name}, "spec": spec,
    })
}

/// A policy with this spec alone is in force: may the client reach the server?
fn check(lab: &Lab, spec: Value, open: bool) {
    lab.apply(&[policy("p", spec.clone())]);
    let first = lab.object("pod", "web-0")["status"]["podIP"].clone();
    let first = first.as_str().expect("an address");
    let script = fetching(&format!("{first} 8080"));
    until(&format!("{spec} allows: {open}"), || {
        let said = lab.inside("client", "c", &script);
        match said == "web-0" {
            reached if reached == open => Ok(()),
            _ => Err(said),
        }
    });
    // What is told is what happens.
    let output = lab
        .cluster
        .command(&["why", "pod/client", "--to", "pod/web-0", "--port", "8080"])
        .output()
        .expect("the program was built");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.success(), open, "{spec}: {told}");
    assert!(open || told.contains("p"), "{told}");
}

fn policies(lab: &Lab) {
    let client = lab.object("pod", "client")["status"]["podIP"].clone();
    let client = client.as_str().expect("an address").to_owned();
    let to_web = |rule: Value| json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"], "ingress": [rule]});
    let from = |peer: Value| to_web(json!({"from": [peer]}));
    let deny = json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"]});
    check(lab, deny.clone(), false);
    // The node's probes pass, whatever is denied.
    lab.ready(&["web-0"]);
    check(
        lab,
        from(json!({"podSelector": {"matchLabels": {"app": "client"}}})),
        true,
    );
    check(
        lab,
        from(json!({"podSelector": {"matchLabels": {"app": "other"}}})),
        false,
    );
    check(
        lab,
        from(
            json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}}}),
        ),
        true,
    );
    check(
        lab,
        from(
            json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}),
        ),
        false,
    );
    check(lab, to_web(json!({"ports": [{"port": "http"}]})), true);
    check(
        lab,
        to_web(json!({"ports": [{"port": 8000, "endPort": 8079}]})),
        false,
    );
    check(
        lab,
        to_web(json!({"ports": [{"port": 8000, "endPort": 8080}]})),
        true,
    );
    check(lab, from(json!({"ipBlock": {"cidr": "10.0.0.0/8"}})), true);
    check(
        lab,
        from(json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": [format!("{client}/32")]}})),
        false,
    );
    let egress = |rules: Value| json!({"podSelector": {"matchLabels": {"app": "client"}}, "policyTypes": ["Egress"], "egress": rules});
    check(lab, egress(json!([])), false);
    check(
        lab,
        egress(json!([{"to": [{"podSelector": {"matchLabels": {"app": "web"}}}]}])),
        true,
    );
    // Names are not told either, until that is allowed.
    let ask = "nslookup -type=a web.default.svc.cluster.local";
    assert!(
        !lab.inside("client", "c", &format!("timeout 3 {ask}"))
            .contains("10.96.")
    );
    let dns = json!({
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    });
    check(
        lab,
        egress(json!([{"to": [dns], "ports": [{"protocol": "UDP", "port": 53}]}])),
        false,
    );
    says(lab, ask, "10.96.");
    lab.kubectl(&["delete", "networkpolicy", "p"]);
}

/// A real client in a container, which knows the cluster by its own token, and
/// the API by its address and by its name.
fn the_api_from_inside(lab: &Lab) {
    let program = repository().join("target/oracles/kubectl");
    if !program.exists() {
        return skip("run `cargo xtask oracles` first");
    }
    let context = lab.cluster.home().join("ctl");
    std::fs::create_dir_all(&context).expect("a folder for the test");
    std::fs::copy(program, context.join("kubectl")).expect("it is there");
    let dockerfile = format!("FROM {}\nCOPY kubectl /bin/kubectl\n", lab::IMAGE);
    std::fs::write(context.join("Dockerfile"), dockerfile).expect("a file for the test");
    lab.cluster
        .run(&["image", "build", "--quiet", "-t", "ctl:1", "ctl"]);
    let account =
        |kind: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "reader"}});
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": "default"}],
    });
    let image = json!({"image": "ctl:1", "imagePullPolicy": "Never"});
    let account_name = json!({"serviceAccountName": "reader"});
    lab.apply(&[
        account("ServiceAccount"),
        binding,
        lab::pod("ctl", account_name, image),
    ]);
    lab.ready(&["ctl"]);
    let by_name = "d=/var/run/secrets/kubernetes.io/serviceaccount; kubectl --server https://kubernetes.default \
                   --certificate-authority $d/ca.crt --token $(cat $d/token) get pod client -o name";
    for script in ["kubectl get pod client -o name", by_name] {
        lab.until_inside("ctl", "c", script, "pod/client");
    }
    let refused = lab.inside("ctl", "c", "kubectl delete pod client");
    assert!(refused.contains("Forbidden"), "{refused}");
}

/// The API server passes requests on to pods and Services.
fn through_the_api(lab: &Lab) {
    let check = |target: &str, expected: &str| {
        let path = format!("/api/v1/namespaces/default/{target}/proxy/");
        let answer = lab.kubectl(&["get", "--raw", &path]);
        assert!(answer.starts_with(expected), "{target}: {answer}");
    };
    check("pods/web-0", "web-0");
    check("pods/http:web-1:8080", "web-1");
    check("services/web:80", "web-");
    check("services/members:http", "web-");
}

#[test]
fn containers_and_the_host_reach_what_objects_say() {
    in_private_network("containers_and_the_host_reach_what_objects_say", || {
        upstream();
        let Some(lab) = Lab::new("network") else {
            return;
        };
        site::build(&lab.cluster);
        let node_port =
            json!([{"name": "http", "port": 80, "targetPort": "http", "nodePort": NODE_PORT}]);
        let udp =
            json!([{"port": 53, "targetPort": "echo", "protocol": "UDP", "nodePort": UDP_PORT}]);
        let balanced =
            json!({"type": "LoadBalancer", "ports": [{"port": 9090, "targetPort": "http"}]});
        let of = |app: &str, more: Value| {
            let mut spec = json!({
                "selector": {"app": app}, "ports": [{"port": 80, "targetPort": 8080}],
            });
            lab::merge(&mut spec, more);
            spec
        };
        let never = json!({"exec": {"command": ["false"]}, "periodSeconds": 1});
        let slow = json!({"preStop": {"exec": {"command": ["sleep", "600"]}}});
        let serves = |more: Value| {
            let mut container = json!({"command": ["sh", "-c", SERVE]});
            lab::merge(&mut container, more);
            container
        };
        lab.apply(&[
            lab::pod("late", json!({}), serves(json!({"readinessProbe": never}))),
            lab::pod("ends", json!({"terminationGracePeriodSeconds": 900}), serves(json!({"lifecycle": slow}))),
            service("late", of("late", json!({}))),
            service("early", of("late", json!({"publishNotReadyAddresses": true}))),
            service("late-members", of("late", json!({"clusterIP": "None"}))),
            service("early-members", of("late", json!({"clusterIP": "None", "publishNotReadyAddresses": true}))),
            service("ends", of("ends", json!({}))),
            service("brief", json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 1}}})),
            service("local", of("web", json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "ports": [{"port": 9091, "targetPort": "http"}]}))),
            servers(2),
            lab::pod("client", json!({}), json!({})),
            service("web", json!({"type": "NodePort", "ports": node_port})),
            service("members", json!({"clusterIP": "None", "ports": [{"name": "http", "port": 8080, "targetPort": "http"}]})),
            service("sticky", json!({"sessionAffinity": "ClientIP"})),
            service("near", json!({"internalTrafficPolicy": "Local"})),
            service("echo", json!({"type": "NodePort", "ports": udp})),
            service("balanced", balanced.clone()),
            service("balanced-too", balanced),
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "alias"},
                "spec": {"type": "ExternalName", "externalName": OUTSIDE_NAME}}),
        ]);
        lab.ready(&["web-0", "web-1", "client", "ends"]);
        names(&lab);
        services(&lab);
        affinity_ends(&lab);
        unready(&lab);
        from_the_host(&lab);
        health_check(&lab);
        the_api_from_inside(&lab);
        through_the_api(&lab);
        policies(&lab);
    });
}
