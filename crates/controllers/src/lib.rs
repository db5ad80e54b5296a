//! What happens after an object changes: the controllers of the cluster, each
//! a client of the API under upstream's name for it.
//!
//! [`start`] runs all of them. A controller reads from the shared caches,
//! decides by a pure function and writes the difference.

mod accounttokens;
mod aggregation;
mod autoscaler;
mod context;
mod cronjob;
mod daemonset;
mod deployment;
mod disruption;
mod endpoints;
mod endpointslice;
mod expectations;
mod garbage;
mod gotext;
mod hash;
mod history;
mod job;
mod mirroring;
mod namespace;
mod nodelifecycle;
mod owner;
mod podgc;
mod pods;
mod quota;
mod replicaset;
mod serviceaccount;
mod statefulset;
mod tainteviction;
mod template;
mod volumes;

pub use context::Context;

/// Runs every controller until the future is dropped.
pub async fn start(context: Context) {
    tokio::join!(
        aggregation::run(context.clone()),
        autoscaler::run(context.clone()),
        deployment::run(context.clone()),
        replicaset::run(context.clone()),
        statefulset::run(context.clone()),
        job::run(context.clone()),
        daemonset::run(context.clone()),
        cronjob::run(context.clone()),
        disruption::run(context.clone()),
        endpointslice::run(context.clone()),
        endpoints::run(context.clone()),
        mirroring::run(context.clone()),
        serviceaccount::run(context.clone()),
        accounttokens::run(context.clone()),
        namespace::run(context.clone()),
        nodelifecycle::run(context.clone()),
        podgc::run(context.clone()),
        tainteviction::run(context.clone()),
        quota::run(context.clone()),
        volumes::run(context.clone()),
        garbage::run(context),
    );
}
