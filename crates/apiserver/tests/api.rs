//! The server in memory: clients, rights, addresses, pages, restarts.

mod common;

use common::{call_as, config, fixture};
use coracle_apiserver::{ApiServer, Identity};
use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use serde_json::{Value, json};

fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn a_typed_client_creates_watches_applies_and_deletes() {
    let fixture = fixture();
    let maps: Api<ConfigMap> = Api::namespaced(fixture.client(), "default");
    let made: ConfigMap = serde_json::from_value(config_map("one", json!({"a": "b"}))).unwrap();
    let made = maps.create(&PostParams::default(), &made).await.unwrap();
    let revision = made.metadata.resource_version.clone().unwrap();
    let mut events = maps
        .watch(&WatchParams::default(), &revision)
        .await
        .unwrap()
        .boxed();
    let patch = config_map("one", json!({"a": "c"}));
    let error = maps
        .patch("one", &PatchParams::apply("other"), &Patch::Apply(&patch))
        .await
        .unwrap_err();
    let kube::Error::Api(status) = error else {
        panic!("{error}")
    };
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    maps.patch(
        "one",
        &PatchParams::apply("other").force(),
        &Patch::Apply(&patch),
    )
    .await
    .unwrap();
    let Some(Ok(WatchEvent::Modified(changed))) = events.next().await else {
        panic!("no change was seen")
    };
    assert_eq!(changed.data.unwrap()["a"], "c");
    maps.delete("one", &DeleteParams::default()).await.unwrap();
    let Some(Ok(WatchEvent::Deleted(gone))) = events.next().await else {
        panic!("no deletion was seen")
    };
    assert!(gone.metadata.resource_version > made.metadata.resource_version);
    let deployments: Api<Deployment> = Api::all(fixture.client());
    assert!(
        deployments
            .list(&Default::default())
            .await
            .unwrap()
            .items
            .is_empty()
    );
}

#[tokio::test]
async fn rights_hold_for_the_next_request() {
    let fixture = fixture();
    let account = || Identity::service_account("default", "robot");
    let (status, refusal) = call_as(&fixture.server, account(), "GET", MAPS, None).await;
    assert_eq!(status, 403);
    assert_eq!(
        refusal["message"],
        "configmaps is forbidden: User \"system:serviceaccount:default:robot\" cannot list resource \"configmaps\" in API group \"\" in the namespace \"default\""
    );
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    let role = json!({"metadata": {"name": "reader"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]});
    fixture
        .ok("POST", &format!("{rbac}/roles"), Some(role))
        .await;
    let binding = json!({"metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": "default"}]});
    fixture
        .ok("POST", &format!("{rbac}/rolebindings"), Some(binding))
        .await;
    assert_eq!(
        call_as(&fixture.server, account(), "GET", MAPS, None)
            .await
            .0,
        200
    );
    assert_eq!(
        call_as(
            &fixture.server,
            account(),
            "POST",
            MAPS,
            Some(config_map("x", json!({})))
        )
        .await
        .0,
        403
    );
    fixture
        .ok("DELETE", &format!("{rbac}/rolebindings/reader"), None)
        .await;
    assert_eq!(
        call_as(&fixture.server, account(), "GET", MAPS, None)
            .await
            .0,
        403
    );
}

#[tokio::test]
async fn every_controller_may_do_its_work() {
    let fixture = fixture();
    for (name, path) in [
        ("deployment-controller", "/apis/apps/v1/deployments"),
        ("replicaset-controller", "/apis/apps/v1/replicasets"),
        ("job-controller", "/apis/batch/v1/jobs"),
        ("endpointslice-controller", "/api/v1/services"),
        (
            "disruption-controller",
            "/apis/policy/v1/poddisruptionbudgets",
        ),
        ("generic-garbage-collector", "/api/v1/secrets"),
    ] {
        let (status, answer) = call_as(
            &fixture.server,
            Identity::controller(name),
            "GET",
            path,
            None,
        )
        .await;
        assert_eq!(status, 200, "{name}: {answer}");
    }
    let (status, _) = call_as(
        &fixture.server,
        Identity::node("n"),
        "GET",
        "/api/v1/pods",
        None,
    )
    .await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn services_get_addresses_and_ports_of_their_own() {
    let fixture = fixture();
    let path = "/api/v1/namespaces/default/services";
    let service = |name: &str, spec: Value| json!({"metadata": {"name": name}, "spec": spec});
    let ports = json!([{"port": 80}]);
    let one = fixture
        .ok(
            "POST",
            path,
            Some(service("one", json!({"type": "NodePort", "ports": ports}))),
        )
        .await;
    let port = one["spec"]["ports"][0]["nodePort"].as_u64().unwrap();
    let address = one["spec"]["clusterIP"].as_str().unwrap();
    assert!((30000..=32767).contains(&port) && address.starts_with("10.96."));
    let taken = json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": port}]});
    let (status, refusal) = fixture
        .call("POST", path, Some(service("two", taken.clone())))
        .await;
    assert_eq!(status, 422);
    assert_eq!(
        refusal["details"]["causes"][0]["message"],
        format!("Invalid value: {port}: provided port is already allocated")
    );
    let (status, _) = fixture
        .call(
            "POST",
            path,
            Some(service(
                "three",
                json!({"clusterIP": address, "ports": ports}),
            )),
        )
        .await;
    assert_eq!(status, 422);
    fixture.ok("DELETE", &format!("{path}/one"), None).await;
    fixture.ok("POST", path, Some(service("two", taken))).await;
    fixture
        .ok(
            "POST",
            path,
            Some(service(
                "three",
                json!({"clusterIP": address, "ports": ports}),
            )),
        )
        .await;
}

#[tokio::test]
async fn many_services_at_once_never_share_an_address() {
    let fixture = std::sync::Arc::new(fixture());
    let tasks: Vec<_> = (0..40)
        .map(|number| {
            let fixture = fixture.clone();
            tokio::spawn(async move {
                let body = json!({"metadata": {"name": format!("s{number}")}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}});
                fixture.ok("POST", "/api/v1/namespaces/default/services", Some(body)).await
            })
        })
        .collect();
    let mut addresses = std::collections::HashSet::new();
    let mut ports = std::collections::HashSet::new();
    for task in tasks {
        let service = task.await.unwrap();
        assert!(addresses.insert(service["spec"]["clusterIP"].to_string()));
        assert!(ports.insert(service["spec"]["ports"][0]["nodePort"].to_string()));
    }
}

#[tokio::test]
async fn pages_show_one_moment() {
    let fixture = fixture();
    for name in ["a", "b", "c"] {
        fixture
            .ok("POST", MAPS, Some(config_map(name, json!({}))))
            .await;
    }
    let first = fixture.ok("GET", &format!("{MAPS}?limit=2"), None).await;
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    assert_eq!(first["metadata"]["remainingItemCount"], 1);
    fixture.ok("DELETE", &format!("{MAPS}/c"), None).await;
    fixture
        .ok("POST", MAPS, Some(config_map("d", json!({}))))
        .await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    let rest = fixture
        .ok("GET", &format!("{MAPS}?limit=2&continue={token}"), None)
        .await;
    let names: Vec<&Value> = rest["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["metadata"]["name"])
        .collect();
    assert_eq!(names, ["c"]);
    assert_eq!(
        rest["metadata"]["resourceVersion"],
        first["metadata"]["resourceVersion"]
    );
}

#[tokio::test]
async fn a_namespace_goes_when_it_is_finalized() {
    let fixture = fixture();
    fixture
        .ok(
            "POST",
            "/api/v1/namespaces",
            Some(json!({"metadata": {"name": "n"}})),
        )
        .await;
    let going = fixture.ok("DELETE", "/api/v1/namespaces/n", None).await;
    assert_eq!(going["status"]["phase"], "Terminating");
    let maps = "/api/v1/namespaces/n/configmaps";
    let (status, refusal) = fixture
        .call("POST", maps, Some(config_map("x", json!({}))))
        .await;
    assert_eq!(
        (status.as_u16(), &refusal["details"]["causes"][0]["reason"]),
        (403, &json!("NamespaceTerminating"))
    );
    let mut finalized = going.clone();
    finalized["spec"]["finalizers"] = json!([]);
    fixture
        .ok("PUT", "/api/v1/namespaces/n/finalize", Some(finalized))
        .await;
    assert_eq!(
        fixture.call("GET", "/api/v1/namespaces/n", None).await.0,
        404
    );
    assert_eq!(
        fixture
            .call("DELETE", "/api/v1/namespaces/default", None)
            .await
            .0,
        403
    );
}

#[tokio::test]
async fn tokens_die_with_their_account() {
    let fixture = fixture();
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    fixture
        .ok(
            "POST",
            accounts,
            Some(json!({"metadata": {"name": "robot"}})),
        )
        .await;
    let answer = fixture
        .ok(
            "POST",
            &format!("{accounts}/robot/token"),
            Some(json!({"spec": {}})),
        )
        .await;
    let token = answer["status"]["token"].as_str().unwrap();
    let reviews = "/apis/authentication.k8s.io/v1/tokenreviews";
    let review = || Some(json!({"spec": {"token": token}}));
    let before = fixture.ok("POST", reviews, review()).await;
    assert_eq!(
        before["status"]["user"]["username"],
        "system:serviceaccount:default:robot"
    );
    let mut forged = token.to_owned();
    forged.replace_range(token.len() - 4..token.len() - 2, "AA");
    let refused = fixture
        .ok("POST", reviews, Some(json!({"spec": {"token": forged}})))
        .await;
    assert_eq!(refused["status"]["error"], "invalid bearer token");
    fixture
        .ok("DELETE", &format!("{accounts}/robot"), None)
        .await;
    let after = fixture.ok("POST", reviews, review()).await;
    assert_eq!(after["status"]["error"], "invalid bearer token");
}

#[tokio::test]
async fn a_restart_keeps_everything_and_seals_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let server = ApiServer::open(config(&folder)).unwrap();
    let admin = Identity::admin;
    let secret =
        json!({"metadata": {"name": "s"}, "stringData": {"password": "correct horse battery"}});
    let path = "/api/v1/namespaces/default/secrets";
    let (_, made) = call_as(&server, admin(), "POST", path, Some(secret)).await;
    let Err(error) = ApiServer::open(config(&folder)) else {
        panic!("opened twice")
    };
    assert!(
        std::error::Error::source(&error)
            .unwrap()
            .to_string()
            .ends_with("is in use by another process")
    );
    drop(server);
    let bytes = std::fs::read(folder.path().join("store")).unwrap();
    // base64 of "correct horse battery", as data holds it.
    assert!(!bytes.windows(12).any(|part| part == b"Y29ycmVjdCBo"));
    let server = ApiServer::open(config(&folder)).unwrap();
    let (status, found) = call_as(&server, admin(), "GET", &format!("{path}/s"), None).await;
    assert_eq!((status.as_u16(), &found), (200, &made));
    let (_, roles) = call_as(
        &server,
        admin(),
        "GET",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        None,
    )
    .await;
    assert!(roles["items"].as_array().unwrap().len() > 60);
}

#[tokio::test]
async fn a_definition_serves_its_objects_at_once_and_takes_them_along() {
    let fixture = fixture();
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "required": ["size"],
        "properties": {"size": {"type": "integer", "maximum": 9}, "mode": {"type": "string", "default": "a"}}}}});
    let version = |name: &str, storage: bool| {
        json!({"name": name, "served": true, "storage": storage,
        "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}}})
    };
    let definition = json!({"metadata": {"name": "boats.sea.test"}, "spec": {"group": "sea.test", "scope": "Namespaced",
        "names": {"plural": "boats", "singular": "boat", "kind": "Boat", "listKind": "BoatList"},
        "versions": [version("v1", true), version("v2", false)]}});
    fixture.ok("POST", definitions, Some(definition)).await;
    let boats = "/apis/sea.test/v1/namespaces/default/boats";
    let boat = |size: i64| json!({"apiVersion": "sea.test/v1", "kind": "Boat", "metadata": {"name": "b"}, "spec": {"size": size}});
    let (status, refusal) = fixture.call("POST", boats, Some(boat(10))).await;
    assert_eq!(
        (status.as_u16(), &refusal["details"]["causes"][0]["field"]),
        (422, &json!("spec.size"))
    );
    let made = fixture.ok("POST", boats, Some(boat(3))).await;
    assert_eq!(made["spec"]["mode"], "a");
    let other = fixture
        .ok("GET", "/apis/sea.test/v2/namespaces/default/boats/b", None)
        .await;
    assert_eq!(other["apiVersion"], "sea.test/v2");
    let document = fixture
        .ok("GET", "/openapi/v3/apis/sea.test/v1", None)
        .await;
    let text = document.to_string();
    assert!(text.contains("application/merge-patch+json"));
    assert!(
        !text.contains("strategic-merge-patch"),
        "not for custom objects"
    );
    let status = fixture
        .ok(
            "PATCH",
            &format!("{boats}/b/status"),
            Some(json!({"status": {}, "spec": {"size": 9}})),
        )
        .await;
    assert_eq!(status["spec"]["size"], 3);
    fixture
        .ok("DELETE", &format!("{definitions}/boats.sea.test"), None)
        .await;
    while fixture
        .call("GET", &format!("{definitions}/boats.sea.test"), None)
        .await
        .0
        != 404
    {
        tokio::task::yield_now().await;
    }
    assert_eq!(fixture.call("GET", boats, None).await.0, 404);
}

#[tokio::test]
async fn bad_bodies_are_refused_and_nothing_more() {
    let fixture = fixture();
    let deep = format!("{}1{}", "{\"a\":".repeat(5000), "}".repeat(5000));
    for body in [
        "",
        "{",
        "[]",
        "null",
        "{\"metadata\":[]}",
        "{\"metadata\":{\"name\":1}}",
        deep.as_str(),
        "\u{0}",
    ] {
        use tower::Service;
        let request = http::Request::post(MAPS)
            .header("content-type", "application/json")
            .body(http_body_util::Full::new(bytes::Bytes::from(
                body.to_owned(),
            )))
            .unwrap();
        let response = fixture
            .server
            .service(Identity::admin())
            .call(request)
            .await
            .unwrap();
        assert!(
            response.status().is_client_error(),
            "{}",
            &body[..body.len().min(40)]
        );
    }
    assert_eq!(fixture.call("GET", MAPS, None).await.0, 200);
}

/// A pod without a grace is marked, then taken away; whoever sees the mark may
/// be faster, as a node is.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_another_finishes_is_still_one() {
    const PODS: &str = "/api/v1/namespaces/default/pods";
    let fixture = fixture();
    let account = json!({"metadata": {"name": "default"}});
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    fixture.ok("POST", accounts, Some(account)).await;
    let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(fixture.client(), "default");
    let mut events = pods
        .watch(&WatchParams::default(), "0")
        .await
        .unwrap()
        .boxed();
    let rival = fixture.client();
    let follower = tokio::spawn(async move {
        let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(rival, "default");
        let now = DeleteParams::default().grace_period(0);
        while let Some(Ok(event)) = events.next().await {
            if let WatchEvent::Modified(pod) = event
                && pod.metadata.deletion_timestamp.is_some()
            {
                let _ = pods.delete(&pod.metadata.name.unwrap(), &now).await;
            }
        }
    });
    for number in 0..200 {
        let name = format!("p{number}");
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"containers": [{"name": "c", "image": "i"}], "automountServiceAccountToken": false},
        });
        fixture.ok("POST", PODS, Some(pod)).await;
        fixture.ok("DELETE", &format!("{PODS}/{name}"), None).await;
    }
    follower.abort();
}
