{{/*
What only the backend's container has: variables, mounts, volumes.
*/}}
{{- define "todo-app.backendEnv" -}}
- name: PORT
  value: {{ int .Values.backend.port | quote }}
{{- if ne .Values.global.environment "development" }}
- name: ENVIRONMENT
  value: {{ .Values.global.environment }}
{{- end }}
{{- if and (eq .Values.database.mode "embedded") (not .Values.secrets.databaseUrl) }}
- name: DATABASE_URL
  value: sqlite:///app/data/todo.db
{{- end }}
{{- with include "todo-app.providerEnv" . }}
- name: AI_PROVIDER
  value: {{ . }}
{{- end }}
{{- if not .Values.backend.mcp.enabled }}
- name: MCP_SERVER_PORT
  value: "0"
{{- else if ne (int .Values.backend.mcp.port) 8001 }}
- name: MCP_SERVER_PORT
  value: {{ int .Values.backend.mcp.port | quote }}
{{- end }}
{{- if eq .Values.secrets.inject "keys" }}
{{- range $name, $key := include "todo-app.secretVariables" . | fromYaml }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ include "todo-app.secretName" $ }}
      key: {{ $key }}
{{- end }}
{{- else if eq .Values.secrets.inject "files" }}
{{- range $name, $key := include "todo-app.secretVariables" . | fromYaml }}
- name: {{ $name }}_FILE
  value: /etc/todo/secrets/{{ $key }}
{{- end }}
{{- end }}
{{- if eq .Values.config.inject "keys" }}
{{- range $key, $_ := .Values.config.data }}
- name: {{ $key }}
  valueFrom:
    configMapKeyRef:
      name: {{ $.Values.config.name }}
      key: {{ $key }}
{{- end }}
{{- end }}
{{- range $name, $value := .Values.backend.env }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end }}

{{/*
AI_PROVIDER, only where the keys alone would not lead to it.
*/}}
{{- define "todo-app.providerEnv" -}}
{{- $secrets := .Values.secrets -}}
{{- $first := "local" -}}
{{- if $secrets.openaiApiKey }}{{ $first = "openai" }}{{ end -}}
{{- if $secrets.geminiApiKey }}{{ $first = "gemini" }}{{ end -}}
{{- if $secrets.cohereApiKey }}{{ $first = "cohere" }}{{ end -}}
{{- if and (ne .Values.ai.provider "auto") (or $secrets.existingSecret (ne .Values.ai.provider $first)) -}}
{{ .Values.ai.provider }}
{{- end -}}
{{- end }}

{{- define "todo-app.backendEnvFrom" -}}
{{- if and (eq .Values.config.inject "envFrom") .Values.config.data }}
- configMapRef:
    name: {{ .Values.config.name }}
{{- end }}
{{- if eq .Values.secrets.inject "envFrom" }}
- secretRef:
    name: {{ include "todo-app.secretName" . }}
{{- end }}
{{- end }}

{{- define "todo-app.backendMounts" -}}
{{- if eq .Values.database.mode "embedded" }}
- name: data
  mountPath: /app/data
{{- end }}
{{- if or .Values.persistence.uploads.enabled .Values.persistence.uploads.ephemeral }}
- name: uploads
  mountPath: /app/uploads
{{- end }}
{{- if .Values.backend.tmp }}
- name: tmp
  mountPath: /tmp
{{- end }}
{{- if eq .Values.secrets.inject "files" }}
- name: secrets
  mountPath: /etc/todo/secrets
  readOnly: true
{{- end }}
{{- end }}

{{- define "todo-app.backendVolumes" -}}
{{- if eq .Values.database.mode "embedded" }}
- name: data
  {{- if .Values.persistence.database.enabled }}
  persistentVolumeClaim:
    claimName: {{ .Values.persistence.database.claimName }}
  {{- else }}
  emptyDir: {}
  {{- end }}
{{- end }}
{{- if .Values.persistence.uploads.enabled }}
- name: uploads
  persistentVolumeClaim:
    claimName: {{ .Values.persistence.uploads.claimName }}
{{- else if .Values.persistence.uploads.ephemeral }}
- name: uploads
  emptyDir: {}
{{- end }}
{{- if .Values.backend.tmp }}
- name: tmp
  emptyDir: {}
{{- end }}
{{- if eq .Values.secrets.inject "files" }}
- name: secrets
  secret:
    secretName: {{ include "todo-app.secretName" . }}
{{- end }}
{{- end }}
