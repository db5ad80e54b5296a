{{- define "common.who" }}{{ .Chart.Name }}{{ end }}
