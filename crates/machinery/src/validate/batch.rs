//! Jobs and cron jobs.

use serde_json::Value;

use super::{At, Bad, Causes, apps, cron, go_json, labels, names, pod};

/// Most rules of a policy.
const RULES_MAX: usize = 20;
/// Most pods an indexed job runs at once.
const INDEXED_PARALLELISM_MAX: i64 = 100_000;
const REQUIRES_INDEXED: &str = "requires indexed completion mode";

/// A `Job`.
pub(super) fn job(object: &At<'_>, _old: Option<&Value>, causes: &mut Causes) {
    let spec = object.field("spec");
    generated_selector(object, &spec, causes);
    job_spec(&spec, causes);
    let selector = spec.field("selector");
    if !selector.is_set() {
        causes.required(&selector.path, "");
        apps::not_selected(&spec.field("template"), causes);
    } else {
        labels::selector(&selector, causes);
        if labels::is_readable(&selector) {
            apps::matches_template(&selector, &spec.field("template"), causes);
        }
    }
    indexed_names(object, &spec, causes);
}

/// Unless the client manages the selector, it must be the generated one.
fn generated_selector(object: &At<'_>, spec: &At<'_>, causes: &mut Causes) {
    let selector = spec.field("selector");
    if spec.field("manualSelector").flag() || !selector.is_set() {
        return;
    }
    let metadata = object.field("metadata");
    let (uid, name) = (metadata.field("uid"), metadata.field("name"));
    if uid.is_empty() {
        causes.required(&uid.path, "");
    }
    let template = spec.field("template");
    let template = template.field("metadata");
    let labels = template.field("labels");
    for (key, expected) in [
        ("controller-uid", uid.text()),
        ("job-name", name.text()),
        ("batch.kubernetes.io/controller-uid", uid.text()),
        ("batch.kubernetes.io/job-name", name.text()),
    ] {
        let path = labels.path.key(key);
        let detail = format!("must be '{expected}'");
        match labels.value.get(key).and_then(Value::as_str) {
            None => causes.required(&path, &detail),
            Some(found) if found != expected => causes.invalid(&path, labels.value, &detail),
            Some(_) => {}
        }
    }
    let expected = serde_json::json!({
        "controller-uid": uid.text(), "batch.kubernetes.io/controller-uid": uid.text(),
        "job-name": name.text(), "batch.kubernetes.io/job-name": name.text(),
    });
    if labels::is_readable(&selector) && !labels::selects(&selector, &At::root(&expected)) {
        causes.invalid(
            &selector.path,
            selector.value,
            "`selector` not auto-generated",
        );
    }
}

fn indexed_names(object: &At<'_>, spec: &At<'_>, causes: &mut Causes) {
    let completions = spec.field("completions").int().unwrap_or(0);
    if spec.field("completionMode").text() != "Indexed" || completions <= 0 {
        return;
    }
    let metadata = object.field("metadata");
    let name = metadata.field("name");
    let longest = format!("{}-{}", name.text(), completions - 1);
    if !names::label(&longest).is_empty() {
        let detail = format!("will not able to create pod with invalid DNS label: {longest}");
        causes.invalid(&name.path, name.text(), &detail);
    }
}

/// A `JobSpec`, in a job or a cron job.
fn job_spec(spec: &At<'_>, causes: &mut Causes) {
    for name in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        causes.not_negative(&spec.field(name));
    }
    if spec.field("maxFailedIndexes").is_set() && !spec.field("backoffLimitPerIndex").is_set() {
        let path = spec.field("backoffLimitPerIndex").path;
        causes.required(&path, "when maxFailedIndexes is specified");
    }
    managed_by(&spec.field("managedBy"), causes);
    completion_mode(spec, causes);
    failure_policy(spec, causes);
    success_policy(spec, causes);
    replacement_policy(spec, causes);
    let template = spec.field("template");
    pod::template(&template, causes);
    restart_policy(spec, &template, causes);
}

fn managed_by(at: &At<'_>, causes: &mut Causes) {
    if !at.is_set() {
        return;
    }
    super::config::domain_prefixed_path(at, causes);
    if at.len() > 63 {
        causes.too_long(&at.path, 63);
    }
}

fn completion_mode(spec: &At<'_>, causes: &mut Causes) {
    let mode = spec.field("completionMode");
    if !mode.is_set() {
        return;
    }
    causes.one_of(&mode, &["NonIndexed", "Indexed"]);
    if mode.text() == "Indexed" {
        let completions = spec.field("completions");
        if !completions.is_set() {
            causes.required(&completions.path, "when completion mode is Indexed");
        }
        let parallelism = spec.field("parallelism");
        if let Some(number) = parallelism.int().filter(|n| *n > INDEXED_PARALLELISM_MAX) {
            let detail = format!(
                "must be less than or equal to {INDEXED_PARALLELISM_MAX} when completion mode is Indexed"
            );
            causes.invalid(&parallelism.path, number, &detail);
        }
        return;
    }
    for name in ["backoffLimitPerIndex", "maxFailedIndexes"] {
        let at = spec.field(name);
        if at.is_set() {
            causes.invalid(&at.path, at.value, REQUIRES_INDEXED);
        }
    }
}

fn failure_policy(spec: &At<'_>, causes: &mut Causes) {
    let policy = spec.field("podFailurePolicy");
    if !policy.is_set() {
        return;
    }
    let rules = policy.field("rules");
    if rules.len() > RULES_MAX {
        causes.too_many(&rules.path, rules.len(), RULES_MAX);
    }
    for rule in rules.items() {
        let action = rule.field("action");
        match action.text() {
            "" => causes.required(
                &action.path,
                "valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]",
            ),
            "FailIndex" if !spec.field("backoffLimitPerIndex").is_set() => causes.invalid(
                &action.path,
                "FailIndex",
                "requires the backoffLimitPerIndex to be set",
            ),
            _ => causes.one_of(&action, &["Count", "FailIndex", "FailJob", "Ignore"]),
        }
        let (codes, conditions) = (rule.field("onExitCodes"), rule.field("onPodConditions"));
        if codes.is_set() {
            exit_codes(&codes, spec, causes);
        }
        pod_conditions(&conditions, causes);
        match (codes.is_set(), !conditions.is_empty()) {
            (true, true) => causes.invalid(
                &rule.path,
                &Value::Null,
                "specifying both OnExitCodes and OnPodConditions is not supported",
            ),
            (false, false) => causes.invalid(
                &rule.path,
                &Value::Null,
                "specifying one of OnExitCodes and OnPodConditions is required",
            ),
            _ => {}
        }
    }
}

fn exit_codes(codes: &At<'_>, spec: &At<'_>, causes: &mut Causes) {
    let operator = codes.field("operator");
    match operator.text() {
        "" => causes.required(&operator.path, "valid values: [\"In\" \"NotIn\"]"),
        _ => causes.one_of(&operator, &["In", "NotIn"]),
    }
    let container = codes.field("containerName");
    if container.is_set() {
        let pod = &spec.value["template"]["spec"];
        let known = ["containers", "initContainers"]
            .iter()
            .filter_map(|list| pod[*list].as_array())
            .flatten()
            .any(|known| known["name"] == *container.value);
        if !known {
            let detail = "must be one of the container or initContainer names in the pod template";
            causes.invalid(&container.path, container.text(), detail);
        }
    }
    let values = codes.field("values");
    if values.is_empty() {
        causes.invalid(&values.path, values.value, "at least one value is required");
    } else if values.len() > 255 {
        causes.too_many(&values.path, values.len(), 255);
    }
    let mut seen = Vec::new();
    let mut ordered = true;
    for value in values.items() {
        let code = value.int().unwrap_or(0);
        if operator.text() == "In" && code == 0 {
            causes.invalid(&value.path, code, "must not be 0 for the In operator");
        }
        if seen.contains(&code) {
            causes.duplicate(&value.path, code);
        } else {
            ordered &= seen.last().is_none_or(|last| *last <= code);
            seen.push(code);
        }
    }
    if !ordered {
        causes.invalid(&values.path, values.value, "must be ordered");
    }
}

fn pod_conditions(conditions: &At<'_>, causes: &mut Causes) {
    if conditions.len() > RULES_MAX {
        causes.too_many(&conditions.path, conditions.len(), RULES_MAX);
    }
    for condition in conditions.items() {
        let kind = condition.field("type");
        causes.invalid_text(&kind.path, kind.text(), names::qualified(kind.text()));
        let status = condition.field("status");
        match status.text() {
            "" => causes.required(
                &status.path,
                "valid values: [\"False\" \"True\" \"Unknown\"]",
            ),
            _ => causes.one_of(&status, &["False", "True", "Unknown"]),
        }
    }
}

fn success_policy(spec: &At<'_>, causes: &mut Causes) {
    let policy = spec.field("successPolicy");
    if !policy.is_set() {
        return;
    }
    if spec.field("completionMode").text() != "Indexed" {
        causes.invalid(&policy.path, success_shown(&policy), REQUIRES_INDEXED);
        return;
    }
    let rules = policy.field("rules");
    if rules.is_empty() {
        let detail = "at least one rules must be specified when the successPolicy is specified";
        causes.required(&rules.path, detail);
    } else if rules.len() > RULES_MAX {
        causes.too_many(&rules.path, rules.len(), RULES_MAX);
    }
    for rule in rules.items() {
        let (indexes, count) = (rule.field("succeededIndexes"), rule.field("succeededCount"));
        if !indexes.is_set() && !count.is_set() {
            let detail = "at least one of succeededCount or succeededIndexes must be specified";
            causes.required(&rule.path, detail);
        }
        causes.not_negative(&count);
        let completions = spec.field("completions").int().unwrap_or(0);
        if let Some(number) = count.int().filter(|number| *number > completions) {
            let detail = format!(
                "must be less than or equal to {completions} (the number of specified completions)"
            );
            causes.invalid(&count.path, number, &detail);
        }
    }
}

/// A success policy as upstream's internal type prints it.
fn success_shown(policy: &At<'_>) -> Bad {
    let rules: Vec<String> = policy
        .field("rules")
        .items()
        .map(|rule| {
            format!(
                "{{\"SucceededIndexes\":{},\"SucceededCount\":{}}}",
                rule.value["succeededIndexes"], rule.value["succeededCount"]
            )
        })
        .collect();
    Bad::raw(format!("{{\"Rules\":[{}]}}", rules.join(",")))
}

fn replacement_policy(spec: &At<'_>, causes: &mut Causes) {
    let policy = spec.field("podReplacementPolicy");
    if !policy.is_set() {
        return;
    }
    match spec.field("podFailurePolicy").is_set() {
        true => causes.one_of(&policy, &["Failed"]),
        false => causes.one_of(&policy, &["Failed", "TerminatingOrFailed"]),
    }
}

fn restart_policy(spec: &At<'_>, template: &At<'_>, causes: &mut Causes) {
    let pod = template.field("spec");
    let restart = pod.field("restartPolicy");
    match restart.text() {
        "OnFailure" | "Never" => {}
        "Always" => causes.required(&restart.path, "valid values: \"OnFailure\", \"Never\""),
        other => causes.not_supported(&restart.path, other, &["OnFailure", "Never"]),
    }
    if spec.field("podFailurePolicy").is_set() && restart.text() != "Never" {
        let detail = "only \"Never\" is supported when podFailurePolicy is specified";
        causes.invalid(&restart.path, restart.text(), detail);
    }
}

/// A `CronJob`.
pub(super) fn cron_job(object: &At<'_>, old: Option<&Value>, causes: &mut Causes) {
    let metadata = object.field("metadata");
    let name = metadata.field("name");
    // The names of its jobs append eleven characters.
    if old.is_none() && name.len() > 52 {
        causes.invalid(
            &name.path,
            name.text(),
            "must be no more than 52 characters",
        );
    }
    let spec = object.field("spec");
    let before = old.map(|old| &old["spec"]);
    schedule(&spec, before, causes);
    causes.not_negative(&spec.field("startingDeadlineSeconds"));
    let zone = spec.field("timeZone");
    if zone.is_set() && before.is_none_or(|before| before["timeZone"] != *zone.value) {
        time_zone(&zone, causes);
    }
    let policy = spec.field("concurrencyPolicy");
    match policy.text() {
        "" => causes.required(&policy.path, ""),
        _ => causes.one_of(&policy, &["Allow", "Forbid", "Replace"]),
    }
    let template = spec.field("jobTemplate");
    let job = template.field("spec");
    let selector = job.field("selector");
    if selector.is_set() {
        causes.invalid(
            &selector.path,
            selector.value,
            "`selector` will be auto-generated",
        );
    }
    let manual = job.field("manualSelector");
    if manual.flag() {
        causes.not_supported(&manual.path, true, &["nil", "false"]);
    }
    job_spec(&job, causes);
    causes.not_negative(&spec.field("successfulJobsHistoryLimit"));
    causes.not_negative(&spec.field("failedJobsHistoryLimit"));
}

fn schedule(spec: &At<'_>, before: Option<&Value>, causes: &mut Causes) {
    let schedule = spec.field("schedule");
    let text = schedule.text();
    if text.is_empty() {
        causes.required(&schedule.path, "");
        return;
    }
    if let Err(message) = cron::check(text) {
        causes.invalid(&schedule.path, text, &message);
    }
    let names_zone = |text: &str| text.contains("TZ");
    let tolerated = before.is_some_and(|spec| spec["schedule"].as_str().is_some_and(names_zone));
    if names_zone(text) && !tolerated {
        let detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
        causes.invalid(&schedule.path, text, detail);
    } else if names_zone(text) && spec.field("timeZone").is_set() {
        let detail = "cannot use both timeZone field and TZ or CRON_TZ in schedule";
        causes.invalid(&schedule.path, text, detail);
    }
}

/// Naming rules: <https://data.iana.org/time-zones/theory.html#naming>.
fn time_zone(zone: &At<'_>, causes: &mut Causes) {
    let name = zone.text();
    if name.is_empty() {
        causes.invalid(&zone.path, name, "timeZone must be nil or non-empty string");
        return;
    }
    let sound = |part: &str| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'+');
        !matches!(part, "." | "..")
            && !part.starts_with('-')
            && (1..=14).contains(&part.len())
            && part.bytes().all(fits)
    };
    let unknown = format!("unknown time zone {name}");
    if !name.split('/').all(sound) {
        causes.invalid(&zone.path, name, &unknown);
        return;
    }
    let local = name.eq_ignore_ascii_case("local");
    if local {
        let detail =
            "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        causes.invalid(&zone.path, name, detail);
    }
    if name != "Local" && !is_known_zone(name) {
        causes.invalid(&zone.path, name, &unknown);
    }
}

/// Whether the time zone database that comes with the program has a zone of
/// exactly this name.
fn is_known_zone(name: &str) -> bool {
    let found = jiff::tz::TimeZoneDatabase::bundled().get(name);
    found.is_ok_and(|zone| zone.iana_name() == Some(name))
}

/// The status of a `Job`.
pub(super) fn job_status(object: &At<'_>, old: &Value, causes: &mut Causes) {
    let status = object.field("status");
    for name in ["active", "succeeded", "failed"] {
        causes.not_negative(&status.field(name));
    }
    let has = |kind: &str| {
        let conditions = status.value["conditions"].as_array();
        conditions
            .into_iter()
            .flatten()
            .any(|condition| condition["type"] == kind && condition["status"] == "True")
    };
    let finished = has("Complete") || has("Failed");
    let active = status.field("active");
    if let Some(number) = active.int().filter(|number| finished && *number > 0) {
        causes.invalid(&active.path, number, "active>0 is invalid for finished job");
    }
    let completion = status.field("completionTime");
    if has("Complete") && !completion.is_set() {
        causes.required(
            &completion.path,
            "completionTime is required for Complete jobs",
        );
    }
    if !has("Complete") && completion.is_set() {
        let detail = "cannot set completionTime when there is no Complete=True condition";
        causes.invalid(&completion.path, completion.value, detail);
    }
    let conditions = status.field("conditions");
    for (kind, first) in [
        ("Complete", "SuccessCriteriaMet"),
        ("Failed", "FailureTarget"),
    ] {
        if has(kind) && !has(first) {
            let detail =
                format!("cannot set {kind}=True condition without the {first}=true condition");
            causes.invalid(&conditions.path, Bad::raw(detail), "");
        }
    }
    if has("Complete") && has("Failed") {
        let detail = "cannot set Complete=True and Failed=true conditions";
        causes.invalid(&conditions.path, Bad::raw(detail), "");
    }
    let failed = status.field("failed");
    let before = old["status"]["failed"].as_i64().unwrap_or(0);
    if let Some(number) = failed.int().or(Some(0)).filter(|number| *number < before) {
        causes.invalid(&failed.path, number, "cannot decrease the failed counter");
    }
}

/// What of a `Job` an update may change.
pub(super) fn job_update(object: &At<'_>, old: &Value, causes: &mut Causes) {
    let spec = object.field("spec");
    let before = &old["spec"];
    completions_update(&spec, before, causes);
    for name in [
        "selector",
        "completionMode",
        "podFailurePolicy",
        "backoffLimitPerIndex",
        "managedBy",
        "successPolicy",
    ] {
        super::immutable::field(&spec.field(name), &before[name], causes);
    }
    let template = spec.field("template");
    if !super::immutable::same(
        "io.k8s.api.core.v1.PodTemplateSpec",
        template.value,
        &steered(&spec, old),
    ) {
        causes.invalid(
            &template.path,
            Bad::raw(go_json(template.value)),
            names::IMMUTABLE,
        );
    }
}

/// The old template with the new directions, as far as a job that never ran
/// may still be steered.
fn steered(spec: &At<'_>, old: &Value) -> Value {
    let mut template = old["spec"]["template"].clone();
    let suspended = old["spec"]["suspend"] == true;
    let started = !old["status"]["startTime"].is_null();
    if !suspended || started {
        return template;
    }
    let new = &spec.value["template"];
    for (part, names) in [
        ("metadata", &["labels", "annotations"][..]),
        (
            "spec",
            &["nodeSelector", "affinity", "tolerations", "schedulingGates"][..],
        ),
    ] {
        let Some(map) = template.get_mut(part).and_then(Value::as_object_mut) else {
            continue;
        };
        for name in names {
            match new[part].get(*name) {
                Some(value) => map.insert((*name).to_owned(), value.clone()),
                None => map.remove(*name),
            };
        }
    }
    template
}

/// Completions are fixed, but for an indexed job that grows with its parallelism.
fn completions_update(spec: &At<'_>, before: &Value, causes: &mut Causes) {
    let completions = spec.field("completions");
    let elastic = spec.field("completionMode").text() == "Indexed"
        && !before["completions"].is_null()
        && completions.is_set()
        && before["completions"] == before["parallelism"]
        && completions.value == spec.field("parallelism").value;
    if !elastic {
        super::immutable::field(&completions, &before["completions"], causes);
    }
}
