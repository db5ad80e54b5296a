//! Profile 000 on a cluster of its own: Ingress with TLS, both autoscalers
//! under load, both network policies, data that outlives pods.

use std::fs;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use coracle_tests::profile::{Installed, Profile, case};
use coracle_tests::wait::until;
use coracle_tests::web::{Visitor, lists, sign_up};
use serde_json::{Value, json};

/// Scales down sooner than the profile does: a test has no five minutes.
fn values(_database: &str, provider: &str) -> Value {
    let behavior = json!({"scaleDown": {
        "stabilizationWindowSeconds": 5,
        "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}],
    }});
    json!({
        "ingress": {"tls": {"enabled": true}},
        "secrets": {"cohereApiKey": "cohere-of-the-test"},
        "backend": {
            "autoscaling": {"behavior": behavior},
            "env": {"COHERE_BASE_URL": provider},
        },
        // One visitor's worth of load is enough on a small machine.
        "frontend": {"autoscaling": {
            "behavior": behavior,
            "targetCPUUtilizationPercentage": 15,
        }},
    })
}

/// Waits until a Deployment has so many ready pods; says why it does not.
fn until_replicas(installed: &Installed, deployment: &str, expected: RangeInclusive<i64>) {
    until(&format!("{deployment} has {expected:?} pods"), || {
        if expected.contains(&replicas(installed, deployment)) {
            return Ok(());
        }
        Err(installed.kubectl(&["get", "hpa", deployment, "-o", "jsonpath={.status}"]))
    });
}

fn replicas(installed: &Installed, deployment: &str) -> i64 {
    let text = installed.kubectl(&["get", "deployment", deployment, "-o", "json"]);
    let object: Value = serde_json::from_str(&text).expect("it is JSON");
    object["status"]["readyReplicas"].as_i64().unwrap_or(0)
}

/// Turns of the assistant that wait: processors idle while the pods are full.
fn backend_scales_on_requests_in_flight(installed: &Installed, ann: &Visitor) {
    until_replicas(installed, "todo-backend", 2..=2);
    let held: Vec<_> = (0..40)
        .map(|_| ann.hold("/api/chat").expect("the Ingress takes it"))
        .collect();
    until_replicas(installed, "todo-backend", 3..=6);
    drop(held);
    until_replicas(installed, "todo-backend", 2..=2);
}

/// Pages drawn without end keep the frontend's processors busy.
fn frontend_scales_on_processor_time(installed: &Installed, site: &Visitor) {
    let until_when = Instant::now() + Duration::from_secs(290);
    let busy = AtomicBool::new(true);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut visitor = site.clone();
                while busy.load(Ordering::Relaxed) && Instant::now() < until_when {
                    let _ = visitor.get("/signup");
                }
            });
        }
        until_replicas(installed, "todo-frontend", 3..=4);
        busy.store(false, Ordering::Relaxed);
    });
    until_replicas(installed, "todo-frontend", 2..=2);
}

/// Asks `url` from a pod with these labels; whether it answered.
fn reaches(installed: &Installed, name: &str, labels: &str, url: &str) -> bool {
    installed.kubectl(&[
        "run",
        name,
        "--image=todo-frontend:latest",
        "--image-pull-policy=Never",
        "--restart=Never",
        &format!("--labels={labels}"),
        "--",
        "healthcheck",
        url,
    ]);
    let mut phase = String::new();
    until("the pod has asked", || {
        phase = installed.kubectl(&["get", "pod", name, "-o", "jsonpath={.status.phase}"]);
        match phase.as_str() {
            "Succeeded" | "Failed" => Ok(()),
            other => Err(other.to_owned()),
        }
    });
    installed.kubectl(&["delete", "pod", name, "--wait=true"]);
    phase == "Succeeded"
}

fn policies_refuse_what_they_should(installed: &Installed) {
    let frontend = "app.kubernetes.io/name=todo-app,app.kubernetes.io/instance=todo,app.kubernetes.io/component=frontend";
    let backend = "http://todo-backend:8000/health";
    let outside = format!("{}/models", installed.provider.url());
    assert!(
        !reaches(installed, "stranger", "app=stranger", backend),
        "a stranger reaches the backend"
    );
    assert!(
        reaches(installed, "friend", frontend, backend),
        "a frontend does not reach the backend"
    );
    assert!(
        reaches(installed, "walker", "app=stranger", &outside),
        "a stranger is kept inside"
    );
    assert!(
        !reaches(installed, "leaver", frontend, &outside),
        "a frontend gets out"
    );
}

/// Three people write through all pods at once while one pod is killed, without
/// a grace: what was acknowledged is there.
fn writers_lose_nothing(installed: &Installed, site: &Visitor) {
    let people: Vec<Visitor> = ["wil", "win", "wes"]
        .map(|name| sign_up(site.clone(), name))
        .into();
    let kept: Vec<(Visitor, Vec<String>)> = std::thread::scope(|scope| {
        let writers: Vec<_> = people
            .into_iter()
            .map(|visitor| scope.spawn(|| write(visitor)))
            .collect();
        let pods = installed.kubectl(&["get", "pods", "-l", BACKENDS, "-o", "name"]);
        let victim = pods.lines().next().expect("a backend").to_owned();
        installed.kubectl(&["delete", &victim, "--grace-period=0", "--force"]);
        writers
            .into_iter()
            .map(|writer| writer.join().expect("a writer ends well"))
            .collect()
    });
    for (mut visitor, titles) in kept {
        let list = visitor.get("/api/tasks?limit=100").expect("it answers");
        let list: Value = serde_json::from_str(&list.body).expect("it is JSON");
        let tasks = list["tasks"].as_array().expect("tasks");
        for title in titles {
            let found = tasks.iter().any(|task| task["title"] == title.as_str());
            assert!(found, "{title} was acknowledged and is lost");
        }
    }
}

/// Writes thirty tasks; a refusal is tried again under another title.
fn write(mut visitor: Visitor) -> (Visitor, Vec<String>) {
    let mut kept = Vec::new();
    let mut number = 0;
    until("thirty tasks are taken", || {
        while kept.len() < 30 {
            number += 1;
            let title = format!("entry {number}");
            match visitor.post_json("/api/tasks", &json!({"title": title})) {
                Ok(answer) if answer.status == 201 => kept.push(title),
                // A pod went away under it: nothing was promised.
                other => return Err(format!("{} of 30, then {other:?}", kept.len())),
            }
        }
        Ok(())
    });
    (visitor, kept)
}

const BACKENDS: &str = "app.kubernetes.io/component=backend";

#[test]
fn profile_000_ingress_autoscalers_policies_and_a_claim() {
    let profile = Profile {
        name: "p000",
        files: &["000-ingress-autoscaling.yaml"],
        tag: "latest",
        database: false,
        values,
    };
    case(
        "profile_000_ingress_autoscalers_policies_and_a_claim",
        || {
            let installed = Installed::new(&profile);
            let address: SocketAddr = ([127, 0, 0, 1], 443).into();
            let authority = installed.cluster.authority();
            let site = Visitor::new(address)
                .named("todo.localhost")
                .trusting(&authority);
            let mut ann = sign_up(site.clone(), "ann");
            let page = ann.post("/tasks", &[("title", "water the boat")]);
            assert!(page.expect("it answers").body.contains("water the boat"));
            let message = json!({"message": "Add a task to caulk the hull"});
            let answer = ann.post_json("/api/chat", &message).expect("it answers");
            let turn: Value = serde_json::from_str(&answer.body).expect("it is JSON");
            // The policy lets the backend out to port 443 alone: the provider, at
            // another, is out of reach, and the assistant answers by itself.
            assert_eq!(turn["provider"], "local", "{turn}");
            assert!(installed.provider.keys().is_empty());
            let mut bob = sign_up(site.clone(), "bob");
            let page = bob.get("/dashboard").expect("the page answers");
            assert!(!page.body.contains("water the boat"), "bob sees ann's task");

            let plain = Visitor::new(([127, 0, 0, 1], 80).into()).named("todo.localhost");
            let answer = plain.clone().get("/signup").expect("port 80 answers");
            assert_eq!(answer.status, 308, "{}", answer.headers);
            let elsewhere = Visitor::new(([127, 0, 0, 1], 80).into()).named("other.localhost");
            assert_eq!(elsewhere.clone().get("/").expect("it answers").status, 404);

            let tested = installed.cluster.run(&["test", "todo"]);
            assert!(tested.contains("Succeeded"), "{tested}");
            policies_refuse_what_they_should(&installed);
            writers_lose_nothing(&installed, &site);
            backend_scales_on_requests_in_flight(&installed, &ann);
            frontend_scales_on_processor_time(&installed, &site);

            installed.kubectl(&[
                "delete",
                "pods",
                "-l",
                "app.kubernetes.io/component=backend",
                "--wait=true",
            ]);
            until("the task outlives every pod", || {
                lists(&mut ann, "water the boat")
            });
            let secret = || {
                let path = "jsonpath={.data.BETTER_AUTH_SECRET}";
                installed.kubectl(&["get", "secret", "todo-secrets", "-o", path])
            };
            let made = secret();
            assert!(made.len() > 40, "the signing secret is made");
            fs::write(
                installed.cluster.home().join("turn.yaml"),
                json!({"backend": {"podAnnotations": {"example.com/turn": "2"}}}).to_string(),
            )
            .expect("a file for the test");
            installed.cluster.run(&["up"]);
            until("the task outlives the upgrade", || {
                lists(&mut ann, "water the boat")
            });
            assert_eq!(secret(), made, "the signing secret is kept");
            installed
                .cluster
                .run(&["rollback", "todo", "1", "--wait", "--timeout", "180s"]);
            until("the task outlives the rollback", || {
                lists(&mut ann, "water the boat")
            });
            installed.cluster.run(&["uninstall", "todo", "--wait"]);
            until("no volume is left", || {
                let left = installed.kubectl(&["get", "pv,pvc,pods", "-A", "-o", "name"]);
                if left.trim().is_empty() {
                    Ok(())
                } else {
                    Err(left)
                }
            });
            until("nothing is served", || match ann.get("/") {
                Ok(page) if page.status != 404 => Err(format!("{} {}", page.status, page.body)),
                _ => Ok(()),
            });
        },
    );
}
