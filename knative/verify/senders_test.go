package verify

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	sourcesv1 "knative.dev/eventing/pkg/apis/sources/v1"
	"knative.dev/eventing/pkg/auth"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"
	"knative.dev/pkg/resolver"
	servingv1 "knative.dev/serving/pkg/apis/serving/v1"

	"onefire/config"
)

// projected is the token that a pod's own volumes give it, and whom it is made
// out to.
func projected(p pod) (file, audience string) {
	for _, volume := range p.Spec.Volumes {
		if volume.Projected == nil {
			continue
		}
		for _, s := range volume.Projected.Sources {
			i := slices.IndexFunc(p.user.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == volume.Name })
			if s.ServiceAccountToken != nil && i >= 0 {
				return path.Join(p.user.VolumeMounts[i].MountPath, s.ServiceAccountToken.Path), s.ServiceAccountToken.Audience
			}
		}
	}
	return "", ""
}

// tokens are the files with tokens that a pod has where OIDC is on, by the
// variable that says where: what Knative's SinkBinding puts there, and what the
// manifest does.
func tokens(all objects, p pod) map[string]string {
	files := map[string]string{}
	for _, b := range every[*sourcesv1.SinkBinding](all) {
		if b.Spec.Subject.Name != p.name {
			continue
		}
		bound, secret := b.DeepCopy(), "token"
		bound.Status.OIDCTokenSecretName = &secret
		for _, m := range injected(bound) {
			files["SINK_TOKEN_FILE"] = path.Join(m.MountPath, "token")
		}
	}
	if file, _ := projected(p); file != "" && p.name == "onefire" {
		files["AUDIT_TOKEN_FILE"] = file
	} else if file != "" {
		files["REPLAY_TOKEN_FILE"] = file
	}
	for file, from := range mounted(p) {
		if from == "configmap inter-service-ca/ca.crt" {
			files["AUDIT_CA_FILE"] = file
		}
	}
	return files
}

// injected is what a SinkBinding mounts into a container.
func injected(b *sourcesv1.SinkBinding) []corev1.VolumeMount {
	// Where it sends to does not matter here.
	b.Spec.Sink = duckv1.Destination{URI: apis.HTTP("broker")}
	ctx := sourcesv1.WithURIResolver(context.Background(), &resolver.URIResolver{})
	ctx = sourcesv1.WithTrustBundleConfigMapLister(ctx, corev1listers.NewConfigMapLister(cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})))
	bound := &duckv1.WithPod{}
	bound.Spec.Template.Spec.Containers = make([]corev1.Container, 1)
	b.Do(ctx, bound)
	return bound.Spec.Template.Spec.Containers[0].VolumeMounts
}

// senderProblems are tokens that nobody asks for, that are made out to somebody
// else, or of somebody that may not send.
func senderProblems(all objects, v variant) []string {
	var found []string
	wrong := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	running, err := pods(all)
	if err != nil {
		return []string{err.Error()}
	}
	c, err := config.Load(environment(all, running["onefire"]))
	if err != nil {
		return []string{err.Error()}
	}
	if v.has(unserved) {
		return nil // The source has no token, and the NetworkPolicy says who may send.
	}
	trigger, ok := named[*eventingv1.Trigger](all, "onefire")
	service, there := named[*servingv1.Service](all, "onefire")
	if !ok || !there {
		return []string{"there is no Trigger or no Service onefire"}
	}
	want := ""
	if v.has(oidc) {
		want = auth.GetAudience(servingv1.SchemeGroupVersion.WithKind("Service"), service.ObjectMeta)
	}
	sent := ""
	if a := trigger.Spec.Subscriber.Audience; a != nil {
		sent = *a
	}
	file, replayed := projected(running["onefire-replay"])
	if c.OIDCAudience != want || sent != want || replayed != want {
		wrong("the function asks for the audience %q, the Trigger sends %q, the replay %q, and it should be %q", c.OIDCAudience, sent, replayed, want)
	}
	var may []string
	if v.has(oidc) {
		account := "system:serviceaccount:" + trigger.Namespace + ":"
		may = []string{account + auth.GetOIDCServiceAccountNameForResource(eventingv1.SchemeGroupVersion.WithKind("Trigger"), trigger.ObjectMeta), account + "onefire-replay"}
	}
	if !slices.Equal(c.OIDCSubjects, may) {
		wrong("%q may send, and it should be %q", c.OIDCSubjects, may)
	}
	for name, variable := range map[string]string{"onefire-source": "SINK_TOKEN_FILE", "onefire-replay": "REPLAY_TOKEN_FILE"} {
		i := slices.IndexFunc(running[name].user.Env, func(e corev1.EnvVar) bool { return e.Name == variable })
		if (i >= 0) != v.has(oidc) {
			wrong("%s: %s goes with OIDC, and with nothing else", name, variable)
		} else if i >= 0 && running[name].user.Env[i].Value != tokens(all, running[name])[variable] {
			wrong("%s: %s is not where the token is: %v", name, variable, tokens(all, running[name]))
		}
	}
	if (file != "") != v.has(oidc) {
		wrong("the replay has the token %q", file)
	}
	return found
}

// Knative decides what a SinkBinding mounts.
func TestASinkBindingPutsItsTokenWhereTheSourceLooks(t *testing.T) {
	dir := manifests(t)
	variants["OIDC"].choose(t, dir)
	all, err := build(dir)
	require.NoError(t, err)
	running, err := pods(all)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"SINK_TOKEN_FILE": "/oidc/token"}, tokens(all, running["onefire-source"]))
	require.True(t, strings.HasSuffix(tokens(all, running["onefire-replay"])["REPLAY_TOKEN_FILE"], "/token"))
}
