//! Hooks: documents of a chart that run at an event, in the order of their
//! weights, each awaited; their logs are told, and shown when they fail.
//!
//! Reference: `pkg/action/hooks.go` of Helm.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, LogParams};
use kube::{Api, ResourceExt};
use serde_json::Value;

use crate::ReleaseError;
use crate::apply::{Applier, Method};
use crate::error::during;
use crate::event::Event;
use crate::gone::await_gone;
use crate::objects::{Object, parse};
use crate::operation::Operation;
use crate::record::{Hook, Record, now};
use crate::refusal::{Attempt, Step};
use crate::wait::await_runs;

const BEFORE: &str = "before-hook-creation";
const SUCCEEDED: &str = "hook-succeeded";
const FAILED: &str = "hook-failed";
/// Lines of a failed hook's log that are shown with its failure.
const SHOWN_LINES: usize = 20;

/// Runs the hooks of an event and cleans up behind them.
pub(crate) async fn run(
    operation: &mut Operation<'_>,
    record: &mut Record,
    event: &str,
) -> Result<(), ReleaseError> {
    let result = run_only(operation, record, event, &|_| true).await;
    let cleaned = clean(operation, record, event, &result).await;
    result.map_err(|failure| failure.error)?;
    cleaned
}

/// Why running hooks ended, and which hook it was.
pub(crate) struct HookFailure {
    pub error: ReleaseError,
    /// Index among the record's hooks, and how many of the event ran before.
    failed: Option<usize>,
}

/// Returns the indices of an event's hooks in the order in which they run.
fn order(record: &Record, event: &str, wanted: &dyn Fn(&Hook) -> bool) -> Vec<usize> {
    let hooks = &record.hooks;
    let mut order: Vec<usize> = (0..hooks.len())
        .filter(|at| hooks[*at].runs_at(event) && wanted(&hooks[*at]))
        .collect();
    order.sort_by(|a, b| {
        let key = |at: &usize| (hooks[*at].weight, hooks[*at].name.clone());
        key(a).cmp(&key(b))
    });
    order
}

/// Runs the hooks of an event; what they leave behind stays.
pub(crate) async fn run_only(
    operation: &mut Operation<'_>,
    record: &mut Record,
    event: &str,
    wanted: &dyn Fn(&Hook) -> bool,
) -> Result<(), HookFailure> {
    for at in order(record, event, wanted) {
        run_one(operation, record, event, at)
            .await
            .map_err(|error| HookFailure {
                error,
                failed: Some(at),
            })?;
    }
    Ok(())
}

async fn run_one(
    operation: &mut Operation<'_>,
    record: &mut Record,
    event: &str,
    at: usize,
) -> Result<(), ReleaseError> {
    if record.hooks[at].delete_policies.is_empty() {
        record.hooks[at].delete_policies = vec![BEFORE.into()];
    }
    let hook = record.hooks[at].clone();
    delete_by_policy(operation, &hook, BEFORE).await?;
    let objects = documents(&hook)?;
    record.hooks[at].last_run.started_at = now();
    record.hooks[at].last_run.completed_at = String::new();
    record.hooks[at].last_run.phase = "Running".into();
    operation.keep(record).await;
    record.hooks[at].last_run.phase = "Unknown".into();
    let since = Instant::now();
    let told = |ended| Event::Hook {
        event: event.to_owned(),
        title: hook.title(),
        ended,
    };
    (operation.tell)(told(None));
    let result = apply_and_await(operation, record, &objects).await;
    let last_run = &mut record.hooks[at].last_run;
    last_run.completed_at = now();
    last_run.phase = if result.is_ok() {
        "Succeeded".into()
    } else {
        "Failed".into()
    };
    (operation.tell)(told(Some((result.is_ok(), since.elapsed()))));
    match result {
        Ok(()) => Ok(()),
        Err(error) => Err(failure(operation, event, &hook, error).await),
    }
}

fn documents(hook: &Hook) -> Result<Vec<Object>, ReleaseError> {
    let mut objects = parse(&hook.manifest)?;
    for object in &mut objects {
        object.file = hook.path.clone();
    }
    Ok(objects)
}

async fn apply_and_await(
    operation: &mut Operation<'_>,
    record: &Record,
    objects: &[Object],
) -> Result<(), ReleaseError> {
    let served = operation.session.served().await?;
    let applier = Applier {
        served: &served,
        name: &record.name,
        namespace: &record.namespace,
        method: Method {
            server_side: record.apply_method == "ssa",
            force: false,
            replace: false,
            strict: !operation.options.skip_field_validation,
            migrate: false,
            adds: false,
        },
    };
    for object in objects {
        applier.apply_unmarked(object).await?;
    }
    await_runs(
        operation.session,
        objects,
        operation.options.timeout,
        operation.tell,
    )
    .await
}

/// Tells what failed, with the last lines of every container of the hook.
async fn failure(
    operation: &mut Operation<'_>,
    event: &str,
    hook: &Hook,
    error: ReleaseError,
) -> ReleaseError {
    let ReleaseError::NotReady(mut cause) = error else {
        return during(refused(event, &hook.path))(error);
    };
    let shows_all = hook.output_log_policies.iter().any(|one| one == FAILED);
    let logs = logs(operation, hook).await;
    for (pod, container, text) in logs {
        if !shows_all && !cause.contains("\n  | ") {
            let lines: Vec<&str> = text.lines().collect();
            let last = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
            cause.push_str(&format!("\nlog of pod {pod}, container {container}:"));
            cause.extend(last.iter().map(|line| format!("\n  | {line}")));
        }
        if shows_all {
            (operation.tell)(Event::Log {
                pod,
                container,
                text,
            });
        }
    }
    ReleaseError::Hook {
        event: event.to_owned(),
        title: hook.title(),
        file: hook.path.clone(),
        cause,
    }
}

/// What Helm says before the refusal of a hook.
fn refused(event: &str, file: &str) -> String {
    let hook = format!("warning: Hook {event} {file} failed");
    match event {
        "pre-install" | "post-install" => format!("failed {event}: {hook}"),
        "pre-upgrade" | "post-upgrade" => format!("{event} hooks failed: {hook}"),
        _ => hook,
    }
}

/// Returns what the containers of a hook wrote: pod, container, text.
pub(crate) async fn logs(operation: &Operation<'_>, hook: &Hook) -> Vec<(String, String, String)> {
    let namespace = hook_namespace(hook, operation.session.namespace());
    let pods: Api<Pod> = Api::namespaced(operation.session.client().clone(), &namespace);
    let params = match hook.kind.as_str() {
        "Job" => ListParams::default().labels(&format!("job-name={}", hook.name)),
        "Pod" => ListParams::default().fields(&format!("metadata.name={}", hook.name)),
        _ => return Vec::new(),
    };
    let Ok(list) = pods.list(&params).await else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for pod in &list {
        let spec = pod.spec.clone().unwrap_or_default();
        let containers = spec
            .init_containers
            .unwrap_or_default()
            .into_iter()
            .chain(spec.containers);
        for container in containers {
            let params = LogParams {
                container: Some(container.name.clone()),
                ..LogParams::default()
            };
            if let Ok(text) = pods.logs(&pod.name_any(), &params).await {
                found.push((pod.name_any(), container.name, text));
            }
        }
    }
    found
}

fn hook_namespace(hook: &Hook, namespace: &str) -> String {
    let own = documents(hook).ok().and_then(|objects| {
        let object: &Object = objects.first()?;
        object.own_namespace().map(str::to_owned)
    });
    own.unwrap_or_else(|| namespace.to_owned())
}

/// Cleans up behind the hooks of an event, by their policies.
async fn clean(
    operation: &mut Operation<'_>,
    record: &Record,
    event: &str,
    result: &Result<(), HookFailure>,
) -> Result<(), ReleaseError> {
    let order = order(record, event, &|_| true);
    let failed = result.as_ref().err().map(|failure| failure.failed);
    if let Some(failed) = failed {
        // What ran well before the failing one goes by its own policy.
        for at in order {
            let hook = record.hooks[at].clone();
            if Some(at) == failed {
                return delete_by_policy(operation, &hook, FAILED).await;
            }
            delete_by_policy(operation, &hook, SUCCEEDED).await?;
        }
        return Ok(());
    }
    for at in order.into_iter().rev() {
        let hook = record.hooks[at].clone();
        if hook.output_log_policies.iter().any(|one| one == SUCCEEDED) {
            for (pod, container, text) in logs(operation, &hook).await {
                (operation.tell)(Event::Log {
                    pod,
                    container,
                    text,
                });
            }
        }
        delete_by_policy(operation, &hook, SUCCEEDED).await?;
    }
    Ok(())
}

/// Cleans up behind tests; see [`clean`].
pub(crate) async fn clean_tests(
    operation: &mut Operation<'_>,
    record: &Record,
    result: &Result<(), HookFailure>,
) -> Result<(), ReleaseError> {
    clean(operation, record, "test", result).await
}

async fn delete_by_policy(
    operation: &mut Operation<'_>,
    hook: &Hook,
    policy: &str,
) -> Result<(), ReleaseError> {
    // A definition takes its objects with it, so it is never removed.
    if hook.kind == "CustomResourceDefinition"
        || !hook.delete_policies.iter().any(|one| one == policy)
    {
        return Ok(());
    }
    let served = operation.session.served().await?;
    let objects = documents(hook)?;
    let namespace = operation.session.namespace();
    for object in &objects {
        let api = served.api(object, namespace)?;
        match api.delete(object.name(), &DeleteParams::background()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => {
                let attempt = Attempt {
                    step: Step::Delete,
                    object,
                    namespace: served.namespace(object, namespace),
                    is_added: false,
                    wanted: &Value::Null,
                    live: None,
                };
                return Err(attempt.explained(error));
            }
        }
    }
    let timeout = operation.options.timeout.max(Duration::from_secs(1));
    await_gone(&served, &objects, namespace, timeout).await
}
