//! The node's decisions without a machine: API server, controllers, scheduler
//! and a simulated node in one process.

use std::time::Duration;

use coracle_apiserver::{ApiServer, Config, Identity};
use coracle_client::Caches;
use coracle_node::{Node, Simulated};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, ServiceAccount};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

struct World {
    client: Client,
    _folder: tempfile::TempDir,
}

async fn world() -> World {
    let folder = tempfile::tempdir().expect("a folder");
    let server =
        ApiServer::open(Config::new(folder.path().join("data"), [7; 32])).expect("a server");
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
    let simulated = Simulated::new("one", folder.path().join("node"));
    let node = Node::simulated(&simulated, caches, client(Identity::node("one"))).expect("a node");
    server.set_kubelet(node.kubelet());
    tokio::spawn(node.run());
    let world = World {
        client: client(Identity::admin()),
        _folder: folder,
    };
    // Without its account no pod is admitted.
    let accounts: Api<ServiceAccount> = Api::default_namespaced(world.client.clone());
    while accounts
        .get_opt("default")
        .await
        .expect("the API answers")
        .is_none()
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world
}

impl World {
    fn pods(&self) -> Api<Pod> {
        Api::default_namespaced(self.client.clone())
    }

    async fn put<K>(&self, object: Value)
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Serialize
            + std::fmt::Debug,
    {
        let api: Api<K> = Api::default_namespaced(self.client.clone());
        let object: K = serde_json::from_value(object).expect("an object");
        let created = api.create(&PostParams::default(), &object).await;
        created.expect("it is created");
    }

    async fn pod(&self, name: &str, annotations: Value, spec: Value) {
        let mut object = json!({
            "metadata": {"name": name, "annotations": annotations},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        });
        for (key, value) in spec.as_object().expect("a mapping") {
            object["spec"][key.as_str()] = value.clone();
        }
        self.put::<Pod>(object).await;
    }

    /// Waits until a pod, as JSON, is as asked for.
    async fn until(&self, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let watched = async {
            loop {
                let pod = self.pods().get_opt(name).await.expect("the API answers");
                let value = serde_json::to_value(pod).expect("it is an object");
                if holds(&value) {
                    return value;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let result = tokio::time::timeout(Duration::from_secs(300), watched).await;
        match result {
            Ok(value) => value,
            Err(_) => panic!("{name} is {:?}", self.pods().get(name).await),
        }
    }
}

fn condition<'a>(pod: &'a Value, type_: &str) -> &'a Value {
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    let found = conditions.find(|one| one["type"] == type_);
    found.unwrap_or(&Value::Null)
}

fn is_ready(pod: &Value) -> bool {
    condition(pod, "Ready")["status"] == "True"
}

#[tokio::test]
async fn a_deployment_becomes_available_and_goes_away() {
    let world = world().await;
    world
        .put::<Deployment>(json!({
            "metadata": {"name": "web"},
            "spec": {
                "replicas": 20,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [{
                        "name": "c", "image": "i",
                        "readinessProbe": {"httpGet": {"port": 80}},
                    }]},
                },
            },
        }))
        .await;
    let deployments: Api<Deployment> = Api::default_namespaced(world.client.clone());
    let available = async |count: i32| {
        loop {
            let status = deployments.get("web").await.expect("it is there").status;
            if status.and_then(|status| status.available_replicas) == Some(count) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let limit = Duration::from_secs(300);
    tokio::time::timeout(limit, available(20))
        .await
        .expect("twenty are available");
    let pods = world
        .pods()
        .list(&Default::default())
        .await
        .expect("a list");
    let mut addresses: Vec<String> = pods
        .iter()
        .filter_map(|pod| pod.status.as_ref()?.pod_ip.clone())
        .collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 20, "every pod has an address of its own");
    deployments
        .delete("web", &DeleteParams::background())
        .await
        .expect("it is deleted");
    for pod in pods {
        world.until(&pod.name_any(), Value::is_null).await;
    }
}

#[tokio::test]
async fn containers_end_as_scripted_and_are_restarted_as_their_policy_says() {
    let world = world().await;
    let script = |code: &str| json!({"simulated.coracle.dev/run-seconds": "0.05", "simulated.coracle.dev/exit-code": code});
    let of = |policy: &str| json!({"restartPolicy": policy});
    world.pod("done", script("0"), of("OnFailure")).await;
    world.pod("failed", script("3"), of("Never")).await;
    world.pod("again", script("3"), of("OnFailure")).await;
    world.pod("loop", script("0"), of("Always")).await;
    let done = world
        .until("done", |pod| pod["status"]["phase"] == "Succeeded")
        .await;
    for (type_, status) in [("Initialized", "True"), ("Ready", "False")] {
        let condition = condition(&done, type_);
        assert_eq!(condition["status"], status);
        assert_eq!(condition["reason"], "PodCompleted");
    }
    let failed = world
        .until("failed", |pod| pod["status"]["phase"] == "Failed")
        .await;
    let terminated = &failed["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(terminated["exitCode"], 3);
    assert_eq!(terminated["reason"], "Error");
    for name in ["again", "loop"] {
        let pod = world
            .until(name, |pod| {
                pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"]
                    == "CrashLoopBackOff"
            })
            .await;
        assert_eq!(pod["status"]["phase"], "Running");
        // The first time it was started again at once; who looks late sees further times.
        let restarts = pod["status"]["containerStatuses"][0]["restartCount"].as_i64();
        assert!(restarts >= Some(1), "{pod}");
    }
}

/// Kubernetes: Pod Lifecycle, container restart policies and rules.
#[tokio::test]
async fn a_container_may_have_a_restart_policy_of_its_own() {
    let world = world().await;
    let script = |code: &str| json!({"simulated.coracle.dev/run-seconds": "0.05", "simulated.coracle.dev/exit-code": code});
    let of = |pod: &str, rules: Value| {
        let own = json!({"name": "c", "image": "i", "restartPolicy": "Never", "restartPolicyRules": rules});
        json!({"restartPolicy": pod, "containers": [own]})
    };
    let rule = json!([{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]);
    world
        .pod("never", script("3"), of("Always", Value::Null))
        .await;
    world.pod("again", script("42"), of("Never", rule)).await;
    world
        .until("never", |pod| pod["status"]["phase"] == "Failed")
        .await;
    let again = world
        .until("again", |pod| {
            pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"]
                == "CrashLoopBackOff"
        })
        .await;
    assert_eq!(again["status"]["phase"], "Running");
}

#[tokio::test]
async fn a_status_tells_what_each_container_was_given() {
    let world = world().await;
    let resources = json!({"requests": {"cpu": "100m"}, "limits": {"memory": "1Gi"}});
    let asking = json!({"name": "asking", "image": "i", "resources": resources});
    let spec = json!({"containers": [{"name": "plain", "image": "i"}, asking]});
    world.pod("two", json!({}), spec).await;
    let pod = world.until("two", is_ready).await;
    let statuses = &pod["status"]["containerStatuses"];
    assert_eq!(statuses[0]["name"], "asking", "they are ordered by name");
    let (asking, plain) = (&statuses[0], &statuses[1]);
    assert_eq!(
        asking["allocatedResources"],
        json!({"cpu": "100m", "memory": "1Gi"})
    );
    assert_eq!(asking["resources"]["limits"], json!({"memory": "1Gi"}));
    assert_eq!(plain["allocatedResources"], Value::Null);
    let mount = &plain["volumeMounts"][0];
    assert_eq!(
        mount["mountPath"],
        "/var/run/secrets/kubernetes.io/serviceaccount"
    );
    assert_eq!(mount["readOnly"], true);
    assert_eq!(mount["recursiveReadOnly"], "Disabled");
}

#[tokio::test]
async fn what_is_missing_is_named_and_waited_for() {
    let world = world().await;
    let spec = json!({"containers": [{
        "name": "c", "image": "i",
        "envFrom": [{"configMapRef": {"name": "settings"}}],
    }]});
    world.pod("needy", json!({}), spec).await;
    let pod = world
        .until("needy", |pod| {
            pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"]
                == "CreateContainerConfigError"
        })
        .await;
    assert_eq!(
        pod["status"]["containerStatuses"][0]["state"]["waiting"]["message"],
        "configmap \"settings\" not found"
    );
    world
        .put::<ConfigMap>(json!({"metadata": {"name": "settings"}, "data": {"A": "1"}}))
        .await;
    world.until("needy", is_ready).await;
}

#[tokio::test]
async fn what_had_ended_before_the_node_began_stays_ended() {
    let world = world().await;
    let apart = json!({"restartPolicy": "OnFailure", "schedulerName": "nobody"});
    world.pod("over", json!({}), apart).await;
    let terminated = json!({"exitCode": 0, "reason": "Completed"});
    let container = json!({
        "name": "c", "image": "i", "imageID": "i", "ready": false, "restartCount": 0,
        "state": {"terminated": terminated},
    });
    let status = json!({"status": {"phase": "Succeeded", "containerStatuses": [container]}});
    let (pods, status) = (world.pods(), Patch::Merge(status));
    let patched = pods
        .patch_status("over", &PatchParams::default(), &status)
        .await;
    patched.expect("it is patched");
    let binding = json!({"metadata": {"name": "over"}, "target": {"kind": "Node", "name": "one"}});
    let bound = http::Request::post("/api/v1/namespaces/default/pods/over/binding")
        .body(serde_json::to_vec(&binding).expect("it is JSON"));
    let bound = world.client.request::<Value>(bound.expect("a request"));
    bound.await.expect("it is bound");
    let pod = world
        .until("over", |pod| !condition(pod, "ContainersReady").is_null())
        .await;
    let state = &pod["status"]["containerStatuses"][0]["state"];
    assert_eq!(state["terminated"]["reason"], "Completed");
    assert_eq!(pod["status"]["phase"], "Succeeded");
}

#[tokio::test]
async fn ephemeral_containers_come_later_and_run_once() {
    let world = world().await;
    world.pod("seen", json!({}), json!({})).await;
    world.until("seen", is_ready).await;
    let pods = world.pods();
    let patch = async |subresource: &str, patch: Value| {
        let (patch, params) = (Patch::Strategic(patch), PatchParams::default());
        let patched = match subresource {
            "" => pods.patch("seen", &params, &patch).await,
            other => pods.patch_subresource(other, "seen", &params, &patch).await,
        };
        patched.expect("it is patched");
    };
    // Whoever starts from now on ends soon, and badly.
    let script = json!({"simulated.coracle.dev/run-seconds": "0.05", "simulated.coracle.dev/exit-code": "3"});
    patch("", json!({"metadata": {"annotations": script}})).await;
    for name in ["first", "second"] {
        let given = json!([{"name": name, "image": "i"}]);
        let spec = json!({"spec": {"ephemeralContainers": given}});
        patch("ephemeralcontainers", spec).await;
    }
    let status = |pod: &Value, at: usize| pod["status"]["ephemeralContainerStatuses"][at].clone();
    let pod = world
        .until("seen", |pod| {
            [0, 1].map(|at| status(pod, at)["state"]["terminated"]["exitCode"].clone()) == [3, 3]
        })
        .await;
    for at in [0, 1] {
        assert_eq!(status(&pod, at)["restartCount"], 0);
        assert_eq!(status(&pod, at)["ready"], false);
    }
    assert!(is_ready(&pod), "the others run on");
}

#[tokio::test]
async fn containers_wait_for_those_before_them_as_upstream_says_it() {
    let world = world().await;
    let init = |name: &str, map: &str| json!({"name": name, "image": "i", "envFrom": [{"configMapRef": {"name": map}}]});
    let spec = json!({"initContainers": [init("first", "nowhere"), init("second", "nowhere")]});
    world.pod("waits", json!({}), spec).await;
    let reason = |pod: &Value, list: &str, at: usize| {
        let state = &pod["status"][list][at]["state"]["waiting"]["reason"];
        state.as_str().unwrap_or_default().to_owned()
    };
    let pod = world
        .until("waits", |pod| {
            reason(pod, "initContainerStatuses", 0) == "CreateContainerConfigError"
        })
        .await;
    assert_eq!(reason(&pod, "initContainerStatuses", 1), "PodInitializing");
    assert_eq!(reason(&pod, "containerStatuses", 0), "PodInitializing");
    assert_eq!(pod["status"]["phase"], "Pending");
}

#[tokio::test]
async fn readiness_gates_and_deadlines_are_obeyed() {
    let world = world().await;
    let gated = json!({"readinessGates": [{"conditionType": "example.com/open"}]});
    world.pod("gated", json!({}), gated).await;
    let pod = world
        .until("gated", |pod| pod["status"]["phase"] == "Running")
        .await;
    assert!(!is_ready(&pod), "{pod}");
    let status =
        json!({"status": {"conditions": [{"type": "example.com/open", "status": "True"}]}});
    world
        .pods()
        .patch_status("gated", &PatchParams::default(), &Patch::Strategic(status))
        .await
        .expect("it is opened");
    world.until("gated", is_ready).await;

    world
        .pod(
            "late",
            json!({}),
            json!({"activeDeadlineSeconds": 1, "terminationGracePeriodSeconds": 0}),
        )
        .await;
    let pod = world
        .until("late", |pod| pod["status"]["phase"] == "Failed")
        .await;
    assert_eq!(pod["status"]["reason"], "DeadlineExceeded");
}

#[tokio::test]
async fn a_changed_image_restarts_its_container() {
    let world = world().await;
    world
        .pod("p", json!({}), json!({"terminationGracePeriodSeconds": 0}))
        .await;
    let before = world.until("p", is_ready).await;
    let patch = json!({"spec": {"containers": [{"name": "c", "image": "j"}]}});
    world
        .pods()
        .patch("p", &PatchParams::default(), &Patch::Strategic(patch))
        .await
        .expect("the image may change");
    let after = world
        .until("p", |pod| {
            is_ready(pod) && pod["status"]["containerStatuses"][0]["image"] == "j"
        })
        .await;
    let id = |pod: &Value| pod["status"]["containerStatuses"][0]["containerID"].clone();
    assert_ne!(id(&before), id(&after));
    assert_eq!(after["status"]["containerStatuses"][0]["restartCount"], 1);
}

#[tokio::test]
async fn a_more_important_pod_displaces_another() {
    let world = world().await;
    let large = |class: &str| {
        let requests = json!({"requests": {"cpu": "600"}});
        json!({
            "priorityClassName": class, "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "c", "image": "i", "resources": requests}],
        })
    };
    world.pod("first", json!({}), large("")).await;
    world.until("first", is_ready).await;
    // It is held, so that what it was told can be read.
    let held = |finalizers: Value| Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
    let parameters = PatchParams::default();
    let hold = held(json!(["example.com/held"]));
    let patched = world.pods().patch("first", &parameters, &hold).await;
    patched.expect("it is held");
    world.pod("equal", json!({}), large("")).await;
    let refused = |pod: &Value| {
        let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        conditions
            .filter(|one| one["type"] == "PodScheduled")
            .any(|one| {
                one["message"]
                    == "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, \
                        preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
            })
    };
    world.until("equal", refused).await;
    let important = large("system-cluster-critical");
    world.pod("second", json!({}), important).await;
    let second = world.until("second", is_ready).await;
    assert_eq!(second["status"]["nominatedNodeName"], Value::Null);
    let first = world
        .until("first", |pod| {
            !pod["metadata"]["deletionTimestamp"].is_null()
        })
        .await;
    let conditions = first["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    let target = conditions.find(|one| one["type"] == "DisruptionTarget");
    let target = target.expect("it was told");
    assert_eq!(target["reason"], "PreemptionByScheduler");
    assert_eq!(
        target["message"],
        "default-scheduler: preempting to accommodate a higher priority pod"
    );
    let patched = world
        .pods()
        .patch("first", &parameters, &held(Value::Null))
        .await;
    patched.expect("it is let go");
    world.until("first", Value::is_null).await;
    // The place was made for the other.
    let equal = world.until("equal", refused).await;
    assert_eq!(equal["spec"]["nodeName"], Value::Null);
}
