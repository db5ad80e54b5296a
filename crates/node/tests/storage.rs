//! Claims from request to removal: API server, controllers, scheduler and
//! provisioner together, in memory, with folders that are really made.

use std::path::Path;
use std::time::Duration;

use coracle_apiserver::{ApiServer, Config, Identity};
use coracle_client::Caches;
use coracle_node::Provisioner;
use k8s_openapi::api::core::v1::{
    Node, PersistentVolume, PersistentVolumeClaim, Pod, ServiceAccount,
};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Client, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

struct World {
    client: Client,
    folder: tempfile::TempDir,
}

async fn world() -> World {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = Config::new(folder.path().join("data"), [7; 32]);
    config.storage_provisioner = Some("coracle.dev/local".into());
    let server = ApiServer::open(config).expect("a server");
    let client = {
        let server = server.clone();
        move |identity: Identity| Client::new(server.service(identity), "default")
    };
    let caches = Caches::new(client(Identity::new("system:kube-controller-manager", &[])));
    let as_user = {
        let client = client.clone();
        move |user: &str| client(Identity::new(user, &["system:serviceaccounts"]))
    };
    tokio::spawn(coracle_controllers::start(
        coracle_controllers::Context::new(caches.clone(), "", as_user),
    ));
    tokio::spawn(coracle_scheduler::run(
        caches.clone(),
        client(Identity::new("system:kube-scheduler", &[])),
    ));
    let binder = client(Identity::controller("persistent-volume-binder"));
    let provisioner = Provisioner::new(&caches, binder, folder.path().join("volumes"), "one");
    tokio::spawn(provisioner.run());
    let world = World {
        client: client(Identity::admin()),
        folder,
    };
    let node: Node = world
        .put(
            &Api::all(world.client.clone()),
            json!({
                "metadata": {"name": "one", "labels": {"kubernetes.io/hostname": "one"}},
            }),
        )
        .await;
    let status = json!({"status": {
        "conditions": [{"type": "Ready", "status": "True"}],
        "allocatable": {"cpu": "4", "memory": "4Gi", "pods": "100"},
    }});
    Api::<Node>::all(world.client.clone())
        .patch_status(
            &node.name_any(),
            &PatchParams::default(),
            &Patch::Strategic(status),
        )
        .await
        .expect("the node reports");
    // Without it no pod is admitted.
    let accounts: Api<ServiceAccount> = Api::default_namespaced(world.client.clone());
    await_condition(accounts, "default", |found: Option<&ServiceAccount>| {
        found.is_some()
    })
    .await
    .expect("the controllers make it");
    world
}

impl World {
    async fn put<K>(&self, api: &Api<K>, object: Value) -> K
    where
        K: Clone + DeserializeOwned + Serialize + std::fmt::Debug,
    {
        let object: K = serde_json::from_value(object).expect("an object");
        api.create(&PostParams::default(), &object)
            .await
            .expect("it is created")
    }

    fn claims(&self) -> Api<PersistentVolumeClaim> {
        Api::default_namespaced(self.client.clone())
    }

    fn volumes(&self) -> Api<PersistentVolume> {
        Api::all(self.client.clone())
    }

    fn pods(&self) -> Api<Pod> {
        Api::default_namespaced(self.client.clone())
    }

    async fn claim(&self, name: &str, spec: Value) {
        let mut object = json!({"metadata": {"name": name}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
        }});
        for (key, value) in spec.as_object().expect("a mapping") {
            object["spec"][key.as_str()] = value.clone();
        }
        self.put(&self.claims(), object).await;
    }

    async fn pod(&self, name: &str, claim: &str) {
        let object = json!({"metadata": {"name": name}, "spec": {
            "containers": [{"name": "c", "image": "i"}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
        }});
        self.put(&self.pods(), object).await;
    }

    async fn volume(&self, name: &str, spec: Value) {
        let mut object = json!({"metadata": {"name": name}, "spec": {
            "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "5Gi"},
            "storageClassName": "manual", "hostPath": {"path": format!("/mnt/{name}")},
        }});
        for (key, value) in spec.as_object().expect("a mapping") {
            object["spec"][key.as_str()] = value.clone();
        }
        self.put(&self.volumes(), object).await;
    }

    fn tree(&self) -> std::path::PathBuf {
        self.folder.path().join("volumes/host")
    }
}

/// Waits until an object, as JSON, is as asked for.
async fn until<K>(api: &Api<K>, name: &str, what: &str, test: impl Fn(&Value) -> bool) -> Value
where
    K: Clone + DeserializeOwned + Serialize + std::fmt::Debug,
{
    let mut last = Value::Null;
    for _ in 0..15_000 {
        if let Some(object) = api.get_opt(name).await.expect("the API answers") {
            last = serde_json::to_value(object).expect("JSON");
            if test(&last) {
                return last;
            }
        } else if test(&Value::Null) {
            return Value::Null;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{name} never was {what}: {last:#}");
}

fn phase(phase: &str) -> impl Fn(&Value) -> bool {
    move |object| object["status"]["phase"] == phase
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_of_the_default_class_gets_a_folder_when_its_pod_is_placed() {
    let world = world().await;
    world.claim("data", json!({})).await;
    let waiting = until(&world.claims(), "data", "of the default class", |claim| {
        claim["spec"]["storageClassName"] == "standard"
    })
    .await;
    assert_eq!(waiting["status"]["phase"], "Pending");
    world.pod("web", "data").await;
    let claim = until(&world.claims(), "data", "bound", phase("Bound")).await;
    assert_eq!(claim["status"]["capacity"]["storage"], "1Gi");
    until(&world.pods(), "web", "placed", |pod| {
        pod["spec"]["nodeName"] == "one"
    })
    .await;
    let name = claim["spec"]["volumeName"]
        .as_str()
        .expect("bound")
        .to_owned();
    let volume = until(&world.volumes(), &name, "bound", phase("Bound")).await;
    let path = volume["spec"]["hostPath"]["path"].as_str().expect("a path");
    let place = world.tree().join(path.trim_start_matches('/'));
    std::fs::write(place.join("file"), "kept").expect("it is writable");

    // It grows.
    let larger = json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}});
    world
        .claims()
        .patch("data", &PatchParams::default(), &Patch::Merge(larger))
        .await
        .expect("the class allows it");
    until(&world.claims(), "data", "larger", |claim| {
        claim["status"]["capacity"]["storage"] == "2Gi"
    })
    .await;

    // It is held while a pod uses it.
    let params = DeleteParams::default();
    world
        .claims()
        .delete("data", &params)
        .await
        .expect("deleted");
    let held = until(&world.claims(), "data", "deleted", |claim| {
        claim["metadata"]["deletionTimestamp"].is_string()
    })
    .await;
    assert_eq!(
        held["metadata"]["finalizers"],
        json!(["kubernetes.io/pvc-protection"])
    );
    assert!(place.join("file").exists());
    let params = DeleteParams::default().grace_period(0);
    world.pods().delete("web", &params).await.expect("deleted");
    until(&world.claims(), "data", "gone", Value::is_null).await;
    until(&world.volumes(), &name, "gone", Value::is_null).await;
    assert!(!place.exists(), "its data is gone with it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retained_volume_keeps_its_data_and_its_claim() {
    let world = world().await;
    world.volume("uploads", json!({})).await;
    until(&world.volumes(), "uploads", "free", phase("Available")).await;
    world
        .claim("uploads", json!({"storageClassName": "manual"}))
        .await;
    let claim = until(&world.claims(), "uploads", "bound", phase("Bound")).await;
    assert_eq!(claim["spec"]["volumeName"], "uploads");
    assert_eq!(claim["status"]["capacity"]["storage"], "5Gi");
    let place = world.tree().join("mnt/uploads");
    std::fs::create_dir_all(&place).expect("made");
    std::fs::write(place.join("file"), "kept").expect("written");
    let params = DeleteParams::default();
    world
        .claims()
        .delete("uploads", &params)
        .await
        .expect("deleted");
    let left = until(&world.volumes(), "uploads", "released", phase("Released")).await;
    assert_eq!(left["spec"]["claimRef"]["name"], "uploads");
    assert!(place.join("file").exists());
    // A new claim does not get it before someone clears the reference.
    world
        .claim("uploads", json!({"storageClassName": "manual"}))
        .await;
    let clear = json!({"spec": {"claimRef": null}});
    world
        .volumes()
        .patch("uploads", &PatchParams::default(), &Patch::Merge(clear))
        .await
        .expect("cleared");
    until(&world.claims(), "uploads", "bound again", phase("Bound")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_static_volume_of_tmp_is_emptied_when_it_is_to_be_deleted() {
    let world = world().await;
    let spec =
        json!({"persistentVolumeReclaimPolicy": "Delete", "hostPath": {"path": "/tmp/scratch"}});
    world.volume("scratch", spec).await;
    let spec = json!({"persistentVolumeReclaimPolicy": "Delete"});
    world.volume("precious", spec).await;
    let place = world.tree().join("tmp/scratch");
    std::fs::create_dir_all(&place).expect("made");
    for name in ["scratch", "precious"] {
        let spec = json!({"storageClassName": "manual", "volumeName": name});
        world.claim(name, spec).await;
        until(&world.claims(), name, "bound", phase("Bound")).await;
        let params = DeleteParams::default();
        world.claims().delete(name, &params).await.expect("deleted");
    }
    until(&world.volumes(), "scratch", "gone", Value::is_null).await;
    assert!(!place.exists());
    let kept = until(&world.volumes(), "precious", "failed", phase("Failed")).await;
    assert_eq!(
        kept["status"]["message"],
        "host_path deleter only supports /tmp/.+ but received provided /mnt/precious"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_says_what_its_claim_lacks() {
    let world = world().await;
    let says = |text: &'static str| {
        move |pod: &Value| {
            let message = pod["status"]["conditions"][0]["message"].as_str();
            message.is_some_and(|message| message.starts_with(text))
        }
    };
    world.pod("web", "data").await;
    let text = "0/1 nodes are available: persistentvolumeclaim \"data\" not found.";
    until(&world.pods(), "web", "refused", says(text)).await;
    world
        .claim("data", json!({"storageClassName": "manual"}))
        .await;
    let text = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.";
    until(&world.pods(), "web", "refused", says(text)).await;
    assert!(is_empty(&world.tree()));
    world.volume("late", json!({})).await;
    until(&world.pods(), "web", "placed", |pod| {
        pod["spec"]["nodeName"] == "one"
    })
    .await;
}
