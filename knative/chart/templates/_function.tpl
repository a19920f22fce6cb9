{{/* What Knative's pods and a Deployment's have in common: the function's container but for
its ports and probes, and the files that it reads. */}}
{{- define "onefire.function.container" -}}
{{- include "onefire.containerImage" (list . "function") }}
env:
  # Knative lets no pod ask for its own namespace (POD_NAMESPACE).
  - name: REMEDIATION_NAMESPACE
    value: {{ include "onefire.remediationNamespace" . }}
  - name: REMEDIATION_PLACEMENT
    value: {{ .Values.placement }}
  # For Prometheus, beside what queue-proxy listens at. Knative lets a
  # container name one port only, so observability/ knows the number.
  - name: METRICS_ADDRESS
    value: ":9464"
  {{- include "onefire.env" .Values.function | nindent 2 }}
  {{- with .Values.audit.url }}
  - name: AUDIT_SINK
    value: {{ . | quote }}
  {{- end }}
  {{- if not .Values.audit.enabled }}
  - name: AUDIT_SINK
    value: none
  {{- end }}
  {{- if .Values.audit.token.enabled }}
  - name: AUDIT_TOKEN_FILE
    value: /var/run/onefire/audit-token/token
  {{- end }}
  {{- if .Values.audit.ca.configMap }}
  - name: AUDIT_CA_FILE
    value: /var/run/onefire/audit-ca/ca.crt
  {{- end }}
  {{- if or (eq .Values.target "owner") .Values.kubernaut.enabled }}
  - name: TARGET
    value: owner
  {{- end }}
  {{- if or .Values.scope .Values.kubernaut.enabled }}
  - name: SCOPE
    value: {{ .Values.scope | default "kubernaut.ai/managed=true" | quote }}
  {{- end }}
  {{- if .Values.kubernaut.enabled }}
  - name: FINGERPRINT
    value: resource
  - name: SEVERITY
    value: raw
  - name: AUDIT_SCHEMA
    value: 2026-08
  - name: AUDIT_SINK
    value: https://data-storage-service.{{ .Values.kubernaut.namespace }}.svc.cluster.local:8080/api/v1/audit/events
  - name: AUDIT_TOKEN_FILE
    value: /var/run/onefire/token
  - name: AUDIT_CA_FILE
    value: /var/run/onefire/ca.crt
  {{- end }}
  {{- with .Values.otlp.endpoint }}
  - name: OTEL_EXPORTER_OTLP_ENDPOINT
    value: {{ . | quote }}
  {{- end }}
  {{- if .Values.oidc.enabled }}
  - name: OIDC_AUDIENCE
    value: {{ include "onefire.audience" . }}
  - name: OIDC_SUBJECTS
    value: {{ include "onefire.senders" $ | quote }}
  {{- end }}
resources:
  {{- toYaml .Values.function.resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  capabilities:
    drop: [ALL]
  seccompProfile:
    type: RuntimeDefault
{{- if or .Values.kubernaut.enabled .Values.audit.token.enabled .Values.audit.ca.configMap .Values.function.extraVolumeMounts }}
volumeMounts:
  {{- if .Values.kubernaut.enabled }}
  - name: datastorage
    mountPath: /var/run/onefire
    readOnly: true
  {{- end }}
  {{- if .Values.audit.token.enabled }}
  - name: audit-token
    mountPath: /var/run/onefire/audit-token
    readOnly: true
  {{- end }}
  {{- if .Values.audit.ca.configMap }}
  - name: audit-ca
    mountPath: /var/run/onefire/audit-ca
    readOnly: true
  {{- end }}
  {{- with .Values.function.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "onefire.function.volumes" -}}
{{- if or .Values.kubernaut.enabled .Values.audit.token.enabled .Values.audit.ca.configMap .Values.function.extraVolumes }}
volumes:
  {{- if .Values.kubernaut.enabled }}
  # The token has the API server's own audience. The ConfigMap is a copy of the one
  # in kubernaut's namespace; without it no pod starts.
  - name: datastorage
    projected:
      sources:
        - serviceAccountToken:
            expirationSeconds: 3600
            path: token
        - configMap:
            name: inter-service-ca
            items:
              - key: ca.crt
                path: ca.crt
  {{- end }}
  {{- if .Values.audit.token.enabled }}
  - name: audit-token
    projected:
      sources:
        - serviceAccountToken:
            audience: {{ .Values.audit.token.audience | quote }}
            expirationSeconds: 3600
            path: token
  {{- end }}
  {{- with .Values.audit.ca.configMap }}
  - name: audit-ca
    configMap:
      name: {{ . | quote }}
      items:
        - key: ca.crt
          path: ca.crt
  {{- end }}
  {{- with .Values.function.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end }}
