{{- define "pair" -}}{{ index . 0 }}={{ index . 1 }}{{- end -}}
{{- define "rec" -}}{{ if gt (int .n) 0 }}{{ .n }},{{ include "rec" (dict "n" (sub (int .n) 1)) }}{{ end }}{{- end -}}
{{ define "ws" }}
   spaced   
{{ end }}
{{ block "blocky" . }}block {{ .Values.flag }}{{ end }}
