//! The name of a release and its chart, as the words and flags of `install` and
//! `template` say.

use std::path::Path;

use clap::Args;
use coracle_helm::{Capabilities, Chart, File, NoCluster, Release, Values, render};

use crate::failure::Failure;

/// Flags that make a name.
#[derive(Debug, Clone, Default, Args)]
pub struct Naming {
    /// Make a name of the chart's.
    #[arg(long, short)]
    pub generate_name: bool,
    /// Template of the name.
    #[arg(long, value_name = "TEMPLATE")]
    pub name_template: Option<String>,
}

impl Naming {
    /// Returns name and chart; `usual` is the name where nothing says one.
    pub fn name_and_chart<'w>(
        &self,
        words: &'w [String],
        usual: Option<&str>,
    ) -> Result<(String, &'w str), Failure> {
        let refuse = |message: String| Err(Failure::from(anyhow::anyhow!(message)));
        let chart = match words {
            [chart] => chart.as_str(),
            [name, chart] => {
                let flag = match (self.generate_name, &self.name_template) {
                    (true, _) => "--generate-name",
                    (false, Some(_)) => "--name-template",
                    (false, None) => return Ok((name.clone(), chart)),
                };
                return refuse(format!("cannot set {flag} and also specify a name"));
            }
            _ => {
                let more = words.get(2..).unwrap_or_default().join(", ");
                return refuse(format!(
                    "expected at most two arguments, unexpected arguments: {more}"
                ));
            }
        };
        if let Some(template) = &self.name_template {
            return Ok((template_name(template)?, chart));
        }
        if let Some(usual) = usual {
            return Ok((usual.to_owned(), chart));
        }
        if !self.generate_name {
            return refuse("must either provide a name or specify --generate-name".into());
        }
        Ok((generated(chart), chart))
    }
}
/// Makes a name from the chart's and the time.
fn generated(chart: &str) -> String {
    let path = Path::new(chart);
    let base = path.file_name().map(|base| base.to_string_lossy());
    let base = base.as_deref().unwrap_or("chart").split('.').next();
    let base = base.filter(|base| !base.is_empty()).unwrap_or("chart");
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    format!("{base}-{}", seconds.map_or(0, |since| since.as_secs()))
}

/// Fills a template of a name: the notes of a chart that has nothing else.
fn template_name(template: &str) -> Result<String, Failure> {
    let chart = Chart::load(vec![
        File::new(
            "Chart.yaml",
            &b"apiVersion: v2\nname: name-template\nversion: 0.0.0\n"[..],
        ),
        File::new("templates/NOTES.txt", template.as_bytes()),
    ])?;
    let rendered = render(
        &chart,
        &Values::default(),
        &Release::named("name"),
        &Capabilities::default(),
        &NoCluster,
    );
    let rendered = rendered.map_err(|error| anyhow::anyhow!("{}", error.report().trim_end()))?;
    Ok(rendered.notes)
}
