//! The policy check on built images: each rule, its message and its fix.

mod support;

use coracle_image::inspect::Inspection;
use coracle_image::policy::{Finding, Policy, Rule, Severity, check};
use support::{context, test_store};

const GOOD: &str =
    "FROM scratch\nCOPY app /app\nUSER 1001:1001\nHEALTHCHECK CMD [\"/app\", \"healthcheck\"]\n";

fn findings(files: &[(&str, &str)], text: &str, policy: &Policy) -> Vec<Finding> {
    let (store, context) = (test_store(), context(files));
    store.build(context.path(), text).expect("builds");
    check(&store.image("test:1"), policy).expect("checks")
}

fn one(files: &[(&str, &str)], text: &str, policy: &Policy) -> Finding {
    let mut found = findings(files, text, policy);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn a_good_image_passes() {
    let policy = Policy {
        size_bytes_max: Some(300_000_000),
        ..Policy::default()
    };
    assert_eq!(findings(&[("app", "+x program")], GOOD, &policy), []);
}

#[test]
fn each_rule_names_what_is_wrong_and_the_fix() {
    let files = &[
        ("app", "+x program"),
        ("etc/passwd", "node:x:1000:1000::/:\nzero:x:0:0::/:\n"),
    ];
    let policy = Policy::default();
    let root = one(files, &GOOD.replace("USER 1001:1001\n", ""), &policy);
    assert_eq!(
        (root.rule, root.message.as_str()),
        (Rule::User, "the image runs as root")
    );
    assert!(root.fix.contains("USER 1001:1001"), "{}", root.fix);
    let text = GOOD.replace("USER 1001:1001", "COPY etc /etc\nUSER node");
    let named = one(files, &text, &policy);
    assert!(
        named.message.contains("\"node\", a name"),
        "{}",
        named.message
    );
    assert_eq!(named.fix, "write `USER 1000:1000`");
    let zero = one(files, &text.replace("USER node", "USER zero"), &policy);
    assert!(zero.fix.contains("1001"), "{}", zero.fix);
    let none = one(files, "FROM scratch\nCOPY app /\nUSER 5\n", &policy);
    assert_eq!(
        (none.rule, none.message.as_str()),
        (Rule::Healthcheck, "the image has no HEALTHCHECK")
    );
    let off = one(
        files,
        "FROM scratch\nCOPY app /\nUSER 5\nHEALTHCHECK NONE\n",
        &policy,
    );
    assert!(off.message.contains("off"));
    let small = Policy {
        size_bytes_max: Some(3),
        ..Policy::default()
    };
    let large = one(files, GOOD, &small);
    assert_eq!(large.rule, Rule::Size);
    assert!(large.fix.contains("layer 1"), "{}", large.fix);
}

#[test]
fn secrets_are_found_in_every_layer_and_never_shown() {
    let secret = "hunter22-very-secret";
    let env = format!("PORT=80\nDB_PASSWORD={secret}\n");
    let files = &[("app", "+x program"), (".env", env.as_str())];
    let found = one(
        files,
        &GOOD.replace("COPY app /app", "COPY . /srv/\nCOPY app /app"),
        &Policy::default(),
    );
    assert_eq!(
        (found.rule, found.severity),
        (Rule::Secret, Severity::Error)
    );
    let place = found.place.clone().expect("a place");
    assert_eq!(
        (place.layer, place.path.to_str(), place.line),
        (1, Some("/srv/.env"), Some(2))
    );
    assert!(found.fix.contains(".dockerignore"), "{}", found.fix);
    let text = GOOD.replace(
        "COPY app /app",
        "COPY . /srv/\nCOPY app /srv/.env\nCOPY app /app",
    );
    let hidden = one(files, &text, &Policy::default());
    assert!(
        hidden.message.contains("a later layer hides it"),
        "{}",
        hidden.message
    );
    let text = format!(
        "FROM scratch\nARG API_TOKEN={secret}\nENV DB_PASSWORD={secret}\nCOPY app /app\nUSER 5\nHEALTHCHECK CMD x\n"
    );
    let both = findings(files, &text, &Policy::default());
    assert_eq!(both.len(), 2, "{both:?}");
    for finding in both.iter().chain([&found, &hidden]) {
        assert!(!format!("{finding:?}").contains(secret), "{finding:?}");
    }
}

#[test]
fn an_inspection_shows_size_user_health_and_layers() {
    let (store, context) = (test_store(), context(&[("app", "+x program")]));
    store.build(context.path(), GOOD).expect("builds");
    let shown = Inspection::of(&store.image("test:1"));
    assert_eq!(
        (shown.size_bytes, shown.non_root, shown.user.as_str()),
        (7, true, "1001:1001")
    );
    assert_eq!(shown.healthcheck.as_deref(), Some("/app healthcheck"));
    assert_eq!(shown.layers.len(), 1);
    assert_eq!(shown.layers[0].created_by.as_deref(), Some("COPY app /app"));
    let json = serde_json::to_value(&shown).expect("JSON");
    assert_eq!(json["platform"], "linux/amd64");
    assert_eq!(json["config"]["User"], "1001:1001");
}
