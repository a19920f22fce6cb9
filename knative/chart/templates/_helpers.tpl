{{/* What the objects of a program are called, from "source". */}}
{{- define "onefire.name" -}}
onefire{{ if ne . "function" }}-{{ . }}{{ end }}
{{- end }}

{{/* The labels that tell whose an object is: no value takes their place. */}}
{{- define "onefire.ownLabels" -}}
app.kubernetes.io/part-of: onefire
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Labels of every object. */}}
{{- define "onefire.labels" -}}
{{- toYaml (merge (include "onefire.ownLabels" . | fromYaml) .Values.commonLabels) }}
{{- end }}

{{/* Labels of what a Prometheus selects. */}}
{{- define "onefire.monitorLabels" -}}
{{- toYaml (merge (include "onefire.ownLabels" . | fromYaml) .Values.observability.labels .Values.commonLabels) }}
{{- end }}

{{/* Labels of a program's pods, from (list $ "source"). */}}
{{- define "onefire.podLabels" -}}
{{- $root := index . 0 }}
{{- $program := index . 1 }}
{{- toYaml (merge (dict "app.kubernetes.io/name" (include "onefire.name" $program)) (index $root.Values $program).podLabels $root.Values.commonLabels) }}
{{- end }}

{{/* Labels and annotations of a program's pods, from (list $ "source"). */}}
{{- define "onefire.podMetadata" -}}
labels:
  {{- include "onefire.podLabels" . | nindent 2 }}
{{- with (index (index . 0).Values (index . 1)).podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The name of a program's ServiceAccount, from (list $ "source"). */}}
{{- define "onefire.serviceAccountName" -}}
{{- $root := index . 0 }}
{{- $program := index . 1 }}
{{- (index $root.Values $program).serviceAccount.name | default (include "onefire.name" $program) }}
{{- end }}

{{/* A program's ServiceAccount as the subject of a binding, from (list $ "source"). */}}
{{- define "onefire.subject" -}}
- kind: ServiceAccount
  name: {{ include "onefire.serviceAccountName" . }}
  namespace: {{ (index . 0).Release.Namespace }}
{{- end }}

{{/* An image of .Values.images, from (list $ "function"). */}}
{{- define "onefire.image" -}}
{{- $root := index . 0 }}
{{- $images := $root.Values.images }}
{{- $image := index $images (index . 1) }}
{{- printf "%s/%s" $images.registry $image.name }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $images.tag | default $root.Chart.AppVersion }}{{ end }}
{{- end }}

{{/* Where a pod runs and as whom, from (list $ "source"). */}}
{{- define "onefire.podSpec" -}}
{{- $root := index . 0 }}
{{- $pod := index $root.Values (index . 1) -}}
serviceAccountName: {{ include "onefire.serviceAccountName" . }}
enableServiceLinks: false
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $pod.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with $pod.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $pod.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $pod.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A container's image and how it is pulled, from (list $ "source"). */}}
{{- define "onefire.containerImage" -}}
image: {{ include "onefire.image" . }}
{{- with (index . 0).Values.images.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
{{- end }}

{{/* The variables that a program's values add: env, then extraEnv. */}}
{{- define "onefire.env" -}}
{{- $env := .env }}
{{- range $name, $value := $env }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- range .extraEnv }}
{{- if hasKey $env .name }}
{{- fail (printf "%s is in env and in extraEnv" .name) }}
{{- end }}
- {{ toYaml . | nindent 2 | trim }}
{{- end }}
{{- end }}

{{/* The audience of tokens for the function. */}}
{{- define "onefire.audience" -}}
serving.knative.dev/service/{{ .Release.Namespace }}/onefire
{{- end }}

{{/* Who may send to the function, where senders show who they are. */}}
{{- define "onefire.senders" -}}
{{- $accounts := printf "system:serviceaccount:%s:" .Release.Namespace }}
{{- $replay := include "onefire.serviceAccountName" (list . "replay") }}
{{- concat (list (print $accounts "onefire-oidc-eventing.knative.dev-trigger") (print $accounts $replay)) .Values.oidc.subjects | join "," }}
{{- end }}

{{/* Where objects are made. */}}
{{- define "onefire.remediationNamespace" -}}
{{- ternary .Values.kubernaut.namespace .Release.Namespace .Values.kubernaut.enabled }}
{{- end }}

{{/* A program's ServiceAccount, from (list $ "source"). */}}
{{- define "onefire.serviceAccount" -}}
{{- $root := index . 0 }}
{{- $account := (index $root.Values (index . 1)).serviceAccount -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "onefire.serviceAccountName" . }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "onefire.labels" $root | nindent 4 }}
  {{- with $account.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
