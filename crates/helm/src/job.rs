//! One rendering, step by step: dependencies, values, schema, templates,
//! documents.
//!
//! Main type: [`Job`]. Reference: `renderResources` in `pkg/action/action.go` of
//! Helm. What is asked for is in `render`.

use crate::ahead::Ahead;
use crate::capabilities::Capabilities;
use crate::chart::Chart;
use crate::coalesce::Coalescer;
use crate::compat::Rules;
use crate::convert::{Numbers, from_entries, to_template};
use crate::error::{RenderError, Step};
use crate::explain;
use crate::funcs::FUNCTIONS;
use crate::manifest::{self, BadManifest, Document};
use crate::provenance::{Provenance, Traced};
use crate::reading::{Reading, Texts, is_notes};
use crate::render::{LintTexts, Lookup, Options, Release, Rendered};
use crate::sources::{collect, template_value};
use crate::stack::{self, on_large_stack};
use crate::trace_text::{exec_error, parse_error};
use crate::values::Values;
use crate::{dependencies, schema};
use coracle_gotemplate::trace::Trace;
use coracle_gotemplate::value::Map;
use coracle_gotemplate::{Entries, Executor, Host, Set, Value};
use coracle_goyaml as yaml;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

/// What templates wrote: their documents, their texts by path, and the notes.
type Executed = (Result<Vec<Document>, BadManifest>, Texts, String);

/// A rendering under way.
pub(crate) struct Job<'j> {
    pub chart: &'j Chart,
    pub values: &'j Values,
    pub release: &'j Release,
    pub capabilities: &'j Capabilities,
    pub lookup: &'j dyn Lookup,
    pub options: Options,
    pub rules: &'static Rules,
}

impl Job<'_> {
    /// Renders, on a stack that is large enough.
    pub fn prepare(&self) -> Result<Rendered, Box<RenderError>> {
        on_large_stack(|| self.prepare_here())
    }

    fn prepare_here(&self) -> Result<Rendered, Box<RenderError>> {
        let warnings = self.chart.warnings.clone();
        if self.chart.metadata.is_library() {
            let message = "library charts are not installable";
            return Err(RenderError::new(Step::Dependencies, message));
        }
        let ahead = Ahead::of(self.chart);
        let rendered = std::thread::scope(|scope| {
            if ahead.pays() {
                stack::spawn(scope, "parse", || ahead.work());
            }
            let rendered = self.render(&ahead, warnings);
            ahead.stop();
            rendered
        });
        if self.options.once {
            std::mem::forget(ahead);
        }
        rendered
    }

    fn render(
        &self,
        ahead: &Ahead,
        mut warnings: Vec<String>,
    ) -> Result<Rendered, Box<RenderError>> {
        let (chart, coalesced) = self.values_of_charts(&mut warnings)?;
        let (documents, texts, notes) = self.check_and_execute(&chart, coalesced, ahead)?;
        let documents = documents.map_err(|bad| {
            let traced = self.trace(&chart, &bad.path);
            let mut error = explain::manifest(self.chart, self.values, &bad, traced);
            error.written = texts
                .iter()
                .filter(|(path, _)| !is_notes(path))
                .map(|(path, text)| (path.clone(), text.to_string()))
                .collect();
            error
        })?;
        let (manifests, hooks) = manifest::sort(documents, self.rules);
        let crds = chart.crds();
        if self.options.once {
            std::mem::forget((chart, texts));
        }
        Ok(Rendered {
            manifests,
            hooks,
            crds,
            notes,
            warnings,
        })
    }

    /// Renders for the linter.
    pub fn lint(&self) -> LintTexts {
        let Ok((chart, coalesced)) = self.values_of_charts(&mut Vec::new()) else {
            return LintTexts::Silent;
        };
        if !self.options.skip_schema_validation
            && let Err(violations) = schema::validate(&chart, &from_entries(&coalesced))
        {
            return LintTexts::Refused(format!(
                "values don't meet the specifications of the schema(s) in the following chart(s):\n{}",
                violations.text
            ));
        }
        let ahead = Ahead::default();
        match self.run(&chart, coalesced, &ahead, &BTreeSet::new(), &mut |_, _| {}) {
            Ok((texts, _)) => LintTexts::Texts(texts),
            Err(error) => LintTexts::Refused(error.helm),
        }
    }

    fn check_kube_version(&self, chart: &Chart) -> Result<(), Box<RenderError>> {
        let wanted = &chart.metadata.kube_version;
        let have = &self.capabilities.kube_version;
        if wanted.is_empty() || dependencies::is_compatible(wanted, &have.normalized) {
            return Ok(());
        }
        let message = format!(
            "chart requires kubeVersion: {wanted} which is incompatible with Kubernetes {}",
            have.version
        );
        let mut error = RenderError::new(Step::KubeVersion, message);
        error.remedy =
            Some("use a cluster of a fitting version, or another version of the chart".into());
        Err(error)
    }

    /// Runs all templates while the schemas are asked, whose refusal comes first.
    fn check_and_execute(
        &self,
        chart: &Chart,
        values: Map,
        ahead: &Ahead,
    ) -> Result<Executed, Box<RenderError>> {
        let execute = |values| {
            self.check_kube_version(chart)?;
            self.execute(chart, values, ahead)
        };
        if self.options.skip_schema_validation || !schema::is_there(chart) {
            return execute(values);
        }
        let plain = from_entries(&values);
        std::thread::scope(|scope| {
            let schemas = stack::spawn(scope, "schema", || schema::validate(chart, &plain));
            let executed = execute(values);
            stack::join(schemas)
                .map_err(|violations| explain::schema(self.chart, self.values, violations))?;
            executed
        })
    }

    /// Runs all templates.
    fn execute(
        &self,
        chart: &Chart,
        values: Map,
        ahead: &Ahead,
    ) -> Result<Executed, Box<RenderError>> {
        let (texts, documents) = std::thread::scope(|scope| {
            let mut reading = Reading::new(scope, self.rules);
            let mut hear = |path: &str, text: &Arc<String>| reading.hear(path, text);
            let written = self.run(chart, values, ahead, &BTreeSet::new(), &mut hear);
            written.map(|(texts, _)| (texts, reading.finish()))
        })?;
        let notes = texts.get(&format!("{}/templates/NOTES.txt", chart.name()));
        let notes = notes.map(|text| text.to_string()).unwrap_or_default();
        Ok((documents, texts, notes))
    }

    /// Renders once more and records who wrote which bytes of one file.
    fn trace(&self, chart: &Chart, path: &str) -> Option<Traced> {
        let values = Coalescer::coalesce(self.rules)
            .run(chart, self.values.map())
            .ok()?;
        let paths = BTreeSet::from([path.to_owned()]);
        let ahead = Ahead::default();
        let run = self.run(chart, values, &ahead, &paths, &mut |_, _| {});
        let (_, mut found) = run.ok()?;
        found.files.remove(path)
    }

    /// Renders once more and records who wrote which bytes of some files.
    pub fn trace_all(&self, paths: &BTreeSet<String>) -> Option<Provenance> {
        let (chart, coalesced) = self.values_of_charts(&mut Vec::new()).ok()?;
        let ahead = Ahead::default();
        let run = self.run(&chart, coalesced, &ahead, paths, &mut |_, _| {});
        Some(run.ok()?.1)
    }

    /// Settles which charts take part and which values each of them sees.
    pub fn values_of_charts(
        &self,
        warnings: &mut Vec<String>,
    ) -> Result<(Chart, Map), Box<RenderError>> {
        let refuse = |message: String| RenderError::new(Step::Dependencies, message);
        let mut chart = self.chart.without_raw();
        if !self.options.lint {
            dependencies::check(&chart).map_err(refuse)?;
        }
        dependencies::process(&mut chart, self.values.map(), self.rules, warnings).map_err(
            |message| refuse(format!("chart dependencies processing failed: {message}")),
        )?;
        let mut coalescer = Coalescer::coalesce(self.rules);
        let coalesced = coalescer.run(&chart, self.values.map()).map_err(refuse)?;
        warnings.append(&mut coalescer.warnings);
        Ok((chart, coalesced))
    }

    /// Runs all templates; `hear` gets the texts as they come.
    fn run(
        &self,
        chart: &Chart,
        values: Map,
        ahead: &Ahead,
        traced: &BTreeSet<String>,
        hear: &mut dyn FnMut(&str, &Arc<String>),
    ) -> Result<(Texts, Provenance), Box<RenderError>> {
        let capabilities = self.capabilities.to_value();
        let (sources, contexts) = collect(chart, values, self.release_value(), capabilities);
        let set = Rc::new(Set::new());
        let functions = &*FUNCTIONS;
        for (source, trees) in sources.iter().zip(ahead.parse_all(&sources)) {
            let trees =
                trees.map_err(|error| explain::parse(parse_error(&error), &error, &source.text))?;
            set.add_all(trees);
        }
        let host = JobHost { job: self };
        let mut exec = Executor::new(set, functions, &host);
        let mut texts = BTreeMap::new();
        let mut found = Provenance::default();
        for source in &sources {
            let base = source.path.rsplit('/').next().unwrap_or_default();
            if base.starts_with('_') {
                continue;
            }
            let context = &contexts[source.context];
            context.insert("Template", template_value(&source.path, &source.base_path));
            let tracing = traced.contains(&source.path);
            exec.trace = tracing.then(Trace::new);
            let data = Value::Map(context.clone());
            let written = exec.execute_template(&source.path, data).map_err(|error| {
                let helm = exec_error(&source.path, &error, self.rules);
                let plain = self.plain_values(chart);
                explain::execution(helm, &error, self.chart, self.values, &plain)
            })?;
            if let Some(trace) = exec.trace.take() {
                let lines = Traced::new(&trace);
                found.files.insert(source.path.clone(), lines);
            }
            let written = coracle_gotemplate::funcs::without_no_value(written);
            let text = String::from_utf8(written)
                .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
            let text = Arc::new(text);
            hear(&source.path, &text);
            texts.insert(source.path.clone(), text);
        }
        if self.options.once {
            std::mem::forget((exec, sources, contexts));
        }
        Ok((texts, found))
    }

    /// The values as they were before templates changed them.
    fn plain_values(&self, chart: &Chart) -> yaml::Map {
        let mut coalescer = Coalescer::coalesce(self.rules);
        let coalesced = coalescer.run(chart, self.values.map());
        coalesced.map(|map| from_entries(&map)).unwrap_or_default()
    }

    fn release_value(&self) -> Value {
        let (release, lint) = (self.release, self.options.lint);
        Value::map(Entries::from([
            ("Name".into(), release.name.as_str().into()),
            ("Namespace".into(), release.namespace.as_str().into()),
            (
                "IsUpgrade".into(),
                Value::Bool(!release.is_install && !lint),
            ),
            ("IsInstall".into(), Value::Bool(release.is_install && !lint)),
            ("Revision".into(), Value::Int(release.revision as i64)),
            ("Service".into(), "Helm".into()),
        ]))
    }
}

struct JobHost<'h> {
    job: &'h Job<'h>,
}

impl Host for JobHost<'_> {
    fn lookup(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Value, String> {
        if self.lint_mode() {
            return Ok(Value::map(Entries::new()));
        }
        let found = self.job.lookup.lookup(api_version, kind, namespace, name)?;
        Ok(to_template(&found, Numbers::Kept))
    }

    fn lint_mode(&self) -> bool {
        self.job.options.lint
    }

    fn seed(&self) -> Option<u64> {
        self.job.options.seed
    }
}
