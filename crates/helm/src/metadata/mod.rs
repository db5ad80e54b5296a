//! `Chart.yaml`: what a chart says about itself.
//!
//! Main types: [`Metadata`], [`Dependency`]. Reference:
//! `pkg/chart/v2/metadata.go` of Helm.

mod read;
mod show;

use coracle_gotemplate::semver::Version;
use coracle_goyaml as yaml;
use std::collections::BTreeMap;

pub use self::read::api_version;
pub(crate) use self::read::mismatch_whole;

/// The contents of `Chart.yaml`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// Name; an alias replaces it.
    pub name: String,
    /// Home page.
    pub home: String,
    /// Addresses of the source.
    pub sources: Vec<String>,
    /// Version of the chart.
    pub version: String,
    /// One sentence.
    pub description: String,
    /// Keywords.
    pub keywords: Vec<String>,
    /// Maintainers: name, email, url.
    pub maintainers: Vec<[String; 3]>,
    /// Whether a maintainer is null, which is refused.
    has_null_maintainer: bool,
    /// Whether a dependency is null, which is refused.
    has_null_dependency: bool,
    /// Address of a picture.
    pub icon: String,
    /// `v1` or `v2`.
    pub api_version: String,
    /// Condition that enables the chart.
    pub condition: String,
    /// Tags that enable the chart.
    pub tags: String,
    /// Version of what the chart installs.
    pub app_version: String,
    /// Whether it should no longer be used.
    pub deprecated: bool,
    /// Anything else.
    pub annotations: BTreeMap<String, String>,
    /// Whether annotations were given at all.
    has_annotations: bool,
    /// Constraint on the Kubernetes version.
    pub kube_version: String,
    /// Charts that this one needs.
    pub dependencies: Vec<Dependency>,
    /// Whether dependencies were given at all.
    pub has_dependencies: bool,
    /// `application`, `library` or nothing.
    pub kind: String,
}

/// A chart that another one needs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dependency {
    /// Name of the chart; after processing, the alias.
    pub name: String,
    /// Version range.
    pub version: String,
    /// Where it comes from.
    pub repository: String,
    /// Paths of booleans in the values, separated by commas.
    pub condition: String,
    /// Tags.
    pub tags: Vec<String>,
    /// Whether it is used.
    pub enabled: bool,
    /// What to take from its values.
    pub import_values: Vec<yaml::Value>,
    /// Another name for it.
    pub alias: String,
}

impl Metadata {
    /// Checks what Helm checks on loading.
    ///
    /// # Errors
    ///
    /// In Helm's words.
    pub fn validate(&mut self) -> Result<(), String> {
        let fields = [
            &mut self.name,
            &mut self.description,
            &mut self.home,
            &mut self.icon,
            &mut self.condition,
            &mut self.tags,
            &mut self.app_version,
            &mut self.kube_version,
        ];
        for field in fields {
            sanitize(field);
        }
        self.sources.iter_mut().for_each(sanitize);
        self.keywords.iter_mut().for_each(sanitize);
        let refuse = |message: String| Err(format!("validation: {message}"));
        if self.api_version.is_empty() {
            return refuse("chart.metadata.apiVersion is required".into());
        }
        if self.name.is_empty() {
            return refuse("chart.metadata.name is required".into());
        }
        if self.name == "." || self.name == ".." {
            return refuse(format!(
                "chart.metadata.name {} is not allowed",
                quoted(&self.name)
            ));
        }
        if self.name.contains('/') {
            let name = quoted(&self.name);
            return refuse(format!("chart.metadata.name {name} is invalid"));
        }
        if self.version.is_empty() {
            return refuse("chart.metadata.version is required".into());
        }
        if Version::parse(&self.version).is_err() {
            return refuse(format!(
                "chart.metadata.version {} is invalid",
                quoted(&self.version)
            ));
        }
        if !matches!(self.kind.as_str(), "" | "application" | "library") {
            return refuse("chart.metadata.type must be application or library".into());
        }
        if self.has_null_maintainer {
            return refuse("maintainers must not contain empty or null nodes".into());
        }
        if self.has_null_dependency {
            return refuse("dependencies must not contain empty or null nodes".into());
        }
        self.validate_dependencies()
    }

    fn validate_dependencies(&mut self) -> Result<(), String> {
        let mut names: Vec<String> = Vec::new();
        for dependency in &mut self.dependencies {
            sanitize(&mut dependency.name);
            sanitize(&mut dependency.version);
            sanitize(&mut dependency.repository);
            sanitize(&mut dependency.condition);
            dependency.tags.iter_mut().for_each(sanitize);
            let alias = &dependency.alias;
            let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if !alias.is_empty() && !alias.chars().all(allowed) {
                return Err(format!(
                    "validation: dependency {} has disallowed characters in the alias",
                    quoted(&dependency.name)
                ));
            }
            let key = if alias.is_empty() {
                &dependency.name
            } else {
                alias
            };
            if names.contains(key) {
                return Err(format!(
                    "validation: more than one dependency with name or alias {}",
                    quoted(key)
                ));
            }
            names.push(key.clone());
        }
        Ok(())
    }

    /// Whether templates of the chart are only partials.
    pub fn is_library(&self) -> bool {
        self.kind.eq_ignore_ascii_case("library")
    }
}

/// Go's `%q`.
fn quoted(text: &str) -> String {
    let quoted = coracle_gotemplate::strconv::quote(text.as_bytes(), false);
    String::from_utf8_lossy(&quoted).into_owned()
}

/// Spaces of all kinds become a plain space; what cannot be printed goes.
fn sanitize(text: &mut String) {
    *text = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| coracle_gotemplate::strconv::is_print(*c))
        .collect();
}
