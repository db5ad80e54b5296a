//! Install: the first revision of a release.
//!
//! Reference: `pkg/action/install.go` of Helm.

use coracle_helm::File;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use serde_json::json;

use crate::ReleaseError;
use crate::apply::{Applier, Method};
use crate::error::during;
use crate::event::{Change, Event, Tell};
use crate::hooks;
use crate::names::check_name;
use crate::objects::{Object, parse};
use crate::operation::Operation;
use crate::options::{DryRun, Options, Source};
use crate::prepare::{Prepared, prepare};
use crate::record::{Info, Record, Status, now};
use crate::session::Session;
use crate::storage::{Stored, has_system_label};
use crate::uninstall::remove_release;

/// Installs a release; returns its record.
///
/// # Errors
/// Fails if the name is taken, the chart cannot be rendered, the API refuses an
/// object, a hook fails or an object does not become ready; the record then
/// says `failed`.
pub async fn install(
    session: &Session,
    source: &Source,
    options: &Options,
    tell: &mut Tell<'_>,
) -> Result<Record, ReleaseError> {
    check_name(&source.name)
        .map_err(|error| ReleaseError::Invalid(format!("release name check failed: {error}")))?;
    check_options(options)?;
    let mut operation = Operation::new(session, options, tell);
    let history = available(&mut operation, &source.name).await?;
    if !options.skip_crds {
        install_definitions(&mut operation, source).await?;
    }
    let revision = history.first().map_or(1, |last| last.record.version + 1);
    let prepared = prepare(&mut operation, source, revision, None).await?;
    install_prepared(&mut operation, &source.name, &history, prepared).await
}

/// Installs what was rendered; `history` has what is in the way no more.
pub(crate) async fn install_prepared(
    operation: &mut Operation<'_>,
    name: &str,
    history: &[Stored],
    prepared: Prepared,
) -> Result<Record, ReleaseError> {
    let options = operation.options;
    let revision = history.first().map_or(1, |last| last.record.version + 1);
    let (method, word) = operation.method(None);
    let mut record = new_record(operation, name, &prepared, revision, word);
    if options.dry_run == DryRun::Client {
        record.info.description = "Dry run complete".into();
        return Ok(record);
    }
    let checked = check_kinds(operation, &prepared.objects).await;
    checked.map_err(during(
        "unable to build kubernetes objects from release manifest",
    ))?;
    let live = operation.live(&prepared.objects).await;
    let live = live.map_err(during("unable to continue with install"))?;
    operation.check_owners(name, &prepared.objects, &live, &[], "install")?;
    if options.diff {
        let objects = &prepared.objects;
        operation
            .tell_difference(name, method, objects, &[])
            .await?;
    }
    if options.dry_run == DryRun::Server {
        record.info.description = "Dry run complete".into();
        return Ok(record);
    }
    if options.create_namespace {
        ensure_namespace(operation, method).await?;
    }
    supersede(operation, history).await;
    operation.claim(&record).await?;
    let pulse = operation.pulse(&record);
    let work = perform(operation, &mut record, &prepared.objects, method);
    match pulse.during(work).await {
        Ok(()) => {
            let description = options.description.as_deref();
            record.set(Status::Deployed, description.unwrap_or("Install complete"));
            operation.finish(&record).await;
            Ok(record)
        }
        Err(error) => Err(fail(operation, record, error).await),
    }
}

/// Checks what no flag can mean.
pub(crate) fn check_options(options: &Options) -> Result<(), ReleaseError> {
    if options.hide_secret && options.dry_run == DryRun::None {
        return Err(ReleaseError::Invalid(
            "hiding Kubernetes secrets requires a dry-run mode".into(),
        ));
    }
    if has_system_label(&options.labels) {
        return Err(ReleaseError::Invalid(format!(
            "user supplied labels contains system reserved label name. System labels: [{}]",
            crate::record_secret::SYSTEM_LABELS.join(" ")
        )));
    }
    Ok(())
}

/// Checks that the name is free; returns the revisions that are in the way no
/// more.
async fn available(operation: &mut Operation<'_>, name: &str) -> Result<Vec<Stored>, ReleaseError> {
    if operation.options.dry_run != DryRun::None {
        return Ok(Vec::new());
    }
    let history = match operation.settled(name).await {
        // As in Helm, who may not look goes on.
        Err(ReleaseError::Record(error)) if error.is_forbidden() => Vec::new(),
        history => history?,
    };
    let Some(last) = history.first() else {
        return Ok(history);
    };
    let status = last.record.info.status;
    let was_never_deployed = history.iter().all(|stored| {
        let info = &stored.record.info;
        info.status == Status::Failed
            && info
                .description
                .starts_with("Interrupted during pending-install")
    });
    let replaces =
        operation.options.replace && matches!(status, Status::Uninstalled | Status::Failed);
    if replaces || was_never_deployed {
        return Ok(history);
    }
    Err(ReleaseError::NameInUse {
        name: name.to_owned(),
        namespace: operation.session.namespace().to_owned(),
        version: last.record.version,
        status,
    })
}

async fn supersede(operation: &mut Operation<'_>, history: &[Stored]) {
    if let Some(last) = history.first()
        && last.record.info.status != Status::Failed
    {
        let mut last = last.record.clone();
        last.set(Status::Superseded, "superseded by new release");
        operation.keep(&last).await;
    }
}

fn new_record(
    operation: &Operation<'_>,
    name: &str,
    prepared: &Prepared,
    version: i64,
    apply_method: &str,
) -> Record {
    let time = now();
    Record {
        name: name.to_owned(),
        info: Info {
            first_deployed: time.clone(),
            last_deployed: time,
            description: "Initial install underway".into(),
            status: Status::PendingInstall,
            notes: prepared.notes.clone(),
            ..Info::default()
        },
        chart: prepared.chart.clone(),
        config: prepared.config.clone(),
        manifest: prepared.manifest.clone(),
        hooks: prepared.hooks.clone(),
        version,
        namespace: operation.session.namespace().to_owned(),
        apply_method: apply_method.into(),
        labels: operation.options.labels.clone(),
        ..Record::default()
    }
}

/// Makes the release's namespace if there is none.
async fn ensure_namespace(operation: &Operation<'_>, method: Method) -> Result<(), ReleaseError> {
    let name = operation.session.namespace();
    let namespaces: Api<Namespace> = Api::all(operation.session.client().clone());
    // Who may not make it may still find it.
    if let Ok(Some(_)) = namespaces.get_opt(name).await {
        return Ok(());
    }
    let served = operation.session.served().await?;
    let applier = Applier {
        served: &served,
        name,
        namespace: name,
        method,
    };
    let namespace = Object {
        file: String::new(),
        value: json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": {"name": name}},
        }),
    };
    applier.apply_unmarked(&namespace).await
}

/// Checks that every kind is served, or defined by the chart itself, before
/// anything is changed.
pub(crate) async fn check_kinds(
    operation: &Operation<'_>,
    objects: &[Object],
) -> Result<(), ReleaseError> {
    let served = operation.session.served().await?;
    for object in objects {
        let is_defined = objects.iter().any(|one| {
            one.kind() == "CustomResourceDefinition"
                && one.value["spec"]["names"]["kind"] == object.kind()
        });
        if !is_defined {
            served.api(object, operation.session.namespace())?;
        }
    }
    Ok(())
}

/// Installs the definitions of crds/, unless the operation is only simulated.
pub(crate) async fn install_definitions(
    operation: &mut Operation<'_>,
    source: &Source,
) -> Result<(), ReleaseError> {
    let files = source.chart.crds();
    if files.is_empty() || operation.options.dry_run == DryRun::Client {
        return Ok(());
    }
    if operation.options.dry_run == DryRun::Server {
        (operation.tell)(Event::Warning("This chart or one of its subcharts contains CRDs. Rendering may fail or contain inaccuracies.".into()));
        return Ok(());
    }
    install_files(operation, &source.name, &files).await
}

/// Installs definitions that are not there yet, and waits for them.
pub(crate) async fn install_files(
    operation: &mut Operation<'_>,
    name: &str,
    files: &[File],
) -> Result<(), ReleaseError> {
    if files.is_empty() {
        return Ok(());
    }
    let mut definitions = Vec::new();
    for file in files {
        let text = String::from_utf8_lossy(&file.data);
        let mut found = parse(&text)?;
        for object in &mut found {
            object.file = file.name.clone();
        }
        definitions.append(&mut found);
    }
    let live = operation.live(&definitions).await?;
    let served = operation.session.served().await?;
    let (method, _) = operation.method(None);
    let applier = Applier {
        served: &served,
        name,
        namespace: operation.session.namespace(),
        method,
    };
    let mut made = Vec::new();
    for (definition, live) in definitions.iter().zip(&live) {
        if live.is_none() {
            applier.apply_unmarked(definition).await?;
            (operation.tell)(Event::Object {
                title: definition.title(),
                change: Change::Created,
            });
            made.push(definition.clone());
        }
    }
    if made.is_empty() {
        return Ok(());
    }
    operation.await_definitions(&made).await
}

async fn perform(
    operation: &mut Operation<'_>,
    record: &mut Record,
    objects: &[Object],
    method: Method,
) -> Result<(), ReleaseError> {
    if !operation.options.no_hooks {
        hooks::run(operation, record, "pre-install").await?;
    }
    let name = record.name.clone();
    let mut created = Vec::new();
    operation
        .bring(&name, method, objects, &[], &mut created)
        .await?;
    operation.await_all(objects).await?;
    if !operation.options.no_hooks {
        hooks::run(operation, record, "post-install").await?;
    }
    Ok(())
}

async fn fail(
    operation: &mut Operation<'_>,
    mut record: Record,
    error: ReleaseError,
) -> ReleaseError {
    let name = record.name.clone();
    record.set(
        Status::Failed,
        format!("Release \"{name}\" failed: {}", error.line()),
    );
    operation.finish(&record).await;
    if !operation.options.rollback_on_failure {
        return error;
    }
    match remove_release(operation, record).await {
        Ok(()) => ReleaseError::Undone {
            name,
            undone: "uninstalled",
            source: Box::new(error),
        },
        Err(undo) => ReleaseError::NotUndone {
            undoing: "uninstalling",
            undo_error: undo.line(),
            source: Box::new(error),
        },
    }
}
