//! Charts made here in the shapes of public ones: as many charts, templates,
//! files of CustomResourceDefinitions and lines of values, about as long, with
//! as much of it rendered. What they deploy means nothing.

use std::fs;
use std::path::Path;

use anyhow::Context;

/// The shape of a chart, its subcharts included. Lengths are in bytes.
#[derive(Debug)]
pub struct Shape {
    pub name: &'static str,
    /// The chart and its subcharts.
    charts: usize,
    /// Templates of a workload, and how many of them the values switch on.
    workloads: usize,
    workloads_on: usize,
    /// Templates that are mostly text (dashboards, rules, definitions): how
    /// many, how many are switched on, and how long each is.
    texts: usize,
    texts_on: usize,
    text_length: usize,
    /// Files under `crds/`, which are read but not rendered, and their length.
    crds: usize,
    crd_length: usize,
    /// The length of all `values.yaml`, half of it comments.
    values_length: usize,
}

/// The shapes of three charts as published in 2026, by their files and by what
/// helm renders from their defaults.
pub const SHAPES: [Shape; 3] = [
    Shape {
        name: "ingress-nginx",
        charts: 1,
        workloads: 43,
        workloads_on: 14,
        texts: 0,
        texts_on: 0,
        text_length: 0,
        crds: 0,
        crd_length: 0,
        values_length: 54_000,
    },
    Shape {
        name: "kube-prometheus-stack",
        charts: 5,
        workloads: 148,
        workloads_on: 45,
        texts: 90,
        texts_on: 60,
        text_length: 9_000,
        crds: 18,
        crd_length: 262_000,
        values_length: 309_000,
    },
    Shape {
        name: "argo-cd",
        charts: 2,
        workloads: 149,
        workloads_on: 57,
        texts: 2,
        texts_on: 2,
        text_length: 890_000,
        crds: 0,
        crd_length: 0,
        values_length: 190_000,
    },
];

impl Shape {
    /// Writes the chart of this shape into `folder`, which it makes.
    ///
    /// # Errors
    /// A file that could not be written, by its path.
    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        for at in 0..self.charts {
            let (name, place) = match at {
                0 => (self.name.to_owned(), folder.to_owned()),
                _ => (format!("part{at}"), folder.join(format!("charts/part{at}"))),
            };
            self.chart(&name, at, &place)?;
        }
        Ok(())
    }

    /// Writes the chart numbered `at`, with its share of everything.
    fn chart(&self, name: &str, at: usize, place: &Path) -> anyhow::Result<()> {
        let share = |all: usize| (at..all).step_by(self.charts);
        let parts: Vec<usize> = share(self.workloads).collect();
        let head = format!("apiVersion: v2\nname: {name}\nversion: 1.0.0\n");
        write(&place.join("Chart.yaml"), &head)?;
        write(&place.join("values.yaml"), &self.values(&parts))?;
        let templates = place.join("templates");
        write(
            &templates.join("_helpers.tpl"),
            &HELPERS.replace("CHART", name),
        )?;
        for part in parts {
            let text = WORKLOAD
                .replace("CHART", name)
                .replace("PART", &format!("part{part}"));
            write(&templates.join(format!("part{part}.yaml")), &text)?;
        }
        for text in share(self.texts) {
            let body = self.text(name, text);
            write(&templates.join(format!("texts/text{text}.yaml")), &body)?;
        }
        for crd in share(self.crds) {
            let body = definition(&format!("thing{crd}"), self.crd_length);
            write(&place.join(format!("crds/crd{crd}.yaml")), &body)?;
        }
        Ok(())
    }

    /// The values of one chart: a block for each workload, filled with settings
    /// and comments to the length its share has.
    fn values(&self, parts: &[usize]) -> String {
        let mut values = String::from("labels: {team: boats, tier: sea}\nparts:\n");
        let block = self.values_length / self.workloads;
        for part in parts {
            let end = values.len() + block;
            let is_on = (*part < self.workloads_on).to_string();
            let port = (8000 + part).to_string();
            let name = format!("part{part}");
            let head = PART_VALUES.replace("PART", &name).replace("PORT", &port);
            values.push_str(&head.replace("ENABLED", &is_on));
            fill(&mut values, end, SETTING);
        }
        values
    }

    /// A template that is text but for its head, and is rendered or not.
    fn text(&self, chart: &str, at: usize) -> String {
        let is_on = (at < self.texts_on).to_string();
        let head = TEXT_HEAD.replace("ENABLED", &is_on).replace("CHART", chart);
        let mut text = head.replace("AT", &at.to_string());
        fill(&mut text, self.text_length, TEXT_LINES);
        text.push_str("{{- end }}\n");
        text
    }
}

/// A CustomResourceDefinition about `length` long.
fn definition(kind: &str, length: usize) -> String {
    let mut text = DEFINITION_HEAD.replace("KIND", kind);
    fill(&mut text, length, FIELD);
    text
}

/// Appends `lines` with their number in place of `AT`, until the text is so long.
fn fill(text: &mut String, length: usize, lines: &str) {
    let mut at = 0;
    while text.len() < length {
        text.push_str(&lines.replace("AT", &at.to_string()));
        at += 1;
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let folder = path.parent().context("a path without a folder")?;
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    fs::write(path, text).with_context(|| path.display().to_string())
}

const HELPERS: &str = r#"{{- define "CHART.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}
"#;

const WORKLOAD: &str = r#"{{- $part := index .Values.parts "PART" }}
{{- if and $part.enabled (or (not (hasKey $part "kind")) (eq $part.kind "Deployment")) }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ printf "%s-%s" .Release.Name "PART" | trunc 63 }}
  namespace: {{ default .Release.Namespace $part.namespace }}
  labels:
    {{- include "CHART.labels" . | nindent 4 }}
    {{- with $part.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- if not $part.autoscaling }}
  replicas: {{ $part.replicas | default 1 }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "CHART.labels" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "CHART.labels" . | nindent 8 }}
      annotations:
        checksum: {{ toYaml $part | sha256sum }}
        {{- with $part.podAnnotations }}
        {{- tpl (toYaml .) $ | nindent 8 }}
        {{- end }}
    spec:
      {{- with $part.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: PART
          image: {{ tpl $part.image . | quote }}
          ports:
            - containerPort: {{ int $part.port }}
          env:
            {{- range $name, $value := $part.env }}
            - name: {{ $name }}
              value: {{ tpl $value $ | quote }}
            {{- end }}
          {{- with $part.resources }}
          resources:
            {{- toYaml . | nindent 12 }}
          {{- end }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name }}-PART
  labels:
    {{- include "CHART.labels" . | nindent 4 }}
spec:
  ports:
    - port: {{ $part.port }}
  selector:
    {{- include "CHART.labels" . | nindent 4 }}
{{- end }}
"#;

const PART_VALUES: &str = r#"  PART:
    enabled: ENABLED
    image: "registry.example.com/{{ .Chart.Name }}/PART:1.0"
    port: PORT
    env: {A: "1", B: "two", C: "{{ .Release.Name }}"}
    settings:
"#;

const SETTING: &str = "      # -- What setting AT does to this part of the chart
      settingAT: value of setting AT
";

const TEXT_HEAD: &str = r#"{{- if and ENABLED (semverCompare ">=1.14.0-0" .Capabilities.KubeVersion.GitVersion) }}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ printf "%s-textAT" .Release.Name | trunc 63 | trimSuffix "-" }}
  labels:
    {{- include "CHART.labels" . | nindent 4 }}
data:
  text: |
"#;

const TEXT_LINES: &str = r#"    - {expr: 'sum(rate(requests_total{job="{{ $.Release.Name }}"}[5m])) by (part)', line: AT}
      line AT.0 of a text without actions
      line AT.1 of a text without actions
      line AT.2 of a text without actions
      line AT.3 of a text without actions
      line AT.4 of a text without actions
      line AT.5 of a text without actions
      line AT.6 of a text without actions
      line AT.7 of a text without actions
      line AT.8 of a text without actions
      line AT.9 of a text without actions
      line AT.10 of a text without actions
      line AT.11 of a text without actions
"#;

const DEFINITION_HEAD: &str = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: KINDs.example.com
spec:
  group: example.com
  scope: Namespaced
  names: {kind: KIND, plural: KINDs}
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
";

const FIELD: &str = "            fieldAT:
              description: |-
                What the field numbered AT of this definition is for,
                told in two lines.
              type: string
";
