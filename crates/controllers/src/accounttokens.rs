//! Tokens of ServiceAccounts in Secrets of the type
//! `kubernetes.io/service-account-token` (upstream:
//! pkg/controller/serviceaccount/tokens_controller.go): each is filled, and goes
//! with its account.
//!
//! A token is bound to its Secret: it is worth nothing without it.

use std::sync::Arc;

use coracle_client::{Cache, Key, Outcome, Queue, is_not_found, key_of};
use k8s_openapi::ByteString;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::{Api, Client, ResourceExt};

use crate::context::Context;

const TYPE: &str = "kubernetes.io/service-account-token";
const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";
/// The longest time that a TokenRequest may ask for.
const SECONDS: i64 = 1 << 32;

struct Controller {
    client: Client,
    root_ca: Arc<str>,
    accounts: Cache<ServiceAccount>,
    secrets: Cache<Secret>,
}

/// Runs the controller for ever.
pub async fn run(context: Context) {
    let controller = Arc::new(Controller {
        client: context.own_client(),
        root_ca: context.root_ca.clone(),
        accounts: context.caches.of(),
        secrets: context.caches.of(),
    });
    controller.accounts.ready().await;
    controller.secrets.ready().await;
    let queue: Queue<Key> = Queue::default();
    let own = queue.clone();
    controller.secrets.on_change(move |secret| {
        if account_of(secret).is_some() {
            own.add(key_of(&**secret));
        }
    });
    let own = queue.clone();
    let secrets = controller.secrets.clone();
    controller.accounts.on_change(move |account| {
        let (namespace, name) = (account.namespace().unwrap_or_default(), account.name_any());
        let is_its = |secret: &Secret| account_of(secret) == Some(name.as_str());
        for secret in secrets.matching(&namespace, is_its) {
            own.add(key_of(&*secret));
        }
    });
    coracle_client::run("accounttokens", queue, 1, move |key| {
        let controller = controller.clone();
        async move { controller.reconcile(&key).await }
    })
    .await;
}

/// Returns the name of the account whose token a Secret holds.
fn account_of(secret: &Secret) -> Option<&str> {
    let is_token = secret.type_.as_deref() == Some(TYPE);
    let name = secret.annotations().get(ACCOUNT_NAME)?.as_str();
    is_token.then_some(name)
}

impl Controller {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, kube::Error> {
        let Some(secret) = self.secrets.get(&key.namespace, &key.name) else {
            return Ok(Outcome::Done);
        };
        let Some(name) = account_of(&secret) else {
            return Ok(Outcome::Done);
        };
        if secret.metadata.deletion_timestamp.is_some() {
            return Ok(Outcome::Done);
        }
        match self.account(&key.namespace, name, &secret).await? {
            Some(account) => self.fill(&secret, &account).await?,
            None => self.remove(&secret).await?,
        }
        Ok(Outcome::Done)
    }

    /// Returns the account that a Secret means: one of the same name that was
    /// made later is another one.
    async fn account(
        &self,
        namespace: &str,
        name: &str,
        secret: &Secret,
    ) -> Result<Option<ServiceAccount>, kube::Error> {
        let account = match self.accounts.get(namespace, name) {
            Some(account) => Some((*account).clone()),
            // It may have been made a moment ago.
            None => self.accounts_in(namespace).get_opt(name).await?,
        };
        let uid = secret.annotations().get(ACCOUNT_UID);
        Ok(account.filter(|account| uid.is_none_or(|uid| account.uid().as_ref() == Some(uid))))
    }

    /// Writes what is missing or wrong in a Secret.
    async fn fill(&self, secret: &Secret, account: &ServiceAccount) -> Result<(), kube::Error> {
        let mut filled = secret.clone();
        let namespace = secret.namespace().unwrap_or_default();
        let uid = account.uid().unwrap_or_default();
        filled.annotations_mut().insert(ACCOUNT_UID.into(), uid);
        let data = filled.data.get_or_insert_default();
        let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
        data.insert("ca.crt".into(), bytes(&self.root_ca));
        data.insert("namespace".into(), bytes(&namespace));
        if data.get("token").is_none_or(|token| token.0.is_empty()) {
            let token = self.token(secret, account).await?;
            data.insert("token".into(), bytes(&token));
        }
        if filled == *secret {
            return Ok(());
        }
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &namespace);
        let params = PostParams::default();
        secrets
            .replace(&secret.name_any(), &params, &filled)
            .await?;
        Ok(())
    }

    async fn token(
        &self,
        secret: &Secret,
        account: &ServiceAccount,
    ) -> Result<String, kube::Error> {
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".into()),
                    kind: Some("Secret".into()),
                    name: Some(secret.name_any()),
                    uid: secret.uid(),
                }),
                expiration_seconds: Some(SECONDS),
                ..TokenRequestSpec::default()
            }),
            ..TokenRequest::default()
        };
        let accounts = self.accounts_in(&account.namespace().unwrap_or_default());
        let params = PostParams::default();
        let name = account.name_any();
        let answer = accounts.create_token_request(&name, &params, &request);
        let status = answer.await?.status.unwrap_or_default();
        Ok(status.token.unwrap_or_default())
    }

    async fn remove(&self, secret: &Secret) -> Result<(), kube::Error> {
        let secrets: Api<Secret> =
            Api::namespaced(self.client.clone(), &secret.namespace().unwrap_or_default());
        let params = DeleteParams::default().preconditions(Preconditions {
            uid: secret.uid(),
            resource_version: secret.resource_version(),
        });
        match secrets.delete(&secret.name_any(), &params).await {
            Err(error) if !is_not_found(&error) => Err(error),
            _ => Ok(()),
        }
    }

    fn accounts_in(&self, namespace: &str) -> Api<ServiceAccount> {
        Api::namespaced(self.client.clone(), namespace)
    }
}
