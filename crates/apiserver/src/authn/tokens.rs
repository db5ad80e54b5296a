//! Service-account tokens: JSON Web Tokens (RFC 7519) signed with ES256
//! (RFC 7518, section 3.4) by a key that persists, bound to an audience, a
//! time, an account and perhaps a pod. [`TokenKeys`] signs and verifies.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use coracle_store::Store;
use jiff::Timestamp;
use parking_lot::Mutex;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    UnparsedPublicKey,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::identity::Identity;
use crate::object::Stored;
use crate::resource;

const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";
/// Longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Tokens whose signature is remembered at most.
const REMEMBERED_MAX: usize = 1024;

/// Why the key of the tokens is not usable.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read or written.
    #[error("cannot use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file holds no such key.
    #[error("{path} holds no P-256 private key in PEM form")]
    Key {
        /// The file.
        path: PathBuf,
    },
}

/// Why a token is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    /// It is none of ours, expired, or its account is gone.
    #[error("invalid bearer token")]
    Invalid,
    /// It is meant for someone else.
    #[error(
        "[invalid bearer token, token audiences {found:?} is invalid for the target audiences {wanted:?}]"
    )]
    Audience {
        /// Audiences of the token.
        found: Vec<String>,
        /// Audiences asked for.
        wanted: Vec<String>,
    },
}

/// What a token is to say.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    /// Namespace of the account.
    pub namespace: String,
    /// Name of the account.
    pub account: String,
    /// Uid of the account.
    pub account_uid: String,
    /// Audiences; the issuer's when empty.
    pub audiences: Vec<String>,
    /// How long it is valid, in seconds.
    pub seconds: i64,
    /// What it dies with: `pod`, `secret` or `node`, its name and uid.
    pub bound: Option<(String, String, String)>,
    /// Node of the pod it is bound to: name and uid.
    pub node: Option<(String, String)>,
}

/// Signs and verifies tokens.
pub struct TokenKeys {
    pair: EcdsaKeyPair,
    key_id: String,
    issuer: String,
    random: SystemRandom,
    /// Claims of tokens whose signature was good. Times, the account and what
    /// a token is bound to are looked at every time.
    remembered: Mutex<HashMap<Box<str>, Arc<Value>>>,
}

impl TokenKeys {
    /// Reads the key, or makes one readable by its owner alone.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn open(path: &Path, issuer: &str) -> Result<TokenKeys, TokenError> {
        let random = SystemRandom::new();
        let file = |source| TokenError::File {
            path: path.to_owned(),
            source,
        };
        let pem = match std::fs::read_to_string(path) {
            Ok(pem) => pem,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => create(path, &random)?,
            Err(error) => return Err(file(error)),
        };
        let key = || TokenError::Key {
            path: path.to_owned(),
        };
        let body = pem
            .split_once(PEM_BEGIN)
            .and_then(|(_, rest)| rest.split_once(PEM_END))
            .ok_or_else(key)?
            .0;
        let compact: String = body.split_whitespace().collect();
        let der = STANDARD.decode(compact).map_err(|_| key())?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der, &random)
            .map_err(|_| key())?;
        let digest = Sha256::digest(pair.public_key().as_ref());
        Ok(TokenKeys {
            key_id: URL_SAFE_NO_PAD.encode(digest),
            pair,
            issuer: issuer.to_owned(),
            random,
            remembered: Mutex::default(),
        })
    }

    /// The issuer, which is the default audience too.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns the public keys (RFC 7517).
    pub fn jwks(&self) -> Value {
        // An uncompressed point: 0x04, x, y (SEC 1, section 2.3.3).
        let point = self.pair.public_key().as_ref();
        json!({"keys": [{
            "use": "sig", "kty": "EC", "kid": self.key_id, "crv": "P-256", "alg": "ES256",
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..65]),
        }]})
    }

    /// Returns the discovery document of the issuer (OpenID Connect Discovery 1.0, section 3).
    pub fn discovery(&self) -> Value {
        json!({
            "issuer": self.issuer,
            "jwks_uri": format!("{}/openid/v1/jwks", self.issuer),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        })
    }

    /// Signs a token. Returns it with its expiry.
    pub fn sign(&self, claims: &Claims) -> Option<(String, Timestamp)> {
        let now = Timestamp::now().as_second();
        let expires = now + claims.seconds;
        let mut own = json!({
            "namespace": claims.namespace,
            "serviceaccount": {"name": claims.account, "uid": claims.account_uid},
        });
        if let Some((kind, name, uid)) = &claims.bound {
            own[kind] = json!({"name": name, "uid": uid});
        }
        if let Some((name, uid)) = &claims.node {
            own["node"] = json!({"name": name, "uid": uid});
        }
        let audiences = if claims.audiences.is_empty() {
            vec![self.issuer.clone()]
        } else {
            claims.audiences.clone()
        };
        let payload = json!({
            "aud": audiences,
            "exp": expires,
            "iat": now,
            "iss": self.issuer,
            "jti": uuid::Uuid::new_v4().to_string(),
            "kubernetes.io": own,
            "nbf": now,
            "sub": format!("system:serviceaccount:{}:{}", claims.namespace, claims.account),
        });
        let header = json!({"alg": "ES256", "kid": self.key_id});
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(payload.to_string())
        );
        let signature = self.pair.sign(&self.random, signed.as_bytes()).ok()?;
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()));
        Some((token, Timestamp::from_second(expires).ok()?))
    }

    /// Verifies a token and returns who holds it, with the audiences that fit.
    /// Without `audiences`, the token must be meant for this server.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn authenticate(
        &self,
        store: &Store<Stored>,
        token: &str,
        audiences: &[String],
    ) -> Result<(Identity, Vec<String>), Refusal> {
        let claims = self.verify(token).ok_or(Refusal::Invalid)?;
        let own = [self.issuer.clone()];
        let wanted = if audiences.is_empty() {
            &own[..]
        } else {
            audiences
        };
        let found: Vec<String> = match &claims["aud"] {
            Value::String(one) => vec![one.clone()],
            Value::Array(list) => list
                .iter()
                .filter_map(|one| one.as_str().map(str::to_owned))
                .collect(),
            _ => Vec::new(),
        };
        let fitting: Vec<String> = wanted
            .iter()
            .filter(|audience| found.contains(audience))
            .cloned()
            .collect();
        if fitting.is_empty() {
            return Err(Refusal::Audience {
                found,
                wanted: wanted.to_vec(),
            });
        }
        let identity = account(store, &claims).ok_or(Refusal::Invalid)?;
        Ok((identity, fitting))
    }

    /// Checks signature, issuer and times.
    fn verify(&self, token: &str) -> Option<Arc<Value>> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let known = self.remembered.lock().get(token).cloned();
        let claims = match known {
            Some(claims) => claims,
            None => self.remember(token, self.claims(token)?),
        };
        let now = Timestamp::now().as_second();
        let valid = claims["iss"] == self.issuer.as_str()
            && claims["exp"].as_i64()? > now
            && claims["nbf"].as_i64().unwrap_or(0) <= now + 10;
        valid.then_some(claims)
    }

    fn remember(&self, token: &str, claims: Value) -> Arc<Value> {
        let claims = Arc::new(claims);
        let mut remembered = self.remembered.lock();
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(token.into(), claims.clone());
        claims
    }

    /// Returns what a token with a good signature claims.
    fn claims(&self, token: &str) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let json = |part: &str| -> Option<Value> {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
        };
        if json(header)?["alg"] != "ES256" {
            return None;
        }
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.pair.public_key().as_ref());
        key.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).ok()?)
            .ok()?;
        json(payload)
    }
}

fn create(path: &Path, random: &SystemRandom) -> Result<String, TokenError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let der =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, random).map_err(|_| {
            TokenError::Key {
                path: path.to_owned(),
            }
        })?;
    let pem = format!(
        "{PEM_BEGIN}\n{}\n{PEM_END}\n",
        STANDARD.encode(der.as_ref())
    );
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(pem.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|source| TokenError::File {
        path: path.to_owned(),
        source,
    })?;
    Ok(pem)
}

/// A token lives no longer than its account and what it is bound to.
fn account(store: &Store<Stored>, claims: &Value) -> Option<Identity> {
    let own = &claims["kubernetes.io"];
    let namespace = own["namespace"].as_str()?;
    let (name, uid) = (
        own["serviceaccount"]["name"].as_str()?,
        own["serviceaccount"]["uid"].as_str()?,
    );
    let exists = |group: &str, plural: &str, namespace: &str, name: &str, uid: &str| {
        let key = resource::key(resource::builtin(group, plural), namespace, name);
        store.get(&key).is_some_and(|object| object.meta.uid == uid)
    };
    if !exists("", "serviceaccounts", namespace, name, uid) {
        return None;
    }
    let mut identity = Identity::service_account(namespace, name);
    identity.uid = uid.to_owned();
    let mut add = |key: &str, value: &str| {
        identity.extra.insert(
            format!("authentication.kubernetes.io/{key}"),
            vec![value.to_owned()],
        );
    };
    if let Some(id) = claims["jti"].as_str() {
        add("credential-id", &format!("JTI={id}"));
    }
    for (kind, plural) in [("pod", "pods"), ("secret", "secrets"), ("node", "nodes")] {
        let Some(bound) = own.get(kind) else { continue };
        let (name, uid) = (bound["name"].as_str()?, bound["uid"].as_str()?);
        let follows_pod = kind == "node" && own.get("pod").is_some();
        if !follows_pod && !exists("", plural, namespace, name, uid) {
            return None;
        }
        if kind != "secret" {
            add(&format!("{kind}-name"), name);
            add(&format!("{kind}-uid"), uid);
        }
    }
    Some(identity)
}
