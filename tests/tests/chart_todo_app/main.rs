//! The chart of the todo application against the requirement documents, as
//! the real Helm renders it.
//!
//! `fixtures/requirements` holds the manifests of documents 003 and 004 word
//! for word; every field of them must stand in the rendered objects with the
//! same value, and what is there beyond them must be on a short list. For 000
//! to 002, which hold lists and tables and no manifests, every row is asserted.

mod chart;
mod document;
mod document_000;
mod document_001;
mod document_002;
mod engines;
mod manifests;
mod refusals;

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/todo-app");
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/requirements");

/// Settings without which a profile refuses to render.
const SECRETS_000: &str = "secrets.cohereApiKey=c";
const SECRETS_001: &str = "secrets.databaseUrl=postgresql://u:p@h/d,secrets.betterAuthSecret=s3cret,secrets.openaiApiKey=sk-test";
const SECRETS_003: &str =
    "secrets.databaseUrl=postgresql://u:p@h/d,secrets.jwtSecret=s3cret,secrets.geminiApiKey=g";
const SECRETS_004: &str = "secrets.databaseUrl=postgresql://u:p@h/d,secrets.betterAuthSecret=s3cret,secrets.cohereApiKey=c";
// base64 of postgresql://u:p@h/d, s3cret, j3cret, sk-test
const SECRETS_002: &str = "secrets.databaseUrl=cG9zdGdyZXNxbDovL3U6cEBoL2Q=,secrets.betterAuthSecret=czNjcmV0,secrets.jwtSecret=ajNjcmV0,secrets.openaiApiKey=c2stdGVzdA==";

/// Every profile: its files, and the settings without which it does not render.
const PROFILES: &[(&[&str], &str)] = &[
    (&["profiles/000-ingress-autoscaling.yaml"], SECRETS_000),
    (&["profiles/001-kubernetes-deployment.yaml"], SECRETS_001),
    (
        &[
            "profiles/002-cloud-native.yaml",
            "profiles/002-autoscaling.yaml",
        ],
        SECRETS_002,
    ),
    (
        &[
            "profiles/003-local-k8s.yaml",
            "profiles/003-persistent.yaml",
        ],
        SECRETS_003,
    ),
    (&["profiles/004-k8s-deployment.yaml"], SECRETS_004),
];

/// Returns the arguments of a profile.
fn arguments<'a>(files: &[&'a str], set: &'a str) -> Vec<&'a str> {
    let files = files.iter().flat_map(|file| ["-f", *file]);
    files.chain(["--set", set]).collect()
}
