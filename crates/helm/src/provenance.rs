//! Where a rendered line and a value come from.
//!
//! Main type: [`Provenance`], made by [`crate::render::trace`]: a second
//! rendering that records which template node wrote which bytes. [`origin`]
//! finds the file and line of a value. Rendering itself pays for none of it.

use crate::chart::Chart;
use crate::error::Place;
use crate::values::{Origin, Values, find_in_text};
use coracle_gotemplate::trace::Trace;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Who wrote each line of some rendered files.
#[derive(Default)]
pub struct Provenance {
    pub(crate) files: BTreeMap<String, Traced>,
}

impl Provenance {
    /// Finds what wrote a line (from 1) of a document of a template; with
    /// `value`, what wrote the part after the key.
    pub fn place(&self, path: &str, body: &str, line: usize, value: bool) -> Option<Written> {
        let traced = self.files.get(path)?;
        let at = traced.line_of(body, line)?;
        let line = &traced.lines[at];
        let spot = if value { line.value } else { None }.or(line.start)?;
        Some(traced.written(spot))
    }
}

/// A place in a template that wrote something.
#[derive(Clone, Debug)]
pub struct Written {
    source: Arc<Text>,
    line: usize,
    column: usize,
}

#[derive(Debug)]
struct Text {
    file: String,
    text: Vec<u8>,
}

impl Written {
    /// Returns the file, from the root chart's name on.
    pub fn file(&self) -> &str {
        &self.source.file
    }

    /// Returns the whole line of the template.
    pub fn line_text(&self) -> String {
        self.line(self.line).unwrap_or_default()
    }

    /// Returns the line before, where a remark about the next one may stand.
    pub fn line_before(&self) -> Option<String> {
        self.line(self.line.checked_sub(1)?)
    }

    fn line(&self, number: usize) -> Option<String> {
        let mut lines = self.source.text.split(|byte| *byte == b'\n');
        let line = lines.nth(number.checked_sub(1)?)?;
        Some(String::from_utf8_lossy(line).into_owned())
    }

    /// Returns the place with its excerpt; an action is marked as a whole.
    pub fn place(&self) -> Place {
        let line = self.line_text();
        let (column, width) = action_at(&line, self.column).unwrap_or((self.column, 0));
        Place::new(
            &self.source.file,
            &self.source.text,
            self.line,
            column,
            width,
        )
    }
}

/// Column and width of the `{{ … }}` around a column; all from 1.
fn action_at(line: &str, column: usize) -> Option<(usize, usize)> {
    let at = column.checked_sub(1)?;
    let head = line.get(..at)?;
    // The recorded place may be the braces themselves.
    let open = match line.get(at..)?.starts_with("{{") {
        true => at,
        false => head.rfind("{{")?,
    };
    let close = open + line[open..].find("}}")? + 2;
    (close > at).then(|| {
        let before = line[..open].chars().count();
        (before + 1, line[open..close].chars().count())
    })
}

/// Who wrote each line of one rendered file.
pub(crate) struct Traced {
    sources: Vec<Arc<Text>>,
    lines: Vec<TracedLine>,
}

#[derive(Clone, Copy)]
struct Spot {
    source: usize,
    line: usize,
    column: usize,
}

struct TracedLine {
    text: String,
    start: Option<Spot>,
    value: Option<Spot>,
}

impl Traced {
    /// Takes the lines of a rendered text with the nodes that wrote them.
    pub(crate) fn new(trace: &Trace) -> Traced {
        let mut traced = Traced {
            sources: Vec::new(),
            lines: Vec::new(),
        };
        let mut known: HashMap<*const u8, usize> = HashMap::new();
        for line in &trace.lines {
            let indent = line.text.len() - line.text.trim_ascii_start().len();
            let mut spot = |column: usize| {
                let (source, pos) = line.at(column)?;
                let place = source.place(pos);
                let index = *known.entry(source.text.as_ptr()).or_insert_with(|| {
                    traced.sources.push(Arc::new(Text {
                        file: source.name.to_string(),
                        text: source.text.to_vec(),
                    }));
                    traced.sources.len() - 1
                });
                Some(Spot {
                    source: index,
                    line: place.line,
                    column: place.column + 1,
                })
            };
            let start = spot(indent);
            let value = value_offset(&line.text).and_then(&mut spot);
            traced.lines.push(TracedLine {
                text: String::from_utf8_lossy(&line.text).into_owned(),
                start,
                value,
            });
        }
        traced
    }

    /// The node that wrote a line of the document.
    pub(crate) fn find(&self, body: &str, line: usize) -> Option<Written> {
        let spot = self.lines[self.line_of(body, line)?].start?;
        Some(self.written(spot))
    }

    fn written(&self, spot: Spot) -> Written {
        Written {
            source: self.sources[spot.source].clone(),
            line: spot.line,
            column: spot.column,
        }
    }

    /// The line of the file that is this line of a document in it: of equal
    /// lines the one whose neighbours agree best.
    fn line_of(&self, body: &str, line: usize) -> Option<usize> {
        let body: Vec<&str> = body.lines().collect();
        let at = line.checked_sub(1)?;
        let wanted = body.get(at)?.trim_end();
        let agrees = |here: usize, there: usize| {
            let (mut score, mut step) = (0, 1);
            while step <= NEIGHBOURS {
                let above = here.checked_sub(step).zip(there.checked_sub(step));
                let above = above.is_some_and(|(h, t)| body[h].trim() == self.lines[t].text.trim());
                let below = body.get(here + step).zip(self.lines.get(there + step));
                let below = below.is_some_and(|(h, t)| h.trim() == t.text.trim());
                score += usize::from(above) + usize::from(below);
                step += 1;
            }
            score
        };
        (0..self.lines.len())
            .filter(|there| self.lines[*there].text.trim() == wanted.trim())
            .max_by_key(|there| (agrees(at, *there), std::cmp::Reverse(*there)))
    }
}

/// So many lines above and below tell equal lines apart.
const NEIGHBOURS: usize = 40;

/// Offset of what follows the key in `- key: value`.
fn value_offset(line: &[u8]) -> Option<usize> {
    let mut at = line.len() - line.trim_ascii_start().len();
    while line[at..].starts_with(b"- ") {
        at += 2;
        at += line[at..].len() - line[at..].trim_ascii_start().len();
    }
    match line[at..].windows(2).position(|pair| pair == b": ") {
        Some(colon) => {
            let after = at + colon + 2;
            let space = line[after..].len() - line[after..].trim_ascii_start().len();
            (after + space < line.len()).then_some(after + space)
        }
        None => (at < line.len()).then_some(at),
    }
}

/// Returns the paths after `.Values` that an expression mentions.
pub fn mentioned(expression: &str) -> Vec<Vec<String>> {
    expression
        .split(|c: char| !(c.is_alphanumeric() || "._$-".contains(c)))
        .filter_map(|part| part.trim_start_matches('$').strip_prefix(".Values."))
        .map(|path| {
            let path = path.trim_end_matches(['-', '.']);
            path.split('.').map(str::to_owned).collect()
        })
        .collect()
}

/// Returns the path of a value from the root of all values, for a path in a
/// template of a chart: `.Values.a.b` in a subchart is `sub.a.b`.
pub fn root_path(file: &str, names: &[String]) -> Vec<String> {
    let mut path: Vec<String> = Vec::new();
    let mut parts = file.split('/').skip(1);
    while let (Some("charts"), Some(name)) = (parts.next(), parts.next()) {
        path.push(name.to_owned());
    }
    if names.first().map(String::as_str) == Some("global") && !path.is_empty() {
        return names.to_vec();
    }
    path.extend(names.iter().cloned());
    path
}

/// Finds where a value was written: by the user, else in the chart.
pub fn origin(chart: &Chart, values: &Values, path: &[String]) -> Option<Origin> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    values
        .origin(&path)
        .or_else(|| default_origin(chart, chart.name(), &path))
}

/// Finds a default in the values files of a chart and those below it.
pub(crate) fn default_origin(chart: &Chart, path: &str, names: &[&str]) -> Option<Origin> {
    if let Some(text) = &chart.values_text
        && let Some(origin) = find_in_text(&format!("{path}/values.yaml"), text, names)
    {
        return Some(origin);
    }
    let (first, rest) = names.split_first()?;
    let alias = chart
        .metadata
        .dependencies
        .iter()
        .find(|dependency| dependency.alias == *first);
    let name = alias.map_or(*first, |dependency| dependency.name.as_str());
    let child = chart
        .dependencies
        .iter()
        .find(|child| child.name() == name)?;
    default_origin(child, &format!("{path}/charts/{name}"), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_marked_as_a_whole() {
        let check = |line: &str, column: usize, expected: Option<(usize, usize)>| {
            assert_eq!(action_at(line, column), expected, "{line} {column}");
        };
        check("a: {{ .Values.a }}", 7, Some((4, 15)));
        check("a: {{ .Values.a }}", 4, Some((4, 15)));
        check("a: {{ .Values.a }} b", 20, None);
        check("a: b", 4, None);
    }

    #[test]
    fn what_follows_the_key() {
        let check = |line: &str, expected: Option<usize>| {
            assert_eq!(value_offset(line.as_bytes()), expected, "{line}");
        };
        check("  - name: http", Some(10));
        check("  ports:", Some(2));
        check("  - - a", Some(6));
        check("", None);
    }

    #[test]
    fn values_are_found_in_expressions() {
        let found = mentioned("{{- with $.Values.a.b-c }}{{ .Values.d. }}");
        assert_eq!(found, [vec!["a", "b-c"], vec!["d"]]);
        let names = vec!["x".to_owned()];
        assert_eq!(root_path("c/charts/s/templates/a.yaml", &names), ["s", "x"]);
    }
}
