//! Kinds that govern the server itself: API services, signing requests, flow
//! control.
//!
//! The rules are those of `pkg/apis/certificates/validation`,
//! `pkg/apis/flowcontrol/validation` and
//! `kube-aggregator/pkg/apis/apiregistration/validation`.

use super::{At, Causes, names};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const PRECEDENCE_MAX: i64 = 10_000;
const GROUP_PRIORITY_MAX: i64 = 20_000;
const VERSION_PRIORITY_MAX: i64 = 1_000;
const EXPIRATION_MIN_SECONDS: i64 = 600;

/// An `APIService`.
pub(super) fn api_service(object: &At<'_>, causes: &mut Causes) {
    let (metadata, spec) = (object.field("metadata"), object.field("spec"));
    let (group, version) = (spec.field("group"), spec.field("version"));
    let wanted = format!("{}.{}", version.text(), group.text());
    let name = metadata.field("name");
    if !name.is_empty() && name.text() != wanted {
        let detail = format!("must be `spec.version+\".\"+spec.group`: {wanted:?}");
        causes.invalid(&name.path, name.text(), &detail);
    }
    if !group.is_empty() {
        causes.invalid_text(&group.path, group.text(), names::subdomain(group.text()));
    } else if version.text() != "v1" {
        let detail = "only v1 may have an empty group and it better be legacy kube";
        causes.required(&group.path, detail);
    }
    causes.invalid_text(
        &version.path,
        version.text(),
        names::label_1035(version.text()),
    );
    priority(
        &spec.field("groupPriorityMinimum"),
        GROUP_PRIORITY_MAX,
        causes,
    );
    priority(&spec.field("versionPriority"), VERSION_PRIORITY_MAX, causes);
    serving(&spec, causes);
}

fn priority(at: &At<'_>, max: i64, causes: &mut Causes) {
    let value = at.int().unwrap_or(0);
    if value <= 0 || value > max {
        let detail = format!("must be positive and less than {max}");
        causes.invalid(&at.path, value, &detail);
    }
}

fn serving(spec: &At<'_>, causes: &mut Causes) {
    let service = spec.field("service");
    let (bundle, insecure) = (spec.field("caBundle"), spec.field("insecureSkipTLSVerify"));
    if !service.is_set() {
        if !bundle.is_empty() {
            let shown = format!("{} bytes", decoded(bundle.text()).len());
            causes.invalid(
                &bundle.path,
                &*shown,
                "local APIServices may not have a caBundle",
            );
        }
        if insecure.flag() {
            let detail = "local APIServices may not have insecureSkipTLSVerify";
            causes.invalid(&insecure.path, insecure.value, detail);
        }
        return;
    }
    for name in ["namespace", "name"] {
        let at = service.field(name);
        if at.is_empty() {
            causes.required(&at.path, "");
        }
    }
    let port = service.field("port");
    let number = port.int().unwrap_or(443);
    if !(1..=65535).contains(&number) {
        let detail = format!("port is not valid: {}", names::range(1, 65535));
        causes.invalid(&port.path, number, &detail);
    }
    if insecure.flag() && !bundle.is_empty() {
        let detail = "may not be true if caBundle is present";
        causes.invalid(&insecure.path, insecure.value, detail);
    }
}

fn decoded(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap_or_default()
}

const USAGES: &[&str] = &[
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

/// A `CertificateSigningRequest`.
pub(super) fn signing_request(object: &At<'_>, causes: &mut Causes) {
    let spec = object.field("spec");
    let request = spec.field("request");
    if !String::from_utf8_lossy(&decoded(request.text()))
        .contains("-----BEGIN CERTIFICATE REQUEST-----")
    {
        let detail = "PEM block type must be CERTIFICATE REQUEST";
        causes.invalid(&request.path, request.text(), detail);
    }
    let usages = spec.field("usages");
    if usages.is_empty() {
        causes.required(&usages.path, "");
    }
    let mut seen: Vec<&str> = Vec::new();
    for usage in usages.items() {
        causes.one_of(&usage, USAGES);
        match seen.contains(&usage.text()) {
            true => causes.duplicate(&usage.path, usage.text()),
            false => seen.push(usage.text()),
        }
    }
    signer(&spec.field("signerName"), causes);
    let expiration = spec.field("expirationSeconds");
    if let Some(seconds) = expiration.int()
        && seconds < EXPIRATION_MIN_SECONDS
    {
        let detail = "may not specify a duration less than 600 seconds (10 minutes)";
        causes.invalid(&expiration.path, seconds, detail);
    }
    signing_conditions(object, causes);
}

fn signer(at: &At<'_>, causes: &mut Causes) {
    let name = at.text();
    if name.is_empty() {
        return causes.required(&at.path, "");
    }
    if name == "kubernetes.io/legacy-unknown" {
        let detail = "the legacy signerName is not allowed via this API version";
        return causes.invalid(&at.path, name, detail);
    }
    let parts: Vec<&str> = name.split('/').collect();
    let [domain, path] = parts[..] else {
        let detail =
            "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        return causes.invalid(&at.path, name, detail);
    };
    causes.invalid_text(&at.path, domain, names::subdomain(domain));
    if domain.split('.').count() < 2 {
        causes.invalid(
            &at.path,
            domain,
            "should be a domain with at least two segments separated by dots",
        );
    }
    for part in path.split('.') {
        causes.invalid_text(&at.path, part, names::subdomain(part));
    }
}

/// A decision is made once, and says yes.
fn signing_conditions(object: &At<'_>, causes: &mut Causes) {
    let status = object.field("status");
    let conditions = status.field("conditions");
    let has = |kind: &str| conditions.items().any(|one| one.value["type"] == kind);
    if has("Approved") && has("Denied") {
        let detail = "Approved and Denied conditions are mutually exclusive";
        causes.invalid(&conditions.path, "Denied", detail);
    }
    let mut seen: Vec<String> = Vec::new();
    for condition in conditions.items() {
        let (kind, state) = (condition.field("type"), condition.field("status"));
        if kind.is_empty() {
            causes.required(&kind.path, "");
        }
        let decides = matches!(kind.text(), "Approved" | "Denied" | "Failed");
        match state.text() {
            "" => causes.required(&state.path, ""),
            "True" => {}
            "False" | "Unknown" if !decides => {}
            other if decides => causes.not_supported(&state.path, other, &["True"]),
            other => causes.not_supported(&state.path, other, &["False", "True", "Unknown"]),
        }
        let name = kind.text().to_owned();
        if seen.contains(&name) {
            causes.duplicate(&kind.path, &*name);
        }
        seen.push(name);
    }
}

/// A `FlowSchema`.
pub(super) fn flow_schema(object: &At<'_>, causes: &mut Causes) {
    let spec = object.field("spec");
    let precedence = spec.field("matchingPrecedence");
    let value = precedence.int().unwrap_or(0);
    if value <= 0 {
        causes.invalid(&precedence.path, value, "must be a positive value");
    }
    if value > PRECEDENCE_MAX {
        let detail = format!("must not be greater than {PRECEDENCE_MAX}");
        causes.invalid(&precedence.path, value, &detail);
    }
    let method = spec.field("distinguisherMethod");
    if method.is_set() {
        causes.one_of(&method.field("type"), &["ByNamespace", "ByUser"]);
    }
    let level = spec.field("priorityLevelConfiguration");
    let name = level.field("name");
    if name.is_empty() {
        causes.required(&name.path, "must reference a priority level");
    } else {
        causes.invalid_text(&name.path, name.text(), names::subdomain(name.text()));
    }
    for rule in spec.field("rules").items() {
        flow_rule(&rule, causes);
    }
}

fn flow_rule(rule: &At<'_>, causes: &mut Causes) {
    let subjects = rule.field("subjects");
    if subjects.is_empty() {
        let detail = "subjects must contain at least one value";
        causes.required(&subjects.path, detail);
    }
    for subject in subjects.items() {
        causes.one_of(&subject.field("kind"), &["Group", "ServiceAccount", "User"]);
    }
    let (resources, others) = (rule.field("resourceRules"), rule.field("nonResourceRules"));
    if resources.is_empty() && others.is_empty() {
        let detail = "at least one of resourceRules and nonResourceRules has to be non-empty";
        causes.required(&rule.path, detail);
    }
    for resource in resources.items() {
        for (name, what) in [
            ("verbs", "verbs"),
            ("apiGroups", "api groups"),
            ("resources", "resources"),
        ] {
            let at = resource.field(name);
            if at.is_empty() {
                let detail = format!("{what} must contain at least one value");
                causes.required(&at.path, &detail);
            }
        }
        let namespaces = resource.field("namespaces");
        if namespaces.is_empty() && !resource.field("clusterScope").flag() {
            let detail =
                "resource rules that are not cluster scoped must supply at least one namespace";
            causes.required(&namespaces.path, detail);
        }
    }
    for other in others.items() {
        for (name, what) in [("verbs", "verbs"), ("nonResourceURLs", "nonResourceURLs")] {
            let at = other.field(name);
            if at.is_empty() {
                let detail = format!("{what} must contain at least one value");
                causes.required(&at.path, &detail);
            }
        }
    }
}

/// A `PriorityLevelConfiguration`.
pub(super) fn priority_level(object: &At<'_>, causes: &mut Causes) {
    let spec = object.field("spec");
    let (kind, limited, exempt) = (
        spec.field("type"),
        spec.field("limited"),
        spec.field("exempt"),
    );
    match kind.text() {
        "Exempt" => {
            if limited.is_set() {
                let detail = "must be nil if the type is not Limited";
                causes.forbidden(&limited.path, detail);
            }
        }
        "Limited" => {
            if exempt.is_set() {
                let detail = "must be nil if the type is Limited";
                causes.forbidden(&exempt.path, detail);
            }
            if limited.is_set() {
                limits(&limited, causes);
            } else {
                let detail = "must not be empty when type is Limited";
                causes.required(&limited.path, detail);
            }
        }
        other => causes.not_supported(&kind.path, other, &["Exempt", "Limited"]),
    }
}

fn limits(limited: &At<'_>, causes: &mut Causes) {
    causes.not_negative(&limited.field("nominalConcurrencyShares"));
    let response = limited.field("limitResponse");
    let (kind, queuing) = (response.field("type"), response.field("queuing"));
    match kind.text() {
        "Reject" => {
            if queuing.is_set() {
                let detail = "must be nil if limited.limitResponse.type is not Limited";
                causes.forbidden(&queuing.path, detail);
            }
        }
        "Queue" => {
            if !queuing.is_set() {
                let detail = "must not be empty if limited.limitResponse.type is Limited";
                causes.required(&queuing.path, detail);
            }
        }
        other => causes.not_supported(&kind.path, other, &["Queue", "Reject"]),
    }
}
