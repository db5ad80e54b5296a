//! The grammar, case by case.

use super::*;

fn check(text: &str, expected: &str) {
    let mut map = Map::new();
    let result = parse_into(text, &mut map).map(|()| coracle_goyaml::to_string(&Value::Map(map)));
    assert_eq!(result, Ok(expected.to_owned()), "{text}");
}

#[test]
fn grammar() {
    check("a=1,b=x", "a: 1\nb: x\n");
    check("a.b.c=true", "a:\n  b:\n    c: true\n");
    check("a[0]=x,a[2]=y", "a:\n- x\n- null\n- \"y\"\n");
    check("a[0].b=1,a[0].c=2", "a:\n- b: 1\n  c: 2\n");
    check("a={x,y\\,z}", "a:\n- x\n- y,z\n");
    check(
        "a=1.5,b=0123,c=1e6,d=0",
        "a: \"1.5\"\nb: \"0123\"\nc: \"1e6\"\nd: 0\n",
    );
    check("a\\.b=c", "a.b: c\n");
    check("a=null,b=", "a: null\nb: \"\"\n");
    check("a[0][1]=x", "a:\n- - null\n  - x\n");
    check("a=b=c", "a: b=c\n");
}

#[test]
fn refusals() {
    let check = |text: &str, expected: &str| {
        assert_eq!(
            parse_into(text, &mut Map::new()),
            Err(expected.to_owned()),
            "{text}"
        );
    };
    check("a", "key \"a\" has no value");
    check("a,", "key \"a\" has no value (cannot end with ,)");
    check("a={x", "list must terminate with '}'");
    check("a[-1]=x", "negative -1 index not allowed");
    check(
        "a[x]=y",
        "error parsing index: strconv.Atoi: parsing \"x\": invalid syntax",
    );
    check(
        "a[65537]=y",
        "index of 65537 is greater than maximum supported index of 65536",
    );
}

#[test]
fn json_values() {
    let mut map = Map::new();
    parse_json("a={\"b\":[1,2]},c=3", &mut map).expect("parses");
    parse_json("{\"d\":{\"e\":null}}", &mut map).expect("parses");
    assert_eq!(
        coracle_goyaml::to_string(&Value::Map(map)),
        "a:\n  b:\n  - 1\n  - 2\nc: 3\nd:\n  e: null\n"
    );
}

#[test]
fn literals() {
    let mut map = Map::new();
    parse_literal("a.b={x},y=\\z", &mut map).expect("parses");
    assert_eq!(
        coracle_goyaml::to_string(&Value::Map(map)),
        "a:\n  b: '{x},y=\\z'\n"
    );
}
