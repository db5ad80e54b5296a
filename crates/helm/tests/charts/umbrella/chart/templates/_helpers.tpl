{{- define "common.who" }}parent{{ end }}
{{- define "umbrella.labels" -}}
app: {{ .Chart.Name }}
{{- end }}
