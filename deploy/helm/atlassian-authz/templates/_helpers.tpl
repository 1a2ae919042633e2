{{- define "atlassian-authz.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "atlassian-authz.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "atlassian-authz.selector" -}}
app.kubernetes.io/name: {{ include "atlassian-authz.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "atlassian-authz.labels" -}}
{{ include "atlassian-authz.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "atlassian-authz.serviceAccount" -}}
{{- default (include "atlassian-authz.fullname" .) .Values.serviceAccount.name }}
{{- end }}

{{- define "atlassian-authz.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}
{{- end }}

{{- define "atlassian-authz.tlsSecret" -}}
{{- if .Values.tlsSecretName }}{{ .Values.tlsSecretName }}{{ else if .Values.certManager.enabled }}{{ include "atlassian-authz.fullname" . }}-tls{{ end }}
{{- end }}

{{- /* The configuration, read. What cannot work in a pod is refused here, before anything is applied. */ -}}
{{- define "atlassian-authz.config" -}}
{{- $config := fromYaml .Values.config }}
{{- if hasKey $config "Error" }}{{ fail (printf "config cannot be read: %s" $config.Error) }}{{ end }}
{{- $store := ($config.api_tokens | default dict).store | default "" }}
{{- if and (kindIs "string" $store) (hasPrefix "sqlite:" $store) (not .Values.persistence.enabled) }}
{{ fail "config: api_tokens.store is a SQLite file, which needs persistence.enabled" }}
{{- end }}
{{- $tls := ($config.listen | default dict).grpc_tls | default dict }}
{{- if and (hasPrefix "/run/tls/" ($tls.certificate | default "")) (not (include "atlassian-authz.tlsSecret" .)) }}
{{ fail "config: listen.grpc_tls reads /run/tls, which needs tlsSecretName or certManager.enabled" }}
{{- end }}
{{- toJson $config }}
{{- end }}

{{- /* The ports by name, as JSON. */ -}}
{{- define "atlassian-authz.ports" -}}
{{- $listen := (include "atlassian-authz.config" . | fromJson).listen | default dict }}
{{- $ports := dict }}
{{- range $which := list "grpc" "admin" "health" }}
{{- $address := get $listen $which }}
{{- if $address }}
{{- if not (regexMatch "^(0\\.0\\.0\\.0|\\[::\\]):[0-9]+$" $address) }}
{{ fail (printf "config: listen.%s is %s: Envoy, the kubelet and Prometheus come to the pod's address, so it must be 0.0.0.0:PORT" $which $address) }}
{{- end }}
{{- $_ := set $ports $which (regexFind "[0-9]+$" $address | int) }}
{{- else if ne $which "health" }}
{{ fail (printf "config: listen.%s is missing: write 0.0.0.0:PORT, since the default is not for pods" $which) }}
{{- end }}
{{- end }}
{{- if and $listen.grpc_tls (not $listen.health) }}
{{ fail "config: listen.grpc_tls needs listen.health: the kubelet's probes speak no TLS" }}
{{- end }}
{{- toJson $ports }}
{{- end }}

{{- /* A gateway as a peer of a NetworkPolicy. */ -}}
{{- define "atlassian-authz.gateways" -}}
{{- range . }}
- namespaceSelector:
    matchLabels:
      kubernetes.io/metadata.name: {{ .namespace }}
  {{- with .podLabels }}
  podSelector:
    matchLabels:
      {{- toYaml . | nindent 6 }}
  {{- end }}
{{- end }}
{{- end }}
