//! The places behind findings: template line, value, and how to silence.

mod common;

use common::{chart_with, lines, report};
use coracle_helm::Values;
use coracle_preflight::Show;

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\nspec:\n  type: NodePort\n  ports:\n    - port: 80\n      nodePort: {{ .Values.service.nodePort }}\n";

#[test]
fn a_value_of_the_chart() {
    let chart = chart_with(SERVICE, "service:\n  # too low\n  nodePort: 3000\n");
    let report = report(&chart, &Values::new(), None);
    let finding = &report.findings[0];
    let place = finding.place.as_ref().expect("a place");
    assert_eq!(
        (place.file.as_str(), place.line, place.column),
        ("c/templates/all.yaml", 9, 17)
    );
    let (value, origin) = &finding.values[0];
    assert_eq!(value, "service.nodePort = 3000");
    let origin = origin.as_ref().expect("an origin");
    assert_eq!(origin.to_string(), "c/values.yaml:3:3");
}

#[test]
fn a_value_of_the_user() {
    let chart = chart_with(SERVICE, "service: {nodePort: 30000}\n");
    let mut values = Values::new();
    values.set("service.nodePort=3000").expect("a value");
    let report = report(&chart, &values, None);
    let origin = report.findings[0].values[0].1.clone().expect("an origin");
    assert_eq!(origin.to_string(), "--set service.nodePort=3000");
}

#[test]
fn a_value_that_passes_through_with_and_to_yaml() {
    let template = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n  {{- with .Values.spec }}\n  {{- toYaml . | nindent 2 }}\n  {{- end }}\n";
    let values =
        "other: 3000\nspec:\n  type: NodePort\n  ports:\n    - port: 80\n      nodePort: 3000\n";
    let chart = chart_with(template, values);
    let report = report(&chart, &Values::new(), None);
    assert_eq!(report.findings.len(), 1);
    let place = report.findings[0].place.as_ref().expect("a place");
    assert_eq!(place.line, 6);
}

#[test]
fn a_value_behind_a_helper_is_found_by_trying() {
    let template = "{{- define \"port\" }}{{ get .service \"nodePort\" }}{{ end -}}\napiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n  type: NodePort\n  ports:\n    - port: 80\n      nodePort: {{ include \"port\" .Values }}\n";
    let chart = chart_with(
        template,
        "service:\n  nodePort: 3000\nother:\n  nodePort: 3000\n",
    );
    let report = report(&chart, &Values::new(), None);
    let (value, _) = &report.findings[0].values[0];
    assert_eq!(value, "service.nodePort = 3000");
}

#[test]
fn remarks_silence_a_rule() {
    let silent = |template: &str, values: &str| {
        let report = report(&chart_with(template, values), &Values::new(), None);
        assert_eq!(lines(&report), Vec::<String>::new());
    };
    silent(
        SERVICE,
        "service:\n  # check-ignore: node-port-range the server's range is wider\n  nodePort: 3000\n",
    );
    let remark = SERVICE.replace(
        "      nodePort",
        "      {{- /* check-ignore: node-port-range our range */}}\n      nodePort",
    );
    silent(&remark, "service: {nodePort: 3000}\n");
}

#[test]
fn a_report_can_be_read() {
    let chart = chart_with(SERVICE, "service:\n  nodePort: 3000\n");
    let report = report(&chart, &Values::new(), None);
    let expected = "\
c 0.1.0 as release r in namespace default: 1 objects, Kubernetes v1.36.0, no cluster asked

error[node-port-range]: Service/a: nodePort 3000 is outside the range 30000-32767
  --> c/templates/all.yaml:9:17
  8 |     - port: 80
  9 |       nodePort: {{ .Values.service.nodePort }}
    |                 ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  = service.nodePort = 3000, set at c/values.yaml:2:3
  fix: choose one from 30000 to 32767, or leave nodePort away to be given one

1 error
";
    assert_eq!(Show::default().report(&report), expected);
    let json = report.to_json();
    assert_eq!(json["errors"], 1);
    assert_eq!(json["findings"][0]["template"]["line"], 9);
    assert_eq!(json["findings"][0]["values"][0]["line"], 2);
}
