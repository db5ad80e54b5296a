//! What holds for the chart as a whole.

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::engines::{Engines, container, find};
use crate::{CHART, PROFILES, arguments};

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
    for (files, set) in PROFILES {
        let objects = engines.render(&arguments(files, set));
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
    }
}

/// 000 and 001: what is secret stands in the Secret alone, whatever way it is
/// given, and there in base64.
#[test]
fn secrets_stand_in_the_secret_alone() {
    const CANARIES: [(&str, &str); 5] = [
        ("databaseUrl", "postgresql://u:canary-p@h/d"),
        ("betterAuthSecret", "canary-b"),
        ("openaiApiKey", "sk-canary-o"),
        ("cohereApiKey", "canary-c"),
        ("jwtSecret", "canary-j"),
    ];
    let engines = Engines::find();
    for (files, set) in PROFILES {
        let encoded = files[0].starts_with("profiles/002");
        let given = CANARIES.map(|(key, value)| match encoded {
            true => format!("secrets.{key}={}", BASE64_STANDARD.encode(value)),
            false => format!("secrets.{key}={value}"),
        });
        let set = [&[(*set).to_owned()][..], &given].concat().join(",");
        let objects = engines.render(&arguments(files, &set));
        let (secrets, rest): (Vec<&Value>, Vec<&Value>) =
            objects.iter().partition(|one| one["kind"] == "Secret");
        let kept = json!(secrets).to_string();
        let rest = json!(rest).to_string();
        for (key, value) in CANARIES {
            let encoded = BASE64_STANDARD.encode(value);
            assert!(kept.contains(&encoded), "{files:?}: {key} is not kept");
            assert!(!kept.contains(value), "{files:?}: {key} in plain text");
            for text in [value, &encoded] {
                assert!(!rest.contains(text), "{files:?}: {key} is not secret");
            }
        }
    }
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
    let Some(helm) = &engines.helm else { return };
    let lean: (&[&str], &str) = (&[], "a=b");
    for (files, set) in [&[lean][..], PROFILES].concat() {
        let output = Command::new(helm)
            .args(["lint", "--strict", CHART])
            .args(arguments(files, set))
            .current_dir(CHART)
            .output()
            .expect("helm was started before");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{files:?}: {text}");
        assert!(
            !text.contains("[WARNING]") && !text.contains("[ERROR]"),
            "{files:?}: {text}"
        );
    }
}
