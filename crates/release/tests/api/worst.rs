//! The errors of release time that users meet most, as Helm says them and as we
//! say them.
//!
//! `worst.golden` holds both. `UPDATE_GOLDENS=1` writes it anew, Helm's half by
//! the real helm against our own API.

use std::path::{Path, PathBuf};
use std::time::Duration;

use coracle_apiserver::Identity;
use coracle_release::{
    Event, Options, ReleaseError, Removal, Session, Status, Storage, Wait, install, revision,
    rollback, uninstall_release, upgrade,
};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::common::{CHART_YAML, Fixture, chart, real_helm, source};
use crate::hooks::play_job_controller;

struct Case {
    name: &'static str,
    before: &'static [Before],
    /// Words of Helm's command line; `CHART` stands for a chart of `template`.
    words: &'static [&'static str],
    template: &'static str,
    /// Whether our first line says more than Helm's.
    says_more: bool,
}

/// What was there before.
enum Before {
    /// A release of that name, made of a template.
    Release(&'static str, &'static str),
    /// An object.
    Object(&'static str),
    /// Fields of an object, which somebody else took.
    Taken(&'static str),
    /// A quota that is used up.
    Quota,
    /// A user who may write records and read everything, and no more.
    Bob,
    /// A second revision whose operation died.
    Dead,
    /// Somebody who ends Jobs.
    Jobs,
}

use Before::{Bob, Dead, Jobs, Object, Quota, Release, Taken};

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {value: \"1\"}\n";
const OTHER_MAP: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {value: \"2\"}\n";
const DEPLOYMENT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  selector: {matchLabels: {app: one}}\n  template:\n    metadata: {labels: {app: one}}\n    spec: {containers: [{name: a, image: b}]}\n";
const OTHER_DEPLOYMENT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  selector: {matchLabels: {app: two}}\n  template:\n    metadata: {labels: {app: two}}\n    spec: {containers: [{name: a, image: b}]}\n";
const SERVICE: &str =
    "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 99999}]}\n";
const HOOK: &str = "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: migrate\n  annotations: {helm.sh/hook: pre-install, test/outcome: fails}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: b}]}}}\n";
const WRONG_HOOK: &str = "apiVersion: v1\nkind: Service\nmetadata:\n  name: check\n  annotations: {helm.sh/hook: pre-upgrade}\nspec: {ports: [{port: 99999}]}\n";

const fn case(
    name: &'static str,
    before: &'static [Before],
    words: &'static [&'static str],
    template: &'static str,
) -> Case {
    Case {
        name,
        before,
        words,
        template,
        says_more: false,
    }
}

/// As [`case`], where our first line says more than Helm's.
const fn own(
    name: &'static str,
    before: &'static [Before],
    words: &'static [&'static str],
    template: &'static str,
) -> Case {
    Case {
        says_more: true,
        ..case(name, before, words, template)
    }
}

const INSTALL: &[&str] = &["install", "web", "CHART"];
const UPGRADE: &[&str] = &["upgrade", "web", "CHART"];

const CASES: &[Case] = &[
    case(
        "a namespace that is missing",
        &[],
        &["install", "web", "CHART", "-n", "shop"],
        MAP,
    ),
    case(
        "a namespace that an object names and nobody made",
        &[],
        INSTALL,
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web, namespace: shop}\n",
    ),
    case("a name in use", &[Release("web", MAP)], INSTALL, MAP),
    case("an upgrade of nothing", &[], UPGRADE, MAP),
    case("a removal of nothing", &[], &["uninstall", "web"], MAP),
    case(
        "a revision that is not there",
        &[Release("web", MAP)],
        &["rollback", "web", "99"],
        MAP,
    ),
    case(
        "a look at a revision that is not there",
        &[Release("web", MAP)],
        &["status", "web", "--revision", "99"],
        MAP,
    ),
    case(
        "an object that nobody's release made",
        &[Object(
            r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}}"#,
        )],
        INSTALL,
        MAP,
    ),
    case(
        "an object of another release",
        &[Release("other", MAP)],
        INSTALL,
        MAP,
    ),
    case(
        "a field that somebody else took",
        &[
            Release("web", MAP),
            Taken(
                r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}, "data": {"value": "me"}}"#,
            ),
        ],
        UPGRADE,
        OTHER_MAP,
    ),
    case(
        "a field that cannot be changed",
        &[Release("web", DEPLOYMENT)],
        UPGRADE,
        OTHER_DEPLOYMENT,
    ),
    case("a value that is not allowed", &[], INSTALL, SERVICE),
    case(
        "a value that is not allowed, in an object that an upgrade adds",
        &[Release("web", MAP)],
        UPGRADE,
        SERVICE,
    ),
    case(
        "a misspelt field",
        &[],
        INSTALL,
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndat: {a: b}\n",
    ),
    case(
        "a text where a number is wanted",
        &[],
        INSTALL,
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: many}\n",
    ),
    case(
        "an API version that was removed",
        &[],
        INSTALL,
        "apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: web}\n",
    ),
    case(
        "a definition that is not installed",
        &[Release("web", MAP)],
        UPGRADE,
        "apiVersion: monitoring.coreos.com/v1\nkind: ServiceMonitor\nmetadata: {name: web}\n",
    ),
    case("a quota that is used up", &[Quota], INSTALL, MAP),
    case(
        "no permission to read records",
        &[Release("web", MAP)],
        &["upgrade", "web", "CHART", "--kube-as-user", "nobody"],
        MAP,
    ),
    case(
        "no permission to change an object",
        &[Release("web", MAP), Bob],
        &["upgrade", "web", "CHART", "--kube-as-user", "bob"],
        OTHER_MAP,
    ),
    case(
        "no permission to remove an object",
        &[Release("web", MAP), Bob],
        &["uninstall", "web", "--kube-as-user", "bob"],
        MAP,
    ),
    case(
        "a hook that the API refuses",
        &[Release("web", MAP)],
        UPGRADE,
        WRONG_HOOK,
    ),
    own("a hook that fails", &[Jobs], INSTALL, HOOK),
    own(
        "waiting that takes too long",
        &[],
        &["install", "web", "CHART", "--wait", "--timeout", "1s"],
        DEPLOYMENT,
    ),
    own(
        "a revision that an interrupted operation left",
        &[Release("web", MAP), Dead],
        UPGRADE,
        OTHER_MAP,
    ),
];

/// Returns the word behind a flag.
fn after(words: &[&'static str], flag: &str) -> Option<&'static str> {
    let at = words.iter().position(|word| *word == flag)?;
    words.get(at + 1).copied()
}

async fn prepare(fixture: &Fixture, before: &Before) {
    match before {
        Release(name, template) => {
            let source = source(name, chart(&[("templates/a.yaml", template)]), &[]);
            let made = install(&fixture.session(), &source, &options(), &mut |_| {}).await;
            made.expect("it can be installed");
        }
        Object(object) => fixture.create(read(object)).await,
        Taken(object) => {
            let object = read(object);
            let api = fixture.api("v1", "ConfigMap");
            let params = PatchParams::apply("me").force();
            let name = object["metadata"]["name"].as_str().expect("it has a name");
            let patched = api.patch(name, &params, &Patch::Apply(&object)).await;
            patched.expect("it can be taken");
        }
        Quota => {
            let hard = json!({"hard": {"configmaps": "0"}});
            let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota",
                "metadata": {"name": "small"}, "spec": hard});
            fixture.create(quota).await;
            let status = json!({"status": {"hard": hard["hard"], "used": hard["hard"]}});
            let api = fixture.api("v1", "ResourceQuota");
            let patched = api
                .patch_status("small", &PatchParams::default(), &Patch::Merge(&status))
                .await;
            patched.expect("a status can be written");
        }
        Bob => grant(&fixture.client()).await,
        Dead => {
            let session = fixture.session();
            let mut pending = revision(&session, "web", None).await.expect("it is there");
            pending.version = 2;
            pending.set(Status::PendingUpgrade, "Preparing upgrade");
            let storage = Storage::new(fixture.client(), "default");
            let made = storage.create(&pending, "ghost").await;
            made.expect("it can be written");
        }
        Jobs => play_job_controller(fixture),
    }
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).expect("it is JSON")
}

async fn grant(client: &Client) {
    let role: ClusterRole = serde_json::from_value(json!({"metadata": {"name": "bob"}, "rules": [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["*"]},
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]},
    ]}))
    .expect("it is a role");
    let binding: ClusterRoleBinding = serde_json::from_value(json!({"metadata": {"name": "bob"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "bob"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "bob"}]}))
    .expect("it is a binding");
    let params = PostParams::default();
    let made = Api::all(client.clone()).create(&params, &role).await;
    made.expect("a role can be made");
    let made = Api::all(client.clone()).create(&params, &binding).await;
    made.expect("a binding can be made");
}

fn options() -> Options {
    Options {
        timeout: Duration::from_secs(1),
        ..Options::default()
    }
}

/// Does what the words say, by the library.
async fn ours(case: &Case) -> String {
    let fixture = Fixture::new();
    for before in case.before {
        prepare(&fixture, before).await;
    }
    let words = case.words;
    let client = match after(words, "--kube-as-user") {
        Some(user) => Client::new(fixture.server.service(Identity::new(user, &[])), "default"),
        None => fixture.client(),
    };
    let namespace = after(words, "-n").unwrap_or("default");
    let session = Session::new(client, namespace).held_by("me", |holder| holder == "ghost");
    let mut options = options();
    if words.contains(&"--wait") {
        options.wait = Wait::Watcher;
    }
    let name = words[1];
    let source = source(name, chart(&[("templates/a.yaml", case.template)]), &[]);
    let mut recovered = String::new();
    let mut hear = |event| {
        if let Event::Recovered {
            version, status, ..
        } = event
        {
            recovered = format!("revision {version} was {status} and is taken over");
        }
    };
    let done = match words[0] {
        "install" => install(&session, &source, &options, &mut hear)
            .await
            .map(drop),
        "upgrade" => upgrade(&session, &source, &options, &mut hear)
            .await
            .map(drop),
        "rollback" => {
            let to = words[2].parse().ok();
            rollback(&session, name, to, &options, &mut hear)
                .await
                .map(drop)
        }
        "uninstall" => {
            let removal = Removal::default();
            uninstall_release(&session, name, &removal, &options, &mut hear)
                .await
                .map(drop)
        }
        _ => {
            let number = after(words, "--revision").and_then(|text| text.parse().ok());
            revision(&session, name, number).await.map(drop)
        }
    };
    match done {
        Ok(()) => recovered,
        Err(error) => shown(&error),
    }
}

fn shown(error: &ReleaseError) -> String {
    match error.help() {
        Some(help) => format!("{}\n\n{help}", error.line()),
        None => error.line(),
    }
}

/// Does what the words say, by the real helm.
async fn helms(case: &Case) -> String {
    let fixture = Fixture::new();
    for before in case.before {
        prepare(&fixture, before).await;
    }
    let kubeconfig = fixture.listen();
    let files = [
        ("Chart.yaml", CHART_YAML),
        ("templates/a.yaml", case.template),
    ];
    let chart = fixture.write_chart(&files);
    let words: Vec<&str> = case
        .words
        .iter()
        .map(|word| if *word == "CHART" { &*chart } else { word })
        .collect();
    let output = fixture.try_helm(&kubeconfig, &words).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let (_, error) = said.split_once("Error: ").unwrap_or(("", &said));
    // What is put before it says which verb it was.
    let prefixes = [
        "INSTALLATION FAILED: ",
        "UPGRADE FAILED: ",
        "uninstall: Release not loaded: web: ",
    ];
    let error = prefixes
        .iter()
        .find_map(|prefix| error.strip_prefix(prefix))
        .unwrap_or(error);
    error.trim_end().to_owned()
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/worst.golden")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worst_errors_name_object_place_and_remedy() {
    let stored = std::fs::read_to_string(golden()).unwrap_or_default();
    let update = std::env::var_os("UPDATE_GOLDENS").is_some() && real_helm().is_some();
    let mut text = String::new();
    for case in CASES {
        let heading = format!("##### {}\n# helm\n", case.name);
        let kept = stored
            .split(&heading)
            .nth(1)
            .and_then(|rest| rest.split("\n# ours\n").next());
        let theirs = match kept {
            Some(kept) if !update => kept.to_owned(),
            _ => helms(case).await,
        };
        let ours = ours(case).await;
        let first = |text: &str| text.lines().next().map(str::to_owned);
        assert_eq!(
            !case.says_more,
            first(&ours) == first(&theirs),
            "{}:\n{theirs}\n{ours}",
            case.name
        );
        text.push_str(&format!(
            "{heading}{theirs}\n# ours\n{}\n\n",
            ours.trim_end()
        ));
    }
    if update {
        std::fs::write(golden(), &text).expect("it can be written");
    }
    assert!(
        stored == text || update,
        "worst.golden differs from:\n{text}"
    );
}
