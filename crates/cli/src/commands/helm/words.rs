//! The words of a command line of Helm's: what the parser is given of them, and
//! its refusals in Helm's words (spf13/cobra, spf13/pflag).

use std::error::Error as _;
use std::ffi::OsString;

use clap::error::{ContextKind, ErrorKind};

/// Helm takes `--flag=true` and `--flag=false` where a flag has no value.
pub fn plain(word: OsString) -> Option<OsString> {
    const WITH_VALUE: &[&str] = &[
        "--wait",
        "--dry-run",
        "--server-side",
        "--set",
        "--set-string",
        "--set-literal",
        "--set-json",
        "--set-file",
        "--labels",
        "--description",
        "--namespace",
        "--filter",
        "--selector",
    ];
    let text = word.to_str()?.to_owned();
    match text.split_once('=') {
        Some((flag, value)) if flag.starts_with("--") && !WITH_VALUE.contains(&flag) => match value
        {
            "true" => Some(flag.into()),
            "false" => None,
            _ => Some(word),
        },
        _ => Some(word),
    }
}

/// Flags that Helm calls deprecated: of which verb (empty for all), and how.
const DEPRECATED: &[(&str, &str, &str)] = &[
    ("", "--atomic", "use --rollback-on-failure instead"),
    ("", "--force", "use --force-replace instead"),
    ("template", "--validate", "use '--dry-run=server' instead"),
    (
        "template",
        "--render-subchart-notes",
        "this flag has no effect for 'helm template' and will be removed in Helm 5",
    ),
    (
        "template",
        "--hide-notes",
        "this flag has no effect for 'helm template' and will be removed in Helm 5",
    ),
];

/// Returns what Helm says of deprecated flags.
pub fn deprecations(words: &[OsString]) -> Vec<String> {
    let texts: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let verb = verb(words);
    let mut lines = Vec::new();
    for text in texts.iter().take_while(|text| *text != "--") {
        let flag = text.split('=').next().unwrap_or_default();
        for (of, deprecated, advice) in DEPRECATED {
            if *deprecated == flag && (of.is_empty() || verb.first() == Some(of)) {
                lines.push(format!("Flag {flag} has been deprecated, {advice}"));
            }
        }
    }
    lines
}

/// How many arguments a verb takes, and the line that shows it.
const ARGUMENTS: &[(&str, &str, &str)] = &[
    ("template", "requires at least 1 argument", "[NAME] [CHART]"),
    ("install", "requires at least 1 argument", "[NAME] [CHART]"),
    ("upgrade", "requires 2 arguments", "[RELEASE] [CHART]"),
    (
        "rollback",
        "requires at least 1 argument",
        "<RELEASE> [REVISION]",
    ),
    (
        "uninstall",
        "requires at least 1 argument",
        "RELEASE_NAME [...]",
    ),
    ("lint", "requires at least 1 argument", "PATH"),
    ("list", "accepts no arguments", ""),
    ("env", "accepts no arguments", ""),
    ("version", "accepts no arguments", ""),
    ("history", "requires 1 argument", "RELEASE_NAME"),
    ("status", "requires 1 argument", "RELEASE_NAME"),
    ("test", "requires 1 argument", "[RELEASE]"),
    ("get", "requires 1 argument", "RELEASE_NAME"),
    ("show", "requires 1 argument", "[CHART]"),
];

/// Other names of verbs.
const ALIASES: &[(&str, &str)] = &[
    ("del", "uninstall"),
    ("delete", "uninstall"),
    ("un", "uninstall"),
    ("ls", "list"),
    ("hist", "history"),
    ("inspect", "show"),
    ("dep", "dependency"),
    ("dependencies", "dependency"),
    ("package", "package"),
    ("dependency", "dependency"),
];

/// The verb among the words, with its second word where it has one.
fn verb(words: &[OsString]) -> Vec<&str> {
    let mut texts = words.iter().skip(1).filter_map(|word| word.to_str());
    let known = |text: &str| {
        let alias = ALIASES.iter().find(|(alias, _)| *alias == text);
        let verb = ARGUMENTS.iter().find(|(verb, ..)| *verb == text);
        alias
            .map(|(_, verb)| *verb)
            .or(verb.map(|(verb, ..)| *verb))
    };
    let Some(first) = texts.find_map(known) else {
        return Vec::new();
    };
    let mut verb = vec![first];
    if matches!(first, "get" | "show") {
        verb.extend(texts.find(|text| !text.starts_with('-')));
    }
    verb
}

const NOT_FETCHED: &str =
    "charts are not fetched; download the archive, then: helm install NAME CHART.tgz";

/// Verbs of Helm's that are not there, and what to do instead.
const NOT_HERE: &[(&str, &str)] = &[
    (
        "repo",
        "charts are not fetched from repositories; download the archive, then: helm install NAME CHART.tgz",
    ),
    (
        "search",
        "no repository is asked; https://artifacthub.io finds charts",
    ),
    ("pull", NOT_FETCHED),
    ("fetch", NOT_FETCHED),
    (
        "push",
        "charts are not sent to registries; helm package makes the archive",
    ),
    (
        "registry",
        "charts are not kept in registries here; for images: coracle image push",
    ),
    (
        "create",
        "no chart is made for you; a Chart.yaml (apiVersion: v2, name, version) and a folder templates/ are one",
    ),
    ("plugin", "plugins are not loaded"),
    (
        "verify",
        "signatures of charts are not checked; sha256sum compares an archive with what its author says",
    ),
    (
        "completion",
        "there is none for this name; for coracle: coracle completions SHELL",
    ),
];

/// Returns a refusal of the parser in Helm's words.
pub fn refusal(error: &clap::Error, words: &[OsString]) -> String {
    let context = |kind: ContextKind| error.get(kind).map(ToString::to_string);
    let argument = context(ContextKind::InvalidArg).unwrap_or_default();
    let flag = argument
        .split([' ', '=', '[', '<'])
        .next()
        .unwrap_or_default();
    let value = context(ContextKind::InvalidValue).unwrap_or_default();
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = context(ContextKind::InvalidSubcommand).unwrap_or_default();
            if let Some((_, instead)) = NOT_HERE.iter().find(|(verb, _)| *verb == word) {
                return format!("helm {word}: {instead}");
            }
            return format!("unknown command {word:?} for \"helm\"\nRun 'helm --help' for usage.");
        }
        ErrorKind::UnknownArgument if flag.starts_with("--") => {
            return format!("unknown flag: {flag}");
        }
        ErrorKind::UnknownArgument if flag.starts_with('-') => {
            let letter = flag.chars().nth(1).unwrap_or('-');
            return format!("unknown shorthand flag: '{letter}' in {flag}");
        }
        ErrorKind::InvalidValue if flag == "--output" => {
            return format!(
                "invalid argument {value:?} for \"-o, --output\" flag: invalid format type"
            );
        }
        ErrorKind::InvalidValue if value.is_empty() && flag.starts_with('-') => {
            return format!("flag needs an argument: {flag}");
        }
        ErrorKind::ValueValidation | ErrorKind::InvalidValue if flag.starts_with('-') => {
            let why = error.source().map(ToString::to_string).unwrap_or_default();
            return match flag {
                // These are read after the flags.
                "--dry-run" | "--server-side" | "--cascade" => why,
                _ => format!("invalid argument {value:?} for \"{flag}\" flag: {why}"),
            };
        }
        _ => {}
    }
    arguments(words).unwrap_or_else(|| {
        let text = error.render().to_string();
        text.trim_start_matches("error: ").trim_end().to_owned()
    })
}

/// Says how many arguments the verb takes.
fn arguments(words: &[OsString]) -> Option<String> {
    let verb = verb(words);
    let first = verb.first()?;
    if *first == "package" {
        return Some("need at least one argument, the path to the chart".into());
    }
    let (_, rule, shown) = ARGUMENTS.iter().find(|(name, ..)| name == first)?;
    let name = verb.join(" ");
    let space = if shown.is_empty() { "" } else { " " };
    Some(format!(
        "\"helm {name}\" {rule}\n\nUsage:  helm {name}{space}{shown} [flags]"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn verbs_are_found_among_flags() {
        let check = |line: &str, expected: &[&str]| assert_eq!(verb(&words(line)), expected);
        check("helm --namespace shop ls", &["list"]);
        check("helm get values --all web", &["get", "values"]);
        check("helm show", &["show"]);
        check("helm nothing", &[]);
    }

    #[test]
    fn verbs_that_are_not_here_are_answered() {
        use clap::CommandFactory;
        let helm = super::super::Helm::command();
        let check = |line: &str, expected: &str| {
            let error = helm.clone().try_get_matches_from(words(line));
            let said = refusal(&error.expect_err("it is not there"), &words(line));
            assert!(said.contains(expected), "{line}: {said}");
        };
        check(
            "helm repo add a https://a.example",
            "helm install NAME CHART.tgz",
        );
        check("helm create web", "templates/");
        check("helm fly", "unknown command \"fly\" for \"helm\"");
    }

    #[test]
    fn switches_lose_their_values() {
        let check = |word: &str, expected: Option<&str>| {
            assert_eq!(plain(word.into()), expected.map(OsString::from), "{word}");
        };
        check("--create-namespace=true", Some("--create-namespace"));
        check("--create-namespace=false", None);
        check("--set=a=true", Some("--set=a=true"));
        check("--wait=true", Some("--wait=true"));
    }
}
