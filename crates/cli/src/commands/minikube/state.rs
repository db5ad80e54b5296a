//! What scripts ask of clusters: `status`, `profile` and `node`, in the words
//! of minikube.

use std::process::ExitCode;

use coracle_cluster::{Home, Record};

use super::Minikube;
use crate::commands::release::table;
use crate::commands::target::Target;
use crate::failure::{Failure, Outcome};

/// Exit codes of `minikube status` that scripts look at.
const STOPPED: u8 = 7;
const NOT_FOUND: u8 = 85;

impl Minikube {
    /// Prints the state in the words of minikube, which scripts look for.
    pub(super) fn status(&self, output: &str, format: Option<&str>) -> Result<ExitCode, Failure> {
        let target = Target::of(&self.global())?;
        let (state, config, code) = match (target.dir.exists(), target.running()) {
            (_, Some(_)) => ("Running", "Configured", ExitCode::SUCCESS),
            (true, None) => ("Stopped", "Stopped", STOPPED.into()),
            (false, None) => {
                let failure = Failure::usage(format!("profile {:?} not found", self.profile))
                    .hint("start it: minikube start");
                failure.report();
                return Ok(NOT_FOUND.into());
            }
        };
        if let Some(format) = format {
            println!("{}", line(format, &self.profile, state, config));
        } else if output == "json" {
            println!(
                "{}",
                serde_json::json!({"Name": self.profile, "Host": state, "Kubelet": state,
                    "APIServer": state, "Kubeconfig": config, "Worker": false})
            );
        } else {
            println!(
                "{}\ntype: Control Plane\nhost: {state}\nkubelet: {state}\napiserver: {state}\nkubeconfig: {config}\n",
                self.profile
            );
        }
        Ok(code)
    }

    /// Lists the clusters. Choosing one for later commands is the shell's affair.
    pub(super) fn profile(&self, name: Option<&str>, output: Option<&str>) -> Outcome {
        match name {
            None => {
                println!("{}", self.profile);
                return Ok(());
            }
            Some("list") => {}
            Some(name) => {
                return Err(Failure::usage(
                    "a profile is not remembered from one command to the next",
                )
                .hint(format!("export MINIKUBE_PROFILE={name}, or add: -p {name}")));
            }
        }
        let home = Home::from_environment()?;
        let states: Vec<(String, &str)> = home
            .clusters()
            .into_iter()
            .map(|name| {
                let running = Record::read(&home.cluster(&name)).is_some();
                (name, if running { "OK" } else { "Stopped" })
            })
            .collect();
        if output == Some("json") {
            let valid: Vec<_> = states
                .iter()
                .map(|(name, state)| serde_json::json!({"Name": name, "Status": state}))
                .collect();
            println!("{}", serde_json::json!({"invalid": [], "valid": valid}));
            return Ok(());
        }
        let rows = states.iter().map(|(name, state)| {
            let row = [name.as_str(), "none", "coracle", *state];
            row.map(str::to_owned).to_vec()
        });
        let titles = ["PROFILE", "DRIVER", "RUNTIME", "STATUS"];
        print!("{}", table::titled(titles, rows));
        Ok(())
    }

    pub(super) fn node(&self, action: &str) -> Outcome {
        if action != "list" {
            return Err(Failure::usage("a cluster has one node here").hint(
                "for several machines: coracle up --context NAME, on a cluster that has them",
            ));
        }
        let target = Target::of(&self.global())?;
        target.require_running()?;
        println!("{}\t{}", self.profile, target.host());
        Ok(())
    }
}

/// Fills a line of `status --format`, a Go template in minikube.
fn line(format: &str, name: &str, state: &str, config: &str) -> String {
    let fields = [
        ("Name", name),
        ("Host", state),
        ("Kubelet", state),
        ("APIServer", state),
        ("Kubeconfig", config),
    ];
    let fill = |line: String, (field, value): (&str, &str)| {
        line.replace(&format!("{{{{.{field}}}}}"), value)
            .replace(&format!("{{{{ .{field} }}}}"), value)
    };
    fields.into_iter().fold(format.to_owned(), fill)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_status_is_filled() {
        let check = |format: &str, expected: &str| {
            assert_eq!(line(format, "minikube", "Running", "Configured"), expected);
        };
        check("{{.Host}}", "Running");
        check("{{ .Name }}: {{.APIServer}}", "minikube: Running");
        check("{{.Other}}", "{{.Other}}");
    }
}
