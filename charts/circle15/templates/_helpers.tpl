{{/* The first part of every name. */}}
{{- define "circle15.name" -}}
{{- .Values.nameOverride | default .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "circle15.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{/* Labels of an object. Call with (dict "root" $ "component" "services"). */}}
{{- define "circle15.labels" -}}
{{ include "circle15.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: circle15
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "circle15.selector" -}}
app.kubernetes.io/name: circle15
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/*
The Deployments of the services: name → what they run, REST path prefixes, and a route that refuses a call without a token.
A prefix matches whole segments, so "/v1/visits" is not one of "/v1/visits:sync", and some Ingress controllers refuse a colon:
what is below "/v1" and nobody else's goes to visits. JSON, because templates return text.
*/}}
{{- define "circle15.deployments" -}}
{{- if eq .Values.services.layout "single" -}}
{"services": {"run": ["all"], "check": "/v1/me", "paths": ["/"]}}
{{- else -}}
{
  "registry": {"run": ["registry"], "check": "/v1/stations", "paths": ["/v1/stations", "/v1/staff", "/v1/communities", "/v1/households", "/v1/residents", "/v1/needs", "/v1/serviceFiles", "/v1/volunteerTeams", "/v1/volunteers", "/v1/standards"]},
  "cases": {"run": ["cases"], "check": "/v1/cases", "paths": ["/v1/cases"]},
  "visits": {"run": ["visits"], "check": "/v1/visits", "paths": ["/v1"]},
  "activities": {"run": ["activities"], "check": "/v1/activities", "paths": ["/v1/activities", "/v1/groups"]},
  "reporting": {"run": ["reporting"], "check": "/v1/reports/workSummary", "paths": ["/v1/reports"]},
  "iam": {"run": ["iam"], "check": "/v1/me", "paths": ["/", "/v1/me", "/v1/roles", "/v1/roleGrants", "/v1/auditEvents"]}
}
{{- end -}}
{{- end -}}

{{/* Pod Security "restricted". */}}
{{- define "circle15.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "circle15.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* What all Pods share: placement and pull secrets. Call with (dict "root" $ "values" .Values.operator "component" "operator" "replicas" 2). */}}
{{- define "circle15.placement" -}}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
{{ toYaml . | indent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
{{ toYaml . | indent 2 }}
{{- end }}
{{- if gt (int .replicas) 1 }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
{{ include "circle15.selector" . | indent 8 }}
{{- end }}
affinity:
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 1
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
{{ include "circle15.selector" . | indent 14 }}
{{- end -}}

{{/* Tracing, from the standard environment of OpenTelemetry. */}}
{{- define "circle15.telemetryEnv" -}}
{{- with .Values.telemetry.otlpEndpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
{{- end }}
{{- end -}}
