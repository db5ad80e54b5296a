//! The profiles of requirement documents 001 to 004 with what a user adds to
//! them: a database outside, the provider the document names, its secrets.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use crate::profile::Profile;

/// A secret long enough to sign with.
const SIGNING: &str = "a secret of at least thirty-two bytes";

/// Document 001: OpenAI, node port 30080, readiness by the database.
pub const DOCUMENT_001: Profile = Profile {
    name: "p001",
    files: &["001-kubernetes-deployment.yaml"],
    tag: "v1.0.0",
    database: true,
    values: |database, provider| {
        json!({
            "secrets": {
                "databaseUrl": database,
                "openaiApiKey": "sk-of-the-test",
                "betterAuthSecret": SIGNING,
            },
            "backend": {"env": {"OPENAI_BASE_URL": provider}},
        })
    },
};

/// Document 002: encoded secrets, a node port that the cluster chooses.
pub const DOCUMENT_002: Profile = Profile {
    name: "p002",
    files: &["002-cloud-native.yaml"],
    tag: "latest",
    database: true,
    values: |database, provider| {
        let encoded = |text: &str| BASE64_STANDARD.encode(text);
        json!({
            "secrets": {
                "databaseUrl": encoded(database),
                "openaiApiKey": encoded("key-of-the-test"),
                "betterAuthSecret": encoded(SIGNING),
                "jwtSecret": encoded("another secret of thirty-two bytes or more"),
            },
            "backend": {"env": {"OPENAI_BASE_URL": provider}},
        })
    },
};

/// Document 003: Gemini, a namespace of its own, node port 30000, one path
/// for every probe.
pub const DOCUMENT_003: Profile = Profile {
    name: "p003",
    files: &["003-local-k8s.yaml"],
    tag: "latest",
    database: true,
    values: |database, provider| {
        json!({
            "secrets": {
                "databaseUrl": database,
                "jwtSecret": SIGNING,
                "geminiApiKey": "gemini-of-the-test",
            },
            "backend": {"env": {"GEMINI_BASE_URL": provider}},
        })
    },
};

/// Document 004: Cohere, node port 30080.
pub const DOCUMENT_004: Profile = Profile {
    name: "p004",
    files: &["004-k8s-deployment.yaml"],
    tag: "latest",
    database: true,
    values: |database, provider| {
        json!({
            "secrets": {
                "databaseUrl": database,
                "cohereApiKey": "cohere-of-the-test",
                "betterAuthSecret": SIGNING,
            },
            "backend": {"env": {"COHERE_BASE_URL": provider}},
        })
    },
};
