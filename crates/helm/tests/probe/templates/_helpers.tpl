{{- define "probe.name" -}}
{{ .Chart.Name }}-{{ .Release.Name }}
{{- end }}
{{ define "probe.ctx" }}ctx={{ .a }}{{ end }}
{{ define "probe.fails" }}{{ fail "from a helper" }}{{ end }}
{{ define "probe.nil" }}
  {{ .Values.missing.deep }}
{{ end }}
{{ define "probe.outer" }}{{ include "probe.nil" . | indent 2 }}{{ end }}
{{ define "probe.loop" }}{{ include "probe.loop" . }}{{ end }}
