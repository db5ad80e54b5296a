//! The templates of a chart and those below it, in the order of execution, with
//! what each chart's templates see.
//!
//! Main function: [`collect`].

use crate::chart::Chart;
use crate::files;
use crate::values_type::VALUES_TYPE;
use coracle_gotemplate::value::Map;
use coracle_gotemplate::{Entries, Value};
use std::sync::Arc;

/// A template with the path of its chart.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: Arc<[u8]>,
    /// Index of the chart's values among the contexts.
    pub(crate) context: usize,
    pub(crate) base_path: String,
}

/// Gathers the templates of all charts in the order of execution, and the
/// context of each chart.
pub(crate) fn collect(
    chart: &Chart,
    values: Map,
    release: Value,
    capabilities: Value,
) -> (Vec<Source>, Vec<Map>) {
    let mut gatherer = Gatherer {
        release,
        capabilities,
        sources: Vec::new(),
        contexts: Vec::new(),
    };
    let values = Value::Map(values.with_type(VALUES_TYPE));
    gatherer.gather(chart, chart.name(), values, true);
    let mut sources = gatherer.sources;
    // Deeper paths first, then backwards by name.
    let depth = |source: &Source| source.path.matches('/').count();
    sources.sort_by(|a, b| depth(b).cmp(&depth(a)).then_with(|| b.path.cmp(&a.path)));
    sources.dedup_by(|a, b| a.path == b.path);
    (sources, gatherer.contexts)
}

struct Gatherer {
    release: Value,
    capabilities: Value,
    sources: Vec<Source>,
    contexts: Vec<Map>,
}

impl Gatherer {
    fn gather(&mut self, chart: &Chart, path: &str, values: Value, is_root: bool) -> Value {
        let subcharts = Map::new(Entries::new());
        let context = Map::typed(
            VALUES_TYPE,
            Entries::from([
                ("Chart".into(), chart.metadata.to_value(is_root)),
                ("Files".into(), files::to_value(&chart.files)),
                ("Release".into(), self.release.clone()),
                ("Capabilities".into(), self.capabilities.clone()),
                ("Values".into(), values.clone()),
                ("Subcharts".into(), Value::Map(subcharts.clone())),
            ]),
        );
        for child in &chart.dependencies {
            let below = match values
                .as_map()
                .and_then(|map| map.get(child.name().as_bytes()))
            {
                Some(Value::Map(map)) => Value::Map(map.with_type(VALUES_TYPE)),
                _ => Value::Map(Map::typed(VALUES_TYPE, Entries::new())),
            };
            let path = format!("{path}/charts/{}", child.name());
            let seen = self.gather(child, &path, below, false);
            subcharts.insert(child.name(), seen);
        }
        self.contexts.push(context.clone());
        for file in &chart.templates {
            let base = file.name.rsplit('/').next().unwrap_or_default();
            if chart.metadata.is_library() && !base.starts_with('_') {
                continue;
            }
            self.sources.push(Source {
                path: format!("{path}/{}", file.name),
                text: file.data.clone(),
                context: self.contexts.len() - 1,
                base_path: format!("{path}/templates"),
            });
        }
        Value::Map(context.with_type(coracle_gotemplate::value::MAP_ANY))
    }
}

pub(crate) fn template_value(path: &str, base_path: &str) -> Value {
    Value::Map(Map::typed(
        VALUES_TYPE,
        Entries::from([
            ("Name".into(), path.into()),
            ("BasePath".into(), base_path.into()),
        ]),
    ))
}
