//! Warnings about valid objects, in upstream's words (the strategies'
//! `WarningsOnCreate` and `WarningsOnUpdate`, Kubernetes 1.36).

use coracle_machinery::{kinds, validate};
use serde_json::{Value, json};

#[track_caller]
fn check(group: &str, kind: &str, object: Value, old: Option<Value>, expected: &[&str]) {
    let mut object = object;
    object["kind"] = json!(kind);
    let kind = kinds::all()
        .iter()
        .find(|row| row.group == group && row.kind == kind)
        .expect("the kind is in the table");
    let found = validate::warnings(kind, None, &object, old.as_ref());
    assert_eq!(found, expected, "{object}");
}

#[track_caller]
fn check_pod(spec: Value, expected: &[&str]) {
    check(
        "",
        "Pod",
        json!({"metadata": {"name": "p"}, "spec": spec}),
        None,
        expected,
    );
}

#[test]
fn ports_that_say_the_same_twice() {
    let ports = |list: Value| json!({"containers": [{"name": "c", "ports": list}]});
    let tcp = |more: Value| {
        let mut port = json!({"containerPort": 80, "protocol": "TCP"});
        port.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        port
    };
    check_pod(
        ports(json!([tcp(json!({})), tcp(json!({}))])),
        &[
            "spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]",
        ],
    );
    check_pod(
        ports(json!([tcp(json!({"hostPort": 1})), tcp(json!({}))])),
        &[
            "spec.containers[0].ports[1]: overlapping port definition with spec.containers[0].ports[0]",
        ],
    );
    check_pod(
        ports(json!([
            tcp(json!({"hostPort": 1})),
            tcp(json!({"hostPort": 1, "hostIP": "1.2.3.4"}))
        ])),
        &[
            "spec.containers[0].ports[1]: dangerously ambiguous port definition with spec.containers[0].ports[0]",
        ],
    );
    check_pod(
        ports(json!([tcp(json!({"hostIP": "1.2.3.4"}))])),
        &[
            "spec.containers[0].ports[0]: hostIP set without hostPort: {Name: HostPort:0 ContainerPort:80 Protocol:TCP HostIP:1.2.3.4}",
        ],
    );
    check_pod(
        json!({"containers": [
            {"name": "a", "ports": [{"name": "web", "containerPort": 80, "protocol": "TCP"}]},
            {"name": "b", "ports": [{"name": "web", "containerPort": 81, "protocol": "TCP"}]},
        ]}),
        &[
            "spec.containers[1].ports[0]: duplicate port name \"web\" with spec.containers[0].ports[0], services and probes that select ports by name will use spec.containers[0].ports[0]",
        ],
    );
}

#[test]
fn fields_of_pods_that_are_mistakes() {
    check_pod(
        json!({"hostAliases": [{"ip": "1.2.3.4"}, {"ip": "1.2.3.4"}]}),
        &["spec.hostAliases[1].ip: duplicate ip \"1.2.3.4\""],
    );
    check_pod(
        json!({"imagePullSecrets": [{"name": "a"}, {"name": "a"}, {}]}),
        &[
            "spec.imagePullSecrets[1].name: duplicate name \"a\"",
            "spec.imagePullSecrets[2].name: invalid empty name \"\"",
        ],
    );
    check_pod(
        json!({"terminationGracePeriodSeconds": -5}),
        &[
            "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
        ],
    );
    check_pod(
        json!({"nodeSelector": {"beta.kubernetes.io/os": "linux"}}),
        &[
            "spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead",
        ],
    );
    check_pod(
        json!({"affinity": {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": {}}]}}}),
        &[
            "spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.labelSelector: a null labelSelector results in matching no pod",
        ],
    );
    check_pod(
        json!({"volumes": [{"name": "g", "gitRepo": {}}, {"name": "s", "storageos": {}}]}),
        &[
            "spec.volumes[0].gitRepo: deprecated in v1.11, and disabled by default in v1.33+",
            "spec.volumes[1].storageOS: deprecated in v1.22, non-functional in v1.25+",
        ],
    );
    check_pod(
        json!({"volumes": [{"name": "v", "secret": {"secretName": "s", "items": [{"path": "a"}, {"path": "a/b"}]}}]}),
        &["volume \"v\" (Secret \"s\"): overlapping paths: \"a/b\" with \"a\""],
    );
    check_pod(
        json!({"volumes": [{"name": "v", "projected": {"sources": [
            {"serviceAccountToken": {"path": "t"}},
            {"configMap": {"name": "m", "items": [{"path": "t"}]}},
        ]}}]}),
        &[
            "volume \"v\" (Projected): overlapping paths: \"t\" (ConfigMap \"m\") with \"t\" (ServiceAccountToken)",
        ],
    );
    check_pod(
        json!({"containers": [{"name": "c", "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "$(A)2"}, {"name": "A", "value": "$(A)"}]}]}),
        &[
            "spec.containers[0].env[2]: hides previous definition of \"A\", which may be dropped when using apply",
        ],
    );
    check_pod(
        json!({"dnsConfig": {"nameservers": ["2001:DB8::1", "::ffff:1.2.3.4"]}}),
        &[
            "spec.dnsConfig.nameservers[0]: IPv6 address \"2001:DB8::1\" should be in RFC 5952 canonical format (\"2001:db8::1\")",
            "spec.dnsConfig.nameservers[1]: non-standard IP address \"::ffff:1.2.3.4\" is invalid: use \"1.2.3.4\"",
        ],
    );
}

#[test]
fn names_that_become_host_names() {
    let named = json!({"metadata": {"name": "a.b"}});
    let text = |user: &str| {
        format!(
            "metadata.name: this is used in {user}, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]"
        )
    };
    check(
        "",
        "Pod",
        named.clone(),
        None,
        &[&text("the Pod's hostname")],
    );
    let both = text("Pod names and hostnames");
    for (group, kind) in [
        ("apps", "Deployment"),
        ("batch", "Job"),
        ("batch", "CronJob"),
    ] {
        check(group, kind, named.clone(), None, &[&both]);
        check(group, kind, named.clone(), Some(named.clone()), &[]);
    }
    check("apps", "DaemonSet", named, None, &[]);
}

#[test]
fn templates_earn_warnings_when_they_are_news() {
    let set = |generation: i64| json!({"metadata": {"name": "d", "generation": generation}, "spec": {"template": {"spec": {"terminationGracePeriodSeconds": -1}}}});
    let text = "spec.template.spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1";
    check("apps", "Deployment", set(1), None, &[text]);
    check("apps", "Deployment", set(2), Some(set(1)), &[text]);
    check("apps", "Deployment", set(1), Some(set(1)), &[]);
}

#[test]
fn services_say_what_is_ignored() {
    let service = |spec: Value| json!({"metadata": {"name": "s"}, "spec": spec});
    check(
        "",
        "Service",
        service(
            json!({"type": "ClusterIP", "clusterIP": "None", "sessionAffinity": "ClientIP", "loadBalancerIP": "1.2.3.4"}),
        ),
        None,
        &[
            "spec.loadBalancerIP is ignored for headless services",
            "spec.SessionAffinity is ignored for headless services",
        ],
    );
    check(
        "",
        "Service",
        service(
            json!({"type": "ClusterIP", "sessionAffinity": "None", "externalName": "a.b", "trafficDistribution": "PreferClose"}),
        ),
        None,
        &[
            "spec.externalName is ignored when spec.type is not \"ExternalName\"",
            "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"",
        ],
    );
}

#[test]
fn other_kinds() {
    check(
        "networking.k8s.io",
        "Ingress",
        json!({"metadata": {"name": "i", "annotations": {"kubernetes.io/ingress.class": "nginx"}}}),
        None,
        &[
            "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead",
        ],
    );
    check(
        "networking.k8s.io",
        "NetworkPolicy",
        json!({"spec": {"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.5/8"}}]}]}}),
        None,
        &[
            "spec.ingress[0].from[0].ipBlock.cidr: CIDR value \"10.0.0.5/8\" is ambiguous in this context (should be \"10.0.0.0/8\" or \"10.0.0.5/32\"?)",
        ],
    );
    check(
        "",
        "ResourceQuota",
        json!({"spec": {"hard": {"cpu": "3", "limits.cpu": "2"}}}),
        None,
        &["ResourceQuota cpu (3) should be less than limits.cpu (2)"],
    );
    let account =
        json!({"metadata": {"annotations": {"kubernetes.io/enforce-mountable-secrets": "true"}}});
    check(
        "",
        "ServiceAccount",
        account.clone(),
        None,
        &[
            "metadata.annotations[kubernetes.io/enforce-mountable-secrets]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets",
        ],
    );
    check("", "ServiceAccount", account.clone(), Some(account), &[]);
    check(
        "",
        "Secret",
        json!({"type": "kubernetes.io/tls", "data": {"tls.crt": "YQ==", "tls.key": "YQ=="}}),
        None,
        &["tls: failed to find any PEM data in certificate input"],
    );
    check(
        "",
        "PersistentVolumeClaim",
        json!({"spec": {"resources": {"requests": {"storage": "100m"}}}}),
        None,
        &[
            "spec.resources.requests[storage]: fractional byte value \"100m\" is invalid, must be an integer",
        ],
    );
    check(
        "apps",
        "StatefulSet",
        json!({"spec": {"revisionHistoryLimit": -1, "volumeClaimTemplates": [{"spec": {"resources": {"requests": {"storage": "100m"}}}}]}}),
        None,
        &[
            "spec.volumeClaimTemplates[0].resources.requests[storage]: fractional byte value \"100m\" is invalid, must be an integer",
            "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended",
        ],
    );
    check(
        "discovery.k8s.io",
        "EndpointSlice",
        json!({"addressType": "FQDN"}),
        None,
        &["spec.addressType: FQDN endpoints are deprecated"],
    );
    check(
        "batch",
        "Job",
        json!({"metadata": {"name": "j"}, "spec": {"completionMode": "Indexed", "completions": 100_001, "parallelism": 10_001}}),
        None,
        &[
            "spec: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail",
        ],
    );
}

#[test]
fn formats_nobody_knows() {
    let definition = |formats: &[(&str, &str)]| {
        let fields = formats.iter().enumerate();
        let properties: serde_json::Map<String, Value> = fields
            .map(|(index, (kind, format))| {
                (format!("f{index}"), json!({"type": kind, "format": format}))
            })
            .collect();
        let schema = json!({"type": "array", "items": {"properties": properties}});
        let version = json!({"name": "v1", "schema": {"openAPIV3Schema": schema}});
        json!({"metadata": {"name": "x"}, "spec": {"versions": [version]}})
    };
    let kind = "CustomResourceDefinition";
    let known = definition(&[("string", "date-time"), ("integer", "int64")]);
    check("apiextensions.k8s.io", kind, known, None, &[]);
    let unknown = definition(&[("string", "int64"), ("integer", "x"), ("string", "x")]);
    let old = definition(&[("boolean", "int64")]);
    check(
        "apiextensions.k8s.io",
        kind,
        unknown.clone(),
        None,
        &["unrecognized format \"int64\"", "unrecognized format \"x\""],
    );
    let added = &["unrecognized format \"x\""];
    check("apiextensions.k8s.io", kind, unknown, Some(old), added);
}
