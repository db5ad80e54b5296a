//! Rendering, beside the real helm in the same run: the chart of the todo
//! application, and one made here of the size of a large public chart.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::Context;
use coracle_tests::cluster::{built, repository};

use crate::table::{Table, median};

/// How often each chart is rendered by each; the median counts.
const ROUNDS: usize = 9;
/// Templates of the chart that is made here.
const TEMPLATES: usize = 120;

/// Adds a row for each chart: our time, a tenth of helm's as the budget.
pub fn measure(table: &mut Table) -> anyhow::Result<()> {
    let helm = repository().join("target/oracles/helm");
    anyhow::ensure!(helm.exists(), "fetch helm first: cargo xtask oracles");
    let folder = std::env::temp_dir().join(format!("coracle-bench-chart-{}", std::process::id()));
    large_chart(&folder)?;
    let charts = [
        ("todo-app", repository().join("charts/todo-app")),
        ("large", folder.clone()),
    ];
    for (name, chart) in &charts {
        let (ours, our_memory) = render(&built("coracle"), chart)?;
        let (theirs, their_memory) = render(&helm, chart)?;
        table.row(
            format!("render chart {name} (a tenth of helm's time)"),
            ours,
            theirs / 10.0,
            "ms",
        );
        table.row(
            "memory of it (a quarter of helm's)",
            our_memory,
            their_memory / 4.0,
            "MB",
        );
    }
    fs::remove_dir_all(&folder)?;
    Ok(())
}

/// Renders with `PROGRAM template`; returns milliseconds and megabytes.
fn render(program: &Path, chart: &Path) -> anyhow::Result<(f64, f64)> {
    let mut times = Vec::new();
    let mut memory = 0.0_f64;
    for _ in 0..ROUNDS {
        let since = Instant::now();
        let mut child = Command::new(program)
            .args(["template", "bench"])
            .arg(chart)
            .stdout(Stdio::null())
            .spawn()?;
        let used = wait_for_memory(&mut child)?;
        times.push(since.elapsed().as_secs_f64() * 1e3);
        memory = memory.max(used);
    }
    Ok((median(times), memory))
}

/// Waits for the end of a process; returns the most memory it had, in megabytes.
fn wait_for_memory(child: &mut std::process::Child) -> anyhow::Result<f64> {
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut most = 0.0_f64;
    loop {
        if let Ok(text) = fs::read_to_string(&status)
            && let Some(line) = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))
            && let Ok(kilobytes) = line.trim().trim_end_matches(" kB").parse::<f64>()
        {
            most = most.max(kilobytes / 1024.0);
        }
        if let Some(status) = child.try_wait()? {
            anyhow::ensure!(status.success(), "rendering failed");
            return Ok(most);
        }
        std::thread::sleep(std::time::Duration::from_micros(200));
    }
}

/// Writes a chart with helpers, loops, `toYaml`, `tpl` and many documents.
fn large_chart(folder: &Path) -> anyhow::Result<()> {
    let templates = folder.join("templates");
    fs::create_dir_all(&templates).with_context(|| templates.display().to_string())?;
    fs::write(
        folder.join("Chart.yaml"),
        "apiVersion: v2\nname: large\nversion: 1.0.0\n",
    )?;
    let mut values = String::from("name: large\nlabels: {team: boats, tier: sea}\nparts:\n");
    for at in 0..TEMPLATES {
        values.push_str(&format!(
            "  part{at}:\n    image: \"registry.example.com/{{{{ .Values.name }}}}/part{at}:1.0\"\n    port: {}\n    env: {{A: \"1\", B: \"two\", C: \"{{{{ .Release.Name }}}}\"}}\n",
            8000 + at
        ));
    }
    fs::write(folder.join("values.yaml"), values)?;
    fs::write(templates.join("_helpers.tpl"), HELPERS)?;
    for at in 0..TEMPLATES {
        let text = TEMPLATE.replace("PART", &format!("part{at}"));
        fs::write(templates.join(format!("part{at}.yaml")), text)?;
    }
    Ok(())
}

const HELPERS: &str = r#"{{- define "large.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}
"#;

const TEMPLATE: &str = r#"{{- $part := index .Values.parts "PART" }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ printf "%s-%s" .Release.Name "PART" | trunc 63 }}
  labels:
    {{- include "large.labels" . | nindent 4 }}
spec:
  selector:
    matchLabels:
      {{- include "large.labels" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "large.labels" . | nindent 8 }}
      annotations:
        checksum: {{ toYaml .Values.parts | sha256sum }}
    spec:
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
---
apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name }}-PART
  labels:
    {{- include "large.labels" . | nindent 4 }}
spec:
  ports:
    - port: {{ $part.port }}
  selector:
    {{- include "large.labels" . | nindent 4 }}
"#;
