//! Requests to a registry: addresses, logins, redirects, retries.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};

use super::auth::{Challenge, Credentials, Login, challenge, escape, token_url};
use super::dial::{Dial, Proxies};
use super::error::RegistryError;
use super::http::{self as wire, Body, Http, empty, error_words, full};
use super::tls::Trust;
use crate::reference::Reference;

const REDIRECTS_MAX: usize = 10;
const TOKEN_BYTES_MAX: usize = 1 << 20;
/// Longest wait that a registry's Retry-After is granted.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// How registries are used.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RegistryOptions {
    /// Logins.
    pub credentials: Credentials,
    /// Proxies.
    pub proxies: Proxies,
    /// Certificate authorities of the system, PEM; `None` looks for them when
    /// they are needed.
    pub system: Option<String>,
    /// Certificate authorities trusted besides, PEM.
    pub authorities: Vec<String>,
    /// Those trusted for one host (with its port) only.
    pub host_authorities: BTreeMap<String, Vec<String>>,
    /// Hosts that may be spoken to without TLS; this machine always may.
    pub insecure: BTreeSet<String>,
    /// How often a request is tried.
    pub tries: u32,
    /// Wait before the second try; it doubles with each.
    pub wait: Duration,
    /// Blobs downloaded at once.
    pub parallel: usize,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self {
            credentials: Credentials::default(),
            proxies: Proxies::default(),
            system: None,
            authorities: Vec::new(),
            host_authorities: BTreeMap::new(),
            insecure: BTreeSet::new(),
            tries: 5,
            wait: Duration::from_millis(300),
            parallel: 3,
        }
    }
}

/// Speaks to registries. Cheap to clone.
#[derive(Clone)]
pub struct RegistryClient {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    http: Http,
    pub(super) options: RegistryOptions,
    /// Tokens by host, repository and action.
    tokens: Mutex<HashMap<Scope, String>>,
}

/// What a request is about: decides the token and the words of errors.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    /// Host and port as dialled.
    pub(super) host: String,
    /// Host as the user writes it, for logins and messages.
    pub(super) registry: String,
    pub(super) repository: String,
    pub(super) action: &'static str,
}

impl Scope {
    pub(super) fn of(reference: &Reference, action: &'static str) -> Self {
        let registry = reference.registry().to_owned();
        let host = match registry.as_str() {
            "docker.io" => "registry-1.docker.io".to_owned(),
            host => host.to_owned(),
        };
        Self {
            host,
            registry,
            repository: reference.repository().to_owned(),
            action,
        }
    }

    fn text(&self) -> String {
        let action = match self.action {
            "push" => "pull,push",
            action => action,
        };
        format!("repository:{}:{action}", self.repository)
    }
}

/// Makes a request's body again for each try.
pub(super) type BodyMaker<'a> = dyn Fn() -> Result<Body, RegistryError> + Send + Sync + 'a;

/// A request before it is sent.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) uri: String,
    pub(super) headers: Vec<(header::HeaderName, String)>,
    pub(super) body: &'a BodyMaker<'a>,
}

impl<'a> Call<'a> {
    pub(super) fn get(uri: String) -> Self {
        Self {
            method: Method::GET,
            uri,
            headers: Vec::new(),
            body: &|| Ok(empty()),
        }
    }

    pub(super) fn with(mut self, name: header::HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl RegistryClient {
    /// Returns a client whose connections are made by `dial`.
    ///
    /// # Errors
    ///
    /// Fails when a certificate authority is not usable.
    pub fn new(dial: Arc<dyn Dial>, options: RegistryOptions) -> Result<Self, RegistryError> {
        let http = Http {
            dial,
            trust: Trust::new(&options)?,
            proxies: options.proxies.clone(),
            insecure: options.insecure.clone(),
            plain: Mutex::default(),
            user_agent: format!("coracle/{}", env!("CARGO_PKG_VERSION")),
        };
        let inner = Inner {
            http,
            options,
            tokens: Mutex::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Returns the address of a part of a repository.
    pub(super) async fn uri(&self, scope: &Scope, rest: &str) -> String {
        let scheme = self.inner.http.scheme(&scope.host).await;
        format!("{scheme}://{}/v2/{}/{rest}", scope.host, scope.repository)
    }

    /// Sends a request, again if that may help, and returns a good answer.
    pub(super) async fn call(
        &self,
        scope: &Scope,
        call: &Call<'_>,
    ) -> Result<Response<Incoming>, RegistryError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let error = match self.once(scope, call).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            if !error.is_passing() || attempt >= self.inner.options.tries {
                return Err(error);
            }
            tracing::debug!(attempt, error = %error, "a registry request is tried again");
            self.pause(attempt).await;
        }
    }

    /// Waits before another try.
    pub(super) async fn pause(&self, attempt: u32) {
        let wait =
            self.inner.options.wait * 2_u32.saturating_pow(attempt.saturating_sub(1).min(10));
        tokio::time::sleep(wait.min(WAIT_MAX)).await;
    }

    async fn once(
        &self,
        scope: &Scope,
        call: &Call<'_>,
    ) -> Result<Response<Incoming>, RegistryError> {
        let response = self.authorised(scope, call).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(refusal(scope, response).await)
    }

    // A token that is known is sent at once; a 401 says which is wanted.
    async fn authorised(
        &self,
        scope: &Scope,
        call: &Call<'_>,
    ) -> Result<Response<Incoming>, RegistryError> {
        let known = self
            .inner
            .tokens
            .lock()
            .ok()
            .and_then(|tokens| tokens.get(scope).cloned());
        let response = self.follow(call, known.as_deref()).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let headers = response.headers().get_all(header::WWW_AUTHENTICATE);
        let wanted = headers
            .iter()
            .find_map(|value| challenge(value.to_str().ok()?));
        let authorization = match wanted {
            Some(wanted) => self.authorization(scope, wanted).await?,
            None => None,
        };
        let Some(authorization) = authorization.filter(|new| known.as_ref() != Some(new)) else {
            return Ok(response);
        };
        let response = self.follow(call, Some(&authorization)).await?;
        if response.status() != StatusCode::UNAUTHORIZED
            && let Ok(mut tokens) = self.inner.tokens.lock()
        {
            tokens.insert(scope.clone(), authorization);
        }
        Ok(response)
    }

    async fn authorization(
        &self,
        scope: &Scope,
        wanted: Challenge,
    ) -> Result<Option<String>, RegistryError> {
        let login = self.inner.options.credentials.login(&scope.registry);
        match wanted {
            Challenge::Basic => Ok(login.and_then(Login::basic)),
            Challenge::Bearer {
                realm,
                service,
                scope: asked,
            } => {
                let text = asked.unwrap_or_else(|| scope.text());
                let token = self
                    .token(scope, &realm, service.as_deref(), &text, login)
                    .await?;
                Ok(Some(format!("Bearer {token}")))
            }
        }
    }

    async fn token(
        &self,
        scope: &Scope,
        realm: &str,
        service: Option<&str>,
        text: &str,
        login: Option<&Login>,
    ) -> Result<String, RegistryError> {
        let form;
        let mut call = Call::get(token_url(realm, service, text));
        let make: Box<BodyMaker<'_>>;
        match login {
            // OAuth 2 refresh (RFC 6749, section 6), as Docker does it.
            Some(Login::Identity(token)) => {
                form = format!(
                    "grant_type=refresh_token&client_id=coracle&refresh_token={}&scope={}&service={}",
                    escape(token),
                    escape(text),
                    escape(service.unwrap_or_default())
                );
                make = Box::new(move || Ok(full(form.clone())));
                call = Call {
                    method: Method::POST,
                    uri: realm.to_owned(),
                    headers: Vec::new(),
                    body: &*make,
                }
                .with(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            }
            Some(login) => {
                if let Some(basic) = login.basic() {
                    call = call.with(header::AUTHORIZATION, basic);
                }
            }
            None => {}
        }
        let response = self.follow(&call, None).await?;
        if !response.status().is_success() {
            return Err(refusal(scope, response).await);
        }
        let bytes = wire::read(response.into_body(), TOKEN_BYTES_MAX, &scope.host).await?;
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let token = json["token"]
            .as_str()
            .or_else(|| json["access_token"].as_str());
        token
            .map(str::to_owned)
            .ok_or_else(|| RegistryError::Answer {
                host: scope.host.clone(),
                reason: "the token server sent no token".to_owned(),
            })
    }

    // The login goes to the registry alone, never to where it redirects.
    async fn follow(
        &self,
        call: &Call<'_>,
        authorization: Option<&str>,
    ) -> Result<Response<Incoming>, RegistryError> {
        let mut uri = call.uri.clone();
        let first = authority(&uri);
        for _ in 0..REDIRECTS_MAX {
            let mut request = Request::builder().method(call.method.clone()).uri(&uri);
            for (name, value) in &call.headers {
                request = request.header(name, value);
            }
            if let Some(authorization) = authorization.filter(|_| authority(&uri) == first) {
                let mut value = HeaderValue::from_str(authorization).map_err(|error| {
                    RegistryError::Answer {
                        host: first.clone(),
                        reason: error.to_string(),
                    }
                })?;
                value.set_sensitive(true);
                request = request.header(header::AUTHORIZATION, value);
            }
            let request = request
                .body((call.body)()?)
                .map_err(|error| RegistryError::Answer {
                    host: first.clone(),
                    reason: format!("{uri}: {error}"),
                })?;
            let sent =
                tokio::time::timeout(wire::ANSWER_TIMEOUT * 10, self.inner.http.send(request))
                    .await;
            let response = sent.map_err(|_| RegistryError::Broken {
                host: first.clone(),
                reason: "no answer for ten minutes".to_owned(),
            })??;
            let Some(next) = redirect(&response, &uri) else {
                return Ok(response);
            };
            uri = next;
        }
        Err(RegistryError::Answer {
            host: first,
            reason: "it redirects in a circle".to_owned(),
        })
    }
}

fn authority(uri: &str) -> String {
    let parsed = uri.parse::<Uri>().ok();
    let authority = parsed.as_ref().and_then(Uri::authority);
    authority
        .map(|authority| authority.as_str().to_owned())
        .unwrap_or_default()
}

fn redirect(response: &Response<Incoming>, uri: &str) -> Option<String> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.headers().get(header::LOCATION)?.to_str().ok()?;
    Some(absolute(location, uri))
}

/// Returns a `Location` as a whole address; it may be relative to `base`.
pub(super) fn absolute(location: &str, base: &str) -> String {
    if location.contains("://") {
        return location.to_owned();
    }
    let scheme = base.split("://").next().unwrap_or("https");
    let authority = authority(base);
    match location.starts_with('/') {
        true => format!("{scheme}://{authority}{location}"),
        false => {
            let directory = base
                .rsplit_once('/')
                .map_or(base, |(directory, _)| directory);
            format!("{directory}/{location}")
        }
    }
}

async fn refusal(scope: &Scope, response: Response<Incoming>) -> RegistryError {
    let status = response.status();
    let host = scope.registry.clone();
    let reason = error_words(response, &host).await;
    match status.as_u16() {
        401 | 403 => RegistryError::Denied {
            host,
            action: scope.action,
            repository: scope.repository.clone(),
            reason,
        },
        404 => RegistryError::NotFound {
            reference: scope.repository.clone(),
            host,
            reason,
        },
        429 => RegistryError::TooMany { host, reason },
        status => RegistryError::Status {
            host,
            status,
            reason,
        },
    }
}
