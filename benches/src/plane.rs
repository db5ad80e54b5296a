//! API server, controllers and scheduler in this process, as they are in the
//! engine; nodes and network are the caller's.

use std::path::Path;
use std::time::Duration;

use coracle_apiserver::{ApiServer, Config, Identity};
use coracle_client::Caches;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, Client};

/// A control plane that runs until the runtime ends.
pub struct Plane {
    server: ApiServer,
    /// The caches that all residents share.
    pub caches: Caches,
    folder: tempfile::TempDir,
}

impl Plane {
    /// Starts one with an empty store.
    pub fn start() -> anyhow::Result<Plane> {
        let folder = tempfile::tempdir()?;
        let server = ApiServer::open(Config::new(folder.path().join("data"), [7; 32]))?;
        let manager = Identity::new("system:kube-controller-manager", &[]);
        let plane = Plane {
            caches: Caches::new(Client::new(server.service(manager), "default")),
            server,
            folder,
        };
        let server = plane.server.clone();
        let as_user = move |user: &str| {
            let identity = Identity::new(user, &["system:serviceaccounts"]);
            Client::new(server.service(identity), "default")
        };
        let context = coracle_controllers::Context::new(plane.caches.clone(), "", as_user);
        tokio::spawn(coracle_controllers::start(context));
        let scheduler = plane.client(Identity::new("system:kube-scheduler", &[]));
        tokio::spawn(coracle_scheduler::run(plane.caches.clone(), scheduler));
        Ok(plane)
    }

    /// Returns somebody's client.
    pub fn client(&self, identity: Identity) -> Client {
        Client::new(self.server.service(identity), "default")
    }

    /// Returns a folder that goes with the plane.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits until pods can be created.
    pub async fn ready(&self) -> anyhow::Result<()> {
        let accounts: Api<ServiceAccount> = Api::default_namespaced(self.client(Identity::admin()));
        while accounts.get_opt("default").await?.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}
