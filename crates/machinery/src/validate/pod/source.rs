//! Sources of volumes that speak a storage protocol or name a storage vendor:
//! what they ask for beyond fields that must be there.

use super::super::{At, Causes, names, storage};

const HOST_AND_PORT: &str = "must be a host:port pair or multiple pairs separated by commas";
const ISCSI: &str = "must be valid format starting with iqn, eui, or naa";

/// Judges a source of a volume.
pub(super) fn source(kind: &str, at: &At<'_>, causes: &mut Causes) {
    match kind {
        "gcePersistentDisk" | "awsElasticBlockStore" => {
            let partition = at.field("partition");
            if let Some(number) = partition.int().filter(|n| !(0..=255).contains(n)) {
                causes.invalid(&partition.path, number, &names::range(1, 255));
            }
        }
        "iscsi" => iscsi(at, causes),
        "azureDisk" => azure_disk(at, causes),
        "fc" => fibre_channel(at, causes),
        "flocker" => flocker(at, causes),
        "quobyte" => {
            let tenant = at.field("tenant");
            if tenant.len() > 65 {
                let detail = "must be a UUID and may not exceed a length of 64 characters";
                causes.required(&tenant.path, detail);
            }
            let registry = at.field("registry");
            let pairs = registry.text().split(',');
            let sound = |pair: &str| matches!(pair.rsplit_once(':'), Some((host, port)) if !host.is_empty() && !port.is_empty());
            if registry.is_empty() {
                causes.required(&registry.path, HOST_AND_PORT);
            } else if !pairs.into_iter().all(sound) {
                causes.invalid(&registry.path, registry.text(), HOST_AND_PORT);
            }
        }
        "storageos" => {
            for name in ["volumeName", "volumeNamespace"] {
                let name = at.field(name);
                if !name.is_empty() {
                    causes.invalid_text(&name.path, name.text(), names::label(name.text()));
                }
            }
        }
        "csi" => storage::driver_form(&at.field("driver"), causes),
        _ => {}
    }
}

fn iscsi(at: &At<'_>, causes: &mut Causes) {
    let iqn = at.field("iqn");
    if !iqn.is_empty() {
        qualified(&iqn, causes);
    }
    unit(&at.field("lun"), causes);
    let secret = at.field("secretRef");
    let checked = at.field("chapAuthDiscovery").flag() || at.field("chapAuthSession").flag();
    if checked && !secret.is_set() {
        causes.required(&secret.path, "");
    }
    let value = at.field("initiatorName").value;
    let path = at.path.field("initiatorname");
    if !value.is_null() {
        qualified(&At { value, path }, causes);
    }
}

/// Names of RFC 3720, section 3.2.6.3, and RFC 3980.
fn qualified(at: &At<'_>, causes: &mut Causes) {
    let text = at.text();
    let hex = |text: &str, lengths: &[usize]| {
        lengths.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
    };
    let sound = match text.get(..3) {
        Some("iqn") => {
            let bytes = text.as_bytes();
            let digits = |range: std::ops::Range<usize>| {
                bytes
                    .get(range)
                    .is_some_and(|part| part.iter().all(u8::is_ascii_digit))
            };
            text.get(3..4) == Some(".")
                && digits(4..8)
                && text.get(8..9) == Some("-")
                && digits(9..11)
                && text.get(11..12) == Some(".")
                && text.get(12..).is_some_and(|rest| !rest.is_empty())
        }
        Some("eui") => text.strip_prefix("eui.").is_some_and(|id| hex(id, &[16])),
        Some("naa") => text.strip_prefix("naa.").is_some_and(|id| hex(id, &[32])),
        _ => {
            causes.invalid(&at.path, text, ISCSI);
            return;
        }
    };
    if !sound {
        causes.invalid(&at.path, text, "must be valid format");
    }
}

/// The number of a logical unit.
fn unit(at: &At<'_>, causes: &mut Causes) {
    if let Some(number) = at.int().filter(|number| !(0..=255).contains(number)) {
        causes.invalid(&at.path, number, &names::range(0, 255));
    }
}

fn fibre_channel(at: &At<'_>, causes: &mut Causes) {
    let (targets, ids) = (at.field("targetWWNs"), at.field("wwids"));
    match (targets.is_empty(), ids.is_empty()) {
        (true, true) => {
            let detail = "must specify either targetWWNs or wwids, but not both";
            causes.required(&targets.path, detail);
        }
        (false, false) => {
            let detail = "targetWWNs and wwids can not be specified simultaneously";
            causes.invalid(&targets.path, targets.value, detail);
        }
        _ => {}
    }
    if targets.is_empty() {
        return;
    }
    let number = at.field("lun");
    match number.is_set() {
        false => causes.required(&number.path, "lun is required if targetWWNs is specified"),
        true => unit(&number, causes),
    }
}

fn flocker(at: &At<'_>, causes: &mut Causes) {
    let (name, id) = (at.field("datasetName"), at.field("datasetUUID"));
    match (name.is_empty(), id.is_empty()) {
        (true, true) => {
            let detail = "one of datasetName and datasetUUID is required";
            causes.required(&at.path, detail);
        }
        (false, false) => {
            let detail = "datasetName and datasetUUID can not be specified simultaneously";
            causes.invalid(&at.path, "resource", detail);
        }
        _ => {}
    }
    if name.text().contains('/') {
        causes.invalid(&name.path, name.text(), "must not contain '/'");
    }
}

const BLOB: &str = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd";
const MANAGED: &str = "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}";

fn azure_disk(at: &At<'_>, causes: &mut Causes) {
    let (caching, kind) = (at.field("cachingMode"), at.field("kind"));
    if caching.is_set() {
        causes.one_of(&caching, &["None", "ReadOnly", "ReadWrite"]);
    }
    if kind.is_set() {
        causes.one_of(&kind, &["Dedicated", "Managed", "Shared"]);
    }
    let address = at.field("diskURI");
    let starts = |prefix: &str| address.text().starts_with(prefix);
    let expected = match kind.text() {
        "Managed" if !starts("/subscriptions/") => MANAGED,
        "Managed" => return,
        _ if kind.is_set() && !starts("https://") => BLOB,
        _ => return,
    };
    causes.not_supported(&address.path, address.text(), &[expected]);
}
