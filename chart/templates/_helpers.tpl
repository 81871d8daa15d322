{{/* Labels of every object. */}}
{{- define "labels" -}}
app.kubernetes.io/part-of: secure-mcp-server
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* What selects the pods of the server. */}}
{{- define "server" -}}
app.kubernetes.io/name: secure-mcp-server
app.kubernetes.io/component: server
{{- end }}

{{- define "image" -}}
{{- with .Values.image }}{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}{{ end }}
{{- end }}

{{/* The settings as texts. k8s/base/settings.env says why each of ours is what it is. */}}
{{- define "settings" -}}
{{- $secrets := "/run/secrets/secure-mcp-server" }}
{{- $settings := dict "HOST" "0.0.0.0" "PORT" "3000" "MANAGEMENT_HOST" "127.0.0.1" "MANAGEMENT_PORT" "9090" }}
{{- $_ := set $settings "STATE_SECRET_FILE" (printf "%s/STATE_SECRET" $secrets) }}
{{- if not (or .Values.settings.REDIS_SENTINELS .Values.settings.REDIS_CLUSTER_NODES) }}
{{- $_ := set $settings "REDIS_URL_FILE" (printf "%s/REDIS_URL" $secrets) }}
{{- end }}
{{- $_ := set $settings "REPLICAS" .Values.replicas.max }}
{{- $_ := set $settings "AUDIT_DIR" "/var/lib/secure-mcp-server/audit" }}
{{- $_ := set $settings "AUDIT_MAX_BYTES" "536870912" }}
{{- $_ := set $settings "DRAIN_MS" "5000" }}
{{- $_ := set $settings "SHUTDOWN_GRACE_MS" "25000" }}
{{- $_ := set $settings "NODE_OPTIONS" "--max-old-space-size=288" }}
{{- if .Values.publicUrl }}{{ $_ := set $settings "PUBLIC_URL" .Values.publicUrl }}{{ end }}
{{- if .Values.monitoring.enabled }}{{ $_ := set $settings "MANAGEMENT_HOST" "0.0.0.0" }}{{ end }}
{{- range $name, $value := .Values.settings }}{{ $_ := set $settings $name $value }}{{ end }}
{{- range $name, $value := $settings }}
{{- /* Numbers come as floating point, and a large one would be written with an exponent. */}}
{{ $name }}: {{ if kindIs "float64" $value }}{{ $value | int64 | toString | quote }}{{ else }}{{ $value | toString | quote }}{{ end }}
{{- end }}
{{- end }}

{{/* A changed setting is a new ConfigMap, and so a rollout. */}}
{{- define "settingsName" -}}
secure-mcp-server-settings-{{ include "settings" . | sha256sum | trunc 10 }}
{{- end }}

{{/* A policy of the server's pods: its head, up to the rules. */}}
{{- define "policy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ .name }}
  labels:
    {{- include "labels" .root | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/name: secure-mcp-server
  policyTypes: [{{ .type }}]
{{- end }}
