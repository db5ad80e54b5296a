//! Admission webhooks, policies and their bindings.

use std::collections::BTreeSet;

use super::{At, Bad, Causes, go_json, labels, names};

/// The kinds of the admissionregistration.k8s.io group.
pub(super) fn check(kind: &str, object: &At<'_>, causes: &mut Causes) {
    let spec = object.field("spec");
    match kind {
        "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration" => {
            webhooks(&object.field("webhooks"), causes);
        }
        "ValidatingAdmissionPolicy" => validating_policy(object, &spec, causes),
        "MutatingAdmissionPolicy" => mutating_policy(&spec, causes),
        "ValidatingAdmissionPolicyBinding" => {
            binding(&spec, causes);
            actions(&spec.field("validationActions"), causes);
        }
        _ => {
            binding(&spec, causes);
            mutable_operations(&spec.field("matchResources"), causes);
        }
    }
}

fn webhooks(webhooks: &At<'_>, causes: &mut Causes) {
    let mut seen = BTreeSet::new();
    for webhook in webhooks.items() {
        let name = webhook.field("name");
        qualified_domain(&name, causes);
        self::webhook(&webhook, causes);
        if !name.is_empty() && !seen.insert(name.text().to_owned()) {
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
    review_versions(&webhook.field("admissionReviewVersions"), causes);
    conditions(&webhook.field("matchConditions"), causes);
}

/// Versions of a review that a webhook takes.
pub(super) fn review_versions(versions: &At<'_>, causes: &mut Causes) {
    if versions.is_empty() {
        causes.required(&versions.path, "must specify one of v1, v1beta1");
        return;
    }
    let mut seen = BTreeSet::new();
    for version in versions.items() {
        let text = version.text();
        if seen.insert(text.to_owned()) {
            causes.invalid_text(&version.path, text, names::label_1035(text));
        } else {
            causes.invalid(&version.path, text, "duplicate version");
        }
    }
    if !seen.contains("v1") && !seen.contains("v1beta1") {
        let detail = "must include at least one of v1, v1beta1";
        causes.invalid(&versions.path, versions.value, detail);
    }
}

fn optional(at: &At<'_>, known: &[&str], causes: &mut Causes) {
    if at.is_set() {
        causes.one_of(at, known);
    }
}

/// Where a webhook answers.
pub(super) fn client(client: &At<'_>, causes: &mut Causes) {
    let (url, service) = (client.field("url"), client.field("service"));
    match (url.is_set(), service.is_set()) {
        (true, false) => self::url(&url, causes),
        (false, true) => {
            // Upstream takes one for the other.
            for (name, shown) in [("namespace", "name"), ("name", "namespace")] {
                if service.field(name).is_empty() {
                    causes.required(&service.path.field(shown), "");
                }
            }
            let port = service.field("port");
            let number = port.int().unwrap_or(443);
            if !(1..=65535).contains(&number) {
                let detail = "port is not valid: must be between 1 and 65535, inclusive";
                causes.invalid(&port.path, number, detail);
            }
            service_path(&service.field("path"), causes);
        }
        _ => causes.required(&client.path, "exactly one of url or service is required"),
    }
}

/// The path at which a service answers.
fn service_path(at: &At<'_>, causes: &mut Causes) {
    let text = at.text();
    match text {
        "" | "/" => return,
        "//" => {
            causes.invalid(&at.path, text, "segment[0] may not be empty");
            return;
        }
        _ => {}
    }
    if !text.starts_with('/') {
        causes.invalid(&at.path, text, "must start with a '/'");
    }
    let mut letters = text.chars();
    letters.next();
    let rest = letters.as_str();
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    for (index, segment) in rest.split('/').enumerate() {
        if segment.is_empty() {
            let detail = format!("segment[{index}] may not be empty");
            causes.invalid(&at.path, text, &detail);
            continue;
        }
        for wrong in names::subdomain(segment) {
            causes.invalid(&at.path, text, &format!("segment[{index}]: {wrong}"));
        }
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
    if let Some((user, _)) = authority.rsplit_once('@') {
        let detail = "user information is not permitted in the URL";
        causes.invalid(&at.path, user, detail);
    }
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    if !fragment.is_empty() {
        let detail = "fragments are not permitted in the URL";
        causes.invalid(&at.path, fragment, detail);
    }
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    if !query.is_empty() {
        let detail = "query parameters are not permitted in the URL";
        causes.invalid(&at.path, query, detail);
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
    for (name, others, empty_allowed) in [
        ("apiGroups", "groups", true),
        ("apiVersions", "versions", false),
    ] {
        let list = rule.field(name);
        if list.is_empty() {
            causes.required(&list.path, "");
        }
        if list.len() > 1 && list.items().any(|item| item.text() == "*") {
            let detail = format!("if '*' is present, must not specify other API {others}");
            causes.invalid(&list.path, list.value, &detail);
        }
        for item in list.items() {
            if item.is_empty() && !empty_allowed {
                causes.required(&item.path, "");
            }
        }
    }
    resources(&rule.field("resources"), causes);
    optional(
        &rule.field("scope"),
        &["*", "Cluster", "Namespaced"],
        causes,
    );
}

/// Resources with their subresources, either of which may be `*`.
fn resources(list: &At<'_>, causes: &mut Causes) {
    if list.is_empty() {
        causes.required(&list.path, "");
    }
    let (mut all_subresources, mut of_all) = (BTreeSet::new(), BTreeSet::new());
    let mut plain = false;
    for item in list.items() {
        let text = item.text();
        if text.is_empty() {
            causes.required(&item.path, "");
            continue;
        }
        let Some((resource, subresource)) = text.split_once('/') else {
            // Upstream remembers the last one alone.
            plain = text != "*";
            continue;
        };
        let mut covered = |by: String| {
            let detail = format!("if '{by}' is present, must not specify {text}");
            causes.invalid(&item.path, text, &detail);
        };
        if all_subresources.contains(resource) {
            covered(format!("{resource}/*"));
        }
        if of_all.contains(subresource) {
            covered(format!("*/{subresource}"));
        }
        if subresource == "*" {
            all_subresources.insert(resource.to_owned());
        }
        if resource == "*" {
            of_all.insert(subresource.to_owned());
        }
    }
    let has = |text: &str| list.items().any(|item| item.text() == text);
    if list.len() > 1 && has("*/*") {
        let detail = "if '*/*' is present, must not specify other resources";
        causes.invalid(&list.path, list.value, detail);
    }
    if has("*") && plain {
        let detail = "if '*' is present, must not specify other resources without subresources";
        causes.invalid(&list.path, list.value, detail);
    }
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

/// Most audit annotations of a policy, and the longest expression of one.
const AUDITS_MAX: usize = 20;
const AUDIT_EXPRESSION_MAX: usize = 5 * 1024;

fn validating_policy(object: &At<'_>, spec: &At<'_>, causes: &mut Causes) {
    policy(spec, causes);
    let (validations, audits) = (spec.field("validations"), spec.field("auditAnnotations"));
    if validations.is_empty() && audits.is_empty() {
        let detail = "validations or auditAnnotations must contain at least one item";
        causes.required(&validations.path, detail);
        causes.required(&audits.path, detail);
        return;
    }
    for validation in validations.items() {
        self::validation(&validation, causes);
    }
    if audits.len() > AUDITS_MAX {
        let detail = format!("must not have more than {AUDITS_MAX} auditAnnotations");
        causes.invalid(&audits.path, Bad::raw(go_json(audits.value)), &detail);
    }
    let mut keys = BTreeSet::new();
    for audit in audits.items() {
        let (key, value) = (audit.field("key"), audit.field("valueExpression"));
        match object.value["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
        {
            "" => causes.invalid(&key.path, key.text(), "requires metadata.name be non-empty"),
            name => {
                let whole = format!("{name}/{}", key.text());
                causes.invalid_text(&key.path, &whole, names::qualified(&whole));
            }
        }
        match value.text().trim().len() {
            0 => causes.required(&value.path, "valueExpression is not specified"),
            length if length > AUDIT_EXPRESSION_MAX => {
                let detail = format!("must not exceed {AUDIT_EXPRESSION_MAX} bytes in length");
                causes.required(&value.path, &detail);
            }
            _ => {}
        }
        if !keys.insert(key.text().to_owned()) {
            causes.duplicate(&key.path, key.text());
        }
    }
}

fn validation(validation: &At<'_>, causes: &mut Causes) {
    let blank = |at: &At<'_>| !at.is_empty() && at.text().trim().is_empty();
    let expression = validation.field("expression");
    if expression.text().trim().is_empty() {
        causes.required(&expression.path, "expression is not specified");
    }
    let worded = validation.field("messageExpression");
    if blank(&worded) {
        let detail = "must be non-empty if specified";
        causes.invalid(&worded.path, worded.text(), detail);
    }
    let message = validation.field("message");
    if blank(&message) {
        let detail = "must be non-empty if specified";
        causes.invalid(&message.path, message.text(), detail);
    } else if message.text().trim().contains(['\n', '\r']) {
        let detail = "must not contain line breaks";
        causes.invalid(&message.path, message.text(), detail);
    }
    let known = ["Forbidden", "Invalid", "RequestEntityTooLarge"];
    optional(&validation.field("reason"), &known, causes);
}

/// Kinds of patches with the field that holds each.
const PATCH_TYPES: [(&str, &str); 2] = [
    ("ApplyConfiguration", "applyConfiguration"),
    ("JSONPatch", "jsonPatch"),
];

fn mutation(mutation: &At<'_>, causes: &mut Causes) {
    let kind = mutation.field("patchType");
    if kind.is_empty() {
        causes.required(&kind.path, "");
        return;
    }
    let known = PATCH_TYPES.map(|(name, _)| name);
    causes.one_of(&kind, &known);
    if !known.contains(&kind.text()) {
        return;
    }
    for (name, field) in PATCH_TYPES {
        let patch = mutation.field(field);
        let is_wanted = name == kind.text();
        if is_wanted && !patch.is_set() {
            let detail = format!("must be specified when patchType is {name}");
            causes.required(&patch.path, &detail);
        } else if is_wanted && patch.value["expression"].as_str().is_none_or(is_blank) {
            causes.required(&patch.path.field("expression"), "");
        } else if !is_wanted && patch.is_set() {
            let detail = format!("must not be specified when patchType is {}", kind.text());
            causes.invalid(&patch.path, &*format!("{{{field}}}"), &detail);
        }
    }
}

/// What is deleted cannot be changed.
fn mutable_operations(resources: &At<'_>, causes: &mut Causes) {
    let known = ["*", "CONNECT", "CREATE", "UPDATE"];
    for rule in resources.field("resourceRules").items() {
        let operations = rule.field("operations");
        for operation in operations
            .items()
            .filter(|one| !known.contains(&one.text()))
        {
            let path = resources.path.field("resourceRules.operations");
            causes.not_supported(&path, operation.text(), &known);
        }
    }
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

fn mutating_policy(spec: &At<'_>, causes: &mut Causes) {
    policy(spec, causes);
    mutable_operations(&spec.field("matchConstraints"), causes);
    let mutations = spec.field("mutations");
    if mutations.is_empty() {
        let detail = "mutations must contain at least one item";
        causes.required(&mutations.path, detail);
    }
    for mutation in mutations.items() {
        self::mutation(&mutation, causes);
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
        parameter_kind(&kind, causes);
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
    for variable in spec.field("variables").items() {
        let (name, expression) = (variable.field("name"), variable.field("expression"));
        if name.text().trim().is_empty() {
            causes.required(&name.path, "name is not specified");
        } else if !names::c_identifier(name.text()) || CEL_RESERVED.contains(&name.text()) {
            let detail = "must be a valid CEL identifier";
            causes.invalid(&name.path, name.text(), detail);
        }
        if expression.text().trim().is_empty() {
            causes.required(&expression.path, "expression is not specified");
        }
    }
}

/// Words that name nothing in CEL.
const CEL_RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

fn parameter_kind(kind: &At<'_>, causes: &mut Causes) {
    let (version, name) = (kind.field("apiVersion"), kind.field("kind"));
    let text = version.text();
    match text.matches('/').count() {
        _ if text.is_empty() => causes.required(&version.path, ""),
        0 | 1 => {
            let (group, number) = match text {
                "/" => ("", ""),
                _ => text.split_once('/').unwrap_or(("", text)),
            };
            let wrong = names::subdomain(group);
            if !group.is_empty() && !wrong.is_empty() {
                causes.invalid(&version.path, group, &wrong.join(","));
            }
            let wrong = names::label_1035(number);
            if number.is_empty() {
                causes.invalid(&version.path, text, "version must be specified");
            } else if !wrong.is_empty() {
                causes.invalid(&version.path, number, &wrong.join(","));
            }
        }
        _ => {
            let detail = format!("unexpected GroupVersion string: {text}");
            causes.invalid(&version.path, text, &detail);
        }
    }
    let wrong = names::label_1035(&name.text().to_lowercase());
    if name.is_empty() {
        causes.required(&name.path, "");
    } else if !wrong.is_empty() {
        let detail = format!(
            "may have mixed case, but should otherwise match: {}",
            wrong.join(",")
        );
        causes.invalid(&name.path, name.text(), &detail);
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
            let mut seen = BTreeSet::new();
            for name in rule.field("resourceNames").items() {
                let text = name.text();
                causes.invalid_text(&name.path, text, names::path_segment(text));
                if !seen.insert(text.to_owned()) {
                    causes.duplicate(&name.path, text);
                }
            }
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
        if !name.is_empty() {
            causes.invalid_text(&name.path, name.text(), names::path_segment(name.text()));
        }
        labels::selector(&selector, causes);
        match (name.is_empty(), selector.is_set()) {
            (true, false) => {
                causes.required(&reference.path, "one of name or selector must be specified");
            }
            (false, true) => {
                for at in [&name, &selector] {
                    causes.forbidden(&at.path, "name and selector are mutually exclusive");
                }
            }
            _ => {}
        }
        let action = reference.field("parameterNotFoundAction");
        match action.is_empty() {
            true => causes.required(&action.path, ""),
            false => causes.one_of(&action, &["Deny", "Allow"]),
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
