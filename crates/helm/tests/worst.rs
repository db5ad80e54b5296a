//! Twenty errors that users meet most, as Helm says them and as we say them.
//!
//! `worst.golden` holds both. `UPDATE_GOLDENS=1` writes ours anew; Helm's half
//! comes from the real helm where it is fetched.

mod common;

use common::{folder, oracle, probe_with, run_helm};
use coracle_helm as helm;

struct Case {
    name: &'static str,
    template: &'static str,
    values: &'static str,
}

const CASES: &[Case] = &[
    Case {
        name: "a field of a value that is not set",
        template: "kind: ConfigMap\ndata:\n  host: {{ .Values.databse.host }}\n",
        values: "database:\n  host: localhost\n",
    },
    Case {
        name: "a field of a value that a file sets to null",
        template: "kind: ConfigMap\ndata:\n  host: {{ .Values.map.a.host }}\n",
        values: "map:\n  # cleared\n  a: ~\n",
    },
    Case {
        name: "a field of a text",
        template: "image: {{ .Values.image.repository }}\n",
        values: "image: nginx:1.27\n",
    },
    Case {
        name: "a field of a number, inside a helper",
        template: "port: {{ include \"probe.port\" . }}\n{{ define \"probe.port\" }}\n{{ .Values.int.port }}\n{{ end }}\n",
        values: "",
    },
    Case {
        name: "a misspelt function",
        template: "x: 1\ny: {{ .Values.str | toYml }}\n",
        values: "",
    },
    Case {
        name: "a misspelt template",
        template: "x: {{ include \"probe.nmae\" . }}\n",
        values: "",
    },
    Case {
        name: "an end that is missing",
        template: "{{- if .Values.bool }}\nx: 1\n",
        values: "",
    },
    Case {
        name: "an undeclared variable",
        template: "{{- range .Values.list }}\n- {{ $item }}\n{{- end }}\n",
        values: "",
    },
    Case {
        name: "required",
        template: "url: {{ required \"Database URL is required\" .Values.database.url }}\n",
        values: "database:\n  url: \"\"\n",
    },
    Case {
        name: "fail",
        template: "{{- if gt (int .Values.replicas) 10 }}\n{{- fail (printf \"replicas must not exceed 10, got %v\" .Values.replicas) }}\n{{- end }}\n",
        values: "replicas: 11\n",
    },
    Case {
        name: "a number where a text is wanted",
        template: "kind: Secret\ndata:\n  port: {{ .Values.port | b64enc }}\n",
        values: "port: 5432\n",
    },
    Case {
        name: "nothing where a text is wanted",
        template: "kind: Secret\ndata:\n  password: {{ .Values.password | b64enc }}\n",
        values: "",
    },
    Case {
        name: "an unquoted value that breaks the document",
        template: "kind: ConfigMap\nmetadata:\n  name: a\ndata:\n  motd: {{ .Values.motd }}\n",
        values: "motd: \"note: maintenance\"\n",
    },
    Case {
        name: "a wrong indent from a helper",
        template: "kind: Deployment\nmetadata:\n  name: a\n  labels:\n    {{- include \"probe.labels\" . | nindent 1 }}\n  annotations: {}\n{{ define \"probe.labels\" -}}\napp: x\ntier: y\n{{- end }}\n",
        values: "",
    },
    Case {
        name: "a map printed into a line",
        template: "kind: ConfigMap\ndata:\n  settings: {{ .Values.map }}: x\n",
        values: "",
    },
    Case {
        name: "comparing a number with a text",
        template: "{{- if eq .Values.int \"42\" }}\nx: 1\n{{- end }}\n",
        values: "",
    },
    Case {
        name: "an index that is too large",
        template: "first: {{ index .Values.hosts 3 }}\n",
        values: "hosts: [a, b]\n",
    },
    Case {
        name: "ranging over a text",
        template: "{{- range .Values.hosts }}\n- {{ . }}\n{{- end }}\n",
        values: "hosts: example.com\n",
    },
    Case {
        name: "an error inside tpl",
        template: "x: {{ tpl .Values.expression . }}\n",
        values: "expression: \"{{ .Values.missing.deep }}\"\n",
    },
    Case {
        name: "a tab in the document",
        template: "kind: ConfigMap\ndata:\n\tkey: value\n",
        values: "",
    },
    Case {
        name: "a field of nothing in a loop",
        template: "{{- range .Values.users }}\n- {{ .name.first }}\n{{- end }}\n",
        values: "users:\n- {name: {first: Ada}}\n- {nmae: x}\n",
    },
];

fn report(case: &Case) -> String {
    let chart = helm::Chart::load(probe_with(case.template)).expect("loads");
    let mut values = helm::Values::new();
    if !case.values.is_empty() {
        values
            .add_file("prod.yaml", case.values.as_bytes())
            .expect("values");
    }
    helm::render(
        &chart,
        &values,
        &helm::Release::named("release-name"),
        &helm::Capabilities::default(),
        &helm::NoCluster,
    )
    .expect_err(case.name)
    .report()
}

fn helm_says(case: &Case) -> Option<String> {
    let oracle = oracle()?;
    let values = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(values.path(), case.values).expect("written");
    let path = values.path().to_string_lossy().into_owned();
    run_helm(&oracle, &probe_with(case.template), &["-f", &path]).err()
}

#[test]
fn the_worst_errors_name_value_place_and_remedy() {
    let path = folder().join("worst.golden");
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    let update = std::env::var_os("UPDATE_GOLDENS").is_some();
    let mut text = String::new();
    for case in CASES {
        let heading = format!("##### {}\n", case.name);
        text.push_str(&heading);
        text.push_str("# helm\n");
        let kept = stored
            .split(&heading)
            .nth(1)
            .and_then(|rest| rest.strip_prefix("# helm\n"))
            .and_then(|rest| rest.split("\n# ours\n").next());
        let theirs = match kept {
            Some(kept) if !update => kept.to_owned(),
            _ => helm_says(case).unwrap_or_default(),
        };
        text.push_str(theirs.trim_end());
        text.push_str("\n# ours\n");
        let ours = report(case);
        let first = theirs
            .trim_end()
            .trim_end_matches("Use --debug flag to render out invalid YAML");
        assert!(
            ours.starts_with(first.trim_end()),
            "{}: {ours}\n{first}",
            case.name
        );
        text.push_str(ours.trim_end());
        text.push_str("\n\n");
    }
    if update {
        std::fs::write(&path, &text).expect("written");
    }
    assert!(
        stored == text || update,
        "worst.golden differs from:\n{text}"
    );
}
