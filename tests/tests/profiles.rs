//! Each profile of the chart on a cluster of its own, used through its own
//! entry point: sign up, a task, the assistant, a stranger who sees nothing of
//! it; then upgrade, rollback, uninstall, after which nothing of it is left but
//! volumes that are to be retained.

use std::fs;
use std::process::{Command, Stdio};

use coracle_tests::cluster::repository;
use coracle_tests::documents::{DOCUMENT_001, DOCUMENT_002, DOCUMENT_003, DOCUMENT_004};
use coracle_tests::profile::{Installed, Profile, case};
use coracle_tests::skip;
use coracle_tests::wait::until;
use coracle_tests::web::{Visitor, lists, sign_up};
use serde_json::{Value, json};

/// Changes the pods of the backend and deploys again.
fn upgrade(installed: &Installed) {
    let turn = json!({"backend": {"podAnnotations": {"example.com/turn": "2"}}});
    fs::write(installed.cluster.home().join("turn.yaml"), turn.to_string())
        .expect("a file for the test");
    installed.cluster.run(&["up"]);
    assert_eq!(
        annotated(installed),
        1,
        "the upgrade did not reach the backend"
    );
}

fn rollback(installed: &Installed) {
    installed
        .cluster
        .run(&["rollback", "todo", "1", "--wait", "--timeout", "180s"]);
    assert_eq!(
        annotated(installed),
        0,
        "the rollback did not reach the backend"
    );
}

/// How many Deployments have what the upgrade adds.
fn annotated(installed: &Installed) -> usize {
    let deployments = installed.kubectl(&["get", "deployments", "-A", "-o", "json"]);
    deployments.matches("example.com/turn").count().min(1)
}

/// Uninstalls and looks for what is left; `retained` names the volumes that
/// may be.
fn uninstall(installed: &Installed, retained: &[&str]) {
    installed.cluster.run(&["uninstall", "todo", "--wait"]);
    let kinds = "deployments,replicasets,pods,services,configmaps,secrets,ingresses,\
                 horizontalpodautoscalers,networkpolicies,poddisruptionbudgets,\
                 persistentvolumeclaims";
    let left = || {
        let list = installed.kubectl(&["get", kinds, "-A", "-o", "name"]);
        let own = |name: &&str| {
            // What every namespace has, and the API's own Services.
            !name.ends_with("/kube-root-ca.crt")
                && !name.ends_with("/kubernetes")
                && !name.ends_with("/kube-dns")
                && !name.contains("extension-apiserver")
        };
        list.lines()
            .filter(own)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    until("nothing is left", || {
        let left = left();
        if left.is_empty() {
            Ok(())
        } else {
            Err(left.join(" "))
        }
    });
    until("no volume is left", || {
        let volumes = installed.kubectl(&["get", "persistentvolumes", "-o", "name"]);
        match volumes.lines().eq(retained.iter().copied()) {
            true => Ok(()),
            false => Err(volumes),
        }
    });
}

/// What two people do through the entry point; `provider` answers the chat.
fn use_application(site: &Visitor, provider: &str) -> Visitor {
    let mut ann = sign_up(site.clone(), "ann");
    let page = ann
        .post("/tasks", &[("title", "water the boat")])
        .expect("the page answers");
    assert!(page.body.contains("water the boat"), "{}", page.body);

    let message = json!({"message": "Add a task to caulk the hull"});
    let answer = ann.post_json("/api/chat", &message).expect("it answers");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let turn: Value = serde_json::from_str(&answer.body).expect("it is JSON");
    assert_eq!(turn["provider"], provider, "{turn}");
    assert_eq!(turn["tool_calls"][0]["tool"], "add_task", "{turn}");
    lists(&mut ann, "caulk the hull").unwrap();

    let mut bob = sign_up(site.clone(), "bob");
    let page = bob.get("/dashboard").expect("the page answers");
    assert!(!page.body.contains("water the boat"), "bob sees ann's task");
    let tasks = bob.get("/api/tasks").expect("it answers");
    let tasks: Value = serde_json::from_str(&tasks.body).expect("it is JSON");
    assert_eq!(tasks["total"], 0, "{tasks}");
    ann
}

/// The whole life of a profile with an external database and a provider.
fn life(profile: &Profile, site: impl Fn(&Installed) -> Visitor, answers: &str, key: &str) {
    let installed = Installed::new(profile);
    let site = site(&installed);
    let mut ann = use_application(&site, answers);
    assert!(
        installed.provider.keys().contains(&format!("Bearer {key}")),
        "the provider was called with {:?}",
        installed.provider.keys()
    );
    if profile.name == "p003" {
        use_mcp(&installed, ann.clone());
    }
    let tested = installed.cluster.run(&["test", "todo"]);
    assert!(tested.contains("Succeeded"), "{tested}");
    test_with_helm(&installed);
    upgrade(&installed);
    until("the task outlives the upgrade", || {
        lists(&mut ann, "water the boat")
    });
    rollback(&installed);
    until("the task outlives the rollback", || {
        lists(&mut ann, "water the boat")
    });
    assert!(installed.postgres.is_some());
    uninstall(&installed, &[]);
    ann.until_closed();
    installed.cluster.run(&["delete"]);
}

/// The real Helm sees the release as its own and runs its tests too.
fn test_with_helm(installed: &Installed) {
    let helm = repository().join("target/oracles/helm");
    if !helm.exists() {
        return skip("run `cargo xtask oracles` first: helm does not test the release");
    }
    for args in [["lint", "chart"], ["test", "todo"], ["status", "todo"]] {
        let output = Command::new(&helm)
            .args(args)
            .env("KUBECONFIG", installed.cluster.kubeconfig())
            .env("HOME", installed.cluster.home())
            .current_dir(installed.cluster.home())
            .output()
            .expect("helm is there");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(output.status.success(), "helm {args:?}: {text}");
        assert!(!text.contains("[WARNING]"), "{text}");
    }
}

fn node_port(port: u16) -> impl Fn(&Installed) -> Visitor {
    move |_| Visitor::new(([127, 0, 0, 1], port).into())
}

#[test]
fn profile_001_node_port_30080_and_openai() {
    case("profile_001_node_port_30080_and_openai", || {
        life(&DOCUMENT_001, node_port(30080), "openai", "sk-of-the-test");
    });
}

#[test]
fn profile_002_encoded_secrets_and_a_port_the_cluster_chooses() {
    let site = |installed: &Installed| {
        let url = installed
            .cluster
            .run(&["service", "todo-frontend", "--url"]);
        Visitor::of(&url)
    };
    case(
        "profile_002_encoded_secrets_and_a_port_the_cluster_chooses",
        || {
            life(&DOCUMENT_002, site, "openai", "key-of-the-test");
        },
    );
}

/// MCP on its own port, which no Service exposes: by a forward to the pod.
fn use_mcp(installed: &Installed, ann: Visitor) {
    let forward = installed
        .cluster
        .kubectl_command(&[
            "port-forward",
            "-n",
            "todo-app",
            "deployment/backend",
            "8001",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut forward = forward.expect("kubectl is there");
    let mut client = ann.at(([127, 0, 0, 1], 8001).into());
    let mut ask = |method: &str, params: Value| {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let mut answer = None;
        until("MCP answers", || match client.post_json("/mcp", &call) {
            Ok(found) if found.status == 200 => {
                answer = serde_json::from_str::<Value>(&found.body).ok();
                Ok(())
            }
            Ok(found) => Err(format!("{} {}", found.status, found.body)),
            Err(error) => Err(error.to_string()),
        });
        answer.expect("it is JSON")["result"].clone()
    };
    let hello = ask("initialize", json!({"protocolVersion": "2025-06-18"}));
    assert_eq!(hello["serverInfo"]["name"], "puretasks-mcp-server");
    let listed = ask("tools/call", json!({"name": "list_tasks", "arguments": {}}));
    let tasks = listed["structuredContent"]["tasks"].to_string();
    assert!(tasks.contains("water the boat"), "{tasks}");
    forward.kill().expect("it runs");
    forward.wait().expect("it runs");
}

#[test]
fn profile_003_its_own_namespace_and_gemini() {
    case("profile_003_its_own_namespace_and_gemini", || {
        life(
            &DOCUMENT_003,
            node_port(30000),
            "gemini",
            "gemini-of-the-test",
        );
    });
}

#[test]
fn profile_003_uploads_outlive_their_pod() {
    let profile = Profile {
        name: "p003p",
        files: &["003-local-k8s.yaml", "003-persistent.yaml"],
        ..DOCUMENT_003
    };
    case("profile_003_uploads_outlive_their_pod", || {
        let installed = Installed::new(&profile);
        let mut ann = sign_up(Visitor::new(([127, 0, 0, 1], 30000).into()), "ann");
        let task = ann
            .post_json("/api/tasks", &json!({"title": "water the boat"}))
            .expect("it answers");
        assert_eq!(task.status, 201, "{}", task.body);
        let kept = ann
            .post_file("/api/tasks/1/attachments", "log.txt", "fair wind")
            .expect("it answers");
        assert_eq!(kept.status, 201, "{}", kept.body);
        let kept: Value = serde_json::from_str(&kept.body).expect("it is JSON");
        let url = kept["url"].as_str().expect("a file has a URL").to_owned();
        installed.kubectl(&["delete", "pods", "-n", "todo-app", "-l", "app=backend"]);
        until("the file outlives its pod", || match ann.get(&url) {
            Ok(file) if file.body == "fair wind" => Ok(()),
            Ok(file) => Err(format!("{} {}", file.status, file.body)),
            Err(error) => Err(error.to_string()),
        });
        // The volume is one of the chart's objects; its folder is kept.
        uninstall(&installed, &[]);
    });
}

#[test]
fn profile_004_kebab_keys_and_cohere() {
    case("profile_004_kebab_keys_and_cohere", || {
        life(
            &DOCUMENT_004,
            node_port(30080),
            "cohere",
            "cohere-of-the-test",
        );
    });
}

/// Documents 001 and 004 ask for the same node port: the second is refused and
/// the Service that holds it is named; both run side by side with an override.
#[test]
fn profiles_001_and_004_clash_until_one_gives_way() {
    let profile = Profile {
        name: "clash",
        ..DOCUMENT_001
    };
    case("profiles_001_and_004_clash_until_one_gives_way", || {
        let installed = Installed::new(&profile);
        let database = installed.postgres.as_ref().expect("it was wanted").url();
        let set = format!(
            "secrets.databaseUrl={database},secrets.cohereApiKey=c,\
             secrets.betterAuthSecret=another-secret-of-thirty-two-bytes"
        );
        let install = |namespace: &str, more: &str| {
            let values = format!("{set}{more}");
            let args = [
                "install",
                "second",
                "chart",
                "-n",
                namespace,
                "--create-namespace",
                "-f",
                "chart/profiles/004-k8s-deployment.yaml",
                "--set",
                &values,
                "--wait",
            ];
            installed
                .cluster
                .command(&args)
                .output()
                .expect("the program was built")
        };
        let refused = install("refused", "");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success(), "{said}");
        for word in ["30080", "Service todo-frontend-svc in namespace default"] {
            assert!(said.contains(word), "{word} is not said:\n{said}");
        }
        for name in ["todo-backend", "todo-frontend"] {
            let (from, to) = (format!("{name}:v1.0.0"), format!("{name}:latest"));
            installed.cluster.run(&["image", "tag", &from, &to]);
        }
        let taken = install("other", ",frontend.service.nodePort=30081");
        let said = String::from_utf8_lossy(&taken.stderr).into_owned();
        assert!(taken.status.success(), "{said}");
        for port in [30080, 30081] {
            Visitor::new(([127, 0, 0, 1], port).into()).until_served("/signup");
        }
    });
}
