{{/*
What only the frontend's container has.
*/}}
{{- define "todo-app.frontendEnv" -}}
{{- $env := .Values.frontend.env -}}
{{- if ne (int .Values.frontend.port) 3000 }}
- name: PORT
  value: {{ int .Values.frontend.port | quote }}
{{- end }}
{{- if not (or (hasKey $env "NEXT_PUBLIC_API_URL") (hasKey $env "NEXT_PUBLIC_BACKEND_URL") (hasKey $env "BACKEND_URL") .Values.frontend.envFrom.configMap) }}
- name: NEXT_PUBLIC_API_URL
  value: {{ include "todo-app.backendUrl" . | quote }}
{{- end }}
{{- range $name, $value := $env }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end }}

{{- define "todo-app.frontendEnvFrom" -}}
{{- if and .Values.frontend.envFrom.configMap .Values.config.data }}
- configMapRef:
    name: {{ .Values.config.name }}
{{- end }}
{{- if .Values.frontend.envFrom.secret }}
- secretRef:
    name: {{ include "todo-app.secretName" . }}
{{- end }}
{{- end }}

{{- define "todo-app.frontendMounts" -}}
{{- if .Values.frontend.tmp }}
- name: tmp
  mountPath: /tmp
{{- end }}
{{- end }}

{{- define "todo-app.frontendVolumes" -}}
{{- if .Values.frontend.tmp }}
- name: tmp
  emptyDir: {}
{{- end }}
{{- end }}
