//! Secrets that hold the token of a ServiceAccount.

mod world;

use serde_json::{Value, json};

fn secret(name: &str, account: &str) -> Value {
    json!({
        "metadata": {"name": name, "annotations": {"kubernetes.io/service-account.name": account}},
        "type": "kubernetes.io/service-account-token",
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_filled_and_goes_with_its_account() {
    let world = world::empty();
    let account = world
        .create("serviceaccounts", json!({"metadata": {"name": "robot"}}))
        .await;
    world
        .create("secrets", secret("robot-token", "robot"))
        .await;
    let holds = |secret: &Value| secret["data"]["token"].is_string();
    let filled = world.until("secrets/robot-token", "filled", holds).await;
    assert_eq!(filled["data"]["namespace"], "ZGVmYXVsdA==");
    assert!(filled["data"]["ca.crt"].is_string());
    let annotations = &filled["metadata"]["annotations"];
    let uid = &annotations["kubernetes.io/service-account.uid"];
    assert_eq!(uid, &account["metadata"]["uid"]);

    // One whose token was taken away gets another.
    let taken = json!({"data": {"token": null}});
    world.patch("secrets/robot-token", taken).await;
    world
        .until("secrets/robot-token", "filled again", holds)
        .await;

    world.delete("serviceaccounts/robot").await;
    world
        .until("secrets/robot-token", "gone", Value::is_null)
        .await;
    world.create("secrets", secret("orphan", "nobody")).await;
    world.until("secrets/orphan", "gone", Value::is_null).await;
}
