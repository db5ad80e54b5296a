//! Cases for reader and writer; the expected texts are go-yaml's.

use super::*;

fn round(text: &str, expected: &str) {
    let value = from_slice(text.as_bytes()).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    assert_eq!(to_string(&value), expected, "{text:?}");
}

fn refuse(text: &str, expected: &str) {
    let error = from_slice(text.as_bytes()).expect_err(text);
    assert_eq!(error.to_string(), expected, "{text:?}");
}

fn written(text: &str) -> String {
    let value = Value::Map([("k".to_owned(), Value::Str(text.to_owned()))].into());
    to_string(&value)
}

#[test]
fn collections() {
    round(
        "a: 1\nb:\n- x\n- w: 2\n  z: 3\n",
        "a: 1\nb:\n- x\n- w: 2\n  z: 3\n",
    );
    round(
        "a:\n  - - 1\n    - 2\n  - []\n  - {}\n",
        "a:\n- - 1\n  - 2\n- []\n- {}\n",
    );
    round("{a: [1, b], c: {d: e}}", "a:\n- 1\n- b\nc:\n  d: e\n");
    round("- a\n- b: c\n", "- a\n- b: c\n");
    round("[a: b]", "- a: b\n");
    round("? a\n: b\n", "a: b\n");
    round("a:\nb: ~\n", "a: null\nb: null\n");
    round("", "null\n");
    round(
        "k: &x {a: 1}\nl: *x\nm:\n  <<: *x\n  b: 2\n",
        "k:\n  a: 1\nl:\n  a: 1\nm:\n  a: 1\n  b: 2\n",
    );
    round("yes: yes\nn: 1\n", "\"false\": 1\n\"true\": true\n");
    round("1: a\n1.5: b\n", "\"1\": a\n\"1.5\": b\n");
}

#[test]
fn scalars() {
    round("a: |\n  x\n   y\n\n  z\n", "a: |\n  x\n   y\n\n  z\n");
    round("a: >\n  x\n  y\n\n  z\n", "a: |\n  x y\n  z\n");
    round("a: |-\n  x\n", "a: x\n");
    round("a: |+\n  x\n\n\n", "a: |+\n  x\n\n\n");
    round(
        "a: 'it''s'\nb: \"q\\n\\u00e9\"\n",
        "a: it's\nb: |\n  q\n  é\n"
            .replace("b: |\n  q\n  é\n", "b: |-\n  q\n  é\n")
            .as_str(),
    );
    round("a: one\n  two\n\n  three\n", "a: |-\n  one two\n  three\n");
    round(
        "a: 2020-09-07\nb: 1e3\nc: 0x1F\n",
        "a: \"2020-09-07\"\nb: 1000\nc: 31\n",
    );
    round("a: !!str 5\nb: !custom x\n", "a: \"5\"\nb: x\n");
}

#[test]
fn strings_are_quoted_where_go_quotes() {
    let check = |text: &str, expected: &str| {
        assert_eq!(written(text), format!("k: {expected}\n"), "{text:?}");
    };
    for text in [
        "yes",
        "1e3",
        "012",
        "null",
        "1_000",
        "0o17",
        "12:30:45",
        ".5",
        "+1",
        "NO",
        "y",
        "2020-09-07",
        "",
    ] {
        check(text, &format!("\"{text}\""));
    }
    for text in [
        "a: b", "- x", " lead", "@at", "{}", "trail ", "#c", "a #b", "*x", "-", "?", "\u{2028}",
    ] {
        check(text, &format!("'{text}'"));
    }
    for text in [
        "=",
        "<<",
        "a:b",
        "it's",
        "nbsp\u{a0}x",
        "a#b",
        "-x",
        "1.2.3",
        "v1",
        "é",
    ] {
        check(text, text);
    }
    check("\u{1F600}", "\"\\U0001F600\"");
    check("a\tb", "\"a\\tb\"");
    check("a  \nb", "\"a  \\nb\"");
    check("a\nb", "|-\n  a\n  b");
    check("a\nb\n", "|\n  a\n  b");
    check("a\n\n", "|+\n  a\n");
    check(" a\nb", "|2-\n   a\n  b");
    check("\n", "|2+\n");
    let long = "word ".repeat(30);
    let long = long.trim();
    assert_eq!(
        written(long),
        "k: word word word word word word word word word word word word word word word word\n  word word word word word word word word word word word word word word\n"
    );
}

#[test]
fn keys_sort_naturally() {
    let map: Map = ["a10", "_u", "1", "2", "10", "A", "a", "a2"]
        .into_iter()
        .map(|key| (key.to_owned(), Value::Int(0)))
        .collect();
    assert_eq!(
        to_string(&Value::Map(map)),
        "_u: 0\n\"1\": 0\n\"2\": 0\n\"10\": 0\nA: 0\na: 0\na2: 0\na10: 0\n"
    );
}

#[test]
fn long_keys_are_explicit() {
    let key = "x".repeat(129);
    let map: Map = [(key.clone(), Value::Int(1))].into();
    assert_eq!(to_string(&Value::Map(map)), format!("? {key}\n: 1\n"));
}

#[test]
fn refusals() {
    refuse(
        "a: b: c",
        "yaml: mapping values are not allowed in this context",
    );
    refuse(
        "x: 1\na: b: c",
        "yaml: line 2: mapping values are not allowed in this context",
    );
    refuse("a: [1, 2", "yaml: line 1: did not find expected ',' or ']'");
    refuse("a: 'x", "yaml: found unexpected end of stream");
    refuse("a: *x", "yaml: unknown anchor 'x' referenced");
    refuse(
        "a:\n\tb: 1",
        "yaml: line 2: found character that cannot start any token",
    );
    refuse(
        "a: 1\n b: 2",
        "yaml: line 2: mapping values are not allowed in this context",
    );
    refuse("a: @x", "yaml: found character that cannot start any token");
    refuse("a: b\n- c", "yaml: line 1: did not find expected key");
    refuse(
        "{{b: c}: d}",
        "yaml: invalid map key: map[interface {}]interface {}{\"b\":\"c\"}",
    );
    refuse("a: \u{1}", "yaml: control characters are not allowed");
    refuse("a: &x [*x]", "yaml: anchor 'x' value contains itself");
}

#[test]
fn of_some_keys_the_rest_is_checked_alone() {
    let check = |text: &str, expected: &str| {
        let kept = only_keys(text.as_bytes(), &["kind", "metadata"]);
        let kept = kept.unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!(to_string(&kept), expected, "{text:?}");
    };
    check("kind: A\nspec: {a: [1]}\n", "kind: A\n");
    check("x: &x {kind: B}\n<<: *x\n", "kind: B\n");
    check("metadata: {name: web}\n", "metadata:\n  name: web\n");
    check("[a, b]", "[]\n");
    check("text", "text\n");
    for text in [
        "kind: A\nspec: .nan\n",
        "kind: A\nspec: *nowhere\n",
        "kind: A\nspec: {[a]: b}\n",
        "kind: A\nspec: !!int x\n",
        "kind: A\nspec: !!binary '?'\n",
        "kind: A\nspec: {~: 1}\n",
        "kind: A\nspec: [\n",
    ] {
        let refused = from_slice(text.as_bytes()).expect_err(text);
        assert_eq!(only_keys(text.as_bytes(), &["kind"]), Err(refused));
    }
}
