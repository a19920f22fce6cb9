{{/* Labels of every object. */}}
{{- define "onefire.labels" -}}
app.kubernetes.io/part-of: onefire
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* An image of .Values.images, from (list $ "function"). */}}
{{- define "onefire.image" -}}
{{- $root := index . 0 }}
{{- $images := $root.Values.images }}
{{- $image := index $images (index . 1) }}
{{- printf "%s/%s" $images.registry $image.name }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $images.tag | default $root.Chart.AppVersion }}{{ end }}
{{- end }}

{{/* Variables, from a map of names and values. */}}
{{- define "onefire.env" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{/* Who may send to the function, where senders show who they are. */}}
{{- define "onefire.senders" -}}
{{- $accounts := printf "system:serviceaccount:%s:" .Release.Namespace }}
{{- concat (list (print $accounts "onefire-oidc-eventing.knative.dev-trigger") (print $accounts "onefire-replay")) .Values.oidc.subjects | join "," }}
{{- end }}
