//! An API server in memory, charts made of texts, and the real helm beside us.
#![allow(dead_code, missing_docs)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use coracle_apiserver::{ApiServer, Config, Identity};
use coracle_helm::{Chart, File, Values};
use coracle_release::{Event, Options, Session, Source};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use serde_json::Value;
use tower::Service;

pub struct Fixture {
    pub server: ApiServer,
    pub folder: tempfile::TempDir,
    /// What operations told.
    pub told: Arc<Mutex<Vec<Event>>>,
}

impl Fixture {
    pub fn new() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::new(folder.path().join("store"), [7; 32]);
        std::fs::create_dir_all(folder.path().join("store")).unwrap();
        Fixture {
            server: ApiServer::open(config).unwrap(),
            folder,
            told: Arc::default(),
        }
    }

    pub fn client(&self) -> Client {
        Client::new(self.server.service(Identity::admin()), "default")
    }

    pub fn session(&self) -> Session {
        Session::new(self.client(), "default")
    }

    /// Returns something that hears events and keeps them.
    pub fn ear(&self) -> impl FnMut(Event) + use<> {
        let told = self.told.clone();
        move |event| told.lock().unwrap().push(event)
    }

    /// Reads an object; null if there is none.
    pub async fn read(&self, api_version: &str, kind: &str, name: &str) -> Value {
        let found = self.api(api_version, kind).get_opt(name).await.unwrap();
        found.map_or(Value::Null, |found| serde_json::to_value(found).unwrap())
    }

    pub fn api(&self, api_version: &str, kind: &str) -> Api<DynamicObject> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(self.client(), "default", &resource)
    }

    pub async fn create(&self, object: Value) {
        let api = self.api(
            object["apiVersion"].as_str().unwrap(),
            object["kind"].as_str().unwrap(),
        );
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        api.create(&Default::default(), &object).await.unwrap();
    }

    /// Serves the API on a loopback port for the real helm; returns a
    /// kubeconfig that names it.
    pub fn listen(&self) -> PathBuf {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let server = self.server.clone();
        // A thread of its own: what hyper makes of the service is not Send.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            tokio::task::LocalSet::new().block_on(&runtime, accept(listener, server));
        });
        let path = self.folder.path().join("kubeconfig");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: here\nclusters:\n- name: here\n  cluster: {{server: \"http://{address}\"}}\ncontexts:\n- name: here\n  context: {{cluster: here, user: me}}\nusers:\n- name: me\n  user: {{}}\n"
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Runs the real helm; returns what it printed.
    ///
    /// # Panics
    /// Panics with what it said if it fails.
    pub async fn helm(&self, kubeconfig: &Path, args: &[&str]) -> String {
        let output = self.try_helm(kubeconfig, args).await;
        assert!(
            output.status.success(),
            "helm {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub async fn try_helm(&self, kubeconfig: &Path, args: &[&str]) -> Output {
        let mut command = Command::new(real_helm().expect("the caller asked"));
        command
            .args(args)
            .env("KUBECONFIG", kubeconfig)
            .env("HOME", self.folder.path())
            .current_dir(self.folder.path());
        // The server runs on this very runtime.
        tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap()
    }

    /// Writes a chart to disk for the real helm; returns its path.
    pub fn write_chart(&self, files: &[(&str, &str)]) -> String {
        let folder = self.folder.path().join("chart");
        let _ = std::fs::remove_dir_all(&folder);
        for (name, text) in files {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder.display().to_string()
    }
}

async fn accept(listener: std::net::TcpListener, server: ApiServer) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        let server = server.clone();
        tokio::task::spawn_local(async move {
            let serve = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                let mut service = server.service(Identity::admin());
                async move { service.call(request).await }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), serve)
                .await;
        });
    }
}

/// Returns the real helm that `cargo xtask oracles` fetched.
pub fn real_helm() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/oracles/helm");
    if path.exists() {
        return Some(path);
    }
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "cannot be skipped here: cargo xtask oracles fetches helm"
    );
    eprintln!("\n*** SKIPPED: no real helm; cargo xtask oracles fetches it ***\n");
    None
}

/// Makes a chart of texts; `Chart.yaml` need not be among them.
pub fn chart(files: &[(&str, &str)]) -> Chart {
    let mut all: Vec<File> = files
        .iter()
        .map(|(name, text)| File::new(*name, text.as_bytes()))
        .collect();
    if !files.iter().any(|(name, _)| *name == "Chart.yaml") {
        all.push(File::new("Chart.yaml", CHART_YAML.as_bytes()));
    }
    Chart::load(all).unwrap()
}

pub const CHART_YAML: &str = "apiVersion: v2\nname: demo\nversion: 0.1.0\nappVersion: \"1.0\"\n";

/// Makes what is to be deployed; `sets` are `--set` values.
pub fn source(name: &str, chart: Chart, sets: &[&str]) -> Source {
    let mut values = Values::default();
    for set in sets {
        values.set(set).unwrap();
    }
    Source {
        name: name.into(),
        chart,
        values,
        lookup: None,
    }
}

/// A ConfigMap with one value.
pub fn config_map(name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  value: \"{value}\"\n"
    )
}

pub fn options() -> Options {
    Options {
        timeout: std::time::Duration::from_secs(20),
        ..Options::default()
    }
}
