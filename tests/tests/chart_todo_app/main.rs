//! The chart of the todo application against the requirement documents, as
//! the real Helm renders it.
//!
//! `fixtures/requirements` holds the manifests of documents 003 and 004 word
//! for word; every field of them must stand in the rendered objects with the
//! same value, and what is there beyond them must be on a short list. For 000
//! to 002, which hold tables and no manifests, the tables are asserted.

mod chart;
mod document;
mod engines;
mod manifests;
mod refusals;
mod tables;

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/todo-app");
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/requirements");

/// Settings without which a profile refuses to render.
const SECRETS_001: &str = "secrets.databaseUrl=postgresql://u:p@h/d,secrets.betterAuthSecret=s3cret,secrets.openaiApiKey=sk-test";
const SECRETS_003: &str =
    "secrets.databaseUrl=postgresql://u:p@h/d,secrets.jwtSecret=s3cret,secrets.geminiApiKey=g";
const SECRETS_004: &str = "secrets.databaseUrl=postgresql://u:p@h/d,secrets.betterAuthSecret=s3cret,secrets.cohereApiKey=c";
// base64 of postgresql://u:p@h/d, s3cret, j3cret, sk-test
const SECRETS_002: &str = "secrets.databaseUrl=cG9zdGdyZXNxbDovL3U6cEBoL2Q=,secrets.betterAuthSecret=czNjcmV0,secrets.jwtSecret=ajNjcmV0,secrets.openaiApiKey=c2stdGVzdA==";
