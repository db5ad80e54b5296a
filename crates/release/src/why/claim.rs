//! Why a PersistentVolumeClaim is not bound.

use serde_json::Value;

use super::words::{items, list, similar, text};
use super::{Cause, Facts};
use crate::ReleaseError;

const CLASSES: &str = "/apis/storage.k8s.io/v1/storageclasses";
const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

/// Returns what keeps the claim from being bound.
pub async fn causes(facts: &Facts, claim: &Value) -> Result<Vec<Cause>, ReleaseError> {
    if claim["status"]["phase"] == "Bound" {
        return Ok(Vec::new());
    }
    let name = text(&claim["metadata"]["name"]);
    let title = format!("pvc/{name}");
    if claim["status"]["phase"] == "Lost" {
        return Ok(vec![
            Cause::new(title, "its volume is gone, with what was in it")
                .remedy(format!(
                    "delete it and let it be made again: kubectl delete pvc {name} -n {}",
                    facts.namespace()
                ))
                .finally(),
        ]);
    }
    let classes = facts.list(CLASSES).await?;
    let said = facts.warning("PersistentVolumeClaim", name, &[]).await?;
    let used = facts
        .pods()
        .await?
        .iter()
        .any(|pod| super::schedule::claims(pod).any(|used| used == name));
    Ok(vec![judge(&title, claim, &classes, used, said.as_deref())])
}

fn judge(title: &str, claim: &Value, classes: &[Value], used: bool, said: Option<&str>) -> Cause {
    let names: Vec<String> = classes
        .iter()
        .map(|class| text(&class["metadata"]["name"]).to_owned())
        .collect();
    let there = if names.is_empty() {
        "the cluster has none".to_owned()
    } else {
        format!("the cluster has {}", list(&names, 8))
    };
    let wanted = &claim["spec"]["storageClassName"];
    let class = match wanted.as_str() {
        Some("") => {
            return Cause::new(title, "it asks for a volume made by hand, and none fits").remedy(
                "make a PersistentVolume with storageClassName \"\", or take storageClassName away",
            );
        }
        Some(name) => classes
            .iter()
            .find(|class| class["metadata"]["name"] == name),
        None => classes
            .iter()
            .find(|class| class["metadata"]["annotations"][DEFAULT] == "true"),
    };
    let Some(class) = class else {
        let name = text(wanted);
        let remedy = match similar(name, names.iter().map(String::as_str)) {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("{there}; take storageClassName away to get the default one"),
        };
        let problem = if name.is_empty() {
            "it names no storage class and the cluster has no default one".to_owned()
        } else {
            format!("there is no storage class {name}")
        };
        return Cause::new(title, problem).remedy(remedy).finally();
    };
    if class["volumeBindingMode"] == "WaitForFirstConsumer" && !used {
        return Cause::new(
            title,
            "it waits for a pod that uses it, as its storage class says",
        )
        .remedy("this is as it should be: start a pod that uses it");
    }
    let modes: Vec<&str> = items(&claim["spec"]["accessModes"]).map(text).collect();
    match said {
        Some(message) => Cause::new(title, format!("it is not bound: {message}")),
        None => Cause::new(
            title,
            format!(
                "it is not bound yet; it asks for {} {} of class {}",
                text(&claim["spec"]["resources"]["requests"]["storage"]),
                modes.join(","),
                text(&class["metadata"]["name"]),
            ),
        ),
    }
}

/// Returns the cause for a claim that is not there.
pub async fn missing(facts: &Facts, name: &str) -> Result<Cause, ReleaseError> {
    let names = facts.names("PersistentVolumeClaim").await?;
    let remedy = match similar(name, names.iter().map(String::as_str)) {
        Some(meant) => format!("did you mean {meant}?"),
        None => "create it, or correct claimName".into(),
    };
    Ok(Cause::new(
        format!("pvc/{name}"),
        format!("it does not exist in namespace {}", facts.namespace()),
    )
    .remedy(remedy)
    .finally())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn claims_that_wait_say_for_what() {
        let class = |mode: &str| json!({"metadata": {"name": "local", "annotations": {DEFAULT: "true"}}, "volumeBindingMode": mode});
        let check = |class_name: Value, classes: &[Value], used: bool, expected: &str| {
            let claim = json!({"spec": {"storageClassName": class_name}});
            let cause = judge("pvc/a", &claim, classes, used, None);
            assert!(cause.text.contains(expected), "{}", cause.text);
        };
        check(
            json!("locla"),
            &[class("Immediate")],
            true,
            "no storage class locla",
        );
        check(Value::Null, &[], true, "no default one");
        check(
            Value::Null,
            &[class("WaitForFirstConsumer")],
            false,
            "waits for a pod",
        );
        check(
            Value::Null,
            &[class("WaitForFirstConsumer")],
            true,
            "not bound yet",
        );
        check(json!(""), &[class("Immediate")], true, "made by hand");
    }
}
