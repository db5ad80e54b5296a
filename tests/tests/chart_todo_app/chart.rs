//! What holds for the chart as a whole.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::engines::{Engines, container, find};
use crate::{CHART, SECRETS_001, SECRETS_002, SECRETS_003, SECRETS_004};

/// What the backend may call outside follows what it was told to use.
#[test]
fn policies_open_what_is_used() {
    let engines = Engines::find();
    let check = |set: &str, expected: &[u64]| {
        let all = format!("networkPolicy.enabled=true,{set}");
        let objects = engines.render(&["--set", &all]);
        let egress = &find(&objects, "NetworkPolicy", "todo-backend")["spec"]["egress"];
        let ports = egress[1]["ports"].as_array().cloned().unwrap_or_default();
        let ports: Vec<_> = ports
            .iter()
            .filter_map(|one| one["port"].as_u64())
            .collect();
        assert_eq!(ports, expected, "{set}");
    };
    check("a=b", &[]);
    check("ai.provider=cohere,secrets.cohereApiKey=c", &[443]);
    let external = |url: &str| format!("database.mode=external,secrets.databaseUrl={url}");
    check(&external("postgresql://u:p@h/d"), &[5432]);
    check(
        &external("postgresql://u:p@h:6543/d?sslmode=require"),
        &[6543],
    );
    check(&external("postgresql://u:p@h:6543"), &[6543]);
    check("config.data.EMAIL_PROVIDER=gmail", &[465, 587]);
    check("config.data.EMAIL_PROVIDER=Resend", &[443]);
    check("secrets.gmailAppPassword=p", &[465, 587]);
}

#[test]
fn the_environment_and_annotations_are_given() {
    let engines = Engines::find();
    let env = |set: &str| {
        let objects = engines.render(&["--set", set]);
        let env = container(&objects, "todo-backend")["env"].clone();
        let list = env.as_array().cloned().unwrap_or_default();
        list.iter()
            .find(|one| one["name"] == "ENVIRONMENT")
            .map(|one| one["value"].clone())
    };
    assert_eq!(env("a=b"), None);
    assert_eq!(
        env("global.environment=production"),
        Some(json!("production"))
    );
    let set = "backend.annotations.team=boats,frontend.annotations.team=pages";
    let objects = engines.render(&["--set", set]);
    for (name, team) in [("todo-backend", "boats"), ("todo-frontend", "pages")] {
        let metadata = &find(&objects, "Deployment", name)["metadata"];
        assert_eq!(metadata["annotations"], json!({"team": team}), "{name}");
    }
}

/// Every key that a profile hands out is read by one of the programs: the
/// applications behind the documents ignored half of theirs.
#[test]
fn no_key_of_a_profile_is_dead() {
    let engines = Engines::find();
    let apps = concat!(env!("CARGO_MANIFEST_DIR"), "/../apps");
    let read = |path: &str| std::fs::read_to_string(format!("{apps}/{path}")).expect(path);
    let sources = read("todo-backend/src/config/keys.rs") + &read("todo-frontend/src/config.rs");
    let check = |files: &[&str], set: &str| {
        let mut arguments: Vec<&str> = files.iter().flat_map(|file| ["-f", *file]).collect();
        arguments.extend(["--set", set]);
        let objects = engines.render(&arguments);
        let mut keys: Vec<String> = Vec::new();
        for object in &objects {
            let data = object["data"].as_object().into_iter().flatten();
            keys.extend(data.map(|(key, _)| key.replace('-', "_").to_uppercase()));
            let containers = object.pointer("/spec/template/spec/containers");
            let containers = containers.and_then(Value::as_array).into_iter().flatten();
            let env = containers.filter_map(|one| one["env"].as_array()).flatten();
            keys.extend(env.filter_map(|one| Some(one["name"].as_str()?.to_owned())));
        }
        assert!(keys.len() > 3, "{files:?}");
        for key in keys {
            let name = key.strip_suffix("_FILE").unwrap_or(&key);
            assert!(
                sources.contains(&format!("\"{name}\"")),
                "{files:?}: nobody reads {key}"
            );
        }
    };
    check(
        &["profiles/000-ingress-autoscaling.yaml"],
        "secrets.cohereApiKey=c",
    );
    check(&["profiles/001-kubernetes-deployment.yaml"], SECRETS_001);
    check(&["profiles/002-cloud-native.yaml"], SECRETS_002);
    check(&["profiles/003-local-k8s.yaml"], SECRETS_003);
    check(&["profiles/004-k8s-deployment.yaml"], SECRETS_004);
}

/// HELM-1 to HELM-3 and HELM-7: files and helpers that the documents name.
#[test]
fn the_chart_has_the_files_of_the_documents() {
    for file in [
        "deployment.yaml",
        "service.yaml",
        "secrets.yaml",
        "_helpers.tpl",
        "autoscaling.yaml",
    ] {
        assert!(
            Path::new(CHART).join("templates").join(file).is_file(),
            "{file}"
        );
    }
    let helpers = std::fs::read_to_string(format!("{CHART}/templates/_helpers.tpl")).expect("read");
    for name in ["name", "fullname", "chart", "labels", "selectorLabels"] {
        assert!(
            helpers.contains(&format!("define \"todo-app.{name}\"")),
            "{name}"
        );
    }
    for word in [
        "default",
        "trunc 63",
        "trimSuffix \"-\"",
        "contains",
        "printf",
        "include",
        "quote",
        ".Release.Name",
        ".Release.Service",
        ".Chart.AppVersion",
    ] {
        assert!(helpers.contains(word), "{word}");
    }
    for profile in ["000-", "001-", "002-", "003-", "004-"] {
        let folder = std::fs::read_dir(format!("{CHART}/profiles")).expect("read");
        let found = folder
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().starts_with(profile));
        assert!(found, "{profile}");
    }
}

#[test]
fn the_default_is_lean() {
    let engines = Engines::find();
    let objects = engines.render(&[]);
    let kinds: Vec<_> = objects
        .iter()
        .map(|one| one["kind"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(
        kinds,
        [
            "Secret",
            "Service",
            "Service",
            "Deployment",
            "Deployment",
            "Pod"
        ]
    );
    let backend = find(&objects, "Deployment", "todo-backend");
    assert_eq!(backend["spec"]["replicas"], 1);
    assert_eq!(backend["spec"]["strategy"], json!({"type": "Recreate"}));
    assert_eq!(
        find(&objects, "Service", "todo-frontend")["spec"]["ports"][0]["nodePort"],
        30080
    );
}

#[test]
fn no_profile_draws_a_warning() {
    let engines = Engines::find();
    let check = |files: &[&str], set: &str| {
        let Some(helm) = &engines.helm else { return };
        let mut command = Command::new(helm);
        command
            .args(["lint", "--strict", CHART, "--set", set])
            .current_dir(CHART);
        for file in files {
            command.args(["-f", file]);
        }
        let output = command.output().expect("helm was started before");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{files:?}: {text}");
        assert!(
            !text.contains("[WARNING]") && !text.contains("[ERROR]"),
            "{files:?}: {text}"
        );
    };
    check(&[], "a=b");
    check(
        &["profiles/000-ingress-autoscaling.yaml"],
        "secrets.cohereApiKey=c",
    );
    check(&["profiles/001-kubernetes-deployment.yaml"], SECRETS_001);
    check(
        &[
            "profiles/002-cloud-native.yaml",
            "profiles/002-autoscaling.yaml",
        ],
        SECRETS_002,
    );
    check(
        &[
            "profiles/003-local-k8s.yaml",
            "profiles/003-persistent.yaml",
        ],
        SECRETS_003,
    );
    check(&["profiles/004-k8s-deployment.yaml"], SECRETS_004);
}
