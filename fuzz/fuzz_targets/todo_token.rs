//! No text but the token that was issued opens a session.
#![no_main]

use std::sync::OnceLock;

use todo_backend::auth::jwt::Keys;
use todo_backend::config::Config;

const NOW: i64 = 1_700_000_000_000;

fn keys() -> &'static (Keys, String) {
    static KEYS: OnceLock<(Keys, String)> = OnceLock::new();
    KEYS.get_or_init(|| {
        let variables = |name: &str| match name {
            "DATABASE_URL" => Some("sqlite:todo.db".to_owned()),
            "JWT_SECRET" => Some("a secret of more than thirty-two bytes".to_owned()),
            _ => None,
        };
        let (config, _) = Config::from_variables(&variables).expect("it is a configuration");
        let keys = Keys::new(&config);
        let token = keys.issue("ann", "ann@example.com", "Ann", NOW).0;
        (keys, token)
    })
}

libfuzzer_sys::fuzz_target!(|text: &str| {
    let (keys, token) = keys();
    assert!(keys.verify(text, NOW).is_err() || text == token);
    // The parts of a good token with something else between them.
    let mut parts: Vec<&str> = token.split('.').collect();
    for at in 0..parts.len() {
        let part = std::mem::replace(&mut parts[at], text);
        assert!(keys.verify(&parts.join("."), NOW).is_err() || part == text);
        parts[at] = part;
    }
});
