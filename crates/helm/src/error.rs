//! Why a chart cannot be rendered: Helm's words first, ours below.
//!
//! Main type: [`RenderError`]. Its first lines are what `helm` prints after
//! `Error: `; the rest names the place in the chart, the value and its
//! origin, shows the line and says what to do.

use crate::values::Origin;

/// Why a chart cannot be rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderError {
    /// What Helm 4.2 prints after `Error: `.
    pub helm: String,
    /// Which step failed.
    pub step: Step,
    /// The place in a file of the chart.
    pub place: Option<Place>,
    /// The calls that led there, innermost first.
    pub calls: Vec<Place>,
    /// What is wrong, in one sentence.
    pub explanation: Option<String>,
    /// The values that matter, with where they were written.
    pub values: Vec<(String, Option<Origin>)>,
    /// What to do.
    pub remedy: Option<String>,
    /// What templates wrote, by path, when it cannot be read.
    pub written: Vec<(String, String)>,
}

/// The steps of a rendering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Dependencies and their values.
    Dependencies,
    /// The check of values against schemas.
    Schema,
    /// The check of the Kubernetes version.
    KubeVersion,
    /// Reading a template.
    Parse,
    /// Executing a template.
    Execute,
    /// Reading what a template wrote.
    Manifest,
}

/// A place in a file, with the lines around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, from the root chart's name on.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// How many characters are at fault; 0 if unknown.
    pub width: usize,
    /// The lines: number and text.
    pub excerpt: Vec<(usize, String)>,
}

impl Place {
    /// Makes a place with the line itself and the one before it.
    pub fn new(file: &str, text: &[u8], line: usize, column: usize, width: usize) -> Place {
        let text = String::from_utf8_lossy(text);
        let first = line.saturating_sub(1).max(1);
        let excerpt = text
            .lines()
            .enumerate()
            .map(|(at, text)| (at + 1, text.to_owned()))
            .filter(|(number, _)| (first..=line).contains(number))
            .collect();
        Place {
            file: file.to_owned(),
            line,
            column,
            width,
            excerpt,
        }
    }
}

impl RenderError {
    /// Makes an error that has only Helm's words.
    pub fn new(step: Step, helm: impl Into<String>) -> Box<Self> {
        Box::new(RenderError {
            helm: helm.into(),
            step,
            place: None,
            calls: Vec::new(),
            explanation: None,
            values: Vec::new(),
            remedy: None,
            written: Vec::new(),
        })
    }

    /// Returns what `helm template` prints after `Error: `.
    pub fn template_text(&self) -> String {
        let text = &self.helm;
        match self.step {
            Step::Dependencies | Step::Schema => text.trim_end().to_owned(),
            _ => format!("{text}\n\nUse --debug flag to render out invalid YAML"),
        }
    }

    /// Returns everything: Helm's words and ours.
    pub fn report(&self) -> String {
        let mut out = self.helm.trim_end().to_owned();
        out.push('\n');
        if let Some(explanation) = &self.explanation {
            out.push_str(&format!("\n{explanation}\n"));
        }
        if let Some(place) = &self.place {
            out.push_str(&show_place(place, true));
        }
        for call in &self.calls {
            out.push_str(&format!(
                "  called from {}:{}:{}\n",
                call.file, call.line, call.column
            ));
        }
        for (value, origin) in &self.values {
            match origin {
                Some(origin) => out.push_str(&format!("  {value}, set at {origin}\n")),
                None => out.push_str(&format!("  {value}\n")),
            }
        }
        if let Some(remedy) = &self.remedy {
            out.push_str(&format!("help: {remedy}\n"));
        }
        out
    }
}

fn show_place(place: &Place, excerpt: bool) -> String {
    let mut out = format!("  --> {}:{}:{}\n", place.file, place.line, place.column);
    if !excerpt || place.excerpt.is_empty() {
        return out;
    }
    let gutter = place
        .excerpt
        .last()
        .map_or(1, |(number, _)| number.to_string().len());
    for (number, text) in &place.excerpt {
        out.push_str(&format!("{number:>gutter$} | {text}\n"));
    }
    let indent = place.column.saturating_sub(1);
    let marks = "^".repeat(place.width.max(1));
    out.push_str(&format!("{:gutter$} | {}{marks}\n", "", " ".repeat(indent)));
    out
}

impl std::fmt::Display for RenderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.helm.trim_end())
    }
}

impl std::error::Error for RenderError {}
