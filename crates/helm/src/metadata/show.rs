//! A chart's metadata as others see it: templates as `.Chart`, people as a
//! document.

use super::{Dependency, Metadata};
use crate::convert::{Numbers, string_list, string_map, to_template};
use coracle_gotemplate::value::{MAP_STRING, Map};
use coracle_gotemplate::{Entries, Value};
use coracle_goyaml as yaml;

impl Metadata {
    /// Returns the metadata as a document, as `helm show chart` prints it: keys
    /// in order, what is empty left away.
    pub fn to_document(&self) -> yaml::Value {
        let mut map = yaml::Map::new();
        let texts = [
            ("name", &self.name),
            ("home", &self.home),
            ("version", &self.version),
            ("description", &self.description),
            ("icon", &self.icon),
            ("apiVersion", &self.api_version),
            ("condition", &self.condition),
            ("tags", &self.tags),
            ("appVersion", &self.app_version),
            ("kubeVersion", &self.kube_version),
            ("type", &self.kind),
        ];
        for (key, text) in texts {
            put(&mut map, key, text);
        }
        put_list(&mut map, "sources", &self.sources);
        put_list(&mut map, "keywords", &self.keywords);
        if self.deprecated {
            map.insert("deprecated".into(), yaml::Value::Bool(true));
        }
        if !self.annotations.is_empty() {
            let texts = self.annotations.iter();
            let annotations = texts.map(|(key, text)| (key.clone(), plain(text)));
            map.insert(
                "annotations".into(),
                yaml::Value::Map(annotations.collect()),
            );
        }
        if !self.maintainers.is_empty() {
            let people = self.maintainers.iter().map(|[name, email, url]| {
                let mut map = yaml::Map::new();
                put(&mut map, "name", name);
                put(&mut map, "email", email);
                put(&mut map, "url", url);
                yaml::Value::Map(map)
            });
            map.insert("maintainers".into(), yaml::Value::Seq(people.collect()));
        }
        if !self.dependencies.is_empty() {
            let list = self.dependencies.iter().map(Dependency::to_document);
            map.insert("dependencies".into(), yaml::Value::Seq(list.collect()));
        }
        yaml::Value::Map(map)
    }

    /// Returns what templates see as `.Chart`.
    pub fn to_value(&self, is_root: bool) -> Value {
        let text = |text: &String| Value::str(text.as_str());
        let maintainers = self.maintainers.iter().map(|[name, email, url]| {
            Value::map(Entries::from([
                ("Name".into(), text(name)),
                ("Email".into(), text(email)),
                ("URL".into(), text(url)),
            ]))
        });
        let dependencies = self.dependencies.iter().map(Dependency::to_value);
        Value::map(Entries::from([
            ("Name".into(), text(&self.name)),
            ("Home".into(), text(&self.home)),
            ("Sources".into(), string_list(&self.sources)),
            ("Version".into(), text(&self.version)),
            ("Description".into(), text(&self.description)),
            ("Keywords".into(), string_list(&self.keywords)),
            ("Maintainers".into(), Value::list(maintainers.collect())),
            ("Icon".into(), text(&self.icon)),
            ("APIVersion".into(), text(&self.api_version)),
            ("Condition".into(), text(&self.condition)),
            ("Tags".into(), text(&self.tags)),
            ("AppVersion".into(), text(&self.app_version)),
            ("Deprecated".into(), Value::Bool(self.deprecated)),
            (
                "Annotations".into(),
                if self.has_annotations {
                    string_map(&self.annotations)
                } else {
                    Value::Map(Map::nil(MAP_STRING))
                },
            ),
            ("KubeVersion".into(), text(&self.kube_version)),
            ("Dependencies".into(), Value::list(dependencies.collect())),
            ("Type".into(), text(&self.kind)),
            ("IsRoot".into(), Value::Bool(is_root)),
        ]))
    }
}

impl Dependency {
    pub(crate) fn to_document(&self) -> yaml::Value {
        let mut map = yaml::Map::new();
        map.insert("name".into(), plain(&self.name));
        map.insert("repository".into(), plain(&self.repository));
        put(&mut map, "version", &self.version);
        put(&mut map, "condition", &self.condition);
        put(&mut map, "alias", &self.alias);
        put_list(&mut map, "tags", &self.tags);
        if self.enabled {
            map.insert("enabled".into(), yaml::Value::Bool(true));
        }
        if !self.import_values.is_empty() {
            let list = self.import_values.clone();
            map.insert("import-values".into(), yaml::Value::Seq(list));
        }
        yaml::Value::Map(map)
    }

    fn to_value(&self) -> Value {
        let text = |text: &String| Value::str(text.as_str());
        let imports = self
            .import_values
            .iter()
            .map(|value| to_template(value, Numbers::Floats));
        Value::map(Entries::from([
            ("Name".into(), text(&self.name)),
            ("Version".into(), text(&self.version)),
            ("Repository".into(), text(&self.repository)),
            ("Condition".into(), text(&self.condition)),
            ("Tags".into(), string_list(&self.tags)),
            ("Enabled".into(), Value::Bool(self.enabled)),
            ("ImportValues".into(), Value::list(imports.collect())),
            ("Alias".into(), text(&self.alias)),
        ]))
    }
}

fn plain(text: &str) -> yaml::Value {
    yaml::Value::Str(text.to_owned())
}

fn put(map: &mut yaml::Map, key: &str, text: &str) {
    if !text.is_empty() {
        map.insert(key.into(), plain(text));
    }
}

fn put_list(map: &mut yaml::Map, key: &str, texts: &[String]) {
    if !texts.is_empty() {
        let list = texts.iter().map(|text| plain(text)).collect();
        map.insert(key.into(), yaml::Value::Seq(list));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_that_are_not_given_are_a_nil_map() {
        let Value::Map(chart) = Metadata::default().to_value(true) else {
            panic!("a chart is a map");
        };
        let annotations = chart.get(b"Annotations").expect("a field");
        assert_eq!(annotations.type_name(), "map[string]string");
        assert_eq!(
            coracle_gotemplate::json::encode(&annotations, false),
            Ok(b"null".to_vec())
        );
    }
}
