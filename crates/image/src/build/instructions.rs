//! What each instruction does to a stage.

use std::path::Path;

use super::BuildError;
use super::builder::Builder;
use super::copy::{CopyRequest, CopySource};
use super::dockerfile::{self, Arguments, Copy, Expander, Instruction, Kind};
use super::plan::Plan;
use super::state::StageState;
use crate::oci;
use crate::rootfs::clean;

impl Builder<'_> {
    pub(super) fn instruction(
        &mut self,
        stage: usize,
        instruction: &Instruction,
        state: &mut StageState,
    ) -> Result<(), BuildError> {
        let line = instruction.line;
        let text = &instruction.text;
        match &instruction.kind {
            Kind::Copy(copy) => return self.copy(stage, instruction, copy, state),
            Kind::Run(run) => return self.run(stage, instruction, run, state),
            Kind::Workdir(path) => return self.workdir(path, instruction, state),
            Kind::Arg(arguments) => self.arg(arguments, state, line)?,
            Kind::Env(pairs) => {
                let pairs = self.pairs(pairs, state, line)?;
                pairs
                    .iter()
                    .for_each(|(name, value)| state.set_env(name, value));
            }
            Kind::Label(pairs) => {
                let pairs = self.pairs(pairs, state, line)?;
                state.config.labels.extend(pairs);
            }
            Kind::Cmd(arguments) => {
                state.config.cmd = Some(command(arguments, state));
                state.cmd_is_own = true;
            }
            Kind::Entrypoint(arguments) => {
                state.config.entrypoint = Some(command(arguments, state));
                if !state.cmd_is_own {
                    state.config.cmd = None;
                }
            }
            Kind::Shell(words) => state.config.shell = Some(words.clone()),
            Kind::User(user) => {
                let user = self.word(user, state, line)?;
                match user.is_empty() {
                    true => {
                        return Err(self.at(line, "USER is empty once its variables are replaced"));
                    }
                    false => state.config.user = user,
                }
            }
            Kind::Expose(words) => self.expose(words, state, line)?,
            Kind::Volume(paths) => {
                for path in paths {
                    let path = self.word(path, state, line)?;
                    if path.is_empty() {
                        return Err(self.at(line, "a VOLUME needs a path"));
                    }
                    state.config.volumes.insert(path, serde_json::json!({}));
                }
            }
            Kind::StopSignal(signal) => {
                let signal = self.word(signal, state, line)?;
                if !is_signal(&signal) {
                    let message =
                        format!("\"{signal}\" is no signal; a number or a name such as SIGTERM");
                    return Err(self.at(line, message));
                }
                state.config.stop_signal = Some(signal);
            }
            Kind::Healthcheck(healthcheck) => {
                state.config.healthcheck = Some(health(healthcheck));
            }
            Kind::Maintainer(name) => state.author = Some(name.clone()),
        }
        self.note(state, text, true);
        Ok(())
    }

    pub(super) fn word(
        &self,
        text: &str,
        state: &StageState,
        line: u32,
    ) -> Result<String, BuildError> {
        let expanded = state.expand(self.dockerfile.escape, text);
        expanded.map_err(|message| self.at(line, message))
    }

    fn pairs(
        &self,
        pairs: &[(String, String)],
        state: &StageState,
        line: u32,
    ) -> Result<Vec<(String, String)>, BuildError> {
        // All values see the variables from before the instruction.
        let pair = |(name, value): &(String, String)| {
            Ok((
                self.word(name, state, line)?,
                self.word(value, state, line)?,
            ))
        };
        pairs.iter().map(pair).collect()
    }

    fn arg(
        &mut self,
        arguments: &[(String, Option<String>)],
        state: &mut StageState,
        line: u32,
    ) -> Result<(), BuildError> {
        for (name, default) in arguments {
            self.used_arguments.insert(name.clone());
            let given = self.request.arguments.get(name).cloned();
            let value = match (given, default) {
                (Some(given), _) => Some(given),
                (None, Some(default)) => Some(self.word(default, state, line)?),
                (None, None) => self.arguments.get(name).cloned(),
            };
            if let Some(value) = value {
                state.arguments.insert(name.clone(), value);
            }
        }
        Ok(())
    }

    fn expose(
        &self,
        words: &[String],
        state: &mut StageState,
        line: u32,
    ) -> Result<(), BuildError> {
        for word in words {
            let expanded = self.word(word, state, line)?;
            for port in expanded.split_whitespace() {
                let ports = ports(port).map_err(|message| self.at(line, message))?;
                let ports = ports.into_iter().map(|port| (port, serde_json::json!({})));
                state.config.exposed_ports.extend(ports);
            }
        }
        Ok(())
    }

    fn workdir(
        &mut self,
        path: &str,
        instruction: &Instruction,
        state: &mut StageState,
    ) -> Result<(), BuildError> {
        let line = instruction.line;
        let path = self.word(path, state, line)?;
        if path.is_empty() {
            return Err(self.at(line, "WORKDIR is empty once its variables are replaced"));
        }
        let path = clean(&Path::new(state.working_dir()).join(path));
        state.config.working_dir = path.to_string_lossy().into_owned();
        let view = self.view(state)?;
        let real = view
            .real_path(&path)
            .map_err(|error| self.plan_failed(line, error.into()))?;
        if view
            .find(&real)
            .map_err(|error| self.plan_failed(line, error.into()))?
            .is_some()
        {
            self.note(state, &instruction.text, true);
            return Ok(());
        }
        let owner = self.owner(&view, &state.config.user);
        let owner = owner.map_err(|error| self.at(line, error.to_string()))?;
        let mut plan = Plan::default();
        let planned = plan.directory(&view, &real, 0o755, owner);
        planned.map_err(|error| self.plan_failed(line, error))?;
        match plan.is_empty() {
            true => {
                self.note(state, &instruction.text, true);
                Ok(())
            }
            false => self.add_plan(&plan, state, line, &instruction.text),
        }
    }

    fn copy(
        &mut self,
        stage: usize,
        instruction: &Instruction,
        copy: &Copy,
        state: &mut StageState,
    ) -> Result<(), BuildError> {
        let line = instruction.line;
        let request = self.copy_request(copy, state, line)?;
        let source = self.source(stage, copy.from.as_deref(), line)?;
        let plan = self.plan_copy(&request, &source, state, line)?;
        self.add_plan(&plan, state, line, &instruction.text)
    }

    fn copy_request(
        &self,
        copy: &Copy,
        state: &StageState,
        line: u32,
    ) -> Result<CopyRequest, BuildError> {
        let mut heredocs = copy.heredocs.iter();
        let mut sources = Vec::new();
        for word in &copy.sources {
            if word.contains("<<")
                && let Some(heredoc) = heredocs.next()
            {
                let text = heredoc.text();
                let content = match heredoc.expand {
                    true => self.body(&text, state, line)?,
                    false => text,
                };
                sources.push(CopySource::Inline(heredoc.name.clone(), content));
                continue;
            }
            sources.push(CopySource::Path(self.word(word, state, line)?));
        }
        let owner = match &copy.chown {
            Some(spec) => {
                let spec = self.word(spec, state, line)?;
                let owner = self.owner(&self.view(state)?, &spec);
                Some(owner.map_err(|error| self.at(line, format!("--chown: {error}")))?)
            }
            None => None,
        };
        let mode = match &copy.chmod {
            Some(text) => Some(self.mode(&self.word(text, state, line)?, line)?),
            None => None,
        };
        let excludes = copy
            .excludes
            .iter()
            .map(|text| self.word(text, state, line));
        Ok(CopyRequest {
            sources,
            destination: self.word(&copy.destination, state, line)?,
            working_dir: state.working_dir().to_owned(),
            owner,
            mode,
            excludes: excludes.collect::<Result<_, _>>()?,
            unpack: copy.unpack,
        })
    }

    fn body(&self, text: &str, state: &StageState, line: u32) -> Result<String, BuildError> {
        let lookup = |name: &str| state.variable(name);
        let expander = Expander {
            escape: self.dockerfile.escape,
            lookup: &lookup,
        };
        expander
            .body(text)
            .map_err(|message| self.at(line, message))
    }

    fn mode(&self, text: &str, line: u32) -> Result<u32, BuildError> {
        let mode = u32::from_str_radix(text, 8)
            .ok()
            .filter(|mode| *mode <= 0o7777);
        mode.ok_or_else(|| {
            self.at(
                line,
                format!("--chmod={text}: the mode is octal, such as 755"),
            )
        })
    }
}

fn command(arguments: &Arguments, state: &StageState) -> Vec<String> {
    match arguments {
        Arguments::Exec(words) => words.clone(),
        Arguments::Shell(text) => {
            let mut words = state.shell();
            words.push(text.clone());
            words
        }
    }
}

fn health(healthcheck: &dockerfile::Healthcheck) -> oci::Healthcheck {
    let test = match &healthcheck.command {
        None => vec!["NONE".to_owned()],
        Some(Arguments::Shell(text)) => vec!["CMD-SHELL".to_owned(), text.clone()],
        Some(Arguments::Exec(words)) => {
            let mut test = vec!["CMD".to_owned()];
            test.extend(words.iter().cloned());
            test
        }
    };
    oci::Healthcheck {
        test,
        interval: healthcheck.interval,
        timeout: healthcheck.timeout,
        start_period: healthcheck.start_period,
        start_interval: healthcheck.start_interval,
        retries: healthcheck.retries,
    }
}

// `80`, `80/udp`, `8000-8010/tcp`.
fn ports(text: &str) -> Result<Vec<String>, String> {
    let broken = || format!("\"{text}\" is no port such as 80, 53/udp or 8000-8010");
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(broken());
    }
    if range.contains(':') {
        return Err(format!(
            "{text}: EXPOSE names ports of the container only, without a host port"
        ));
    }
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let first: u16 = first.parse().map_err(|_| broken())?;
    let last: u16 = last.parse().map_err(|_| broken())?;
    match first <= last {
        true => Ok((first..=last)
            .map(|port| format!("{port}/{protocol}"))
            .collect()),
        false => Err(broken()),
    }
}

fn is_signal(text: &str) -> bool {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
        "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
        "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    if let Ok(number) = text.parse::<u8>() {
        return (1..=64).contains(&number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = ["RTMIN", "RTMAX"]
        .iter()
        .any(|prefix| name.starts_with(prefix));
    NAMES.contains(&name) || real_time
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_numbers_with_a_protocol() {
        let check = |text: &str, expected: Option<&[&str]>| {
            let got = ports(text).ok();
            let got: Option<Vec<&str>> = got
                .as_ref()
                .map(|list| list.iter().map(String::as_str).collect());
            assert_eq!(got.as_deref(), expected, "{text}");
        };
        check("80", Some(&["80/tcp"]));
        check("53/UDP", Some(&["53/udp"]));
        check("8000-8002", Some(&["8000/tcp", "8001/tcp", "8002/tcp"]));
        for text in ["", "x", "80/icmp", "90-80", "70000", "80:80"] {
            check(text, None);
        }
    }

    #[test]
    fn signals_are_names_or_numbers() {
        for text in ["SIGTERM", "sigquit", "INT", "9", "SIGRTMIN+3"] {
            assert!(is_signal(text), "{text}");
        }
        for text in ["", "SIG", "0", "65", "TERMINATE"] {
            assert!(!is_signal(text), "{text}");
        }
    }
}
