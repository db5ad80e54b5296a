//! Damaged inputs and values that contain themselves: an error, never a panic
//! and never a hang.

mod common;

use common::{folder, probe_with, template};
use coracle_helm::package::{self, Changes};
use coracle_helm::{Chart, File, Level, Values};

/// A small generator: the cases must repeat.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound.max(1)
    }
}

fn damage(text: &str, numbers: &mut Numbers) -> String {
    const BITS: [&str; 16] = [
        "{{", "}}", "(", ")", "|", "\"", "`", "{{-", "-}}", ".", "$x", "range", "end", ":", "\n",
        "\t",
    ];
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..=numbers.below(3) {
        let at = numbers.below(chars.len() + 1);
        match numbers.below(3) {
            0 if at < chars.len() => {
                chars.remove(at);
            }
            1 => {
                let bit: Vec<char> = BITS[numbers.below(BITS.len())].chars().collect();
                chars.splice(at..at, bit);
            }
            _ => chars.truncate(at),
        }
    }
    chars.into_iter().collect()
}

#[test]
fn damaged_templates_are_refused_or_render() {
    let mut numbers = Numbers(7);
    let lists = ["expressions.txt", "refusals.txt"]
        .map(|name| std::fs::read_to_string(folder().join(name)).expect("the list exists"));
    for line in lists.iter().flat_map(|list| list.lines()) {
        // Keys and passwords take long without optimisation.
        if line.contains("gen") || line.contains("bcrypt") || line.contains("htpasswd") {
            continue;
        }
        let source = damage(&format!("a: {{{{ {line} }}}}\n"), &mut numbers);
        let _ = template(probe_with(&source), &Values::new(), Level::V4_2);
    }
}

#[test]
fn damaged_yaml_is_refused_or_read() {
    let mut numbers = Numbers(11);
    let text =
        std::fs::read_to_string(folder().join("charts/texts/chart/values.yaml")).expect("text");
    for _ in 0..300 {
        let start = numbers.below(text.len());
        let start = (0..=start)
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0);
        let damaged = damage(&text[start..], &mut numbers);
        let mut values = Values::new();
        let _ = values.add_file("damaged.yaml", damaged.as_bytes());
    }
}

#[test]
fn damaged_archives_are_refused() {
    let mut numbers = Numbers(13);
    for _ in 0..200 {
        let bytes: Vec<u8> = (0..numbers.below(400))
            .map(|_| numbers.below(256) as u8)
            .collect();
        assert!(Chart::load_archive(&bytes).is_err());
    }
}

#[test]
fn values_that_contain_themselves_end() {
    let check = |source: &str| {
        let _ = template(probe_with(source), &Values::new(), Level::V4_2);
    };
    const SELF: &str = "{{ $d := dict }}{{ $_ := set $d \"self\" $d }}";
    for action in [
        "{{ $d }}",
        "{{ toYaml $d }}",
        "{{ toJson $d }}",
        "{{ toToml $d }}",
        "{{ deepCopy $d | len }}",
        "{{ deepEqual $d (deepCopy $d) }}",
        "{{ merge (dict \"self\" (dict)) $d | len }}",
        "{{ mergeOverwrite (deepCopy $d) $d | len }}",
        "{{ printf \"%v\" $d | len }}",
    ] {
        check(&format!("{SELF}a: {action}"));
    }
}

#[test]
fn endless_templates_end() {
    let check = |source: &str, expected: &str| {
        let said = template(probe_with(source), &Values::new(), Level::V4_2).expect_err(source);
        assert!(said.contains(expected), "{source}: {said}");
    };
    check(
        "{{ define \"a\" }}{{ include \"b\" . }}{{ end }}{{ define \"b\" }}{{ include \"a\" . }}{{ end }}{{ include \"a\" . }}",
        "nested reference name",
    );
    check(
        "{{ define \"t\" }}{{ template \"t\" . }}{{ end }}{{ template \"t\" . }}",
        "maximum template depth",
    );
    check(
        &format!("{{{{ {}1{} }}}}", "(".repeat(3000), ")".repeat(3000)),
        "max expression depth",
    );
    check("{{ until 99999999999 }}", "too long");
    check("{{ repeat 9999999999 \"ab\" }}", "overflow");
    check("{{ indent 9999999999 \"ab\" }}", "overflow");
}

#[test]
fn a_chart_without_chart_yaml_is_refused() {
    let files = vec![File::new("values.yaml", &b"a: 1"[..])];
    let said = Chart::load(files).expect_err("refused").to_string();
    assert_eq!(said, "Chart.yaml file is missing");
}

#[test]
fn a_packed_chart_renders_as_its_folder_does() {
    let chart = Chart::load(probe_with("a: {{ .Values.int }}\n")).expect("loads");
    let pack = || package::pack(&chart, &Changes::default()).expect("packs");
    let packed = pack();
    assert_eq!(packed.bytes, pack().bytes);
    let again = Chart::load_archive(&packed.bytes).expect("loads");
    assert_eq!(again.templates, chart.templates);
}
