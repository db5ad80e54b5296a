//! Uninstall: the objects of the newest revision go, then all records.

use std::time::Duration;

use kube::Client;

use crate::deploy::remove;
use crate::objects::{Object, Served, parse};
use crate::record::history;
use crate::{ReleaseError, api};

/// How often a vanishing object is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long objects may take to vanish.
const PATIENCE: Duration = Duration::from_secs(60);

/// Removes a release and waits until its objects are gone; returns what was
/// removed, `None` if there is no such release.
///
/// Objects annotated `helm.sh/resource-policy: keep` stay.
///
/// # Errors
/// Fails if the API refuses or an object does not go.
pub async fn uninstall(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Option<Vec<Object>>, ReleaseError> {
    let records = history(client, namespace, name).await?;
    let Some(last) = records.first() else {
        return Ok(None);
    };
    let served = Served::ask(client.clone()).await?;
    let mut objects = parse(&last.manifest)?;
    objects.retain(|object| !is_kept(object));
    objects.reverse();
    for object in &objects {
        remove(&served, object, namespace).await?;
    }
    for object in &objects {
        wait_until_gone(&served, object, namespace).await?;
    }
    for record in &records {
        record.remove(client).await?;
    }
    Ok(Some(objects))
}

fn is_kept(object: &Object) -> bool {
    object.value["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
}

async fn wait_until_gone(
    served: &Served,
    object: &Object,
    namespace: &str,
) -> Result<(), ReleaseError> {
    let objects = served.api(object, namespace)?;
    let gone = async {
        loop {
            match objects.get_metadata_opt(object.name()).await {
                Ok(None) => return Ok(()),
                Ok(Some(_)) => tokio::time::sleep(LOOK).await,
                Err(error) => return Err(api(format!("look at {}", object.title()))(error)),
            }
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.map_err(|_| {
        ReleaseError::NotReady(format!(
            "{} is still there: a finalizer holds it",
            object.title()
        ))
    })?
}
