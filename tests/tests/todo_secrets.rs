//! Canaries in every secret of profile 003: after a day's use they stand in no
//! log, no listing, no description, no error page, no image and no file of the
//! cluster.

use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use coracle_tests::profile::{Installed, Profile, case};
use coracle_tests::web::{Visitor, sign_up};
use serde_json::{Value, json};

/// Values of the chart's secrets and the words to look for.
const CANARIES: [(&str, &str); 8] = [
    ("jwtSecret", "canary-jwt-5d1f0c9be7a24480"),
    ("openaiApiKey", "sk-canary-openai-91b3"),
    ("geminiApiKey", "canary-gemini-77e0"),
    ("cloudinaryApiKey", "canary-cloud-key-42a9"),
    ("cloudinaryApiSecret", "canary-cloud-secret-c3d8"),
    ("gmailEmail", "canary-mail-0ee1@example.com"),
    ("gmailAppPassword", "canary-mail-password-6f2b"),
    ("resendApiKey", "canary-resend-b8c4"),
];

fn values(database: &str, provider: &str) -> Value {
    let mut secrets = json!({"databaseUrl": database});
    for (name, canary) in CANARIES {
        secrets[name] = canary.into();
    }
    // A day with trouble: the first provider refuses, the log is at its loudest.
    json!({
        "secrets": secrets,
        "config": {"data": {"LOG_LEVEL": "DEBUG"}},
        "backend": {"env": {
            "GEMINI_BASE_URL": provider.replace("/v1", "/nowhere"),
            "OPENAI_BASE_URL": "http://192.0.2.10:1",
        }},
    })
}

/// Uses what can go wrong and returns all that was answered.
fn answers() -> String {
    let site: std::net::SocketAddr = ([127, 0, 0, 1], 30000).into();
    let mut ann = sign_up(Visitor::new(site), "ann");
    let mut seen = String::new();
    let mut keep = |answer: std::io::Result<coracle_tests::web::Answer>| {
        let answer = answer.expect("it answers");
        seen.push_str(&answer.headers);
        seen.push_str(&answer.body);
    };
    keep(ann.post("/tasks", &[("title", "water the boat")]));
    keep(ann.post_json("/api/chat", &json!({"message": "What's pending?"})));
    for path in [
        "/dashboard",
        "/settings",
        "/status",
        "/status/live",
        "/chat",
        "/no/such/page",
        "/tasks/99",
        "/tasks/abc",
        "/api/config/effective",
        "/api/health",
        "/api/nowhere",
        "/api/tasks?sort=nonsense",
        "/api/dev/outbox",
        "/api/openapi.json",
        "/uploads/avatars/0123456789abcdef0123456789abcdef.png",
    ] {
        keep(ann.get(path));
    }
    // Cloudinary is out of reach from here: an upload fails, loudly.
    keep(ann.post_file("/api/tasks/1/attachments", "log.txt", "fair wind"));
    keep(Visitor::new(site).post(
        "/signin",
        &[("email", "ann@example.com"), ("password", "wrong")],
    ));
    seen
}

/// What people and programs see of the cluster.
fn listings(installed: &Installed) -> Vec<(String, String)> {
    let mut seen = Vec::new();
    for words in [
        "logs -n todo-app deployment/backend",
        "logs -n todo-app deployment/frontend",
        "describe -n todo-app pods,deployments,replicasets,services,configmaps,secrets",
        "get -n todo-app events,pods,deployments,configmaps -o yaml",
        "get -n todo-app secrets",
        "get -n default secrets",
    ] {
        let text = installed.kubectl(&words.split(' ').collect::<Vec<_>>());
        seen.push((format!("kubectl {words}"), text));
    }
    for words in [
        "list",
        "history todo",
        "status",
        "image ls",
        "why -n todo-app deployment/backend",
    ] {
        let words_list: Vec<_> = words.split(' ').collect();
        let output = installed.cluster.command(&words_list).output();
        let output = output.expect("the program was built");
        let text = [output.stdout, output.stderr].concat();
        seen.push((
            words.to_owned(),
            String::from_utf8_lossy(&text).into_owned(),
        ));
    }
    seen
}

/// Returns the files below a folder that hold one of some words; grep(1) reads
/// what is large.
fn holding(folder: &Path, needles: &[String]) -> String {
    let mut grep = Command::new("grep");
    grep.args([
        "--recursive",
        "--text",
        "--fixed-strings",
        "--only-matching",
    ]);
    for needle in needles {
        grep.args(["-e", needle]);
    }
    let output = grep
        .arg(folder)
        .output()
        .expect("grep is part of every Linux");
    assert_ne!(output.status.code(), Some(2), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn canaries_are_seen_nowhere() {
    let profile = Profile {
        name: "canaries",
        files: &["003-local-k8s.yaml"],
        tag: "latest",
        database: true,
        values,
    };
    case("canaries_are_seen_nowhere", || {
        let installed = Installed::new(&profile);
        let answered = answers();
        let mut seen = listings(&installed);
        seen.push(("an answer".to_owned(), answered));
        for image in ["todo-backend:latest", "todo-frontend:latest"] {
            let file = installed.cluster.home().join("home/image.tar");
            let path = file.to_string_lossy().into_owned();
            installed
                .cluster
                .run(&["image", "save", image, "-o", &path]);
        }
        let password = ("databaseUrl", "sea-room");
        let canaries = CANARIES.into_iter().chain([password]);
        let needles: Vec<String> = canaries
            .flat_map(|(_, canary)| [canary.to_owned(), BASE64_STANDARD.encode(canary)])
            .collect();
        for needle in &needles {
            for (place, text) in &seen {
                assert!(!text.contains(needle), "{needle} is in {place}");
            }
        }
        // Images and whatever else the cluster wrote.
        let found = holding(&installed.cluster.home().join("home"), &needles);
        assert_eq!(found, "", "secrets are in files");
    });
}
