{{/*
All rules about values, in one place; included once, by deployment.yaml.
*/}}
{{- define "todo-app.validate" -}}
{{- $secrets := .Values.secrets -}}
{{- $own := not $secrets.existingSecret -}}
{{- if not (has .Values.database.mode (list "embedded" "external")) -}}
{{- fail (printf "database.mode is %q, expected embedded or external" .Values.database.mode) -}}
{{- end -}}
{{- if not (has .Values.ai.provider (list "auto" "local" "openai" "cohere" "gemini")) -}}
{{- fail (printf "ai.provider is %q, expected auto, local, openai, cohere or gemini" .Values.ai.provider) -}}
{{- end -}}
{{- if and $own $secrets.encoded -}}
{{- range include "todo-app.secretKeys" . | fromYamlArray -}}
{{- $value := get $secrets (index . 0) | toString -}}
{{- if not (regexMatch "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$" $value) -}}
{{- fail (printf "secrets.%s is not base64, but secrets.encoded is true" (index . 0)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $own (eq .Values.database.mode "external") (not $secrets.databaseUrl) -}}
{{- fail "Database URL is required" -}}
{{- end -}}
{{- if and $own (eq .Values.ai.provider "openai") -}}
{{- $key := include "todo-app.plainSecret" (dict "root" . "name" "openaiApiKey") -}}
{{- if or (not $key) (and .Values.validation.openaiKeyPrefix (not (hasPrefix "sk-" $key))) -}}
{{- fail "Valid OpenAI API key required" -}}
{{- end -}}
{{- end -}}
{{- if and $own (eq .Values.ai.provider "cohere") (not $secrets.cohereApiKey) -}}
{{- fail "Cohere API key is required" -}}
{{- end -}}
{{- if and $own (eq .Values.ai.provider "gemini") (not $secrets.geminiApiKey) -}}
{{- fail "Gemini API key is required" -}}
{{- end -}}
{{- if and $own (not $secrets.generate) (not $secrets.betterAuthSecret) (not $secrets.jwtSecret) -}}
{{- fail "Better Auth secret is required" -}}
{{- end -}}
{{- range $component := list "frontend" "backend" -}}
{{- $values := index $.Values $component -}}
{{- if $values.enabled -}}
{{- if lt (int (include "todo-app.replicas" (dict "root" $ "component" $component))) 1 -}}
{{- fail (printf "At least 1 %s replica required" $component) -}}
{{- end -}}
{{- include "todo-app.validateMemory" (dict "root" $ "resources" $values.resources) -}}
{{- end -}}
{{- end -}}
{{- $several := or (gt (int (include "todo-app.replicas" (dict "root" . "component" "backend"))) 1) (dig "autoscaling" "enabled" false .Values.backend) -}}
{{- if and (eq .Values.database.mode "embedded") $several (not .Values.persistence.database.enabled) -}}
{{- fail "several backend replicas need a common database: set database.mode=external or persistence.database.enabled=true" -}}
{{- end -}}
{{- end }}

{{- define "todo-app.validateMemory" -}}
{{- $request := dig "requests" "memory" "" (default (dict) .resources) -}}
{{- $limit := dig "limits" "memory" "" (default (dict) .resources) -}}
{{- if and $request $limit -}}
{{- $requested := include "todo-app.bytes" $request | float64 -}}
{{- $limited := include "todo-app.bytes" $limit | float64 -}}
{{- $equal := eq $requested $limited -}}
{{- if or (gt $requested $limited) (and $equal (not .root.Values.validation.allowEqualMemory)) -}}
{{- fail "Request cannot exceed limit" -}}
{{- end -}}
{{- end -}}
{{- end }}
