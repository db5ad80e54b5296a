//! A site of one Deployment behind a Service and an Ingress; its program is
//! `bin/site.rs`.

use std::fs;

use serde_json::{Value, json};

use crate::cluster::{Cluster, built};

/// The host under which the Ingress serves it.
pub const HOST: &str = "site.localhost";

/// Builds the site's image in a cluster that runs.
///
/// # Panics
/// Panics if it cannot be built.
pub fn build(cluster: &Cluster) {
    let context = cluster.home().join("context");
    fs::create_dir_all(&context).expect("a folder for the test");
    fs::copy(built("site"), context.join("site")).expect("it was built");
    let dockerfile = "FROM scratch\nCOPY site /site\nENTRYPOINT [\"/site\"]\n";
    fs::write(context.join("Dockerfile"), dockerfile).expect("a file for the test");
    cluster.run(&["image", "build", "-t", "site:1", "context"]);
}

/// Returns the site's objects: one pod, a node port, an Ingress.
pub fn objects(node_port: u16) -> Value {
    let labels = json!({"app": "site"});
    let container = json!({
        "name": "site", "image": "site:1", "imagePullPolicy": "Never",
        "ports": [{"name": "http", "containerPort": 8080}],
        // A machine that is slow is not ill.
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1, "timeoutSeconds": 60},
        // Time for everybody to learn that this pod is no endpoint any more.
        "lifecycle": {"preStop": {"sleep": {"seconds": 1}}},
    });
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "site"},
        "spec": {
            "replicas": 1, "selector": {"matchLabels": labels},
            "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {"metadata": {"labels": labels}, "spec": {
                "containers": [container], "automountServiceAccountToken": false,
            }},
        },
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "site"},
        "spec": {"type": "NodePort", "selector": labels, "ports": [
            {"name": "web", "port": 80, "targetPort": "http", "nodePort": node_port},
        ]},
    });
    let backend = json!({"service": {"name": "site", "port": {"number": 80}}});
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "site"},
        "spec": {"rules": [{"host": HOST, "http": {"paths": [
            {"path": "/", "pathType": "Prefix", "backend": backend},
        ]}}]},
    });
    json!({"apiVersion": "v1", "kind": "List", "items": [deployment, service, ingress]})
}

/// Applies objects and returns the path of the file that holds them.
///
/// # Panics
/// Panics if kubectl is missing or fails.
pub fn apply(cluster: &Cluster, objects: &Value) -> String {
    let file = cluster.home().join("objects.json");
    fs::write(&file, objects.to_string()).expect("a file for the test");
    let file = file.display().to_string();
    let applied = cluster.kubectl(&["apply", "-f", &file]);
    applied.expect("kubectl is fetched by CI");
    file
}
