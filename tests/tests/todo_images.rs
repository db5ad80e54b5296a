//! The images of the todo application: the rules of the documents about
//! stages, user, health check, ports, variables and size, and no secret in any
//! layer.

use std::fs;

use coracle_tests::cluster::{Cluster, built, repository};
use serde_json::{Value, json};

/// The text of a program's Dockerfile.
fn dockerfile(name: &str) -> String {
    let path = repository().join(format!("apps/{name}/Dockerfile"));
    fs::read_to_string(path).expect("it is there")
}

/// Builds an image from the binary beside the tests, as one does offline.
fn build(cluster: &Cluster, name: &str) -> Value {
    let context = cluster.home().join(name);
    fs::create_dir_all(context.join("out")).expect("a folder for the test");
    fs::copy(built(name), context.join("out").join(name)).expect("it was built");
    let file = repository().join(format!("apps/{name}/Dockerfile"));
    let builder = format!("builder={}", context.display());
    let (file, folder) = (file.display().to_string(), context.display().to_string());
    let tag = format!("{name}:latest");
    let words = [
        "image",
        "build",
        "-t",
        &tag,
        "-f",
        &file,
        "--build-context",
        &builder,
        &folder,
    ];
    cluster.run(&words);
    let facts = cluster.run(&["image", "inspect", &tag]);
    let facts: Value = serde_json::from_str(&facts).expect("it is JSON");
    facts.get(0).cloned().unwrap_or(facts)
}

/// Finds a value by its key, wherever the description holds it.
fn find<'a>(facts: &'a Value, key: &str) -> Option<&'a Value> {
    match facts {
        Value::Object(object) => object
            .get(key)
            .or_else(|| object.values().find_map(|inner| find(inner, key))),
        Value::Array(list) => list.iter().find_map(|inner| find(inner, key)),
        _ => None,
    }
}

#[test]
fn stages_have_the_names_of_the_documents() {
    for name in ["todo-backend", "todo-frontend"] {
        let text = dockerfile(name);
        let stages: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("FROM "))
            .filter_map(|line| line.rsplit_once(" AS "))
            .map(|(_, stage)| stage)
            .collect();
        assert_eq!(stages, ["base", "deps", "builder", "runner"], "{name}");
        // Dependencies are compiled before any source is copied.
        let deps = text.split(" AS deps").nth(1).expect("it is there");
        let deps = deps.split("\nFROM ").next().expect("it ends");
        assert!(!deps.contains("COPY . "), "{name}: {deps}");
        assert!(text.contains("\nHEALTHCHECK "), "{name}");
        assert!(text.contains("FROM scratch AS runner"), "{name}");
    }
}

#[test]
fn images_keep_the_rules_of_the_documents() {
    let cluster = Cluster::new("todo-images");
    for (name, limit, ports, variable) in [
        (
            "todo-backend",
            "300MB",
            ["7860/tcp", "8000/tcp", "8001/tcp"].as_slice(),
            "PYTHONUNBUFFERED=1",
        ),
        (
            "todo-frontend",
            "500MB",
            ["3000/tcp"].as_slice(),
            "NODE_ENV=production",
        ),
    ] {
        let facts = build(&cluster, name);
        let fact = |key: &str| find(&facts, key).unwrap_or_else(|| panic!("{key}: {facts:#}"));
        assert_eq!(*fact("User"), json!("1001:1001"), "{name}");
        assert_eq!(*fact("WorkingDir"), json!("/app"), "{name}");
        let exposed = fact("ExposedPorts").as_object().expect("an object");
        let mut exposed: Vec<_> = exposed.keys().map(String::as_str).collect();
        exposed.sort_unstable();
        assert_eq!(exposed, ports, "{name}");
        let program = format!("/app/{name}");
        assert_eq!(*fact("Entrypoint"), json!([program]), "{name}");
        let check = json!(["CMD", program, "healthcheck"]);
        assert_eq!(fact("Healthcheck")["Test"], check, "{name}");
        assert!(fact("Env").to_string().contains(variable), "{name}");
        let title = &fact("Labels")["org.opencontainers.image.title"];
        assert_eq!(*title, json!(name));
        let tag = format!("{name}:latest");
        let checked = cluster.run(&["image", "check", "--max-size", limit, &tag]);
        assert_eq!(checked, format!("{tag}: passes\n"));
    }
    eprintln!("{}", cluster.run(&["image", "ls"]));
}
