//! What the chart refuses, and the spellings it takes.

use serde_json::json;

use crate::engines::{Engines, find};
use crate::{SECRETS_001, SECRETS_002, SECRETS_003, SECRETS_004};

#[test]
fn refusals_use_the_words_of_the_documents() {
    let engines = Engines::find();
    let check = |arguments: &[&str], expected: Option<&str>| {
        let outcome = engines.template(arguments);
        match (expected, &outcome) {
            (None, outcome) => assert!(outcome.is_ok(), "{arguments:?}: {outcome:?}"),
            (Some(words), Err(error)) => {
                assert!(
                    error.trim().ends_with(&format!(": {words}")),
                    "{arguments:?}: {error}"
                );
            }
            (Some(_), Ok(_)) => panic!("{arguments:?} is accepted"),
        }
    };
    let profile = [
        "-f",
        "profiles/001-kubernetes-deployment.yaml",
        "--set",
        SECRETS_001,
    ];
    let check_001 = |set: &str, expected: Option<&str>| {
        check(&[&profile[..], &["--set", set]].concat(), expected);
    };
    check_001("secrets.databaseUrl=", Some("Database URL is required"));
    check_001(
        "secrets.openaiApiKey=",
        Some("Valid OpenAI API key required"),
    );
    check_001(
        "secrets.openaiApiKey=pk-1",
        Some("Valid OpenAI API key required"),
    );
    check_001(
        "secrets.betterAuthSecret=",
        Some("Better Auth secret is required"),
    );
    check_001(
        "frontend.replicaCount=0",
        Some("At least 1 frontend replica required"),
    );
    check_001(
        "backend.replicaCount=0",
        Some("At least 1 backend replica required"),
    );
    check_001(
        "backend.resources.requests.memory=1Gi",
        Some("Request cannot exceed limit"),
    );
    check_001(
        "frontend.resources.requests.memory=0.5Gi",
        Some("Request cannot exceed limit"),
    );
    check_001(
        "frontend.resources.requests.memory=512Mi",
        Some("Request cannot exceed limit"),
    );
    check_001(
        "frontend.resources.requests.memory=512Mi,validation.allowEqualMemory=true",
        None,
    );
    check_001("backend.resources.requests.memory=500M", None);
    check_001(
        "backend.resources.requests.memory=536870913,validation.allowEqualMemory=true",
        Some("Request cannot exceed limit"),
    );
    check_001(
        "backend.resources.requests.memory=lots",
        Some(r#""lots" is no quantity of memory"#),
    );
    check_001("secrets.existingSecret=mine,secrets.databaseUrl=", None);
    check_001(
        "backend.replicas=3",
        Some("backend.replicaCount is 2 and backend.replicas is 3: set one of them"),
    );
    check_001("backend.replicas=2", None);
    // The rule about sk- is OpenAI's alone.
    check(
        &[
            "-f",
            "profiles/003-local-k8s.yaml",
            "--set",
            SECRETS_003,
            "--set",
            "secrets.openaiApiKey=pk-1",
        ],
        None,
    );
    check(
        &[
            "-f",
            "profiles/004-k8s-deployment.yaml",
            "--set",
            SECRETS_004,
            "--set",
            "secrets.cohereApiKey=",
        ],
        Some("Cohere API key is required"),
    );
    check(
        &[
            "-f",
            "profiles/004-k8s-deployment.yaml",
            "--set",
            SECRETS_004,
            "--set",
            "backend.replicas=0",
        ],
        Some("At least 1 backend replica required"),
    );
    check(
        &[
            "-f",
            "profiles/003-local-k8s.yaml",
            "--set",
            SECRETS_003,
            "--set",
            "secrets.geminiApiKey=",
        ],
        Some("Gemini API key is required"),
    );
    check(
        &[
            "-f",
            "profiles/002-cloud-native.yaml",
            "--set",
            SECRETS_002,
            "--set",
            "secrets.databaseUrl=postgresql://u",
        ],
        Some("secrets.databaseUrl is not base64, but secrets.encoded is true"),
    );
    check(
        &["--set", "backend.replicaCount=2"],
        Some(
            "several backend replicas need a common database: set database.mode=external or persistence.database.enabled=true",
        ),
    );
    check(
        &["--set", "database.mode=cloud"],
        Some(r#"database.mode is "cloud", expected embedded or external"#),
    );
    for (set, component) in [
        ("frontend.replicas=0", "frontend"),
        ("frontend.replicaCount=0", "frontend"),
        ("backend.replicas=0", "backend"),
        ("backend.replicaCount=0", "backend"),
    ] {
        let words = format!("At least 1 {component} replica required");
        check(&["--set", set], Some(&words));
    }
    check(
        &["--set", "backend.enabled=false,backend.replicaCount=0"],
        None,
    );
    check(&[], None);
}

#[test]
fn both_spellings_are_taken() {
    let engines = Engines::find();
    let of = |set: &str, pointer: &str| {
        let objects = engines.render(&["--set", set]);
        find(&objects, "Deployment", "todo-frontend")
            .pointer(pointer)
            .cloned()
    };
    let (count, policy) = (
        "/spec/replicas",
        "/spec/template/spec/containers/0/imagePullPolicy",
    );
    assert_eq!(of("frontend.replicas=3", count), Some(json!(3)));
    assert_eq!(of("frontend.replicaCount=3", count), Some(json!(3)));
    assert_eq!(
        of("frontend.replicas=3,frontend.replicaCount=3", count),
        Some(json!(3))
    );
    assert_eq!(
        of("global.imagePullPolicy=Always", policy),
        Some(json!("Always"))
    );
    let both = "global.imagePullPolicy=Always,frontend.image.pullPolicy=Never";
    assert_eq!(
        of(both, policy),
        Some(json!("Never")),
        "the component's own wins"
    );
}
