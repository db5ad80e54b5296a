//! Tokens of pods: bound to their pod, kept until four fifths of their life
//! have passed (upstream: pkg/kubelet/token).

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount, ServiceAccountTokenProjection};
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};
use parking_lot::Mutex;

/// Life of a token for which none is asked, in seconds.
const LIFE_DEFAULT: i64 = 3600;
/// How long a token is kept at most, in seconds (upstream: maxTTL).
const KEPT_MAX: u64 = 24 * 3600;

/// A token and when it must be replaced.
#[derive(Clone)]
pub struct Token {
    /// The token itself.
    pub text: String,
    /// When four fifths of its life have passed.
    pub renew_at: SystemTime,
}

/// Names a token: pod, audience, life.
type Key = (String, String, i64);

/// The tokens of the node's pods.
pub struct Tokens {
    client: Client,
    held: Mutex<HashMap<Key, Token>>,
}

impl Tokens {
    /// Returns tokens that are asked for through `client`.
    pub fn new(client: Client) -> Tokens {
        Tokens {
            client,
            held: Mutex::default(),
        }
    }

    /// Returns a token for the pod's service account, a new one if the last is old.
    ///
    /// # Errors
    /// Returns what the API says.
    pub async fn token(
        &self,
        pod: &Pod,
        source: &ServiceAccountTokenProjection,
    ) -> Result<Token, kube::Error> {
        let uid = pod.uid().unwrap_or_default();
        let audience = source.audience.clone().unwrap_or_default();
        let life = source.expiration_seconds.unwrap_or(LIFE_DEFAULT);
        let key = (uid.clone(), audience.clone(), life);
        if let Some(token) = self
            .held
            .lock()
            .get(&key)
            .filter(|token| token.renew_at > SystemTime::now())
        {
            return Ok(token.clone());
        }
        let spec = pod.spec.clone().unwrap_or_default();
        let account = spec
            .service_account_name
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| "default".into());
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                audiences: (!audience.is_empty()).then(|| vec![audience]),
                expiration_seconds: Some(life),
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".into()),
                    kind: Some("Pod".into()),
                    name: pod.metadata.name.clone(),
                    uid: Some(uid),
                }),
            }),
            ..Default::default()
        };
        let api: Api<ServiceAccount> =
            Api::namespaced(self.client.clone(), &pod.namespace().unwrap_or_default());
        let answer: TokenRequest = api
            .create_subresource("token", &account, &PostParams::default(), &request)
            .await?;
        let seconds = (u64::try_from(life).unwrap_or(0) * 4 / 5).min(KEPT_MAX);
        let token = Token {
            text: answer.status.unwrap_or_default().token.unwrap_or_default(),
            renew_at: SystemTime::now() + Duration::from_secs(seconds),
        };
        self.held.lock().insert(key, token.clone());
        Ok(token)
    }

    /// Forgets the tokens of a pod that is gone.
    pub fn forget(&self, uid: &str) {
        self.held.lock().retain(|(pod, ..), _| pod != uid);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use kube::client::Body;
    use serde_json::json;

    use super::*;

    /// Returns the tokens of an API that counts those it gives.
    fn counted() -> Tokens {
        let given = Arc::new(AtomicU32::new(0));
        let service = tower::service_fn(move |request: http::Request<Body>| {
            assert_eq!(
                request.uri().path(),
                "/api/v1/namespaces/n/serviceaccounts/default/token"
            );
            let number = given.fetch_add(1, Ordering::Relaxed);
            let answer = json!({
                "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []},
                "status": {"token": format!("token-{number}"), "expirationTimestamp": "2030-01-01T00:00:00Z"},
            });
            let answer = http::Response::new(Body::from(answer.to_string().into_bytes()));
            async move { Ok::<_, Infallible>(answer) }
        });
        Tokens::new(Client::new(service, "n"))
    }

    #[tokio::test]
    async fn a_token_is_renewed_after_four_fifths_of_its_life() {
        let tokens = counted();
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": {"containers": []},
        }))
        .expect("a pod");
        let ask = async |life: i64| {
            let source = ServiceAccountTokenProjection {
                expiration_seconds: Some(life),
                path: "token".into(),
                audience: None,
            };
            tokens.token(&pod, &source).await.expect("it is given")
        };
        let long = ask(600).await;
        let left = long.renew_at.duration_since(SystemTime::now());
        let left = left.expect("it is good for a while").as_secs();
        assert!((470..=480).contains(&left), "{left}");
        assert_eq!(ask(600).await.text, long.text, "it is kept");
        let week = ask(7 * 24 * 3600).await.renew_at;
        let left = week.duration_since(SystemTime::now());
        let left = left.expect("it is good for a while").as_secs();
        assert!((86_390..=86_400).contains(&left), "{left}");
        // Four fifths of nothing have passed at once.
        let short = ask(0).await;
        assert_ne!(short.text, long.text, "another life is another token");
        assert_ne!(ask(0).await.text, short.text, "it is renewed");
        tokens.forget("u");
        assert_ne!(ask(600).await.text, long.text);
    }
}
