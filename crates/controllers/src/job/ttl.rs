//! Jobs that are to go a while after they have ended
//! (upstream: pkg/controller/ttlafterfinished).

use std::sync::Arc;

use coracle_client::{Cache, Key, Outcome, Queue, is_not_found, key_of};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, Client, ResourceExt};

use super::finish;
use crate::context::Context;

/// Runs the controller for ever.
pub async fn run(context: Context) {
    let client = context.client("ttl-after-finished-controller");
    let jobs: Cache<Job> = context.caches.of();
    jobs.ready().await;
    let queue: Queue<Key> = Queue::default();
    let own = queue.clone();
    jobs.on_change(move |job| {
        if expires_at(job).is_some() {
            own.add(key_of(&**job));
        }
    });
    let client = Arc::new(client);
    coracle_client::run("ttl", queue, 1, move |key| {
        let (client, jobs) = (client.clone(), jobs.clone());
        async move { reconcile(&client, &jobs, &key).await }
    })
    .await;
}

/// Returns when a job that has ended is to go.
fn expires_at(job: &Job) -> Option<Timestamp> {
    let seconds = job.spec.as_ref()?.ttl_seconds_after_finished?;
    let ended = finish::ended(job.status.as_ref()?)?;
    let since = ended.last_transition_time.as_ref()?.0;
    Some(since + SignedDuration::from_secs(seconds.into()))
}

async fn reconcile(client: &Client, jobs: &Cache<Job>, key: &Key) -> Result<Outcome, kube::Error> {
    let Some(job) = jobs.of(key) else {
        return Ok(Outcome::Done);
    };
    let Some(at) = expires_at(&job).filter(|_| job.metadata.deletion_timestamp.is_none()) else {
        return Ok(Outcome::Done);
    };
    let left = at.duration_since(Timestamp::now());
    if left.is_positive() {
        return Ok(Outcome::Again(left.unsigned_abs()));
    }
    let api: Api<Job> = Api::namespaced(client.clone(), &key.namespace);
    let params = DeleteParams::foreground().preconditions(Preconditions {
        uid: job.uid(),
        resource_version: job.resource_version(),
    });
    match api.delete(&key.name, &params).await {
        Err(error) if !is_not_found(&error) => Err(error),
        _ => Ok(Outcome::Done),
    }
}
