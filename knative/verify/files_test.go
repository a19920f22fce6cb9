package verify

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// mounted are the files that a pod's volumes give our container, and where each comes
// from: "token AUDIENCE", "secret NAME/KEY" or "configmap NAME/KEY".
func mounted(p pod) map[string]string {
	files := map[string]string{}
	for _, m := range p.user.VolumeMounts {
		i := slices.IndexFunc(p.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
		if i < 0 || !m.ReadOnly {
			files[m.MountPath] = "nothing, or can be written to"
			continue
		}
		add := func(kind, name string, items []corev1.KeyToPath) {
			for _, item := range items {
				files[path.Join(m.MountPath, item.Path)] = fmt.Sprintf("%s %s/%s", kind, name, item.Key)
			}
		}
		v := p.Spec.Volumes[i]
		switch {
		case v.Secret != nil:
			add("secret", v.Secret.SecretName, v.Secret.Items)
		case v.ConfigMap != nil:
			add("configmap", v.ConfigMap.Name, v.ConfigMap.Items)
		case v.Projected != nil:
			for _, s := range v.Projected.Sources {
				if s.ServiceAccountToken != nil {
					files[path.Join(m.MountPath, s.ServiceAccountToken.Path)] = "token " + s.ServiceAccountToken.Audience
				}
				if s.ConfigMap != nil {
					add("configmap", s.ConfigMap.Name, s.ConfigMap.Items)
				}
			}
		}
	}
	return files
}

// wantedFiles is what each pod's variables name, by pod and variable.
func wantedFiles(v variant) map[string]map[string]string {
	all := map[string]map[string]string{"onefire": {}, "onefire-source": {}, "onefire-replay": {}}
	for component, row := range map[string]struct{ pod, variable, from string }{
		auditToken:  {"onefire", "AUDIT_TOKEN_FILE", "token store.example"},
		auditCA:     {"onefire", "AUDIT_CA_FILE", "configmap onefire-audit-ca/ca.crt"},
		kubernaut:   {"onefire", "AUDIT_CA_FILE", "configmap inter-service-ca/ca.crt"},
		sourceToken: {"onefire-source", "AUTH_TOKEN_FILE", "secret onefire-source-token/token"},
		sourceBasic: {"onefire-source", "AUTH_BASIC_FILE", "secret onefire-source-basic/basic"},
		sourceTLS:   {"onefire-source", "TLS_CERT_FILE", "secret onefire-source-tls/tls.crt"},
		oidc:        {"onefire-replay", "REPLAY_TOKEN_FILE", "token serving.knative.dev/service/onefire/onefire"},
	} {
		if v.has(component) {
			all[row.pod][row.variable] = row.from
		}
	}
	if v.has(sourceTLS) {
		all["onefire-source"]["TLS_KEY_FILE"] = "secret onefire-source-tls/tls.key"
	}
	if v.has(kubernaut) {
		all["onefire"]["AUDIT_TOKEN_FILE"] = "token " // The API server's own audience.
	}
	return all
}

// fileProblems are secrets and certificates that are not where a variable says, that no
// variable names, or that come from somewhere else; and a source that is asked in another
// way than it serves.
func fileProblems(all objects, v variant) []string {
	var found []string
	wrong := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	running, err := pods(all)
	if err != nil {
		return []string{err.Error()}
	}
	want := wantedFiles(v)
	for name, p := range running {
		files, got := mounted(p), map[string]string{}
		named := map[string]bool{}
		for _, variable := range p.user.Env {
			// Knative mounts that one.
			if strings.HasSuffix(variable.Name, "_FILE") && variable.Name != "SINK_TOKEN_FILE" {
				got[variable.Name], named[variable.Value] = files[variable.Value], true
			}
		}
		if len(got)+len(want[name]) > 0 && !maps.Equal(got, want[name]) {
			wrong("%s reads %q, and it should be %q", name, got, want[name])
		}
		for file, from := range files {
			if !named[file] {
				wrong("%s: nothing reads %s (%s)", name, file, from)
			}
		}
	}
	source, scheme, port := running["onefire-source"], corev1.URISchemeHTTP, int32(80)
	if v.has(sourceTLS) {
		scheme, port = corev1.URISchemeHTTPS, 443
	}
	for _, probe := range []*corev1.Probe{source.user.ReadinessProbe, source.user.LivenessProbe} {
		if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Scheme != scheme && (probe.HTTPGet.Scheme != "" || scheme != corev1.URISchemeHTTP) {
			wrong("onefire-source is not asked by %s", scheme)
		}
	}
	if service, ok := all["Service onefire-source"].(*corev1.Service); !ok || len(service.Spec.Ports) != 1 ||
		service.Spec.Ports[0].Port != port || service.Spec.Ports[0].TargetPort != intstr.FromString("http") {
		wrong("onefire-source is not reached at port %d alone", port)
	}
	return found
}
