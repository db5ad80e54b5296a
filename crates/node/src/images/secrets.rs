//! Logins of a pod's `imagePullSecrets` (Kubernetes: Pull an Image from a
//! Private Registry).

use coracle_image::registry::Credentials;
use k8s_openapi::api::core::v1::Secret;

/// Type and key of a secret that holds Docker's `config.json`.
const CONFIG: (&str, &str) = ("kubernetes.io/dockerconfigjson", ".dockerconfigjson");
/// Type and key of one that holds the older `.dockercfg`: the logins alone.
const OLD_CONFIG: (&str, &str) = ("kubernetes.io/dockercfg", ".dockercfg");

/// Returns the logins of secrets, the first one's winning, and the names of
/// those that are missing or unusable.
pub fn logins<'a>(
    names: impl IntoIterator<Item = &'a str>,
    find: impl Fn(&str) -> Option<Secret>,
) -> (Credentials, Vec<String>) {
    let (mut all, mut missing) = (Credentials::default(), Vec::new());
    for name in names {
        match find(name).as_ref().and_then(read) {
            Some(mut credentials) => {
                credentials.extend(all);
                all = credentials;
            }
            None => missing.push(name.to_owned()),
        }
    }
    (all, missing)
}

fn read(secret: &Secret) -> Option<Credentials> {
    let kind = secret.type_.as_deref().unwrap_or_default();
    let value = |key: &str| Some(secret.data.as_ref()?.get(key)?.0.clone());
    let text = if kind == CONFIG.0 {
        value(CONFIG.1)?
    } else if kind == OLD_CONFIG.0 {
        let logins: serde_json::Value = serde_json::from_slice(&value(OLD_CONFIG.1)?).ok()?;
        serde_json::to_vec(&serde_json::json!({"auths": logins})).ok()?
    } else {
        return None;
    };
    Credentials::from_config(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use coracle_image::registry::Login;
    use k8s_openapi::ByteString;

    fn secret(kind: &str, key: &str, text: &str) -> Secret {
        let data = [(key.to_owned(), ByteString(text.into()))];
        Secret {
            type_: Some(kind.into()),
            data: Some(data.into()),
            ..Secret::default()
        }
    }

    #[test]
    fn both_forms_are_read_and_the_first_secret_wins() {
        let find = |name: &str| match name {
            "new" => Some(secret(
                CONFIG.0,
                CONFIG.1,
                r#"{"auths": {"a.example": {"username": "new", "password": "p"}}}"#,
            )),
            "old" => Some(secret(
                OLD_CONFIG.0,
                OLD_CONFIG.1,
                r#"{"a.example": {"username": "old", "password": "p"}, "https://b.example/v1/": {"username": "old", "password": "p"}}"#,
            )),
            "opaque" => Some(secret("Opaque", CONFIG.1, "{}")),
            "broken" => Some(secret(CONFIG.0, CONFIG.1, "no")),
            _ => None,
        };
        let (logins, missing) = logins(["new", "old", "opaque", "broken", "gone"], find);
        let user = |host: &str| match logins.login(host) {
            Some(Login::Password { user, .. }) => user.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(user("a.example"), "new");
        assert_eq!(user("b.example"), "old");
        assert_eq!(missing, ["opaque", "broken", "gone"]);
    }
}
