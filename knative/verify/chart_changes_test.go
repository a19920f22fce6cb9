package verify

import (
	"fmt"
	"regexp"
	"strings"
)

// labelled adds the labels that a Prometheus selects by.
var labelled = replace(ownLabels, ownLabels+"    {{- with .Values.observability.labels }}\n    {{- toYaml . | nindent 4 }}\n    {{- end }}\n")

const ownLabels = "    {{- include \"onefire.labels\" . | nindent 4 }}\n"

// dashboard is the template of what kustomize generates from a file; the chart
// has a copy of that file.
const dashboard = `{{- /* Written by chart_templates_test.go: what the component's configMapGenerator makes. */}}
---
{{- if .Values.observability.enabled }}
apiVersion: v1
kind: ConfigMap
metadata:
  name: onefire-dashboard
  namespace: {{ .Release.Namespace }}
  labels:
` + ownLabels + `    grafana_dashboard: "1"
data:
  dashboard.json: {{ .Files.Get "dashboard.json"
    | replace "trigger:onefire.onefire" (printf "trigger:onefire.%s" .Release.Namespace)
    | replace "k8s_namespace_name=\\\"onefire\\\"" (printf "k8s_namespace_name=\\\"%s\\\"" .Release.Namespace)
    | toJson }}
{{- end }}
`

const collector = `
{{- with .Values.otlp.endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
{{- end }}`
const (
	// audience is whom tokens for the function are made out to.
	audience = "serving.knative.dev/service/{{ $.Release.Namespace }}/onefire"
	// mount and volume give the replay such a token.
	mount = `              {{- if ` + authenticated + ` }}
              volumeMounts:
                - name: sender
                  mountPath: /var/run/onefire
                  readOnly: true
              {{- end }}
`
	volume = `          {{- if ` + authenticated + ` }}
          volumes:
            - name: sender
              projected:
                sources:
                  - serviceAccountToken:
                      audience: ` + audience + `
                      expirationSeconds: 3600
                      path: token
          {{- end }}
`
)

// What components/kubernaut adds to the function.
const (
	presetVariables = `
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
  value: /var/run/onefire/ca.crt`
)

// What components/plain makes otherwise.
const (
	plainSpec = `  # One is always there: the source has no other way.
  replicas: {{ .Values.plain.replicas }}
  selector:
    matchLabels:
      app.kubernetes.io/name: onefire
  strategy:
    rollingUpdate:
      maxUnavailable: 0
      maxSurge: 1
`
	plainPod = `      # It answers what is under way within 30 s, and has 10 s more for posts of audit
      # events.
      terminationGracePeriodSeconds: 45
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              app.kubernetes.io/name: onefire
          matchLabelKeys: [pod-template-hash]
`
	plainPorts = `            - name: http
              containerPort: 8080
            - name: metrics
              containerPort: 9464
`
)

// peer is the pods of a name, and the ports that follow.
func peer(name string) string {
	return "        - podSelector:\n            matchLabels:\n              app.kubernetes.io/name: " + name + "\n      ports:\n"
}

// whenPlain is lines that are there without Knative.
func whenPlain(lines string) string {
	return "{{- if " + plainly + " }}\n" + lines + "{{- end }}\n"
}

// either makes what stands from one text up to another, or to the end, Knative's: without
// Knative something else, or nothing, stands there.
func either(from, to, plain string) change {
	return func(object string) (string, error) {
		before, rest, found := strings.Cut(object, from)
		if !found || strings.Contains(rest, from) {
			return "", fmt.Errorf("%q is not there once", from)
		}
		block, after := from+rest, ""
		if to != "" {
			i := strings.Index(rest, to)
			if i < 0 {
				return "", fmt.Errorf("%q is not there after %q", to, from)
			}
			block, after = from+rest[:i], rest[i:]
		}
		if plain == "" {
			return before + "{{- if " + served + " }}\n" + block + "{{- end }}\n" + after, nil
		}
		return before + "{{- if " + plainly + " }}\n" + plain + "{{- else }}\n" + block + "{{- end }}\n" + after, nil
	}
}

// whenOIDC is lines that are there where senders show who they are.
func whenOIDC(lines string) string {
	return "\n{{- if " + authenticated + " }}" + lines + "\n{{- end }}"
}

func variables(part string) string {
	return "\n{{- include \"onefire.env\" .Values." + part + ".env | nindent INDENT }}"
}

func quantities(part string) string {
	return "\n{{- toYaml .Values." + part + ".resources | nindent INDENT }}"
}

// A change makes another text of an object's, or says why it cannot.
type change func(object string) (string, error)

// replace replaces what must be there exactly once.
func replace(from, to string) change {
	return func(object string) (string, error) {
		if n := strings.Count(object, from); n != 1 {
			return "", fmt.Errorf("%q is there %d times", from, n)
		}
		return strings.Replace(object, from, to, 1), nil
	}
}

// everywhere replaces what must be there at least once.
func everywhere(from, to string) change {
	return func(object string) (string, error) {
		if !strings.Contains(object, from) {
			return "", fmt.Errorf("%q is not there", from)
		}
		return strings.ReplaceAll(object, from, to), nil
	}
}

// within writes lines beneath a key that must be there exactly once, after what
// is there or in its place. Where a line says INDENT, the depth is put in.
func within(key string, after bool, lines string) change {
	head := regexp.MustCompile(`(?m)^( *)` + key + `:\n`)
	return func(object string) (string, error) {
		found := head.FindAllStringSubmatchIndex(object, -1)
		if len(found) != 1 {
			return "", fmt.Errorf("%s: is there %d times", key, len(found))
		}
		depth, start := found[0][3]-found[0][2]+2, found[0][1]
		end := start
		for _, line := range strings.SplitAfter(object[start:], "\n") {
			if !strings.HasPrefix(line, strings.Repeat(" ", depth)) {
				break
			}
			end += len(line)
		}
		if after {
			start = end
		}
		indented := strings.ReplaceAll(strings.TrimPrefix(lines, "\n"), "\n", "\n"+strings.Repeat(" ", depth))
		indented = strings.ReplaceAll(indented, "INDENT", fmt.Sprint(depth))
		return object[:start] + strings.Repeat(" ", depth) + indented + "\n" + object[end:], nil
	}
}
