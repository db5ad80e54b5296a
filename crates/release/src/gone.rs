//! Waiting until objects are gone.

use std::time::Duration;

use futures::StreamExt;
use kube::api::DynamicObject;
use kube::{Api, ResourceExt};
use tokio::time::Instant;

use crate::ReleaseError;
use crate::error::api;
use crate::objects::{Object, Served};

/// How often a vanishing object is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// Objects looked at together.
const AT_ONCE: usize = 16;

/// Waits until objects are gone.
///
/// # Errors
/// Names the first that is still there when the time is over, and what holds it.
pub(crate) async fn await_gone(
    served: &Served,
    objects: &[Object],
    namespace: &str,
    timeout: Duration,
) -> Result<(), ReleaseError> {
    let until = Instant::now() + timeout;
    let waits = objects.iter().map(|object| async move {
        match served.api(object, namespace) {
            Ok(api) => {
                let namespace = served.namespace(object, namespace);
                one_is_gone(&api, object, namespace, until).await
            }
            // A kind that is not served any more took its objects with it.
            Err(_) => Ok(()),
        }
    });
    let results: Vec<_> = futures::stream::iter(waits)
        .buffered(AT_ONCE)
        .collect()
        .await;
    results.into_iter().collect()
}

async fn one_is_gone(
    objects: &Api<DynamicObject>,
    object: &Object,
    namespace: &str,
    until: Instant,
) -> Result<(), ReleaseError> {
    loop {
        let found = objects.get_metadata_opt(object.name()).await;
        let found = found.map_err(api(format!("look at {}", object.title())))?;
        let Some(meta) = found else {
            return Ok(());
        };
        if Instant::now() >= until {
            return Err(ReleaseError::NotReady(still_there(
                object, namespace, &meta,
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Says that an object is still there, in Helm's words, and what holds it.
fn still_there(object: &Object, namespace: &str, meta: &impl ResourceExt) -> String {
    let status = match meta.meta().deletion_timestamp {
        Some(_) => "Terminating, message: Resource scheduled for deletion",
        None => "Current, message: nothing removes it",
    };
    let held = match meta.finalizers() {
        [] => String::new(),
        finalizers => format!("\nfinalizer {} holds it", finalizers.join(", ")),
    };
    format!(
        "resource {}/{namespace}/{} still exists. status: {status}{held}",
        object.kind(),
        object.name()
    )
}
