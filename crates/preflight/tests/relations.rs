//! Rules over relations: each finds its fault, and keeps quiet without it.

mod common;

use common::{chart, lines, report};
use coracle_helm::Values;
use coracle_preflight::Target;
use serde_json::json;

/// A Deployment `web` with a container of these fields, and more of the pod.
fn web(container: &str, pod: &str) -> String {
    let mut text = String::from(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec:\n      securityContext: {runAsNonRoot: true}\n",
    );
    for line in pod.lines() {
        text.push_str(&format!("      {line}\n"));
    }
    text.push_str("      containers:\n        - name: web\n          image: nginx:1.27\n");
    for line in container.lines() {
        text.push_str(&format!("          {line}\n"));
    }
    text
}

/// Checks a chart without a cluster: every finding, by part of its line.
fn check(template: &str, expected: &[&str]) {
    check_on(template, None, expected);
}

fn check_on(template: &str, target: Option<&Target>, expected: &[&str]) {
    let report = report(&chart(template), &Values::new(), target);
    let found = lines(&report);
    let fits = found.len() == expected.len()
        && expected
            .iter()
            .all(|part| found.iter().any(|line| line.contains(part)));
    assert!(
        fits,
        "expected {expected:#?}\nfound {found:#?}\nin\n{template}"
    );
    for finding in &report.findings {
        assert!(finding.fix.is_some(), "no fix: {finding:#?}");
    }
}

fn join(texts: &[&str]) -> String {
    texts.join("\n---\n")
}

const PORTS: &str = "ports: [{name: http, containerPort: 8080}]";

fn service(spec: &str) -> String {
    format!("apiVersion: v1\nkind: Service\nmetadata: {{name: web}}\nspec: {spec}\n")
}

#[test]
fn secrets_and_config_maps() {
    let env = "env:\n  - name: A\n    valueFrom: {secretKeyRef: {name: keys, key: url}}";
    check(
        &web(env, ""),
        &[
            "warning[missing-reference] Deployment/web spec.template.spec.containers[0].env[0].valueFrom.secretKeyRef.name: the pods need Secret keys",
        ],
    );
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\nstringData: {url: x}";
    check(&join(&[&web(env, ""), secret]), &[]);
    let other = secret.replace("url", "uri");
    check(
        &join(&[&web(env, ""), &other]),
        &[
            "error[missing-key] Deployment/web spec.template.spec.containers[0].env[0].valueFrom.secretKeyRef.key: Secret keys has no key url; it has uri",
        ],
    );
    let near = secret.replace("keys", "key");
    check(
        &join(&[&web(env, ""), &near]),
        &["error[missing-reference]"],
    );
    let optional = env.replace("key: url", "key: url, optional: true");
    check(&web(&optional, ""), &[]);
    check(
        &web("envFrom: [{configMapRef: {name: settings}}]", ""),
        &[
            "warning[missing-reference] Deployment/web spec.template.spec.containers[0].envFrom[0].configMapRef.name",
        ],
    );
    let volume = "volumes: [{name: v, secret: {secretName: tls, items: [{key: a, path: a}]}}]";
    let tls = "apiVersion: v1\nkind: Secret\nmetadata: {name: tls}\nstringData: {b: x}";
    check(
        &join(&[
            &web("volumeMounts: [{name: v, mountPath: /v}]", volume),
            tls,
        ]),
        &[
            "error[missing-key] Deployment/web spec.template.spec.volumes[0].secret.items[0].key: Secret tls has no key a",
        ],
    );
}

#[test]
fn a_secret_that_a_job_makes_is_none_of_ours() {
    let volume = "volumes: [{name: v, secret: {secretName: made}}]";
    let web = web("volumeMounts: [{name: v, mountPath: /v}]", volume);
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: make, annotations: {helm.sh/hook: pre-install}}\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n      containers: [{name: a, image: 'a:1', args: ['--secret-name=made']}]";
    check(&join(&[&web, job]), &[]);
}

#[test]
fn selectors_and_target_ports() {
    let deployment = web(PORTS, "");
    let fits = service("{selector: {app: web}, ports: [{port: 80, targetPort: http}]}");
    check(&join(&[&deployment, &fits]), &[]);
    let typo = service("{selector: {app: wed}, ports: [{port: 80, targetPort: http}]}");
    check(
        &join(&[&deployment, &typo]),
        &[
            "error[selects-nothing] Service/web spec.selector[app]: the selector app=wed finds no pods",
        ],
    );
    let name = service("{selector: {app: web}, ports: [{port: 80, targetPort: htp}]}");
    check(
        &join(&[&deployment, &name]),
        &[
            "error[target-port] Service/web spec.ports[0].targetPort: targetPort htp is the name of no TCP port",
        ],
    );
    let number = service("{selector: {app: web}, ports: [{port: 80, targetPort: 8081}]}");
    check(
        &join(&[&deployment, &number]),
        &[
            "warning[target-port] Service/web spec.ports[0].targetPort: targetPort 8081 is opened by no container",
        ],
    );
    // Listing ports is optional.
    check(&join(&[&web("", ""), &number]), &[]);
    let no_selector = service("{ports: [{port: 80}]}");
    check(&no_selector, &[]);
}

#[test]
fn probes_ask_open_ports() {
    let probe =
        |port: &str| format!("{PORTS}\nreadinessProbe: {{httpGet: {{path: /, port: {port}}}}}");
    check(&web(&probe("http"), ""), &[]);
    check(&web(&probe("8080"), ""), &[]);
    check(
        &web(&probe("web"), ""),
        &[
            "error[probe-port] Deployment/web spec.template.spec.containers[0].readinessProbe.httpGet.port",
        ],
    );
    check(&web(&probe("8000"), ""), &["warning[probe-port]"]);
    // The port stands in the arguments.
    let said = format!("{}\nargs: ['--health=:8000']", probe("8000"));
    check(&web(&said, ""), &[]);
}

#[test]
fn ingresses_lead_somewhere() {
    let ingress = |name: &str, port: &str| {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: web}}\nspec:\n  rules:\n    - http:\n        paths:\n          - path: /\n            pathType: Prefix\n            backend: {{service: {{name: {name}, port: {{{port}}}}}}}"
        )
    };
    let deployment = web(PORTS, "");
    let service =
        service("{selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}]}");
    let with = |ingress: String| join(&[&deployment, &service, &ingress]);
    check(&with(ingress("web", "number: 80")), &[]);
    check(&with(ingress("web", "name: http")), &[]);
    check(
        &with(ingress("webb", "number: 80")),
        &["error[missing-service] Ingress/web spec.rules[0].http.paths[0].backend.service.name"],
    );
    check(
        &with(ingress("web", "number: 8080")),
        &[
            "error[ingress-port] Ingress/web spec.rules[0].http.paths[0].backend.service.port.number: the Ingress leads to port 8080 of Service web, which has 80 (http)",
        ],
    );
}

#[test]
fn autoscalers_have_targets_and_requests() {
    let scaler = |name: &str| {
        format!(
            "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: web}}\nspec:\n  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: {name}}}\n  maxReplicas: 3\n  metrics:\n    - type: Resource\n      resource: {{name: cpu, target: {{type: Utilization, averageUtilization: 70}}}}"
        )
    };
    let with_request = web("resources: {requests: {cpu: 100m}}", "");
    check(&join(&[&with_request, &scaler("web")]), &[]);
    check(
        &join(&[&web("", ""), &scaler("web")]),
        &["error[no-request] HorizontalPodAutoscaler/web spec.metrics[0].resource"],
    );
    check(
        &join(&[&with_request, &scaler("wbe")]),
        &["error[missing-target] HorizontalPodAutoscaler/web spec.scaleTargetRef.name"],
    );
}

#[test]
fn requests_stay_below_limits() {
    let resources = "resources: {requests: {memory: 2Gi}, limits: {memory: 1Gi}}";
    check(
        &web(resources, ""),
        &["error[over-limit] Deployment/web spec.template.spec.containers[0].resources.requests"],
    );
}

#[test]
fn claims_can_be_satisfied() {
    let claim = |spec: &str| {
        format!(
            "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: data}}\nspec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 5Gi}}}}{spec}}}"
        )
    };
    let volume = "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: disk}\nspec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], storageClassName: '', hostPath: {path: /d}}";
    check(&claim(""), &[]);
    check(
        &join(&[&claim(", storageClassName: ''"), volume]),
        &["warning[unsatisfiable-claim] PersistentVolumeClaim/data spec.storageClassName"],
    );
    check(
        &join(&[&claim(", volumeName: disk"), volume]),
        &[
            "error[unsatisfiable-claim] PersistentVolumeClaim/data spec.volumeName: PersistentVolume disk cannot serve the claim: it has 1Gi, the claim wants 5Gi",
        ],
    );
    let mut target = Target::named("there");
    target.list(
        "StorageClass",
        [json!({"metadata": {"name": "standard"}, "provisioner": "p"})],
    );
    check_on(
        &claim(", storageClassName: standart"),
        Some(&target),
        &[
            "error[unsatisfiable-claim] PersistentVolumeClaim/data spec.storageClassName: no StorageClass standart exists",
        ],
    );
    check_on(
        &claim(""),
        Some(&target),
        &["the claim names no StorageClass and the cluster has no default one"],
    );
}

#[test]
fn node_ports() {
    let port = |name: &str, number: u16| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{type: NodePort, ports: [{{port: 80, nodePort: {number}}}]}}"
        )
    };
    check(&port("a", 30080), &[]);
    check(
        &port("a", 3000),
        &["error[node-port-range] Service/a spec.ports[0].nodePort"],
    );
    check(
        &join(&[&port("a", 30080), &port("b", 30080)]),
        &[
            "error[node-port-taken] Service/b spec.ports[0].nodePort: nodePort 30080 is asked for by Service/a as well",
        ],
    );
    let mut target = Target::named("here");
    target.is_coracle = true;
    target.taken_ports.push(coracle_preflight::TakenPort {
        port: 30080,
        by: "a process".into(),
    });
    check_on(
        &port("a", 30080),
        Some(&target),
        &[
            "error[node-port-taken] Service/a spec.ports[0].nodePort: port 30080 of this machine is held by a process",
        ],
    );
    // The Service itself holds it already.
    let own = json!({"metadata": {"name": "a", "namespace": "default",
        "annotations": {"meta.helm.sh/release-name": "r", "meta.helm.sh/release-namespace": "default"},
        "labels": {"app.kubernetes.io/managed-by": "Helm"}},
        "spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}});
    target.list("Service", [own]);
    check_on(&port("a", 30080), Some(&target), &[]);
}

/// Which findings mean that the API refuses an object.
#[test]
fn what_the_api_refuses_is_told_from_what_does_not_work() {
    let service = |name: &str, port: u16| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{type: NodePort, ports: [{{port: 80, nodePort: {port}}}]}}"
        )
    };
    let mut target = Target::named("here");
    target.is_coracle = true;
    let holder = json!({"metadata": {"name": "b", "namespace": "default"},
        "spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}});
    target.list("Service", [holder]);
    target.taken_ports.push(coracle_preflight::TakenPort {
        port: 30081,
        by: "a process".into(),
    });
    let check = |template: &str, expected: &[bool]| {
        let report = report(&chart(template), &Values::default(), Some(&target));
        let about_ports = report
            .findings
            .iter()
            .filter(|finding| finding.rule.starts_with("node-port"));
        let refused: Vec<bool> = about_ports.map(|finding| finding.refused).collect();
        assert_eq!(refused, expected, "{template}");
    };
    check(&service("a", 30080), &[true]);
    check(&service("a", 80), &[true]);
    check(
        &join(&[&service("a", 30082), &service("c", 30082)]),
        &[true],
    );
    // The host's own programs are nothing to the API.
    check(&service("a", 30081), &[false]);
    // The same release gives the port away.
    let given = join(&[&service("a", 30080), &service("b", 30083)]);
    check(&given, &[false]);
}

#[test]
fn namespaces_are_there() {
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: apps}";
    check(
        map,
        &["warning[missing-namespace] ConfigMap/a metadata.namespace"],
    );
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: apps}";
    check(&join(&[map, namespace]), &[]);
    let mut target = Target::named("there");
    let existing = ["default", "apps"].map(|name| json!({"metadata": {"name": name}}));
    target.list("Namespace", existing);
    check_on(map, Some(&target), &[]);
}

/// Two programs, a Service between them, and a policy around one of them.
fn flow(policy: &str) -> String {
    let api = web(PORTS, "").replace("web", "api");
    let front = web("env: [{name: API, value: 'http://api:80'}]", "");
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: api}\nspec: {selector: {app: api}, ports: [{port: 80, targetPort: http}]}";
    let policy = format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p}}\nspec: {policy}"
    );
    join(&[&api, &front, service, &policy])
}

#[test]
fn policies_let_needed_flows_pass() {
    let ingress = |rules: &str| {
        flow(&format!(
            "{{podSelector: {{matchLabels: {{app: api}}}}, policyTypes: [Ingress], ingress: {rules}}}"
        ))
    };
    check(&ingress("[{}]"), &[]);
    check(
        &ingress("[{from: [{podSelector: {matchLabels: {app: web}}}]}]"),
        &[],
    );
    check(
        &ingress("[{from: [{podSelector: {}}], ports: [{port: http}]}]"),
        &[],
    );
    check(
        &ingress("[]"),
        &[
            "error[policy-cuts-flow] NetworkPolicy/p spec.ingress: cuts the way of Deployment/web to Deployment/api on port 8080, which API shows to be needed",
        ],
    );
    check(
        &ingress("[{from: [{podSelector: {matchLabels: {app: other}}}]}]"),
        &["policy-cuts-flow"],
    );
    check(&ingress("[{ports: [{port: 80}]}]"), &["policy-cuts-flow"]);
    let egress = |rules: &str| {
        flow(&format!(
            "{{podSelector: {{matchLabels: {{app: web}}}}, policyTypes: [Egress], egress: {rules}}}"
        ))
    };
    check(&egress("[{}]"), &[]);
    check(
        &egress("[{to: [{podSelector: {matchLabels: {app: api}}}]}]"),
        &[
            "error[policy-cuts-names] NetworkPolicy/p spec.egress: cuts Deployment/web off from the name service",
        ],
    );
    check(
        &egress(
            "[{to: [{podSelector: {matchLabels: {app: api}}}]}, {to: [{namespaceSelector: {}}], ports: [{port: 53, protocol: UDP}]}]",
        ),
        &[],
    );
}

#[test]
fn addresses_in_the_environment() {
    let service =
        "apiVersion: v1\nkind: Service\nmetadata: {name: api}\nspec: {ports: [{port: 8000}]}";
    let url = |value: &str| {
        join(&[
            &web(&format!("env: [{{name: API_URL, value: '{value}'}}]"), ""),
            service,
        ])
    };
    check(&url("http://api:8000"), &[]);
    check(&url("https://api.example.com"), &[]);
    check(
        &url("http://api:8080"),
        &[
            "error[service-port] Deployment/web spec.template.spec.containers[0].env[0].value: API_URL leads to port 8080 of Service api, which has 8000",
        ],
    );
    check(
        &url("http://apii:8000"),
        &["error[missing-service] Deployment/web"],
    );
    let public = url("http://api:8000").replace("API_URL", "NEXT_PUBLIC_API_URL");
    check(
        &public,
        &[
            "warning[browser-internal] Deployment/web spec.template.spec.containers[0].env[0].value: NEXT_PUBLIC_API_URL tells browsers to call api",
        ],
    );
}

#[test]
fn secrets_lie_open() {
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {API_KEY: A1b2C3d4E5f6, LEVEL: info}";
    check(
        map,
        &["warning[open-secret] ConfigMap/a data[API_KEY]: API_KEY holds what looks like a secret"],
    );
    check(
        &web(
            "env: [{name: DB, value: 'postgres://u:s3cret@db.example.com/x'}]",
            "",
        ),
        &[
            "warning[open-secret] Deployment/web spec.template.spec.containers[0].env[0].value: DB holds a URL with a password",
        ],
    );
}

#[test]
fn containers_and_images() {
    let root = web("", "").replace("      securityContext: {runAsNonRoot: true}\n", "");
    check(
        &root,
        &[
            "note[root] Deployment/web spec.template.spec.securityContext: nothing keeps web from running as root",
        ],
    );
    check(
        &web("securityContext: {runAsUser: 0}", ""),
        &["note[root]", "error[root-contradiction]"],
    );
    check(
        &web("", "").replace("nginx:1.27", "'nginx:'"),
        &["error[image-name]"],
    );
    let mut target = Target::named("here");
    target.is_coracle = true;
    target.can_pull = true;
    target.images = Some(["docker.io/library/other:1".to_owned()].into());
    let never = web("imagePullPolicy: Never", "");
    check_on(
        &never,
        Some(&target),
        &[
            "error[image-absent] Deployment/web spec.template.spec.containers[0].image: image nginx:1.27 is not there and its pull policy is Never",
        ],
    );
    check_on(&web("", ""), Some(&target), &[]);
    target.images = Some(["nginx:1.27".to_owned()].into());
    check_on(&never, Some(&target), &[]);
}

#[test]
fn accounts_and_roles() {
    check(
        &web("", "serviceAccountName: robot"),
        &["warning[missing-account] Deployment/web spec.template.spec.serviceAccountName"],
    );
    check(&web("", "serviceAccountName: default"), &[]);
    let binding = "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: b}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}\nsubjects: []";
    check(
        binding,
        &["warning[missing-role] RoleBinding/b roleRef.name"],
    );
}
