//! Which providers of chat completions are asked, and in which order.

use super::error::ConfigError;
use super::reader::Reader;
use super::secrets::Secret;

/// A provider of chat completions.
#[derive(Debug, Clone)]
pub struct Provider {
    /// `openai`, `gemini` or `cohere`.
    pub name: &'static str,
    /// Its key.
    pub key: Secret,
    /// Address without a final slash.
    pub base_url: String,
    /// Model to ask for.
    pub model: String,
}

/// Returns the providers in their order, and whether the built-in assistant
/// may answer after them.
pub(super) fn read_providers(reader: &Reader) -> Result<(Vec<Provider>, bool), ConfigError> {
    let rows = [
        (
            "cohere",
            "COHERE_API_KEY",
            "COHERE_BASE_URL",
            "COHERE_MODEL",
        ),
        (
            "gemini",
            "GEMINI_API_KEY",
            "GEMINI_BASE_URL",
            "GEMINI_MODEL",
        ),
        (
            "openai",
            "OPENAI_API_KEY",
            "OPENAI_BASE_URL",
            "OPENAI_MODEL",
        ),
    ];
    let mut providers: Vec<Provider> = rows
        .into_iter()
        .filter_map(|(name, key, base, model)| {
            Some(Provider {
                name,
                key: reader.secret(key)?,
                base_url: reader.base(base),
                model: reader.text(model).to_owned(),
            })
        })
        .collect();
    let chosen = match reader.text("AI_PROVIDER") {
        "auto" => None,
        "local" => {
            providers.clear();
            None
        }
        chosen if rows.iter().any(|row| row.0 == chosen) => {
            providers.sort_by_key(|provider| provider.name != chosen);
            Some(chosen)
        }
        _ => return Err(reader.invalid("AI_PROVIDER", "auto, openai, gemini, cohere or local")),
    };
    if reader.truth("AI_FALLBACK")? {
        return Ok((providers, true));
    }
    // Only the first choice answers; the built-in assistant is it when no
    // provider was chosen and none has a key.
    providers.retain(|provider| chosen.is_none_or(|chosen| provider.name == chosen));
    providers.truncate(1);
    let local = chosen.is_none() && providers.is_empty();
    Ok((providers, local))
}

#[cfg(test)]
mod tests {
    use crate::config::fixture::read_with;

    #[test]
    fn providers_stand_in_order() {
        let check = |extra: &[(&str, &str)], expected: &[&str]| {
            let (config, _) = read_with(extra).expect("read");
            let names: Vec<_> = config
                .providers
                .iter()
                .map(|provider| provider.name)
                .collect();
            assert_eq!(names, expected, "{extra:?}");
        };
        let keys = [
            ("OPENAI_API_KEY", "a"),
            ("GEMINI_API_KEY", "b"),
            ("COHERE_API_KEY", "c"),
        ];
        check(&[], &[]);
        check(&keys, &["cohere", "gemini", "openai"]);
        check(
            &[keys[0], keys[1], ("AI_PROVIDER", "openai")],
            &["openai", "gemini"],
        );
        check(&[keys[0], ("AI_PROVIDER", "local")], &[]);
    }

    #[test]
    fn without_fall_back_one_assistant_answers() {
        let check = |extra: &[(&str, &str)], providers: &[&str], local: bool| {
            let pairs = [extra, &[("AI_FALLBACK", "false")]].concat();
            let (config, _) = read_with(&pairs).expect("read");
            let names: Vec<_> = config.providers.iter().map(|one| one.name).collect();
            assert_eq!(
                (names.as_slice(), config.ai_local),
                (providers, local),
                "{extra:?}"
            );
        };
        let keys = [("OPENAI_API_KEY", "a"), ("COHERE_API_KEY", "c")];
        check(&[], &[], true);
        check(&keys, &["cohere"], false);
        check(&[keys[1], ("AI_PROVIDER", "openai")], &[], false);
        check(&[keys[0], ("AI_PROVIDER", "local")], &[], true);
    }
}
