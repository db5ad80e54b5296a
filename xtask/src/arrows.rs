//! The permitted arrows between crates (ARCHITECTURE.md), checked by a test.
//!
//! Arrows point down. Only `apiserver` opens `store`; wings know nothing of
//! floors; what is not in the list is not allowed.

#![cfg(test)]

use std::collections::BTreeMap;
use std::process::Command;

/// Each crate of the house with the crates it may name.
const PERMITTED: &[(&str, &[&str])] = &[
    ("coracle-store", &[]),
    ("coracle-machinery", &[]),
    ("coracle-apiserver", &["coracle-store", "coracle-machinery"]),
    ("coracle-client", &["coracle-machinery"]),
    (
        "coracle-controllers",
        &["coracle-client", "coracle-machinery"],
    ),
    (
        "coracle-scheduler",
        &["coracle-client", "coracle-machinery"],
    ),
    (
        "coracle-node",
        &[
            "coracle-client",
            "coracle-machinery",
            "coracle-runtime",
            "coracle-image",
            "coracle-netdev",
        ],
    ),
    (
        "coracle-network",
        &[
            "coracle-client",
            "coracle-machinery",
            "coracle-netdev",
            "coracle-dataplane",
        ],
    ),
    ("coracle-runtime", &[]),
    ("coracle-image", &[]),
    ("coracle-netdev", &[]),
    ("coracle-dataplane", &[]),
    ("coracle-gotemplate", &[]),
    ("coracle-goyaml", &[]),
    ("coracle-helm", &["coracle-gotemplate", "coracle-goyaml"]),
    (
        "coracle-release",
        &["coracle-helm", "coracle-goyaml", "coracle-machinery"],
    ),
    (
        "coracle-preflight",
        &["coracle-goyaml", "coracle-helm", "coracle-machinery"],
    ),
    ("coracle-cluster", &["coracle-runtime", "coracle-netdev"]),
    ("todo-backend", &[]),
    ("todo-frontend", &[]),
];

/// The roof and the chores may name every crate below them.
const UNRESTRICTED: &[&str] = &["coracle", "coracle-benches", "coracle-tests", "xtask"];

#[test]
fn crates_name_only_what_stands_below_them() {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo runs, it is running this test");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let permitted: BTreeMap<&str, &[&str]> = PERMITTED.iter().copied().collect();
    let packages = metadata["packages"].as_array().expect("packages");
    let members: Vec<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();

    let mut wrong = Vec::new();
    for package in packages {
        let name = package["name"].as_str().expect("name");
        if UNRESTRICTED.contains(&name) {
            continue;
        }
        let Some(allowed) = permitted.get(name) else {
            wrong.push(format!("{name} is not in the list of crates"));
            continue;
        };
        let arrows = package["dependencies"].as_array().expect("dependencies");
        for arrow in arrows.iter().filter(|arrow| arrow["kind"] != "dev") {
            let target = arrow["name"].as_str().expect("name");
            if members.contains(&target) && !allowed.contains(&target) {
                wrong.push(format!("{name} -> {target}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "arrows not permitted:\n{}",
        wrong.join("\n")
    );
}
