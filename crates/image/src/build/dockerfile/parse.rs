//! From text to instructions: [`parse`].

use super::ast::{
    Arguments, Copy, Dockerfile, Healthcheck, Instruction, Kind, Run, RunCommand, Stage,
};
use super::error::Located;
use super::flags::{self, Flags};
use super::lines::{self, LogicalLine, opening};
use super::words::{json_words, split_words};

const INSTRUCTIONS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Parses a Dockerfile; `file` is its name in messages.
///
/// # Errors
///
/// Points at the first line that is wrong.
pub fn parse(file: &str, text: &str) -> Result<Dockerfile, Located> {
    let mut dockerfile = Dockerfile {
        file: file.to_owned(),
        escape: '\\',
        arguments: Vec::new(),
        stages: Vec::new(),
        lines: text
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect(),
    };
    let lines = lines::split(text).map_err(|(line, message)| dockerfile.located(line, message))?;
    dockerfile.escape = lines.escape;
    for line in &lines.lines {
        let added = add(&mut dockerfile, line);
        added.map_err(|message| dockerfile.located(line.line, message))?;
    }
    if dockerfile.stages.is_empty() {
        let message = match lines.lines.is_empty() {
            true => "the file holds no instructions",
            false => "no FROM: every build starts with FROM image or FROM scratch",
        };
        return Err(dockerfile.located(1, message));
    }
    Ok(dockerfile)
}

fn add(dockerfile: &mut Dockerfile, line: &LogicalLine) -> Result<(), String> {
    let (word, rest) = match line.text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim()),
        None => (line.text.as_str(), ""),
    };
    let name = word.to_ascii_uppercase();
    if !INSTRUCTIONS.contains(&name.as_str()) {
        return Err(unknown(word));
    }
    if rest.is_empty() {
        return Err(format!("{name} needs arguments"));
    }
    let parser = Parser {
        name: &name,
        rest,
        line,
        escape: dockerfile.escape,
    };
    if name == "FROM" {
        let stage = parser.from(dockerfile)?;
        dockerfile.stages.push(stage);
        return Ok(());
    }
    let kind = parser.kind()?;
    match (dockerfile.stages.last_mut(), kind) {
        (Some(stage), kind) => stage.instructions.push(Instruction {
            line: line.line,
            text: line.text.clone(),
            kind,
        }),
        (None, Kind::Arg(arguments)) => dockerfile.arguments.extend(arguments),
        (None, _) => {
            return Err(format!(
                "{name} before the first FROM; only ARG may stand there"
            ));
        }
    }
    Ok(())
}

fn unknown(word: &str) -> String {
    let upper = word.to_ascii_uppercase();
    let near = INSTRUCTIONS
        .iter()
        .map(|known| (distance(known, &upper), known))
        .min_by_key(|(distance, _)| *distance);
    match near.filter(|(distance, _)| *distance <= 2) {
        Some((_, near)) => format!("unknown instruction {word}; did you mean {near}?"),
        None => format!("unknown instruction {word}"),
    }
}

// Edit distance; both words are short.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(20).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

struct Parser<'a> {
    name: &'a str,
    rest: &'a str,
    line: &'a LogicalLine,
    escape: char,
}

impl Parser<'_> {
    fn from(&self, dockerfile: &Dockerfile) -> Result<Stage, String> {
        let (flags, rest) = Flags::take(self.rest, self.escape);
        flags.only(&["platform"], "FROM")?;
        let words = split_words(rest, self.escape);
        let name = match words.as_slice() {
            [_] => None,
            [_, word, name] if word.eq_ignore_ascii_case("as") => Some(name.to_ascii_lowercase()),
            _ => return Err("FROM takes an image and, if wanted, AS name".to_owned()),
        };
        if let Some(name) = &name {
            check_stage_name(name, dockerfile)?;
        }
        Ok(Stage {
            line: self.line.line,
            base: words[0].clone(),
            platform: flags.value("platform")?,
            name,
            instructions: Vec::new(),
        })
    }

    fn kind(&self) -> Result<Kind, String> {
        let takes_flags = ["ADD", "COPY", "RUN", "HEALTHCHECK"];
        if !takes_flags.contains(&self.name) {
            Flags::take(self.rest, self.escape).0.only(&[], self.name)?;
        }
        Ok(match self.name {
            "ARG" => Kind::Arg(self.arg()?),
            "ENV" => Kind::Env(self.pairs()?),
            "LABEL" => Kind::Label(self.pairs()?),
            "ADD" | "COPY" => Kind::Copy(self.copy()?),
            "RUN" => Kind::Run(self.run()?),
            "CMD" => Kind::Cmd(arguments(self.rest)),
            "ENTRYPOINT" => Kind::Entrypoint(arguments(self.rest)),
            "SHELL" => Kind::Shell(self.shell()?),
            "WORKDIR" => Kind::Workdir(self.rest.to_owned()),
            "USER" => Kind::User(self.one()?),
            "EXPOSE" => Kind::Expose(split_words(self.rest, self.escape)),
            "VOLUME" => Kind::Volume(self.list()),
            "STOPSIGNAL" => Kind::StopSignal(self.one()?),
            "HEALTHCHECK" => Kind::Healthcheck(self.healthcheck()?),
            "MAINTAINER" => Kind::Maintainer(self.rest.to_owned()),
            _ => {
                return Err("ONBUILD is not supported: write the instruction into the Dockerfile that needs it".to_owned());
            }
        })
    }

    fn one(&self) -> Result<String, String> {
        match split_words(self.rest, self.escape).as_slice() {
            [one] => Ok(one.clone()),
            _ => Err(format!("{} takes one argument", self.name)),
        }
    }

    fn list(&self) -> Vec<String> {
        json_words(self.rest).unwrap_or_else(|| split_words(self.rest, self.escape))
    }

    fn shell(&self) -> Result<Vec<String>, String> {
        match json_words(self.rest) {
            Some(words) if !words.is_empty() => Ok(words),
            _ => Err("SHELL takes a JSON list, such as [\"/bin/sh\", \"-c\"]".to_owned()),
        }
    }

    fn arg(&self) -> Result<Vec<(String, Option<String>)>, String> {
        let words = split_words(self.rest, self.escape);
        let argument = |word: String| {
            let (name, default) = match word.split_once('=') {
                Some((name, default)) => (name.to_owned(), Some(default.to_owned())),
                None => (word, None),
            };
            match is_name(&name) {
                true => Ok((name, default)),
                false => Err(format!("\"{name}\" is no name for an ARG")),
            }
        };
        words.into_iter().map(argument).collect()
    }

    // NAME=value …, or the old form: NAME and the rest of the line.
    fn pairs(&self) -> Result<Vec<(String, String)>, String> {
        let words = split_words(self.rest, self.escape);
        let first = words.first().map(String::as_str).unwrap_or_default();
        if !first.contains('=') {
            let (name, value) = self
                .rest
                .split_once(char::is_whitespace)
                .ok_or_else(|| format!("{} takes NAME=value", self.name))?;
            return Ok(vec![(name.to_owned(), value.trim_start().to_owned())]);
        }
        let pair = |word: &String| match word.split_once('=') {
            Some(("", _)) => Err(format!("{} has a value without a name", self.name)),
            Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
            None => Err(format!(
                "\"{word}\" has no \"=\"; quote a value with spaces: {}=\"… {word}\"",
                first.split('=').next().unwrap_or_default()
            )),
        };
        words.iter().map(pair).collect()
    }

    fn copy(&self) -> Result<Copy, String> {
        let (flags, rest) = Flags::take(self.rest, self.escape);
        match self.name {
            "COPY" => flags.only(&["from", "chown", "chmod", "link", "exclude"], "COPY")?,
            _ => flags.only(&["chown", "chmod", "link", "exclude"], "ADD")?,
        }
        let mut words = json_words(rest).unwrap_or_else(|| split_words(rest, self.escape));
        let destination = words.pop().unwrap_or_default();
        if words.is_empty() {
            return Err(format!(
                "{} needs at least one source and a destination",
                self.name
            ));
        }
        if words.len() > 1 && !destination.trim_matches(['"', '\'']).ends_with(['/', '.']) {
            return Err(format!(
                "with several sources the destination is a directory and ends in \"/\": {destination}/"
            ));
        }
        let remote = |word: &&String| {
            ["http://", "https://", "git@", "ftp://"]
                .iter()
                .any(|scheme| word.starts_with(scheme))
        };
        if let Some(url) = words.iter().find(remote) {
            return Err(format!(
                "{url} is remote; download it into the context, or in a RUN step"
            ));
        }
        Ok(Copy {
            unpack: self.name == "ADD",
            from: flags.value("from")?,
            chown: flags.value("chown")?,
            chmod: flags.value("chmod")?,
            excludes: flags.values("exclude")?,
            sources: words,
            destination,
            heredocs: self.line.heredocs.clone(),
        })
    }

    fn run(&self) -> Result<Run, String> {
        let (flags, rest) = Flags::take(self.rest, self.escape);
        flags.only(&["mount", "network", "security"], "RUN")?;
        let network = match flags.value("network")?.as_deref() {
            None => None,
            Some("default") => Some(true),
            Some("none") => Some(false),
            Some(other) => return Err(format!("--network is default or none, not {other}")),
        };
        if let Some("insecure") = flags.value("security")?.as_deref() {
            return Err("--security=insecure is not supported".to_owned());
        }
        let mounts = flags.values("mount")?;
        let mounts = mounts.iter().map(|text| flags::mount(text));
        if rest.is_empty() {
            return Err("RUN needs a command".to_owned());
        }
        Ok(Run {
            command: self.run_command(rest),
            mounts: mounts.collect::<Result<_, _>>()?,
            network,
        })
    }

    // A heredoc alone is the script; with words around it, the shell reads it.
    fn run_command(&self, rest: &str) -> RunCommand {
        let heredocs = &self.line.heredocs;
        let Some(first) = heredocs.first() else {
            return RunCommand::Arguments(arguments(rest));
        };
        let alone = opening(rest.trim()).is_some();
        if alone && first.content.starts_with("#!") {
            return RunCommand::Script(first.clone());
        }
        if alone {
            return RunCommand::Arguments(Arguments::Shell(first.text()));
        }
        let mut text = rest.to_owned();
        for heredoc in heredocs {
            text.push('\n');
            text.push_str(&heredoc.content);
            text.push_str(&heredoc.name);
        }
        RunCommand::Arguments(Arguments::Shell(text))
    }

    fn healthcheck(&self) -> Result<Healthcheck, String> {
        let (flags, rest) = Flags::take(self.rest, self.escape);
        let known = [
            "interval",
            "timeout",
            "start-period",
            "start-interval",
            "retries",
        ];
        flags.only(&known, "HEALTHCHECK")?;
        let (kind, command) = match rest.split_once(char::is_whitespace) {
            Some((kind, command)) => (kind, command.trim()),
            None => (rest, ""),
        };
        let duration = |name: &str| match flags.value(name)? {
            Some(text) => flags::duration_nanoseconds(&text),
            None => Ok(0),
        };
        let mut healthcheck = Healthcheck {
            command: None,
            interval: duration("interval")?,
            timeout: duration("timeout")?,
            start_period: duration("start-period")?,
            start_interval: duration("start-interval")?,
            retries: 0,
        };
        if let Some(text) = flags.value("retries")? {
            let retries = text.parse().ok().filter(|retries| *retries >= 0);
            healthcheck.retries = retries.ok_or("--retries is a number of zero or more")?;
        }
        match kind.to_ascii_uppercase().as_str() {
            "NONE" if command.is_empty() => {}
            "CMD" if !command.is_empty() => healthcheck.command = Some(arguments(command)),
            "CMD" => return Err("HEALTHCHECK CMD needs a command".to_owned()),
            _ => return Err("HEALTHCHECK is followed by CMD command, or by NONE".to_owned()),
        }
        Ok(healthcheck)
    }
}

fn arguments(text: &str) -> Arguments {
    match json_words(text) {
        Some(words) => Arguments::Exec(words),
        None => Arguments::Shell(text.to_owned()),
    }
}

fn is_name(name: &str) -> bool {
    let word =
        |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' || byte == b'.';
    !name.is_empty() && name.bytes().all(word)
}

fn check_stage_name(name: &str, dockerfile: &Dockerfile) -> Result<(), String> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.bytes().all(word) {
        return Err(format!(
            "\"{name}\" is no stage name: it starts with a letter and holds letters, digits, '-', '_' and '.'"
        ));
    }
    let twice = dockerfile
        .stages
        .iter()
        .any(|stage| stage.name.as_deref() == Some(name));
    match twice || name == "scratch" {
        true if name == "scratch" => Err("a stage cannot be named scratch".to_owned()),
        true => Err(format!("a stage named {name} exists already")),
        false => Ok(()),
    }
}
