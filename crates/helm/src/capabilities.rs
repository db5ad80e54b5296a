//! `.Capabilities`: what the cluster can do.
//!
//! Main type: [`Capabilities`]. Reference: `pkg/chart/common/capabilities.go`.

use crate::compat::Level;
use coracle_gotemplate::value::{Elem, List, Method, Named, Struct, StructType, Type, Value};
use std::rc::Rc;

/// The cluster as templates see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Version of Kubernetes.
    pub kube_version: KubeVersion,
    /// Group versions, and group versions with kinds.
    pub api_versions: Vec<String>,
    /// Version, commit, Go version and client version of Helm.
    pub helm_version: [String; 4],
}

/// A version of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeVersion {
    /// As given, with a leading `v`.
    pub version: String,
    /// The numbers alone; what constraints are checked against.
    pub normalized: String,
    /// First number.
    pub major: String,
    /// Second number.
    pub minor: String,
}

impl KubeVersion {
    /// Parses a version as `--kube-version` takes it.
    ///
    /// # Errors
    ///
    /// In the words of Kubernetes' version parser.
    pub fn parse(text: &str) -> Result<KubeVersion, String> {
        let body = text.trim_start();
        let body = body.strip_prefix('v').unwrap_or(body);
        let components = leading_components(body);
        match components.len() {
            0 => return Err(format!("could not parse {text:?} as version")),
            1 => return Err(format!("illegal version string {text:?}")),
            _ => {}
        }
        if components[0].len() > 1 && components[0].starts_with('0') {
            return Err(format!(
                "illegal zero-prefixed version component {:?} in {text:?}",
                components[0]
            ));
        }
        let mut numbers = Vec::new();
        for component in components {
            let number = component.parse::<u64>().map_err(|_| {
                format!(
                    "illegal non-numeric version component {component:?} in {text:?}: strconv.ParseUint: parsing {component:?}: value out of range"
                )
            })?;
            numbers.push(number.to_string());
        }
        Ok(KubeVersion {
            version: match text.starts_with('v') {
                true => text.into(),
                false => format!("v{text}"),
            },
            normalized: format!("v{}", numbers.join(".")),
            major: numbers[0].clone(),
            minor: numbers[1].clone(),
        })
    }
}

/// The numbers between dots that a text begins with.
fn leading_components(text: &str) -> Vec<&str> {
    let mut components = Vec::new();
    for part in text.split('.') {
        let end = part.find(|c: char| !c.is_ascii_digit());
        let digits = &part[..end.unwrap_or(part.len())];
        if digits.is_empty() {
            break;
        }
        components.push(digits);
        if end.is_some() {
            break;
        }
    }
    components
}

impl Default for Capabilities {
    fn default() -> Self {
        Capabilities::of(Level::default())
    }
}

impl Capabilities {
    /// Returns what a release of Helm assumes without a cluster.
    pub fn of(level: Level) -> Capabilities {
        let rules = level.rules();
        let version = format!("v1.{}.0", rules.kube_minor);
        let [helm, commit, go] = rules.helm.map(str::to_owned);
        Capabilities {
            kube_version: KubeVersion {
                version: version.clone(),
                normalized: version,
                major: "1".into(),
                minor: rules.kube_minor.to_string(),
            },
            api_versions: API_VERSIONS
                .iter()
                .map(|version| (*version).to_owned())
                .collect(),
            helm_version: [helm, commit, go, format!("v1.{}", rules.kube_minor)],
        }
    }

    /// Returns the template's view.
    pub fn to_value(&self) -> Value {
        let text = |text: &String| Value::str(text.as_str());
        let kube = &self.kube_version;
        let kube = structure(
            &KUBE_VERSION,
            vec![
                text(&kube.version),
                text(&kube.normalized),
                text(&kube.major),
                text(&kube.minor),
            ],
        );
        let versions = self.api_versions.iter().map(text).collect();
        let [version, commit, go, client] = &self.helm_version;
        let helm = structure(
            &BUILD_INFO,
            vec![
                text(version),
                text(commit),
                "clean".into(),
                text(go),
                text(client),
            ],
        );
        let versions = Value::List(List::named(Elem::String, &VERSION_SET, versions));
        structure(&CAPABILITIES, vec![kube, versions, helm])
    }
}

fn structure(ty: &'static StructType, fields: Vec<Value>) -> Value {
    Value::Struct(Struct {
        ty,
        fields: Rc::new(fields),
    })
}

static CAPABILITIES: StructType = StructType {
    name: "*common.Capabilities",
    fields: &["KubeVersion", "APIVersions", "HelmVersion"],
    methods: &[],
    display: None,
    display_by_pointer: false,
    json: None,
};

static KUBE_VERSION: StructType = StructType {
    name: "common.KubeVersion",
    fields: &["Version", "normalizedVersion", "Major", "Minor"],
    methods: &[
        Method {
            name: "GitVersion",
            params: &[],
            call: |this, _| Ok(field(this, "Version")),
        },
        Method {
            name: "String",
            params: &[],
            call: |this, _| Ok(field(this, "normalizedVersion")),
        },
    ],
    display: Some(|object| {
        object
            .field("normalizedVersion")
            .and_then(Value::as_str)
            .map_or_else(String::new, |text| text.to_text().into_owned())
    }),
    display_by_pointer: true,
    json: None,
};

fn field(this: &Value, name: &str) -> Value {
    match this {
        Value::Struct(object) => object.field(name).cloned().unwrap_or_default(),
        _ => Value::Nil,
    }
}

static BUILD_INFO: StructType = StructType {
    name: "version.BuildInfo",
    fields: &[
        "Version",
        "GitCommit",
        "GitTreeState",
        "GoVersion",
        "KubeClientVersion",
    ],
    methods: &[],
    display: None,
    display_by_pointer: false,
    json: Some(|object| {
        let names = [
            "version",
            "git_commit",
            "git_tree_state",
            "go_version",
            "kube_client_version",
        ];
        let entries = names
            .iter()
            .zip(object.fields.iter())
            .map(|(name, value)| ((*name).into(), value.clone()))
            .collect();
        Value::map(entries)
    }),
};

static VERSION_SET: Named = Named {
    name: "common.VersionSet",
    methods: &[Method {
        name: "Has",
        params: &[Type::String],
        call: |this, args| match this {
            Value::List(list) => Ok(Value::Bool(
                list.borrow()
                    .iter()
                    .any(|version| version.deep_equal(&args[0])),
            )),
            _ => Ok(Value::Bool(false)),
        },
    }],
};

/// The group versions that Helm's client library registers.
const API_VERSIONS: &[&str] = &[
    "v1",
    "admissionregistration.k8s.io/v1",
    "admissionregistration.k8s.io/v1alpha1",
    "admissionregistration.k8s.io/v1beta1",
    "internal.apiserver.k8s.io/v1alpha1",
    "apps/v1",
    "apps/v1beta1",
    "apps/v1beta2",
    "authentication.k8s.io/v1",
    "authentication.k8s.io/v1alpha1",
    "authentication.k8s.io/v1beta1",
    "authorization.k8s.io/v1",
    "authorization.k8s.io/v1beta1",
    "autoscaling/v1",
    "autoscaling/v2",
    "batch/v1",
    "batch/v1beta1",
    "certificates.k8s.io/v1",
    "certificates.k8s.io/v1beta1",
    "certificates.k8s.io/v1alpha1",
    "coordination.k8s.io/v1alpha2",
    "coordination.k8s.io/v1beta1",
    "coordination.k8s.io/v1",
    "discovery.k8s.io/v1",
    "discovery.k8s.io/v1beta1",
    "events.k8s.io/v1",
    "events.k8s.io/v1beta1",
    "extensions/v1beta1",
    "flowcontrol.apiserver.k8s.io/v1",
    "flowcontrol.apiserver.k8s.io/v1beta1",
    "flowcontrol.apiserver.k8s.io/v1beta2",
    "flowcontrol.apiserver.k8s.io/v1beta3",
    "networking.k8s.io/v1",
    "networking.k8s.io/v1beta1",
    "node.k8s.io/v1",
    "node.k8s.io/v1alpha1",
    "node.k8s.io/v1beta1",
    "policy/v1",
    "policy/v1beta1",
    "rbac.authorization.k8s.io/v1",
    "rbac.authorization.k8s.io/v1beta1",
    "rbac.authorization.k8s.io/v1alpha1",
    "resource.k8s.io/v1",
    "resource.k8s.io/v1beta2",
    "resource.k8s.io/v1beta1",
    "resource.k8s.io/v1alpha3",
    "scheduling.k8s.io/v1alpha2",
    "scheduling.k8s.io/v1beta1",
    "scheduling.k8s.io/v1",
    "storage.k8s.io/v1beta1",
    "storage.k8s.io/v1",
    "storage.k8s.io/v1alpha1",
    "storagemigration.k8s.io/v1beta1",
    "apiextensions.k8s.io/v1beta1",
    "apiextensions.k8s.io/v1",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_kubernetes() {
        let check = |text: &str, expected: Result<[&str; 4], &str>| {
            let got = KubeVersion::parse(text);
            let got = got.map(|got| [got.version, got.normalized, got.major, got.minor]);
            let expected = expected.map(|parts| parts.map(str::to_owned));
            assert_eq!(got, expected.map_err(str::to_owned), "{text}");
        };
        check("1.20", Ok(["v1.20", "v1.20", "1", "20"]));
        check("v1.20.3", Ok(["v1.20.3", "v1.20.3", "1", "20"]));
        check("1.29.0-eks-1", Ok(["v1.29.0-eks-1", "v1.29.0", "1", "29"]));
        check("1.20.x", Ok(["v1.20.x", "v1.20", "1", "20"]));
        check("1", Err("illegal version string \"1\""));
        check("abc", Err("could not parse \"abc\" as version"));
    }
}
