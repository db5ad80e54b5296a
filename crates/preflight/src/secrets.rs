//! Secrets that lie open: in ConfigMaps, in pod templates, in values files.

use crate::Input;
use crate::report::Severity;
use crate::sink::Sink;
use crate::world::World;
use coracle_goyaml as yaml;
use coracle_helm::chart::load_values;
use coracle_helm::values::Source;

/// Checks ConfigMaps, environments and the user's values files.
pub fn check(world: &World<'_>, input: &Input<'_>, sink: &mut Sink) {
    config_maps(world, sink);
    environments(world, sink);
    values_files(input, sink);
}

fn config_maps(world: &World<'_>, sink: &mut Sink) {
    for object in world.of_kind("ConfigMap") {
        let data = object.value["data"].as_object();
        for (key, value) in data.into_iter().flatten() {
            let Some(text) = value.as_str() else {
                continue;
            };
            let Some(what) = looks_secret(key, text) else {
                continue;
            };
            let message = format!("{key} holds {what}, and a ConfigMap is readable by everyone");
            sink.add(
                Severity::Warning,
                "open-secret",
                object,
                format!("data[{key}]"),
                message,
            )
            .secret()
            .fix("move it to a Secret and name that with secretKeyRef or secretRef");
        }
    }
}

fn environments(world: &World<'_>, sink: &mut Sink) {
    for workload in world.workloads() {
        if workload.object.test {
            continue;
        }
        for container in workload.containers() {
            let env = container.value["env"].as_array();
            for (at, entry) in env.into_iter().flatten().enumerate() {
                let name = entry["name"].as_str().unwrap_or_default();
                let Some(text) = entry["value"].as_str() else {
                    continue;
                };
                let Some(what) = looks_secret(name, text) else {
                    continue;
                };
                let message = format!("{name} holds {what}, open in the pod template");
                let field = workload.in_container(&container, &format!("env[{at}].value"));
                sink.add(
                    Severity::Warning,
                    "open-secret",
                    workload.object,
                    field,
                    message,
                )
                .secret()
                .fix("put it into a Secret and read it with valueFrom.secretKeyRef");
            }
        }
    }
}

/// Files given with `-f` tend to be committed.
fn values_files(input: &Input<'_>, sink: &mut Sink) {
    for source in input.values.sources() {
        let Source::File { name, text } = source else {
            continue;
        };
        let Ok(map) = load_values(text) else {
            continue;
        };
        let mut found = Vec::new();
        walk(&yaml::Value::Map(map), &mut Vec::new(), &mut found);
        for (path, what) in found {
            let message = format!("{name} holds {what} in {}", path.join("."));
            let draft = sink.general(Severity::Note, "secret-in-values", message);
            draft.value_path = Some(path);
            draft.secret = true;
            draft.fix("keep the file out of version control, or name a Secret made elsewhere");
        }
    }
}

fn walk(value: &yaml::Value, path: &mut Vec<String>, found: &mut Vec<(Vec<String>, &'static str)>) {
    match value {
        yaml::Value::Map(map) => {
            for (key, value) in map {
                path.push(key.clone());
                walk(value, path, found);
                path.pop();
            }
        }
        yaml::Value::Str(text) => {
            let key = path.last().map_or("", String::as_str);
            if let Some(what) = looks_secret(key, text) {
                found.push((path.clone(), what));
            }
        }
        _ => {}
    }
}

/// Says what kind of secret a value looks like.
pub fn looks_secret(key: &str, text: &str) -> Option<&'static str> {
    if let Some(what) = by_value(text) {
        return Some(what);
    }
    (key_is_secret(key) && is_material(text)).then_some("what looks like a secret")
}

/// Forms that nothing else has.
fn by_value(text: &str) -> Option<&'static str> {
    if text.contains("-----BEGIN") && text.contains("PRIVATE KEY-----") {
        return Some("a private key");
    }
    let token = text.trim();
    let body = |prefix: &str, least: usize| {
        token.strip_prefix(prefix).is_some_and(|rest| {
            rest.len() >= least
                && rest
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
        })
    };
    if body("sk-", 20)
        || body("sk_live_", 16)
        || body("ghp_", 30)
        || body("github_pat_", 30)
        || body("glpat-", 16)
        || body("xoxb-", 20)
        || body("AIza", 30)
    {
        return Some("an API key");
    }
    if token.len() == 20 && body("AKIA", 16) && !token.contains(char::is_lowercase) {
        return Some("an access key");
    }
    with_password(token).then_some("a URL with a password")
}

/// `scheme://user:password@host`.
fn with_password(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', ' ', '\n']).next().unwrap_or_default();
    let Some((user, _)) = authority.rsplit_once('@') else {
        return false;
    };
    let Some((_, password)) = user.split_once(':') else {
        return false;
    };
    is_material(password) || (password.len() >= 4 && !is_reference(password))
}

/// The words of a key; `apiKey` and `API_KEY` are `api key`.
fn words(key: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![String::new()];
    let mut before = ' ';
    for c in key.chars() {
        let starts = c.is_ascii_uppercase() && before.is_ascii_lowercase();
        if !c.is_ascii_alphanumeric() || starts {
            words.push(String::new());
        }
        if c.is_ascii_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.push(c.to_ascii_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

fn key_is_secret(key: &str) -> bool {
    let words = words(key);
    let Some(last) = words.last() else {
        return false;
    };
    let before = words
        .len()
        .checked_sub(2)
        .map_or("", |at| words[at].as_str());
    match last.as_str() {
        "password" | "passwd" | "passphrase" | "secret" | "token" | "apikey" => true,
        "key" => matches!(
            before,
            "api" | "private" | "secret" | "encryption" | "signing" | "access"
        ),
        _ => false,
    }
}

/// Whether a text may be the secret itself and not a name, path or switch.
fn is_material(text: &str) -> bool {
    let text = text.trim();
    if text.len() < 8 || text.len() > 4096 || is_reference(text) {
        return false;
    }
    let plain = |c: char| c.is_ascii_graphic();
    if !text.chars().all(plain) || text.contains("://") || text.starts_with(['/', '.']) {
        return false;
    }
    // `my-app-credentials` is the name of something; a secret has some mixture.
    let has_digit = text.chars().any(|c| c.is_ascii_digit());
    let has_upper = text.chars().any(|c| c.is_ascii_uppercase());
    let has_lower = text.chars().any(|c| c.is_ascii_lowercase());
    let is_number = text.parse::<f64>().is_ok();
    let has_mark = text.chars().any(|c| "!@#%^&*+=/?~".contains(c));
    !is_number
        && (u8::from(has_digit) + u8::from(has_upper) + u8::from(has_lower) + u8::from(has_mark))
            >= 2
        && !is_name(text)
}

/// Names of objects, variables and hosts.
fn is_name(text: &str) -> bool {
    let object = text
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c));
    let variable = text
        .chars()
        .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    (object && text.contains(['-', '.']) && text.split(['-', '.']).any(is_word))
        || (variable && text.contains('_'))
}

fn is_word(part: &str) -> bool {
    part.len() > 2 && part.chars().all(|c| c.is_ascii_lowercase())
}

fn is_reference(text: &str) -> bool {
    let low = text.to_ascii_lowercase();
    text.contains("$(")
        || text.contains("${")
        || text.contains("{{")
        || text.starts_with('$')
        || text.starts_with('<')
        || text.starts_with("%(")
        || low.contains("changeme")
        || low.contains("change-me")
        || low.contains("example")
        || low.contains("placeholder")
        || low.starts_with("your-")
        || low.starts_with("your_")
        || text.chars().all(|c| "*xX".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_what_is_none() {
        let check = |key: &str, text: &str, expected: bool| {
            assert_eq!(looks_secret(key, text).is_some(), expected, "{key}: {text}");
        };
        check("DATABASE_URL", "postgresql://todo:s3cret@db/todo", true);
        check("DATABASE_URL", "postgresql://db/todo", false);
        check(
            "DATABASE_URL",
            "postgresql://$(USER):$(PASS)@db/todo",
            false,
        );
        check("apiKey", "A1b2C3d4E5f6", true);
        check("anything", "sk-0123456789abcdefghij", true);
        check("adminPassword", "hunter2hunter2", true);
        check("PASSWORD", "true", false);
        check("existingSecret", "todo-secrets", false);
        check("secret", "my-app-credentials", false);
        check("TOKEN_EXPIRY", "36000000", false);
        check("token", "/var/run/token1", false);
        check("passwordKey", "mysql-Password1", false);
        check("tls.key", "-----BEGIN RSA PRIVATE KEY-----\nx", true);
    }
}
