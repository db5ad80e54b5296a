{{/*
Expand the name of the chart.
*/}}
{{- define "todo-app.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/*
Create a default fully qualified app name.
*/}}
{{- define "todo-app.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{/*
Chart name and version as a label value.
*/}}
{{- define "todo-app.chart" -}}
{{- printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/*
Common labels
*/}}
{{- define "todo-app.labels" -}}
helm.sh/chart: {{ include "todo-app.chart" . }}
{{ include "todo-app.selectorLabels" . }}
{{- if .Chart.AppVersion }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/*
Selector labels
*/}}
{{- define "todo-app.selectorLabels" -}}
app.kubernetes.io/name: {{ include "todo-app.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/*
Namespace of all objects.
*/}}
{{- define "todo-app.namespace" -}}
{{- coalesce .Values.namespace.name .Values.global.namespace .Release.Namespace }}
{{- end }}

{{/*
Name of the Secret in use.
*/}}
{{- define "todo-app.secretName" -}}
{{- default .Values.secrets.name .Values.secrets.existingSecret }}
{{- end }}

{{/*
Values of a component. In: dict "root" $ "component" "backend".
*/}}
{{- define "todo-app.componentLabels" -}}
{{ include "todo-app.labels" .root }}
app.kubernetes.io/component: {{ .component }}
{{- with .labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "todo-app.componentSelector" -}}
{{- $values := index .root.Values .component -}}
{{- if $values.selectorLabels -}}
{{ toYaml $values.selectorLabels }}
{{- else -}}
{{ include "todo-app.selectorLabels" .root }}
app.kubernetes.io/component: {{ .component }}
{{- end }}
{{- end }}

{{/*
Replicas: replicaCount or replicas, 1 when neither is set. Zero stays zero,
so that the check sees it.
*/}}
{{- define "todo-app.replicas" -}}
{{- $values := index .root.Values .component -}}
{{- $count := get $values "replicaCount" -}}
{{- $alias := get $values "replicas" -}}
{{- $hasCount := not (or (kindIs "invalid" $count) (eq (toString $count) "")) -}}
{{- $hasAlias := not (or (kindIs "invalid" $alias) (eq (toString $alias) "")) -}}
{{- if and $hasCount $hasAlias (ne (int $count) (int $alias)) -}}
{{- fail (printf "%s.replicaCount is %d and %s.replicas is %d: set one of them" .component (int $count) .component (int $alias)) -}}
{{- end -}}
{{- if $hasCount -}}{{ int $count }}{{- else if $hasAlias -}}{{ int $alias }}{{- else -}}1{{- end -}}
{{- end }}

{{/*
Image reference.
*/}}
{{- define "todo-app.image" -}}
{{- $image := (index .root.Values .component).image -}}
{{- if $image.registry }}{{ trimSuffix "/" $image.registry }}/{{ end }}{{ $image.repository }}:{{ $image.tag }}
{{- end }}

{{/*
Pull policy: the component's, else the global one.
*/}}
{{- define "todo-app.pullPolicy" -}}
{{- $image := (index .root.Values .component).image -}}
{{- default .root.Values.global.imagePullPolicy $image.pullPolicy -}}
{{- end }}

{{/*
A probe. In: dict "probe" map "over" map "path" "/health" "port" 8000.
The numbers of "over" (the healthCheck block) win.
*/}}
{{- define "todo-app.probe" -}}
{{- $probe := merge (dict) (default (dict) .over) (default (dict) .probe) -}}
httpGet:
  path: {{ default .path $probe.path }}
  port: {{ int .port }}
{{- with omit $probe "path" }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/*
The keys of the Secret: value name, variable name, kebab name.
*/}}
{{- define "todo-app.secretKeys" -}}
- [databaseUrl, DATABASE_URL, database-url]
- [betterAuthSecret, BETTER_AUTH_SECRET, better-auth-secret]
- [jwtSecret, JWT_SECRET, jwt-secret]
- [jwtAlgorithm, JWT_ALGORITHM, jwt-algorithm]
- [jwtExpirationHours, JWT_EXPIRATION_HOURS, jwt-expiration-hours]
- [openaiApiKey, OPENAI_API_KEY, openai-api-key]
- [cohereApiKey, COHERE_API_KEY, cohere-api-key]
- [geminiApiKey, GEMINI_API_KEY, gemini-api-key]
- [cloudinaryCloudName, CLOUDINARY_CLOUD_NAME, cloudinary-cloud-name]
- [cloudinaryApiKey, CLOUDINARY_API_KEY, cloudinary-api-key]
- [cloudinaryApiSecret, CLOUDINARY_API_SECRET, cloudinary-api-secret]
- [gmailEmail, GMAIL_EMAIL, gmail-email]
- [gmailAppPassword, GMAIL_APP_PASSWORD, gmail-app-password]
- [resendApiKey, RESEND_API_KEY, resend-api-key]
{{- end }}

{{/*
The variables that the Secret gives the backend, as a map from variable name
to key of the Secret.
*/}}
{{- define "todo-app.secretVariables" -}}
{{- $secrets := .Values.secrets -}}
{{- range include "todo-app.secretKeys" . | fromYamlArray }}
{{- $value := get $secrets (index . 0) | toString }}
{{- $made := and (eq (index . 0) "betterAuthSecret") $secrets.generate }}
{{- if or $value $made (has (index . 0) $secrets.always) }}
{{ index . 1 }}: {{ ternary (index . 2) (index . 1) (eq $secrets.keyStyle "kebab") }}
{{- end }}
{{- end }}
{{- range $name, $_ := $secrets.extra }}
{{ $name | replace "-" "_" | upper }}: {{ $name }}
{{- end }}
{{- end }}

{{/*
A value of the Secret in plain text, whatever way it was given.
In: dict "root" $ "name" "openaiApiKey".
*/}}
{{- define "todo-app.plainSecret" -}}
{{- $value := get .root.Values.secrets .name | toString -}}
{{- if and $value .root.Values.secrets.encoded -}}{{ b64dec $value }}{{- else -}}{{ $value }}{{- end -}}
{{- end }}

{{/*
Data of the ConfigMap.
*/}}
{{- define "todo-app.configData" -}}
{{- range $key, $value := .Values.config.data }}
{{ $key }}: {{ $value | toString | quote }}
{{- end }}
{{- end }}

{{/*
The backend's address inside the cluster.
*/}}
{{- define "todo-app.backendUrl" -}}
http://{{ .Values.backend.service.name }}:{{ int .Values.backend.service.port }}
{{- end }}

{{/*
A quantity of memory in bytes.
*/}}
{{- define "todo-app.bytes" -}}
{{- $text := toString . -}}
{{- $number := regexFind "^[0-9.]+([eE][0-9]+)?" $text -}}
{{- $unit := trimPrefix $number $text -}}
{{- $factors := dict "" 1.0 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 -}}
{{- if or (eq $number "") (not (hasKey $factors $unit)) -}}
{{- fail (printf "%q is no quantity of memory" $text) -}}
{{- end -}}
{{- mulf (float64 $number) (get $factors $unit) -}}
{{- end }}
