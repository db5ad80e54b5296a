//! `coracle why`: the chain of causes behind something that does not work, and
//! the next step; or which network policy decides a connection.

mod flow;

use clap::Args;
use coracle_release::why::{Cause, Resource, Verdict, why};
use serde_json::{Value, json};

use super::namesake;
use super::output::{self, Format};
use super::target::Target;
use super::{Global, block_on};
use crate::failure::{Failure, Outcome};
use crate::paint::{Colour, Stream, paint};

/// Say why something does not work, and what to do about it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  coracle why todo                          a release, everything in it
  coracle why deploy/web                    a workload, down to the container at fault
  coracle why svc/web                       a Service that does not answer
  coracle why pvc/data                      a claim that is not bound
  coracle why pod/web-1 --to svc/database   may they talk? which policy decides?

TYPE is one of pod, deploy, sts, ds, rs, job, svc, ingress, pvc, hpa. The exit
code is 1 if something is wrong.")]
pub struct Why {
    /// TYPE/NAME, or the name of a release; the name alone does where no release has it.
    #[arg(required = true, num_args = 1.., value_name = "RESOURCE")]
    words: Vec<String>,
    /// Ask whether the pod may talk to this: pod/NAME, svc/NAME or an address.
    #[arg(long, value_name = "RESOURCE")]
    to: Option<String>,
    /// The port that is talked to [default: every port that is declared].
    #[arg(long)]
    port: Option<u16>,
    /// Namespace of the resource.
    #[arg(long, short, default_value = "default")]
    namespace: String,
    /// Print data instead of a picture.
    #[arg(long, short)]
    output: Option<Format>,
}

impl Why {
    /// Prints what was found out.
    pub fn run(&self, global: &Global) -> Outcome {
        let (from, to) = self.asked()?;
        let target = Target::of(global)?;
        if let Some(to) = to {
            return block_on(async {
                let client = target.connect().await?;
                flow::run(&client, &self.namespace, &from, &to, self.port, self.output).await
            });
        }
        let mut resource: Resource = from.parse().map_err(Failure::usage)?;
        let verdict = block_on(async {
            let client = target.connect().await?;
            if let Some(named) = namesake::of(&client, &self.namespace, &from).await? {
                resource = named.parse().map_err(Failure::usage)?;
            }
            Ok(why(&client, &self.namespace, &resource).await?)
        })?;
        match self.output {
            Some(format) => output::print(format, &data(&verdict))?,
            None => print!("{}", picture(&verdict)),
        }
        if verdict.causes.is_empty() {
            return Ok(());
        }
        Err(Failure::told())
    }

    /// Returns what is asked about: one thing, or two with an arrow between.
    fn asked(&self) -> Result<(String, Option<String>), Failure> {
        let text = self.words.join(" ");
        let (from, to) = match text.split_once("->").or_else(|| text.split_once(" to ")) {
            Some((from, to)) => (from.trim().to_owned(), Some(to.trim().to_owned())),
            None => (text.clone(), None),
        };
        let (from, to) = (slashed(from), to.map(slashed));
        match (to, &self.to) {
            (Some(_), Some(_)) => Err(Failure::usage("two destinations are given")),
            (to, given) if !from.contains(' ') => Ok((from, to.or_else(|| given.clone()))),
            _ => Err(Failure::usage(format!(
                "{text:?} is more than one resource"
            ))),
        }
    }
}

/// Writes `TYPE NAME` as `TYPE/NAME`: kubectl takes both.
fn slashed(text: String) -> String {
    match text.split_once(' ') {
        Some((kind, name)) if !kind.contains('/') && !name.contains([' ', '/']) => {
            format!("{kind}/{name}")
        }
        _ => text,
    }
}

/// Draws a verdict.
pub fn picture(verdict: &Verdict) -> String {
    let title = paint(Stream::Out, Colour::Bold, &verdict.object);
    if verdict.causes.is_empty() {
        return format!("{title}: nothing is wrong ({})\n", verdict.state);
    }
    let mut text = format!("{title}: {}\n", verdict.state);
    for cause in &verdict.causes {
        // What the title says already is not said again.
        let repeats = cause.object == verdict.object && !cause.because.is_empty();
        let shown = if repeats {
            cause.because.as_slice()
        } else {
            std::slice::from_ref(cause)
        };
        for cause in shown {
            text.extend(cause.to_string().lines().map(painted));
        }
    }
    text
}

/// Paints a line of a cause by the mark that it begins with.
fn painted(line: &str) -> String {
    let bare = line.trim_start();
    let indent = &line[..line.len() - bare.len()];
    if let Some((object, text)) = bare
        .strip_prefix("because ")
        .and_then(|rest| rest.split_once(": "))
    {
        let object = paint(Stream::Out, Colour::Bold, object);
        return format!("{indent}because {object}: {text}\n");
    }
    if let Some(remedy) = bare.strip_prefix("→ ") {
        let arrow = paint(Stream::Out, Colour::Green, "→");
        return format!("{indent}{arrow} {remedy}\n");
    }
    match bare.starts_with('|') {
        true => format!("{indent}{}\n", paint(Stream::Out, Colour::Dim, bare)),
        false => format!("{line}\n"),
    }
}

/// Returns a verdict as data.
pub fn data(verdict: &Verdict) -> Value {
    json!({
        "object": verdict.object,
        "state": verdict.state,
        "causes": verdict.causes.iter().map(cause_data).collect::<Vec<_>>(),
    })
}

fn cause_data(cause: &Cause) -> Value {
    json!({
        "object": cause.object,
        "text": cause.text,
        "excerpt": cause.excerpt,
        "remedy": cause.remedy,
        "final": cause.is_final(),
        "because": cause.because.iter().map(cause_data).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_drawn_from_effect_to_cause() {
        let verdict = Verdict {
            object: "deployment/web".into(),
            state: "0 of 1 pods available".into(),
            causes: vec![Cause {
                object: "pod/web-1".into(),
                text: "its environment cannot be made".into(),
                because: vec![Cause {
                    object: "secret/s".into(),
                    text: "it does not exist".into(),
                    remedy: Some("kubectl create secret generic s".into()),
                    is_final: true,
                    ..Cause::default()
                }],
                ..Cause::default()
            }],
        };
        assert_eq!(
            picture(&verdict),
            "deployment/web: 0 of 1 pods available\n  because pod/web-1: its environment cannot be made\n    because secret/s: it does not exist\n      → kubectl create secret generic s\n"
        );
        assert_eq!(data(&verdict)["causes"][0]["final"], true);
    }

    #[test]
    fn an_arrow_may_be_written_in_several_ways() {
        let check = |words: &[&str], to: Option<&str>, expected: (&str, Option<&str>)| {
            let why = Why {
                words: words.iter().map(|word| (*word).to_owned()).collect(),
                to: to.map(str::to_owned),
                port: None,
                namespace: "default".into(),
                output: None,
            };
            let (from, to) = why.asked().expect("it can be read");
            assert_eq!((from.as_str(), to.as_deref()), expected);
        };
        check(&["pod/a -> svc/b"], None, ("pod/a", Some("svc/b")));
        check(&["pod/a", "->", "svc/b"], None, ("pod/a", Some("svc/b")));
        check(&["pod/a", "to", "svc/b"], None, ("pod/a", Some("svc/b")));
        check(&["pod/a"], Some("svc/b"), ("pod/a", Some("svc/b")));
        check(&["todo"], None, ("todo", None));
        check(&["pod", "a"], None, ("pod/a", None));
        check(
            &["pod", "a", "to", "svc", "b"],
            None,
            ("pod/a", Some("svc/b")),
        );
    }
}
