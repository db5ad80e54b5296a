//! The status of a `Job`. Most rules look only at what an update changes, so
//! that a status which is wrong already can still be mended elsewhere.

use serde_json::Value;

use super::{At, Bad, Causes, indexes, names};

/// A status before or after an update.
struct Status<'a>(&'a Value);

impl Status<'_> {
    fn has(&self, kind: &str) -> bool {
        let conditions = self.0["conditions"].as_array();
        conditions
            .into_iter()
            .flatten()
            .any(|condition| condition["type"] == kind && condition["status"] == "True")
    }

    fn finished(&self) -> bool {
        self.has("Complete") || self.has("Failed")
    }

    fn number(&self, name: &str) -> i64 {
        self.0[name].as_i64().unwrap_or(0)
    }

    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_default()
    }

    fn set(&self, name: &str) -> bool {
        !self.0[name].is_null()
    }
}

/// Judges an update of the status.
pub(super) fn check(object: &At<'_>, old: &Value, causes: &mut Causes) {
    let at = object.field("status");
    let (new, old) = (Status(at.value), Status(&old["status"]));
    for name in ["active", "succeeded", "failed", "ready", "terminating"] {
        causes.not_negative(&at.field(name));
    }
    uncounted(&at.field("uncountedTerminatedPods"), causes);
    ends(&at, &new, &old, causes);
    times(&at, &new, &old, causes);
    finished(&at, &new, &old, causes);
    lists(object, &at, &new, &old, causes);
    success(object, &at, &new, &old, causes);
    counters(object, &at, &new, &old, causes);
}

fn condition(at: &At<'_>, detail: &str, causes: &mut Causes) {
    causes.invalid(&at.path.field("conditions"), Bad::raw(detail), "");
}

fn uncounted(pods: &At<'_>, causes: &mut Causes) {
    let mut seen = Vec::new();
    for list in ["succeeded", "failed"] {
        for pod in pods.field(list).items() {
            let text = pod.text().to_owned();
            if text.is_empty() {
                causes.invalid(&pod.path, "", "must not be empty");
            } else if seen.contains(&text) {
                causes.duplicate(&pod.path, &text);
            } else {
                seen.push(text);
            }
        }
    }
}

/// How a job ends: at one end only, and through the condition before it.
fn ends(at: &At<'_>, new: &Status<'_>, old: &Status<'_>, causes: &mut Causes) {
    let changed = |kinds: &[&str]| kinds.iter().any(|kind| new.has(kind) != old.has(kind));
    if changed(&["Complete", "Failed"]) && new.has("Complete") && new.has("Failed") {
        condition(
            at,
            "cannot set Complete=True and Failed=true conditions",
            causes,
        );
    }
    if changed(&["Complete", "FailureTarget"]) && new.has("Complete") && new.has("FailureTarget") {
        condition(
            at,
            "cannot set Complete=True and FailureTarget=true conditions",
            causes,
        );
    }
    for (end, before) in [
        ("Failed", "FailureTarget"),
        ("Complete", "SuccessCriteriaMet"),
    ] {
        if changed(&[end, before]) && new.has(end) && !new.has(before) {
            let detail =
                format!("cannot set {end}=True condition without the {before}=true condition");
            condition(at, &detail, causes);
        }
    }
    for kind in ["Failed", "Complete", "FailureTarget"] {
        if old.has(kind) && !new.has(kind) {
            let detail = format!("cannot disable the terminal {kind}=True condition");
            condition(at, &detail, causes);
        }
    }
}

fn times(at: &At<'_>, new: &Status<'_>, old: &Status<'_>, causes: &mut Causes) {
    let changed = |name: &str| new.0[name] != old.0[name];
    let completion = at.field("completionTime");
    let (started, completed) = (new.text("startTime"), new.text("completionTime"));
    if new.has("Complete") != old.has("Complete") || changed("completionTime") {
        if new.set("completionTime") && !new.has("Complete") {
            let detail = "cannot set completionTime when there is no Complete=True condition";
            causes.invalid(&completion.path, completion.value, detail);
        }
        if !new.set("completionTime") && new.has("Complete") {
            let detail = "completionTime is required for Complete jobs";
            causes.required(&completion.path, detail);
        }
    }
    // Times are in one form here, so that their texts compare as they do.
    let ordered = started.is_empty() || completed.is_empty() || started <= completed;
    if (changed("startTime") || changed("completionTime")) && !ordered {
        let detail = "must be equal to or after `startTime`";
        causes.invalid(&completion.path, completion.value, detail);
    }
    if changed("completionTime") && new.set("completionTime") && old.set("completionTime") {
        causes.invalid(&completion.path, completion.value, names::IMMUTABLE);
    }
}

/// A finished job has nothing left to do.
fn finished(at: &At<'_>, new: &Status<'_>, old: &Status<'_>, causes: &mut Causes) {
    let ended = new.finished() != old.finished();
    let changed = |name: &str| new.0[name] != old.0[name];
    for name in ["active", "terminating"] {
        let number = new.number(name);
        if (ended || changed(name)) && new.finished() && number > 0 {
            let detail = format!("{name}>0 is invalid for finished job");
            causes.invalid(&at.field(name).path, number, &detail);
        }
    }
    let pods = at.field("uncountedTerminatedPods");
    let left = pods.field("succeeded").len() + pods.field("failed").len();
    if (ended || changed("uncountedTerminatedPods")) && new.finished() && left > 0 {
        let detail = "must be empty for finished job";
        causes.invalid(&pods.path, Bad::raw(super::go_json(pods.value)), detail);
    }
    let ready = new.number("ready");
    if (changed("ready") || changed("active")) && ready > new.number("active") {
        let detail = "cannot set more ready pods than active";
        causes.invalid(&at.field("ready").path, ready, detail);
    }
}

fn lists(object: &At<'_>, at: &At<'_>, new: &Status<'_>, old: &Status<'_>, causes: &mut Causes) {
    let spec = &object.value["spec"];
    let completions = spec["completions"].as_i64();
    let limited = !spec["backoffLimitPerIndex"].is_null();
    let (completed, failed) = (new.text("completedIndexes"), new.text("failedIndexes"));
    let completed_changed = completed != old.text("completedIndexes");
    let failed_changed = new.0["failedIndexes"] != old.0["failedIndexes"];
    let path = at.path.field("completedIndexes");
    if completed_changed {
        if let Some(Err(error)) = completions.map(|most| indexes::count(completed, most)) {
            let detail = format!("error parsing completedIndexes: {error}");
            causes.invalid(&path, completed, &detail);
        }
        if !completed.is_empty() && spec["completionMode"] != "Indexed" {
            let detail = "cannot set non-empty completedIndexes when non-indexed completion mode";
            causes.invalid(&path, completed, detail);
        }
    }
    let path = at.path.field("failedIndexes");
    if failed_changed && new.set("failedIndexes") {
        if let (true, Some(Err(error))) = (
            limited,
            completions.map(|most| indexes::count(failed, most)),
        ) {
            let detail = format!("error parsing failedIndexes: {error}");
            causes.invalid(&path, failed, &detail);
        }
        if !limited {
            let detail = "cannot set non-null failedIndexes when backoffLimitPerIndex is null";
            causes.invalid(&path, failed, detail);
        }
    }
    if completed_changed || failed_changed {
        let shared = completions.and_then(|most| indexes::shared(completed, failed, most));
        if let Some(index) = shared {
            let detail = format!("failedIndexes and completedIndexes overlap at index: {index}");
            causes.invalid(&path, failed, &detail);
        }
    }
}

/// Success is met once, and not beside failure.
fn success(object: &At<'_>, at: &At<'_>, new: &Status<'_>, old: &Status<'_>, causes: &mut Causes) {
    const MET: &str = "SuccessCriteriaMet";
    for other in ["Failed", "FailureTarget"] {
        if new.has(MET) && new.has(other) {
            let detail = format!("cannot set {MET}=True and {other}=true conditions");
            condition(at, &detail, causes);
        }
    }
    let policy = !object.value["spec"]["successPolicy"].is_null();
    if policy && !new.has(MET) && new.has("Complete") {
        let detail =
            "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True";
        condition(at, detail, causes);
    }
    if old.has(MET) && !new.has(MET) {
        condition(
            at,
            "cannot disable the SuccessCriteriaMet=True condition",
            causes,
        );
    }
    if old.has("Complete") && !old.has(MET) && new.has(MET) {
        let detail =
            "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions";
        condition(at, detail, causes);
    }
}

fn counters(object: &At<'_>, at: &At<'_>, new: &Status<'_>, old: &Status<'_>, causes: &mut Causes) {
    let spec = &object.value["spec"];
    let suspended = spec["suspend"] == true;
    let start_changed = new.0["startTime"] != old.0["startTime"];
    let start = at.path.field("startTime");
    let ended = new.finished() != old.finished();
    let never_runs = suspended && spec["completions"] == 0;
    if (ended || start_changed) && !never_runs && new.finished() && !new.set("startTime") {
        causes.required(&start, "startTime is required for finished job");
    }
    if start_changed && old.set("startTime") && !suspended {
        let detail = "field is immutable for unsuspended job once set";
        causes.invalid(&start, at.field("startTime").value, detail);
    }
    // A job that grows and shrinks with its parallelism may forget successes.
    let elastic = spec["completionMode"] == "Indexed" && spec["completions"] == spec["parallelism"];
    for (name, applies) in [("failed", true), ("succeeded", !elastic)] {
        let number = new.number(name);
        if applies && number < old.number(name) {
            let detail = format!("cannot decrease the {name} counter");
            causes.invalid(&at.field(name).path, number, &detail);
        }
    }
}
