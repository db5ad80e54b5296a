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
            Ok(api) => one_is_gone(&api, object, until).await,
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
    until: Instant,
) -> Result<(), ReleaseError> {
    loop {
        let found = objects.get_metadata_opt(object.name()).await;
        let found = found.map_err(api(format!("look at {}", object.title())))?;
        let Some(meta) = found else {
            return Ok(());
        };
        if Instant::now() >= until {
            let holder = match meta.finalizers() {
                [] => "nothing removes it".to_owned(),
                finalizers => format!("finalizer {} holds it", finalizers.join(", ")),
            };
            return Err(ReleaseError::NotReady(format!(
                "{} is still there: {holder}",
                object.title()
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
}
