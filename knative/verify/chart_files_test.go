package verify

// Where components add files to a manifest.
const noFiles = "          # Components add files.\n          volumeMounts: []\n      volumes: []\n"

// The files of the function: those of components/kubernaut, or of audit-token and
// audit-ca.
const (
	functionFileVariables = `
{{- if .Values.audit.token.enabled }}
- name: AUDIT_TOKEN_FILE
  value: /var/run/onefire/audit-token/token
{{- end }}
{{- if .Values.audit.ca.configMap }}
- name: AUDIT_CA_FILE
  value: /var/run/onefire/audit-ca/ca.crt
{{- end }}`
	functionFiles = `          {{- if or ` + preset + ` .Values.audit.token.enabled .Values.audit.ca.configMap }}
          volumeMounts:
            {{- if ` + preset + ` }}
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
      volumes:
        {{- if ` + preset + ` }}
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
          {{- end }}
`
)

// The files of the source: components/source-token, source-basic and source-tls.
const (
	sourceFileVariables = `
{{- if .Values.source.auth.tokenSecret }}
- name: AUTH_TOKEN_FILE
  value: /var/run/onefire/token/token
{{- end }}
{{- if .Values.source.auth.basicSecret }}
- name: AUTH_BASIC_FILE
  value: /var/run/onefire/basic/basic
{{- end }}
{{- if ` + https + ` }}
- name: TLS_CERT_FILE
  value: /var/run/onefire/tls/tls.crt
- name: TLS_KEY_FILE
  value: /var/run/onefire/tls/tls.key
{{- end }}`
	sourceFiles = `          {{- if or .Values.source.auth.tokenSecret .Values.source.auth.basicSecret ` + https + ` }}
          volumeMounts:
            {{- if .Values.source.auth.tokenSecret }}
            - name: token
              mountPath: /var/run/onefire/token
              readOnly: true
            {{- end }}
            {{- if .Values.source.auth.basicSecret }}
            - name: basic
              mountPath: /var/run/onefire/basic
              readOnly: true
            {{- end }}
            {{- if ` + https + ` }}
            - name: tls
              mountPath: /var/run/onefire/tls
              readOnly: true
            {{- end }}
      volumes:
        {{- with .Values.source.auth.tokenSecret }}
        - name: token
          secret:
            secretName: {{ . | quote }}
            items:
              - key: token
                path: token
        {{- end }}
        {{- with .Values.source.auth.basicSecret }}
        - name: basic
          secret:
            secretName: {{ . | quote }}
            items:
              - key: basic
                path: basic
        {{- end }}
        {{- with ` + https + ` }}
        - name: tls
          secret:
            secretName: {{ . | quote }}
            items:
              - key: tls.crt
                path: tls.crt
              - key: tls.key
                path: tls.key
        {{- end }}
          {{- end }}
`
	https = ".Values.source.tls.secret"
)

// whenHTTPS is lines that are there where the source serves HTTPS.
func whenHTTPS(lines string) string {
	return "{{- if " + https + " }}\n" + lines + "{{- end }}\n"
}
