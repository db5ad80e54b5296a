//! Admission webhooks, policies and their bindings.

use std::collections::BTreeSet;

use super::{At, Causes, labels, names};

/// The kinds of the admissionregistration.k8s.io group.
pub(super) fn check(kind: &str, object: &At<'_>, causes: &mut Causes) {
    let spec = object.field("spec");
    match kind {
        "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration" => {
            webhooks(&object.field("webhooks"), causes);
        }
        "ValidatingAdmissionPolicy" => validating_policy(&spec, causes),
        "MutatingAdmissionPolicy" => mutating_policy(&spec, causes),
        "ValidatingAdmissionPolicyBinding" => {
            binding(&spec, causes);
            actions(&spec.field("validationActions"), causes);
        }
        _ => binding(&spec, causes),
    }
}

fn webhooks(webhooks: &At<'_>, causes: &mut Causes) {
    let mut seen = BTreeSet::new();
    for webhook in webhooks.items() {
        let name = webhook.field("name");
        qualified_domain(&name, causes);
        self::webhook(&webhook, causes);
        if !seen.insert(name.text().to_owned()) {
            causes.duplicate(&name.path, name.text());
        }
    }
}

/// A domain of at least three parts.
fn qualified_domain(at: &At<'_>, causes: &mut Causes) {
    if at.is_empty() {
        causes.required(&at.path, "");
        return;
    }
    let wrong = names::subdomain(at.text());
    if !wrong.is_empty() {
        causes.invalid(&at.path, at.text(), &wrong.join(","));
    } else if at.text().split('.').count() < 3 {
        let detail = "should be a domain with at least three segments separated by dots";
        causes.invalid(&at.path, at.text(), detail);
    }
}

fn webhook(webhook: &At<'_>, causes: &mut Causes) {
    for rule in webhook.field("rules").items() {
        self::rule(&rule, causes);
    }
    optional(&webhook.field("failurePolicy"), &["Fail", "Ignore"], causes);
    optional(
        &webhook.field("matchPolicy"),
        &["Equivalent", "Exact"],
        causes,
    );
    optional(
        &webhook.field("reinvocationPolicy"),
        &["IfNeeded", "Never"],
        causes,
    );
    let effects = webhook.field("sideEffects");
    match effects.is_set() {
        false => causes.required(&effects.path, "must specify one of None, NoneOnDryRun"),
        true => causes.one_of(&effects, &["None", "NoneOnDryRun"]),
    }
    let timeout = webhook.field("timeoutSeconds");
    if let Some(seconds) = timeout.int().filter(|seconds| !(1..=30).contains(seconds)) {
        let detail = "the timeout value must be between 1 and 30 seconds";
        causes.invalid(&timeout.path, seconds, detail);
    }
    for name in ["namespaceSelector", "objectSelector"] {
        labels::selector(&webhook.field(name), causes);
    }
    client(&webhook.field("clientConfig"), causes);
    let versions = webhook.field("admissionReviewVersions");
    if versions.is_empty() {
        causes.required(&versions.path, "must specify one of v1, v1beta1");
    } else if !versions
        .items()
        .any(|v| matches!(v.text(), "v1" | "v1beta1"))
    {
        let detail = "must include at least one of v1, v1beta1";
        causes.invalid(&versions.path, versions.value, detail);
    }
    conditions(&webhook.field("matchConditions"), causes);
}

fn optional(at: &At<'_>, known: &[&str], causes: &mut Causes) {
    if at.is_set() {
        causes.one_of(at, known);
    }
}

fn client(client: &At<'_>, causes: &mut Causes) {
    let (url, service) = (client.field("url"), client.field("service"));
    match (url.is_set(), service.is_set()) {
        (true, false) => self::url(&url, causes),
        (false, true) => {
            for name in ["name", "namespace"] {
                let at = service.field(name);
                if at.is_empty() {
                    let detail = format!("service {name} is required");
                    causes.required(&at.path, &detail);
                }
            }
            let port = service.field("port");
            let number = port.int().unwrap_or(443);
            if !(1..=65535).contains(&number) {
                let detail = "port is not valid: must be between 1 and 65535, inclusive";
                causes.invalid(&port.path, number, detail);
            }
        }
        _ => causes.required(&client.path, "exactly one of url or service is required"),
    }
}

fn url(at: &At<'_>, causes: &mut Causes) {
    const FORM: &str = "desired format: https://host[/path]";
    let text = at.text();
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    if scheme != "https" {
        let detail = format!("'https' is the only allowed URL scheme; {FORM}");
        causes.invalid(&at.path, scheme, &detail);
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() || scheme.is_empty() {
        let detail = format!("host must be specified; {FORM}");
        causes.invalid(&at.path, "", &detail);
    }
    if authority.contains('@') {
        let detail = "user information is not permitted in the URL";
        causes.invalid(&at.path, text, detail);
    }
    if text.contains('#') {
        let detail = "fragments are not permitted in the URL";
        causes.invalid(&at.path, text, detail);
    }
    if text.contains('?') {
        let detail = "query parameters are not permitted in the URL";
        causes.invalid(&at.path, text, detail);
    }
}

fn rule(rule: &At<'_>, causes: &mut Causes) {
    let operations = rule.field("operations");
    if operations.is_empty() {
        causes.required(&operations.path, "");
    }
    if operations.len() > 1 && operations.items().any(|operation| operation.text() == "*") {
        let detail = "if '*' is present, must not specify other operations";
        causes.invalid(&operations.path, operations.value, detail);
    }
    for operation in operations.items() {
        causes.one_of(&operation, &["*", "CONNECT", "CREATE", "DELETE", "UPDATE"]);
    }
    for (name, what, empty_allowed) in [
        ("apiGroups", "apiGroups", true),
        ("apiVersions", "apiVersions", false),
        ("resources", "resources", false),
    ] {
        let list = rule.field(name);
        if list.is_empty() {
            causes.required(&list.path, "");
        }
        if list.len() > 1 && list.items().any(|item| item.text() == "*") && name != "resources" {
            let singular = match what {
                "apiGroups" => "groups",
                _ => "versions",
            };
            let detail = format!("if '*' is present, must not specify other API {singular}");
            causes.invalid(&list.path, list.value, &detail);
        }
        for item in list.items() {
            if item.is_empty() && !empty_allowed {
                causes.required(&item.path, "");
            }
        }
    }
    optional(
        &rule.field("scope"),
        &["*", "Cluster", "Namespaced"],
        causes,
    );
}

fn conditions(conditions: &At<'_>, causes: &mut Causes) {
    if conditions.len() > 64 {
        causes.too_many(&conditions.path, conditions.len(), 64);
    }
    let mut seen = BTreeSet::new();
    for condition in conditions.items() {
        let (name, expression) = (condition.field("name"), condition.field("expression"));
        if expression.text().trim().is_empty() {
            causes.required(&expression.path, "");
        }
        if name.is_empty() {
            causes.required(&name.path, "");
            continue;
        }
        causes.invalid_text(&name.path, name.text(), names::qualified(name.text()));
        if !seen.insert(name.text().to_owned()) {
            causes.duplicate(&name.path, name.text());
        }
    }
}

fn validating_policy(spec: &At<'_>, causes: &mut Causes) {
    policy(spec, causes);
    let (validations, audits) = (spec.field("validations"), spec.field("auditAnnotations"));
    if validations.is_empty() && audits.is_empty() {
        let detail = "validations or auditAnnotations must be specified";
        causes.required(&validations.path, detail);
    }
    for validation in validations.items() {
        let expression = validation.field("expression");
        if expression.text().trim().is_empty() {
            causes.required(&expression.path, "expression is not specified");
        }
        let message = validation.field("message");
        if message.text().len() > 5 * 1024 {
            causes.too_long(&message.path, 5 * 1024);
        }
        let reason = validation.field("reason");
        let known = [
            "Forbidden",
            "Invalid",
            "RequestEntityTooLarge",
            "Unauthorized",
        ];
        optional(&reason, &known, causes);
    }
    for audit in audits.items() {
        for name in ["key", "valueExpression"] {
            let at = audit.field(name);
            if at.text().trim().is_empty() {
                causes.required(&at.path, "");
            }
        }
    }
}

fn mutating_policy(spec: &At<'_>, causes: &mut Causes) {
    policy(spec, causes);
    let mutations = spec.field("mutations");
    if mutations.is_empty() {
        let detail = "mutations must contain at least one item";
        causes.required(&mutations.path, detail);
    }
    for mutation in mutations.items() {
        let kind = mutation.field("patchType");
        match kind.text() {
            "ApplyConfiguration" | "JSONPatch" => {
                let name = match kind.text() {
                    "JSONPatch" => "jsonPatch",
                    _ => "applyConfiguration",
                };
                let patch = mutation.field(name);
                let expression = patch.field("expression");
                if expression.text().trim().is_empty() {
                    causes.required(&expression.path, "");
                }
            }
            "" => causes.required(&kind.path, ""),
            _ => causes.one_of(&kind, &["ApplyConfiguration", "JSONPatch"]),
        }
    }
    let policy = spec.field("reinvocationPolicy");
    match policy.text() {
        "" => causes.required(&policy.path, ""),
        _ => causes.one_of(&policy, &["IfNeeded", "Never"]),
    }
}

fn policy(spec: &At<'_>, causes: &mut Causes) {
    let failure = spec.field("failurePolicy");
    match failure.is_set() {
        false => causes.required(&failure.path, ""),
        true => causes.one_of(&failure, &["Fail", "Ignore"]),
    }
    let kind = spec.field("paramKind");
    if kind.is_set() {
        for name in ["apiVersion", "kind"] {
            let at = kind.field(name);
            if at.is_empty() {
                causes.required(&at.path, "");
            }
        }
    }
    let constraints = spec.field("matchConstraints");
    if !constraints.is_set() {
        causes.required(&constraints.path, "");
    } else {
        match_resources(&constraints, causes);
        let rules = constraints.field("resourceRules");
        if rules.is_empty() {
            causes.required(&rules.path, "");
        }
    }
    conditions(&spec.field("matchConditions"), causes);
    let mut seen = BTreeSet::new();
    for variable in spec.field("variables").items() {
        let (name, expression) = (variable.field("name"), variable.field("expression"));
        if name.is_empty() {
            causes.required(&name.path, "name is not specified");
        } else if !names::c_identifier(name.text()) {
            causes.invalid(
                &name.path,
                name.text(),
                "name is not a valid CEL identifier",
            );
        } else if !seen.insert(name.text().to_owned()) {
            causes.duplicate(&name.path, name.text());
        }
        if expression.text().trim().is_empty() {
            causes.required(&expression.path, "expression is not specified");
        }
    }
}

fn match_resources(resources: &At<'_>, causes: &mut Causes) {
    let policy = resources.field("matchPolicy");
    match policy.is_set() {
        false => causes.required(&policy.path, ""),
        true => causes.one_of(&policy, &["Equivalent", "Exact"]),
    }
    for name in ["namespaceSelector", "objectSelector"] {
        labels::selector(&resources.field(name), causes);
    }
    for list in ["resourceRules", "excludeResourceRules"] {
        for rule in resources.field(list).items() {
            self::rule(&rule, causes);
        }
    }
}

fn binding(spec: &At<'_>, causes: &mut Causes) {
    let policy = spec.field("policyName");
    if policy.is_empty() {
        causes.required(&policy.path, "");
    } else {
        causes.invalid_text(&policy.path, policy.text(), names::subdomain(policy.text()));
    }
    let reference = spec.field("paramRef");
    if reference.is_set() {
        let (name, selector) = (reference.field("name"), reference.field("selector"));
        match (name.is_empty(), selector.is_set()) {
            (true, false) => {
                causes.required(&reference.path, "one of name or selector must be specified");
            }
            (false, true) => {
                let detail = "name and selector are mutually exclusive";
                causes.forbidden(&name.path, detail);
            }
            _ => {}
        }
        let action = reference.field("parameterNotFoundAction");
        match action.is_set() {
            false => causes.required(&action.path, ""),
            true => causes.one_of(&action, &["Allow", "Deny"]),
        }
    }
    let resources = spec.field("matchResources");
    if resources.is_set() {
        match_resources(&resources, causes);
    }
}

fn actions(actions: &At<'_>, causes: &mut Causes) {
    if actions.is_empty() {
        causes.required(&actions.path, "at least one validation action is required");
    }
    let mut seen = BTreeSet::new();
    for action in actions.items() {
        causes.one_of(&action, &["Audit", "Deny", "Warn"]);
        if !seen.insert(action.text().to_owned()) {
            causes.duplicate(&action.path, action.text());
        }
    }
    if seen.contains("Deny") && seen.contains("Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)";
        causes.invalid(&actions.path, actions.value, detail);
    }
}
