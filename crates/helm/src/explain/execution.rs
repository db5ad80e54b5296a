//! Why a template stopped.

use super::context::Context;
use super::did_you_mean;
use crate::chart::Chart;
use crate::error::{Place, RenderError, Step};
use crate::values::Values;
use coracle_gotemplate::{Detail, Error, Frame};
use coracle_goyaml::Map;

fn place_of(frame: &Frame) -> Place {
    let place = frame.place();
    let width = frame
        .context
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .count();
    let column = place.column + 1;
    // Go points at the second part of `.a.b`; the expression starts before.
    let line_start = frame.source.text[..frame.pos.min(frame.source.text.len())]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let line = &frame.source.text[line_start..];
    let line = &line[..line
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(line.len())];
    let line = String::from_utf8_lossy(line);
    let shown = line
        .match_indices(frame.context.as_str())
        .map(|(at, _)| at + 1)
        .filter(|at| *at <= column)
        .last();
    let (column, width) = match shown {
        Some(at) => (at, width),
        None => (column, 0),
    };
    Place::new(
        &frame.source.name,
        &frame.source.text,
        place.line,
        column,
        width,
    )
}

/// A template that stopped.
pub(crate) fn execution(
    helm: String,
    error: &Error,
    chart: &Chart,
    values: &Values,
    coalesced: &Map,
) -> Box<RenderError> {
    let mut report = RenderError::new(Step::Execute, helm);
    let frames: Vec<&Frame> = error
        .chain()
        .filter_map(|link| link.frame.as_deref())
        .collect();
    if let Some((innermost, outer)) = frames.split_last() {
        report.place = Some(place_of(innermost));
        report.calls = outer.iter().rev().map(|frame| place_of(frame)).collect();
    }
    let frame = frames.last();
    let detail = error
        .chain()
        .filter_map(|link| link.detail.as_deref())
        .last();
    let context = Context {
        chart,
        values,
        coalesced,
        file: frame
            .map(|frame| frame.source.name.to_string())
            .unwrap_or_default(),
        caller: frames
            .first()
            .map(|frame| frame.source.name.to_string())
            .unwrap_or_default(),
    };
    match detail {
        Some(Detail::NilPointer { missing, field }) => context.nil(&mut report, missing, field),
        Some(Detail::NoField {
            holder,
            field,
            value,
            type_name,
        }) => {
            context.no_field(&mut report, holder, field, value, type_name);
        }
        Some(Detail::WrongType {
            expected,
            got,
            value,
        }) => {
            let expression = frame.map(|frame| frame.context.clone()).unwrap_or_default();
            context.wrong_type(&mut report, &expression, (expected, got), value);
        }
        Some(Detail::NoTemplate { name, near }) => {
            report.explanation = Some(format!("no template is called {name:?}"));
            report.remedy = did_you_mean(near).or_else(|| {
                Some("define it in a file whose name starts with _, or add the chart that does to charts/".into())
            });
        }
        Some(Detail::Refused(_)) => {
            report.explanation = Some("the chart itself refuses these values".into());
            let expression = frame.map(|frame| frame.context.clone()).unwrap_or_default();
            context.mention(&mut report, &expression);
        }
        Some(Detail::Limit) | None => {
            if let Some(frame) = frame {
                context.mention(&mut report, &frame.context);
                report.remedy = remedy_for(&frame.message);
            }
        }
    }
    // What `tpl` executes came from a value.
    if let (Some(outer), true) = (frames.first(), context.file == "gotpl") {
        context.mention(&mut report, &outer.context);
    }
    report
}

/// What to do about errors that functions raise.
fn remedy_for(message: &str) -> Option<String> {
    const REMEDIES: &[(&str, &str)] = &[
        (
            "incompatible types for comparison",
            "compare like with like: numbers of values files are float64, so write (int …) or (toString …) around one side",
        ),
        (
            "index out of range",
            "ask for the length first: {{ if gt (len …) … }}",
        ),
        ("range can't iterate over", "make the value a list or a map"),
        (
            "index of untyped nil",
            "give it a default first: (index (… | default list) …)",
        ),
        (
            "integer divide by zero",
            "guard against zero before dividing",
        ),
        (
            "interface conversion",
            "dig and friends take plain maps: pass .Values.AsMap, and check that every step is a map",
        ),
        (
            "wrong number of args",
            "look at the function's parameters; a value from the left of | comes last",
        ),
    ];
    let found = REMEDIES.iter().find(|(part, _)| message.contains(part));
    found.map(|(_, remedy)| (*remedy).to_owned())
}
