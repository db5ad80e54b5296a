//! The difference of two structures as refusals show it: both are printed as
//! upstream's internal types print themselves, the lines compared.

use std::fmt::Write as _;

use serde_json::Value;

/// Lines of context around a difference.
const CONTEXT: usize = 3;

/// Fields of a claim's spec in the order of the internal type.
const CLAIM: &[&str] = &[
    "accessModes",
    "selector",
    "resources",
    "volumeName",
    "storageClassName",
    "volumeMode",
    "dataSource",
    "dataSourceRef",
    "volumeAttributesClassName",
];

/// Sources of a persistent volume with the names of the internal type, in its order.
const SOURCES: &[(&str, &str)] = &[
    ("gcePersistentDisk", "GCEPersistentDisk"),
    ("awsElasticBlockStore", "AWSElasticBlockStore"),
    ("hostPath", "HostPath"),
    ("glusterfs", "Glusterfs"),
    ("nfs", "NFS"),
    ("rbd", "RBD"),
    ("quobyte", "Quobyte"),
    ("iscsi", "ISCSI"),
    ("flexVolume", "FlexVolume"),
    ("cinder", "Cinder"),
    ("cephfs", "CephFS"),
    ("fc", "FC"),
    ("flocker", "Flocker"),
    ("azureFile", "AzureFile"),
    ("vsphereVolume", "VsphereVolume"),
    ("azureDisk", "AzureDisk"),
    ("photonPersistentDisk", "PhotonPersistentDisk"),
    ("portworxVolume", "PortworxVolume"),
    ("scaleIO", "ScaleIO"),
    ("local", "Local"),
    ("storageos", "StorageOS"),
    ("csi", "CSI"),
];

/// The difference of two claim specs.
pub(super) fn claims(old: &Value, new: &Value) -> String {
    diff(&claim(old), &claim(new))
}

/// The difference of the sources of two persistent volumes.
pub(super) fn volume_sources(old: &Value, new: &Value) -> String {
    diff(&source(old), &source(new))
}

fn claim(spec: &Value) -> Vec<String> {
    let fields = CLAIM.iter().map(|name| {
        let value = &spec[*name];
        let value = match *name {
            "resources" => fields_of(value, &["limits", "requests"]),
            "dataSource" if !value.is_null() => fields_of(value, &["apiGroup", "kind", "name"]),
            "dataSourceRef" if !value.is_null() => {
                fields_of(value, &["apiGroup", "kind", "name", "namespace"])
            }
            // Held by value: an absent name is an empty one.
            "volumeName" if value.is_null() => Value::from(""),
            _ => value.clone(),
        };
        (super::go_name(name), value)
    });
    lines(&Value::Object(fields.collect()))
}

fn source(spec: &Value) -> Vec<String> {
    let fields = SOURCES.iter().map(|(name, go_name)| {
        let value = &spec[*name];
        let known: &[&str] = match *name {
            "hostPath" => &["path", "type"],
            "nfs" => &["server", "path", "readOnly"],
            "local" => &["path", "fsType"],
            _ => &[],
        };
        let value = match (value.as_object(), known) {
            (None, _) => Value::Null,
            (Some(map), []) => {
                let names: Vec<&str> = map.keys().map(String::as_str).collect();
                fields_of(value, &names)
            }
            (Some(_), known) => fields_of(value, known),
        };
        ((*go_name).to_owned(), value)
    });
    lines(&Value::Object(fields.collect()))
}

fn fields_of(value: &Value, names: &[&str]) -> Value {
    let fields = names.iter().map(|name| {
        let go_name = match *name {
            "apiGroup" => "APIGroup".to_owned(),
            "fsType" => "FSType".to_owned(),
            name => super::go_name(name),
        };
        let value = match (*name, &value[*name]) {
            ("readOnly", Value::Null) => Value::Bool(false),
            (_, value) => value.clone(),
        };
        (go_name, value)
    });
    Value::Object(fields.collect())
}

/// JSON with one space of indentation, as lines.
fn lines(value: &Value) -> Vec<String> {
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b" ");
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    let written = serde::Serialize::serialize(value, &mut serializer);
    debug_assert!(written.is_ok(), "writing to memory does not fail");
    let text = String::from_utf8(bytes).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// A unified difference without file names.
fn diff(old: &[String], new: &[String]) -> String {
    let same = common(old, new);
    let mut out = String::new();
    let mut hunk: Vec<Edit> = Vec::new();
    let mut unchanged = 0;
    for edit in edits(old, new, &same) {
        let keep = matches!(edit, Edit::Keep(..));
        unchanged = if keep { unchanged + 1 } else { 0 };
        hunk.push(edit);
        let changed = hunk.iter().any(|edit| !matches!(edit, Edit::Keep(..)));
        if !changed && hunk.len() > CONTEXT {
            hunk.remove(0);
        } else if changed && unchanged > 2 * CONTEXT {
            let rest = hunk.split_off(hunk.len() - CONTEXT);
            hunk.truncate(hunk.len() - (unchanged - 2 * CONTEXT));
            write_hunk(&mut out, &hunk, old, new);
            hunk = rest;
        }
    }
    if hunk.iter().any(|edit| !matches!(edit, Edit::Keep(..))) {
        let extra = unchanged.saturating_sub(CONTEXT);
        hunk.truncate(hunk.len() - extra);
        write_hunk(&mut out, &hunk, old, new);
    }
    out
}

#[derive(Clone, Copy)]
enum Edit {
    Keep(usize, usize),
    Delete(usize, usize),
    Insert(usize, usize),
}

/// The pairs of lines that stay (longest common subsequence).
fn common(old: &[String], new: &[String]) -> Vec<(usize, usize)> {
    let mut lengths = vec![vec![0u32; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            lengths[i][j] = match old[i] == new[j] {
                true => lengths[i + 1][j + 1] + 1,
                false => lengths[i + 1][j].max(lengths[i][j + 1]),
            };
        }
    }
    let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
    while i < old.len() && j < new.len() {
        if old[i] == new[j] {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if lengths[i + 1][j] >= lengths[i][j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

fn edits(old: &[String], new: &[String], same: &[(usize, usize)]) -> Vec<Edit> {
    let (mut i, mut j, mut edits) = (0, 0, Vec::new());
    for &(a, b) in same.iter().chain([&(old.len(), new.len())]) {
        edits.extend((i..a).map(|line| Edit::Delete(line, j)));
        edits.extend((j..b).map(|line| Edit::Insert(a, line)));
        if a < old.len() {
            edits.push(Edit::Keep(a, b));
        }
        (i, j) = (a + 1, b + 1);
    }
    edits
}

fn write_hunk(out: &mut String, hunk: &[Edit], old: &[String], new: &[String]) {
    let places = |edit: &Edit| match *edit {
        Edit::Keep(a, b) | Edit::Delete(a, b) | Edit::Insert(a, b) => (a, b),
    };
    let Some((first, second)) = hunk.first().map(places) else {
        return;
    };
    let count = |wanted: fn(&Edit) -> bool| hunk.iter().filter(|edit| wanted(edit)).count();
    let old_count = count(|edit| !matches!(edit, Edit::Insert(..)));
    let new_count = count(|edit| !matches!(edit, Edit::Delete(..)));
    // Writing to a String does not fail.
    let _ = writeln!(
        out,
        "@@ -{},{old_count} +{},{new_count} @@",
        first + 1,
        second + 1
    );
    for edit in hunk {
        let _ = match *edit {
            Edit::Keep(line, _) => writeln!(out, " {}", old[line]),
            Edit::Delete(line, _) => writeln!(out, "-{}", old[line]),
            Edit::Insert(_, line) => writeln!(out, "+{}", new[line]),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn differences_show_three_lines_around() {
        let spec = |size: &str| {
            json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}},
                   "volumeMode": "Filesystem"})
        };
        let expected = "@@ -6,7 +6,7 @@\n  \"Resources\": {\n   \"Limits\": null,\n   \"Requests\": {\n-   \"storage\": \"1Gi\"\n+   \"storage\": \"2Gi\"\n   }\n  },\n  \"VolumeName\": \"\",\n";
        assert_eq!(claims(&spec("1Gi"), &spec("2Gi")), expected);
        let path = |path: &str| json!({"hostPath": {"path": path, "type": ""}});
        let expected = "@@ -2,7 +2,7 @@\n  \"GCEPersistentDisk\": null,\n  \"AWSElasticBlockStore\": null,\n  \"HostPath\": {\n-  \"Path\": \"/tmp/x\",\n+  \"Path\": \"/other\",\n   \"Type\": \"\"\n  },\n  \"Glusterfs\": null,\n";
        assert_eq!(volume_sources(&path("/tmp/x"), &path("/other")), expected);
    }
}
