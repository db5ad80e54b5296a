//! What a request carries through the server: [`Context`].

use std::sync::Arc;

use http::HeaderMap;
use parking_lot::Mutex;

use crate::identity::Identity;
use crate::request::{Query, ResourcePath};
use crate::server::Core;

/// Longest sum of warnings in an answer, as upstream.
const WARNING_BYTES_MAX: usize = 4096;

/// One request on its way.
pub struct Context {
    /// The server.
    pub core: Arc<Core>,
    /// Who asks.
    pub user: Identity,
    /// What the path names.
    pub path: ResourcePath,
    /// Parameters.
    pub query: Query,
    /// Headers.
    pub headers: HeaderMap,
    /// Verb as authorization names it.
    pub verb: &'static str,
    warnings: Mutex<Vec<String>>,
}

impl Context {
    /// Starts a request.
    pub fn new(
        core: Arc<Core>,
        user: Identity,
        path: ResourcePath,
        query: Query,
        headers: HeaderMap,
        verb: &'static str,
    ) -> Context {
        Context {
            core,
            user,
            path,
            query,
            headers,
            verb,
            warnings: Mutex::new(Vec::new()),
        }
    }

    /// Adds a `Warning:` header to the answer, once.
    pub fn warn(&self, text: impl Into<String>) {
        let text = text.into();
        let mut warnings = self.warnings.lock();
        if !warnings.contains(&text) {
            warnings.push(text);
        }
    }

    /// Returns the values of the `Warning:` headers (RFC 7234, section 5.5).
    pub fn warning_headers(&self) -> Vec<http::HeaderValue> {
        let mut bytes = 0;
        let warnings = self.warnings.lock();
        warnings
            .iter()
            .take_while(|text| {
                bytes += text.len();
                bytes <= WARNING_BYTES_MAX
            })
            .filter_map(|text| {
                let clean: String = text
                    .chars()
                    .map(|letter| if letter.is_control() { ' ' } else { letter })
                    .collect();
                let quoted = clean.replace('\\', "\\\\").replace('"', "\\\"");
                http::HeaderValue::from_bytes(format!("299 - \"{quoted}\"").as_bytes()).ok()
            })
            .collect()
    }

    /// Returns the namespace of the path; empty when it names none.
    pub fn namespace(&self) -> &str {
        self.path.namespace.as_deref().unwrap_or_default()
    }

    /// Returns the object's name in the path; empty when it names none.
    pub fn name(&self) -> &str {
        self.path.name.as_deref().unwrap_or_default()
    }

    /// Returns the field manager: the parameter, or the first word of the user agent.
    pub fn field_manager(&self) -> String {
        match self.query.text("fieldManager") {
            "" => {
                let agent = self
                    .headers
                    .get(http::header::USER_AGENT)
                    .and_then(|agent| agent.to_str().ok());
                let prefix = agent
                    .unwrap_or_default()
                    .split('/')
                    .next()
                    .unwrap_or_default();
                let prefix = if prefix.is_empty() { "unknown" } else { prefix };
                prefix
                    .chars()
                    .filter(|letter| !letter.is_control())
                    .take(128)
                    .collect()
            }
            manager => manager.to_owned(),
        }
    }
}
