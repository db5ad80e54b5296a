//! Pods that the node does not take at all (upstream: pkg/kubelet/lifecycle,
//! pkg/kubelet/sysctl): kernel settings that are not safe.

use coracle_client::Severity;

use super::{Doom, Worker};

/// Settings that every pod may have (Kubernetes: Using sysctls in a Kubernetes
/// Cluster, safe set). All are the pod's own.
const SAFE: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

impl Worker {
    /// Ends a pod that the node does not take, before anything of it is made.
    pub(super) fn admit(&mut self) {
        if self.sandbox.is_some() || self.doom.is_some() {
            return;
        }
        let Some(spec) = self.pod.spec.as_ref() else {
            return;
        };
        let context = spec.security_context.as_ref();
        let sysctls = context.and_then(|context| context.sysctls.as_ref());
        let (net, ipc) = (spec.host_network == Some(true), spec.host_ipc == Some(true));
        let mut names = sysctls.into_iter().flatten().map(|one| one.name.as_str());
        let Some(why) = names.find_map(|name| forbidden(name, net, ipc)) else {
            return;
        };
        let message = format!("Pod was rejected: forbidden sysctl: {why}");
        self.shared.recorder.event(
            &*self.pod,
            Severity::Warning,
            "SysctlForbidden",
            format!("forbidden sysctl: {why}"),
        );
        self.doom = Some(Doom {
            reason: "SysctlForbidden".into(),
            message,
            grace: None,
        });
    }
}

/// Says why a pod may not have a setting.
fn forbidden(name: &str, host_network: bool, host_ipc: bool) -> Option<String> {
    // sysctl(8): with a slash first, dots belong to names.
    let name = match name.find(['.', '/']) {
        Some(at) if name.as_bytes()[at] == b'/' => name.replace('/', "."),
        _ => name.to_owned(),
    };
    let net = name.starts_with("net.");
    let ipc = ["kernel.sem", "kernel.shm", "kernel.msg", "fs.mqueue."]
        .iter()
        .any(|prefix| name.starts_with(prefix));
    if ipc && host_ipc {
        return Some(format!("\"{name}\" not allowed with host ipc enabled"));
    }
    if net && host_network {
        return Some(format!("\"{name}\" not allowed with host net enabled"));
    }
    (!SAFE.contains(&name.as_str())).then(|| format!("\"{name}\" not allowlisted"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_safe_settings_of_own_namespaces_pass() {
        let check = |name: &str, net: bool, ipc: bool, expected: Option<&str>| {
            assert_eq!(forbidden(name, net, ipc).as_deref(), expected, "{name}");
        };
        check("net.ipv4.tcp_syncookies", false, false, None);
        check("net/ipv4/tcp_syncookies", false, false, None);
        check("kernel.shm_rmid_forced", true, false, None);
        check(
            "net.core.somaxconn",
            false,
            false,
            Some("\"net.core.somaxconn\" not allowlisted"),
        );
        check(
            "net.ipv4.tcp_syncookies",
            true,
            false,
            Some("\"net.ipv4.tcp_syncookies\" not allowed with host net enabled"),
        );
        check(
            "kernel.shm_rmid_forced",
            false,
            true,
            Some("\"kernel.shm_rmid_forced\" not allowed with host ipc enabled"),
        );
        check(
            "vm.overcommit_memory",
            false,
            false,
            Some("\"vm.overcommit_memory\" not allowlisted"),
        );
    }
}
