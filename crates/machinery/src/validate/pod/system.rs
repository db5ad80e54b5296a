//! What the operating system of a pod rules out, and the options of Windows.

use super::super::{At, Causes, names};

const LINUX: &str = "windows options cannot be set for a linux pod";
const WINDOWS: &str = "cannot be set for a windows pod";

/// A pod's `os`.
pub(super) fn system(spec: &At<'_>, causes: &mut Causes) {
    let os = spec.field("os");
    if !os.is_set() {
        return;
    }
    let name = os.field("name");
    match name.text() {
        "" => causes.required(&name.path, ""),
        "linux" => contexts(spec, causes, &|context, _, causes| {
            let options = context.field("windowsOptions");
            if options.is_set() {
                causes.forbidden(&options.path, LINUX);
            }
        }),
        "windows" => {
            for name in ["hostUsers", "hostPID", "hostIPC", "shareProcessNamespace"] {
                let at = spec.field(name);
                if at.flag() || (name == "hostUsers" && at.is_set()) {
                    causes.forbidden(&at.path, WINDOWS);
                }
            }
            contexts(spec, causes, &|context, of_pod, causes| {
                let names = if of_pod { OF_PODS } else { OF_CONTAINERS };
                for name in names {
                    let at = context.field(name);
                    if at.is_set() {
                        causes.forbidden(&at.path, WINDOWS);
                    }
                }
            });
        }
        other => causes.not_supported(&os.path, other, &["linux", "windows"]),
    }
}

/// What a security context of Linux says, in a pod and in a container.
const OF_PODS: &[&str] = &[
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "fsGroup",
    "fsGroupChangePolicy",
    "sysctls",
    "runAsUser",
    "runAsGroup",
    "supplementalGroups",
    "supplementalGroupsPolicy",
];
const OF_CONTAINERS: &[&str] = &[
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
];

type Rule<'r> = &'r dyn Fn(&At<'_>, bool, &mut Causes);

/// Shows the security context of the pod, then those of its containers.
fn contexts(spec: &At<'_>, causes: &mut Causes, rule: Rule<'_>) {
    rule(&spec.field("securityContext"), true, causes);
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in spec.field(list).items() {
            rule(&container.field("securityContext"), false, causes);
        }
    }
}

/// The `windowsOptions` of a security context.
pub(super) fn windows_options(options: &At<'_>, causes: &mut Causes) {
    let name = options.field("gmsaCredentialSpecName");
    if name.is_set() {
        causes.invalid_text(&name.path, name.text(), names::subdomain(name.text()));
    }
    for name in ["gmsaCredentialSpec", "runAsUserName"] {
        let at = options.field(name);
        if at.is_set() && at.is_empty() {
            causes.invalid(&at.path, "", &format!("{name} cannot be an empty string"));
        }
    }
}
