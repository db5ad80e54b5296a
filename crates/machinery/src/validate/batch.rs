//! Jobs and cron jobs.

use serde_json::Value;

use super::{At, Bad, Causes, apps, cron, indexes, internal, labels, names, pod};

/// Most rules of a policy.
const RULES_MAX: usize = 20;
/// Most pods an indexed job runs at once, and most indexes it lets fail.
const INDEXED_MAX: i64 = 100_000;
/// Above so many completions a limit per index needs tighter limits.
const COMPLETIONS_SOFT_MAX: i64 = 100_000;
/// Those limits.
const HIGH_COMPLETIONS_MAX: i64 = 10_000;
/// Longest list of indexes in a success policy.
const INDEXES_MAX: usize = 64 * 1024;
const REQUIRES_INDEXED: &str = "requires indexed completion mode";

/// A `Job`.
pub(super) fn job(object: &At<'_>, _old: Option<&Value>, causes: &mut Causes) {
    let spec = object.field("spec");
    generated_selector(object, &spec, causes);
    whole_spec(&spec, causes);
    indexed_names(object, &spec, causes);
}

/// The spec of a job that is made (`ValidateJobSpec`).
fn whole_spec(spec: &At<'_>, causes: &mut Causes) {
    job_spec(spec, causes);
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
    if mode.is_set() {
        causes.one_of(&mode, &["NonIndexed", "Indexed"]);
    }
    match mode.text() {
        "Indexed" => indexed(spec, causes),
        // Inside a cron job the mode has no default.
        "" | "NonIndexed" => {
            for name in ["backoffLimitPerIndex", "maxFailedIndexes"] {
                let at = spec.field(name);
                if at.is_set() {
                    causes.invalid(&at.path, at.value, REQUIRES_INDEXED);
                }
            }
        }
        _ => {}
    }
}

fn indexed(spec: &At<'_>, causes: &mut Causes) {
    let completions = spec.field("completions");
    if !completions.is_set() {
        causes.required(&completions.path, "when completion mode is Indexed");
    }
    let (parallelism, failed) = (spec.field("parallelism"), spec.field("maxFailedIndexes"));
    let too_many = |at: &At<'_>, most: i64, detail: &str, causes: &mut Causes| {
        if let Some(number) = at.int().filter(|number| *number > most) {
            let detail = format!("must be less than or equal to {most}{detail}");
            causes.invalid(&at.path, number, &detail);
        }
    };
    let mode = " when completion mode is Indexed";
    too_many(&parallelism, INDEXED_MAX, mode, causes);
    let total = completions.int();
    if let (Some(most), Some(number)) = (total, failed.int())
        && number > most
    {
        let detail = "must be less than or equal to completions";
        causes.invalid(&failed.path, number, detail);
    }
    too_many(&failed, INDEXED_MAX, "", causes);
    let high = total.is_some_and(|total| total > COMPLETIONS_SOFT_MAX);
    if !high || !spec.field("backoffLimitPerIndex").is_set() {
        return;
    }
    if !failed.is_set() {
        let detail = format!("must be specified when completions is above {COMPLETIONS_SOFT_MAX}");
        causes.required(&failed.path, &detail);
    }
    let detail = format!(
        " when completions are above {COMPLETIONS_SOFT_MAX} and used with backoff limit per index"
    );
    too_many(&parallelism, HIGH_COMPLETIONS_MAX, &detail, causes);
    too_many(&failed, HIGH_COMPLETIONS_MAX, &detail, causes);
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
                Bad::raw("specifying both OnExitCodes and OnPodConditions is not supported"),
                "",
            ),
            (false, false) => causes.invalid(
                &rule.path,
                Bad::raw("specifying one of OnExitCodes and OnPodConditions is required"),
                "",
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
    let mut before = i64::MIN;
    for value in values.items() {
        let code = value.int().unwrap_or(0);
        ordered &= before <= code;
        before = code;
        if operator.text() == "In" && code == 0 {
            causes.invalid(&value.path, code, "must not be 0 for the In operator");
        }
        if seen.contains(&code) {
            causes.duplicate(&value.path, code);
        } else {
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
        let shown = internal::shown("SuccessPolicy", policy.value);
        causes.invalid(&policy.path, shown, REQUIRES_INDEXED);
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
        let completions = spec.field("completions").int().unwrap_or(0);
        let mut named = None;
        if indexes.is_set() {
            if indexes.len() > INDEXES_MAX {
                causes.too_long(&indexes.path, INDEXES_MAX);
            }
            named = Some(0);
            match indexes::count(indexes.text(), completions) {
                Ok(total) => named = Some(total),
                Err(error) => {
                    let detail = format!("error parsing succeededIndexes: {error}");
                    causes.invalid(&indexes.path, indexes.text(), &detail);
                }
            }
        }
        causes.not_negative(&count);
        if let Some(number) = count.int().filter(|number| *number > completions) {
            let detail = format!(
                "must be less than or equal to {completions} (the number of specified completions)"
            );
            causes.invalid(&count.path, number, &detail);
        }
        if let (Some(number), Some(named)) = (count.int(), named)
            && number > named
        {
            let detail = format!(
                "must be less than or equal to {named} (the number of indexes in the specified succeededIndexes field)"
            );
            causes.invalid(&count.path, number, &detail);
        }
    }
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
        "OnFailure" if spec.field("podFailurePolicy").is_set() => {
            let detail = "only \"Never\" is supported when podFailurePolicy is specified";
            causes.invalid(&restart.path, restart.text(), detail);
        }
        "OnFailure" | "Never" => {}
        "" | "Always" => causes.required(&restart.path, "valid values: \"OnFailure\", \"Never\""),
        other => causes.not_supported(&restart.path, other, &["OnFailure", "Never"]),
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

/// What of a `Job` an update may change.
pub(super) fn job_update(object: &At<'_>, old: &Value, causes: &mut Causes) {
    let spec = object.field("spec");
    let before = &old["spec"];
    // Upstream's rules for updates begin with those for new jobs.
    whole_spec(&spec, causes);
    completions_update(&spec, before, causes);
    for name in [
        "selector",
        "completionMode",
        "backoffLimitPerIndex",
        "managedBy",
    ] {
        super::immutable::field(&spec.field(name), &before[name], causes);
    }
    for (name, go_type) in [
        ("podFailurePolicy", "PodFailurePolicy"),
        ("successPolicy", "SuccessPolicy"),
    ] {
        let at = spec.field(name);
        if !super::immutable::equal(at.value, &before[name]) {
            let shown = internal::shown(go_type, at.value);
            causes.invalid(&at.path, shown, names::IMMUTABLE);
        }
    }
    template_update(&spec.field("template"), old, causes);
}

/// The template is fixed, but for what a job without pods may still be told.
fn template_update(template: &At<'_>, old: &Value, causes: &mut Causes) {
    let before = &old["spec"]["template"];
    let (at, definition, before) = match may_change(old) {
        false => (*template, "PodTemplateSpec", before.clone()),
        true => {
            let spec = template.field("spec");
            let before = with_directions(&before["spec"], spec.value);
            (spec, "PodSpec", before)
        }
    };
    let name = format!("io.k8s.api.core.v1.{definition}");
    if !super::immutable::same(&name, at.value, &before) {
        let shown = internal::shown(definition, at.value);
        causes.invalid(&at.path, shown, names::IMMUTABLE);
    }
}

/// Whether a job is suspended and has no pods: it never began, or says that it
/// stands still (`shouldAllowMutablePodTemplate` upstream).
fn may_change(job: &Value) -> bool {
    let status = &job["status"];
    let conditions = status["conditions"].as_array();
    let stands = conditions
        .into_iter()
        .flatten()
        .any(|one| one["type"] == "Suspended" && one["status"] == "True");
    job["spec"]["suspend"] == true
        && (status["startTime"].is_null() || stands)
        && status["active"].as_i64().unwrap_or(0) == 0
}

/// The old pod with the new directions to nodes and the new resources.
fn with_directions(before: &Value, new: &Value) -> Value {
    let mut pod = before.clone();
    let Some(map) = pod.as_object_mut() else {
        return pod;
    };
    for name in ["nodeSelector", "tolerations", "schedulingGates"] {
        match new.get(name) {
            Some(value) => map.insert(name.to_owned(), value.clone()),
            None => map.remove(name),
        };
    }
    for list in ["containers", "initContainers"] {
        take_resources(&mut pod[list], &new[list]);
    }
    steer_to_nodes(&mut pod, &new["affinity"]);
    pod
}

fn take_resources(containers: &mut Value, new: &Value) {
    let (Some(containers), Some(new)) = (containers.as_array_mut(), new.as_array()) else {
        return;
    };
    if containers.len() != new.len() {
        return;
    }
    for (container, new) in containers.iter_mut().zip(new) {
        if container["name"] == new["name"] {
            container["resources"] = new["resources"].clone();
        }
    }
}

/// Of the affinity only that to nodes may change.
fn steer_to_nodes(pod: &mut Value, affinity: &Value) {
    let Some(pod) = pod.as_object_mut() else {
        return;
    };
    let mut mine = match pod.get("affinity") {
        Some(Value::Object(mine)) => mine.clone(),
        _ => serde_json::Map::new(),
    };
    mine.shift_remove("nodeAffinity");
    if let Some(node) = affinity.get("nodeAffinity").filter(|node| !node.is_null()) {
        mine.insert("nodeAffinity".into(), node.clone());
    }
    if mine.is_empty() && affinity.is_null() {
        pod.shift_remove("affinity");
    } else {
        pod.insert("affinity".into(), Value::Object(mine));
    }
}

/// Completions are fixed, but for an indexed job that grows with its parallelism.
fn completions_update(spec: &At<'_>, before: &Value, causes: &mut Causes) {
    let completions = spec.field("completions");
    if spec.field("completionMode").text() != "Indexed" {
        super::immutable::field(&completions, &before["completions"], causes);
        return;
    }
    let changed = completions.is_set() && completions.value != &before["completions"];
    if changed && completions.value != spec.field("parallelism").value {
        let detail = "can only be modified in tandem with spec.parallelism";
        causes.invalid(&completions.path, completions.value, detail);
    }
}
