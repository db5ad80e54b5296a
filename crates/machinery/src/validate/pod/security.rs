//! Security contexts of pods and containers.

use super::super::{At, Causes, internal, names};
use super::{system, volume};

/// Form that the name of a kernel parameter has.
const SYSCTL: &str = "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";

/// A pod's `securityContext`, and what it shares with the host.
pub(super) fn pod(spec: &At<'_>, causes: &mut Causes) {
    let context = spec.field("securityContext");
    let shared = spec.field("shareProcessNamespace");
    if spec.field("hostPID").flag() && shared.flag() {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        causes.invalid(&context.path.field("shareProcessNamespace"), true, detail);
    }
    for name in ["fsGroup", "runAsUser", "runAsGroup"] {
        id(&context.field(name), causes);
    }
    for group in context.field("supplementalGroups").items() {
        id(&group, causes);
    }
    sysctls(spec, &context.field("sysctls"), causes);
    let change = context.field("fsGroupChangePolicy");
    if change.is_set() {
        causes.one_of(&change, &["Always", "OnRootMismatch"]);
    }
    let policy = context.field("supplementalGroupsPolicy");
    if policy.is_set() {
        causes.one_of(&policy, &["Merge", "Strict"]);
    }
    let change = context.field("seLinuxChangePolicy");
    if change.is_set() {
        // Mounting with options is behind a feature gate that is off in 1.36.
        causes.one_of(&change, &["Recursive"]);
    }
    system::windows_options(&context.field("windowsOptions"), causes);
    seccomp(&context.field("seccompProfile"), causes);
    app_armor(&context.field("appArmorProfile"), causes);
    host_users(spec, causes);
}

fn host_users(spec: &At<'_>, causes: &mut Causes) {
    if shares_users(spec) {
        return;
    }
    // Upstream names two of them by their Go fields.
    for (name, shown) in [
        ("hostNetwork", "hostNetwork"),
        ("hostPID", "HostPID"),
        ("hostIPC", "HostIPC"),
    ] {
        if spec.field(name).flag() {
            causes.forbidden(&spec.path.field(shown), NOT_WITH_OWN_USERS);
        }
    }
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in spec.field(list).items() {
            let devices = container.field("volumeDevices");
            if !devices.is_empty() {
                causes.forbidden(&devices.path, NOT_WITH_OWN_USERS);
            }
        }
    }
}

const NOT_WITH_OWN_USERS: &str = "when `hostUsers` is false";

/// Whether a pod shares the users of its host.
pub(super) fn shares_users(spec: &At<'_>) -> bool {
    spec.value["hostUsers"] != false
}

fn id(at: &At<'_>, causes: &mut Causes) {
    if let Some(number) = at.int() {
        for message in names::id(number) {
            causes.invalid(&at.path, number, &message);
        }
    }
}

fn sysctls(spec: &At<'_>, sysctls: &At<'_>, causes: &mut Causes) {
    let mut seen = std::collections::BTreeSet::new();
    for sysctl in sysctls.items() {
        let name = sysctl.field("name");
        let text = name.text();
        if text.is_empty() {
            causes.required(&name.path, "");
        } else if !is_sysctl(text) {
            let detail = format!("must have at most 253 characters and match regex {SYSCTL}");
            causes.invalid(&name.path, text, &detail);
        } else if !seen.insert(text.to_owned()) {
            causes.duplicate(&name.path, text);
        }
        let normal = text.replace('/', ".");
        let network = normal.starts_with("net.");
        if network && spec.field("hostNetwork").flag() {
            let detail = "may not be specified when 'hostNetwork' is true";
            causes.invalid(&name.path, text, detail);
        }
        let ipc = normal.starts_with("kernel.shm")
            || normal.starts_with("kernel.msg")
            || normal.starts_with("fs.mqueue.")
            || normal == "kernel.sem";
        if ipc && spec.field("hostIPC").flag() {
            let detail = "may not be specified when 'hostIPC' is true";
            causes.invalid(&name.path, text, detail);
        }
    }
}

fn is_sysctl(text: &str) -> bool {
    let edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let segment = |part: &str| {
        let bytes = part.as_bytes();
        let ends = bytes.first().zip(bytes.last());
        ends.is_some_and(|(first, last)| edge(*first) && edge(*last))
            && bytes.iter().all(|b| edge(*b) || matches!(b, b'-' | b'_'))
    };
    text.len() <= 253 && text.split(['.', '/']).all(segment)
}

const PROFILES: &[&str] = &["Localhost", "RuntimeDefault", "Unconfined"];

/// A seccomp profile.
fn seccomp(profile: &At<'_>, causes: &mut Causes) {
    if !profile.is_set() {
        return;
    }
    let (kind, local) = (profile.field("type"), profile.field("localhostProfile"));
    match kind.text() {
        "" => causes.required(&kind.path, "type is required when seccompProfile is set"),
        _ => causes.one_of(&kind, PROFILES),
    }
    let is_local = kind.text() == "Localhost";
    match (is_local, local.is_set()) {
        (true, false) => {
            let detail = "must be set when seccomp type is Localhost";
            causes.required(&local.path, detail);
        }
        (true, true) => volume::descending(&local.path, local.text(), causes),
        (false, true) => {
            let shown = internal::shown("SeccompProfile", profile.value);
            let detail = "can only be set when seccomp type is Localhost";
            causes.invalid(&local.path, shown, detail);
        }
        (false, false) => {}
    }
}

/// Longest path of a profile.
const PROFILE_MAX: usize = 4095;

/// An AppArmor profile.
fn app_armor(profile: &At<'_>, causes: &mut Causes) {
    if !profile.is_set() {
        return;
    }
    let (kind, local) = (profile.field("type"), profile.field("localhostProfile"));
    match kind.text() {
        "Localhost" if local.text().trim() != local.text() => {
            let detail = "must not be padded with whitespace";
            causes.invalid(&local.path, local.text(), detail);
        }
        "Localhost" if local.is_empty() => {
            causes.required(&local.path, "must be set when AppArmor type is Localhost");
        }
        "Localhost" if local.len() > PROFILE_MAX => causes.too_long(&local.path, PROFILE_MAX),
        "Localhost" => {}
        "RuntimeDefault" | "Unconfined" if local.is_set() => {
            let detail = "can only be set when AppArmor type is Localhost";
            causes.invalid(&local.path, local.text(), detail);
        }
        "" => causes.required(&kind.path, "type is required when appArmorProfile is set"),
        _ => causes.one_of(&kind, PROFILES),
    }
}

/// A container's `securityContext`.
pub(super) fn container(context: &At<'_>, shares_users: bool, causes: &mut Causes) {
    if !context.is_set() {
        return;
    }
    id(&context.field("runAsUser"), causes);
    id(&context.field("runAsGroup"), causes);
    let proc_mount = context.field("procMount");
    if proc_mount.is_set() {
        causes.one_of(&proc_mount, &["Default", "Unmasked"]);
        if shares_users && proc_mount.text() == "Unmasked" {
            let detail = "`hostUsers` must be false to use `Unmasked`";
            causes.invalid(&proc_mount.path, proc_mount.text(), detail);
        }
    }
    system::windows_options(&context.field("windowsOptions"), causes);
    seccomp(&context.field("seccompProfile"), causes);
    app_armor(&context.field("appArmorProfile"), causes);
    if context.field("allowPrivilegeEscalation").value == &serde_json::Value::Bool(false) {
        escalation(context, causes);
    }
}

fn escalation(context: &At<'_>, causes: &mut Causes) {
    if context.field("privileged").flag() {
        let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
        causes.invalid(
            &context.path,
            internal::shown("SecurityContext", context.value),
            detail,
        );
    }
    let capabilities = context.field("capabilities");
    if capabilities
        .field("add")
        .items()
        .any(|cap| cap.text() == "CAP_SYS_ADMIN")
    {
        let detail =
            "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
        causes.invalid(
            &context.path,
            internal::shown("SecurityContext", context.value),
            detail,
        );
    }
}
