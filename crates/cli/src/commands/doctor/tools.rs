//! Programs and files of the user's: kubectl, the kubeconfig.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::super::Global;
use super::super::target::kubeconfig_path;
use super::finding::Finding;
use super::machine::close;

/// The oldest kubectl that is known to work.
const OLDEST: u32 = 27;

/// Looks at what the user has.
pub fn look(global: &Global) -> Vec<Finding> {
    vec![kubectl(), kubeconfig(global)]
}

fn kubectl() -> Finding {
    let output = Command::new("kubectl")
        .args(["version", "--client", "-o", "json"])
        .output();
    let Ok(output) = output else {
        return Finding::fair(
            "kubectl",
            "is not installed; everything but `coracle kubectl` works without",
        )
        .remedy("https://kubernetes.io/docs/tasks/tools/#kubectl says how");
    };
    let version: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let version = version["clientVersion"]["gitVersion"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let minor = version
        .split('.')
        .nth(1)
        .and_then(|minor| minor.parse::<u32>().ok());
    match minor {
        Some(minor) if minor < OLDEST => {
            Finding::fair("kubectl", format!("{version} is older than 1.{OLDEST}"))
                .remedy("install a newer one: https://kubernetes.io/docs/tasks/tools/#kubectl")
        }
        Some(_) => Finding::good("kubectl", version),
        None => Finding::fair("kubectl", "is there but says no version"),
    }
}

fn kubeconfig(global: &Global) -> Finding {
    let Ok(path) = kubeconfig_path(global) else {
        return Finding::bad(
            "kubeconfig",
            "none of --kubeconfig, KUBECONFIG and HOME says where it is",
        )
        .remedy("export HOME, or KUBECONFIG=FILE");
    };
    let shown = path.display().to_string();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Finding::good("kubeconfig", format!("{shown}, not there yet"));
        }
        Err(error) => {
            return Finding::bad("kubeconfig", format!("{shown}: {error}"))
                .remedy("name another: export KUBECONFIG=FILE");
        }
    };
    if let Err(error) =
        serde_saphyr::from_str::<Option<serde_json::Map<String, serde_json::Value>>>(&text)
    {
        return Finding::bad("kubeconfig", format!("{shown} is not YAML: {error}"))
            .remedy(format!("mv {shown} {shown}.broken, or restore a copy"));
    }
    let open =
        std::fs::metadata(&path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0);
    if open {
        return Finding::fair(
            "kubeconfig",
            format!("{shown} can be read by others, and it holds keys"),
        )
        .remedy(format!("chmod 600 {shown}"))
        .mended_by(move || close(&path));
    }
    Finding::good("kubeconfig", shown)
}
