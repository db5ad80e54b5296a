//! Templates parsed ahead: on a thread of its own, while it is still being
//! settled which charts take part and what their values are.
//!
//! Main type: [`Ahead`].

use crate::chart::Chart;
use crate::funcs::FUNCTIONS;
use crate::sources::Source;
use coracle_gotemplate::parse::{ParseError, parse};
use coracle_gotemplate::tree::Tree;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// The trees of a text.
pub(crate) type Parsed = Result<Vec<Arc<Tree>>, ParseError>;

/// From this many bytes on, parsing pays for a thread.
const THREAD_BYTES: usize = 64 << 10;

/// The templates of a chart as it was loaded. Who takes one first parses it.
#[derive(Default)]
pub(crate) struct Ahead {
    templates: HashMap<String, Template>,
    is_enough: AtomicBool,
}

struct Template {
    text: Arc<[u8]>,
    /// Locked by who parses it.
    parsed: Mutex<Option<Parsed>>,
}

impl Ahead {
    /// Lists the templates of a chart and of all below it.
    pub fn of(chart: &Chart) -> Ahead {
        let mut ahead = Ahead::default();
        ahead.add(chart, chart.name());
        ahead
    }

    fn add(&mut self, chart: &Chart, path: &str) {
        for file in &chart.templates {
            let template = Template {
                text: file.data.clone(),
                parsed: Mutex::default(),
            };
            self.templates
                .insert(format!("{path}/{}", file.name), template);
        }
        for child in &chart.dependencies {
            self.add(child, &format!("{path}/charts/{}", child.name()));
        }
    }

    /// Whether there is enough to parse.
    pub fn pays(&self) -> bool {
        let lengths = self.templates.values().map(|template| template.text.len());
        lengths.sum::<usize>() >= THREAD_BYTES
    }

    /// Parses one after the other until all are, or it is enough.
    pub fn work(&self) {
        for (path, template) in &self.templates {
            if self.is_enough.load(Ordering::Relaxed) {
                return;
            }
            template.parse(path);
        }
    }

    /// Lets [`Ahead::work`] end: what is left is not needed.
    pub fn stop(&self) {
        self.is_enough.store(true, Ordering::Relaxed);
    }

    /// Returns the trees of each source; parses what nobody has parsed.
    pub fn parse_all(&self, sources: &[Source]) -> Vec<Parsed> {
        for source in sources {
            if let Some(template) = self.known(source) {
                template.parse(&source.path);
            }
        }
        self.stop();
        let parsed = sources.iter().map(|source| {
            let template = self.known(source)?;
            let parsed = template.parsed.lock().expect("parsing does not panic");
            parsed.clone()
        });
        let sources = sources.iter();
        parsed
            .zip(sources)
            .map(|(parsed, source)| parsed.unwrap_or_else(|| parse_one(&source.path, &source.text)))
            .collect()
    }

    /// A template under the same name with the same text: an alias changes names.
    fn known(&self, source: &Source) -> Option<&Template> {
        let template = self.templates.get(&source.path)?;
        Arc::ptr_eq(&template.text, &source.text).then_some(template)
    }
}

impl Template {
    /// Parses, unless this is done or being done.
    fn parse(&self, path: &str) {
        if let Ok(mut parsed) = self.parsed.try_lock()
            && parsed.is_none()
        {
            *parsed = Some(parse_one(path, &self.text));
        }
    }
}

fn parse_one(path: &str, text: &Arc<[u8]>) -> Parsed {
    parse(path, text.clone(), &FUNCTIONS)
}
