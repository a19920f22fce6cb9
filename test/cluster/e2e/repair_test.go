package e2e

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"onefire/test/restarter"
)

// shop is the namespace of what burns.
const shop = "shop"

// A rule fires for a Deployment, its alert becomes a request, the example of a controller
// restarts the rollout, which puts the fire out, and the request is completed. Neither the
// alert's end nor anything after it makes another request. All of that with Knative, and
// without it.
func TestAnAlertIsRepaired(t *testing.T) {
	w := newWorld(t)
	f := newFires(t)
	w.restarts()
	w.repairs(f, "knative")
	w.withoutKnative()
	w.repairs(f, "plain")
}

// restarts runs the restarter until the test ends, with the rights that it comes with.
func (w *world) restarts() {
	w.t.Helper()
	_, err := w.kube.CoreV1().Namespaces().Create(w.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: shop}}, metav1.CreateOptions{})
	require.True(w.t, err == nil || apierrors.IsAlreadyExists(err), err)
	const account = "onefire-restarter"
	rights := filepath.Join(w.p.Repo, "test", "restarter", "rbac.yaml")
	w.kubectl("apply", "-f", rights)
	w.kubectl("-n", namespace, "create", "serviceaccount", account)
	for _, n := range []string{namespace, shop} {
		w.kubectl("-n", n, "create", "rolebinding", account, "--clusterrole="+account, "--serviceaccount="+namespace+":"+account)
	}
	_, client := w.as(account)
	o := restarter.Defaults()
	o.Namespace, o.Every = namespace, time.Second
	r, err := restarter.New(client, o)
	require.NoError(w.t, err)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	w.t.Cleanup(func() {
		stop()
		running.Wait()
		for _, n := range []string{namespace, shop} {
			w.kubectl("-n", n, "delete", "--ignore-not-found", "rolebinding/"+account)
		}
		w.kubectl("-n", namespace, "delete", "--ignore-not-found", "serviceaccount/"+account)
		w.kubectl("delete", "-f", rights)
	})
}

// repairs sets a Deployment on fire, and says when each step was done.
func (w *world) repairs(f *fires, way string) {
	w.t.Helper()
	name := fresh(way + "-")
	deployments := w.kube.AppsV1().Deployments(shop)
	labels := map[string]string{"app": name}
	_, err := deployments.Create(w.t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "dev.local/onefire-datastorage:dev"}}},
			},
		},
	}, metav1.CreateOptions{})
	require.NoError(w.t, err)
	w.t.Cleanup(func() { w.kubectl("-n", shop, "delete", "deployment", name) })
	w.kubectl("-n", shop, "rollout", "status", "deployment", name, "--timeout="+settled.String())

	begin := time.Now()
	since := func() float64 { return time.Since(begin).Seconds() }
	f.put("deployment", name, 1)
	w.t.Cleanup(func() { f.put("deployment", name, 0) })
	about := func() (found []unstructured.Unstructured) {
		for _, o := range w.named("Fire") {
			if text(o, "spec", "targetResource", "name") == name {
				found = append(found, o)
			}
		}
		return found
	}
	require.Eventually(w.t, func() bool { return len(about()) == 1 }, settled, look)
	require.Equal(w.t, "Deployment", text(about()[0], "spec", "targetResource", "kind"))
	asked := since()
	require.Eventually(w.t, func() bool {
		d, err := deployments.Get(w.t.Context(), name, metav1.GetOptions{})
		return err == nil && d.Spec.Template.Annotations["kubectl.kubernetes.io/restartedAt"] != ""
	}, settled, look)
	restarted := since()
	f.put("deployment", name, 0)
	require.Eventually(w.t, func() bool { return text(about()[0], "status", "overallPhase") == "Completed" }, settled, look)
	completed := since()
	require.Eventually(w.t, func() bool {
		var alerts []struct{}
		return w.get(alertmanager+"/api/v2/alerts?filter="+url.QueryEscape("deployment="+name), &alerts) && len(alerts) == 0
	}, settled, 5*look, "the alert does not end")
	ended := since()
	require.Never(w.t, func() bool { return len(about()) != 1 }, 5*time.Second, look)
	w.t.Logf("%s: request after %.1f s, restart %.1f s, request completed %.1f s, alert ended %.1f s", way, asked, restarted, completed, ended)
}

// withoutKnative takes Onefire away, and applies it with components/plain until the test
// ends.
func (w *world) withoutKnative() {
	w.t.Helper()
	site, plain := w.p.In("knative"), w.p.In("knative-plain")
	require.NoError(w.t, os.RemoveAll(plain))
	require.NoError(w.t, os.CopyFS(plain, os.DirFS(site)))
	path, line := filepath.Join(plain, "kustomization.yaml"), "  # - components/plain\n"
	lines, err := os.ReadFile(path)
	require.NoError(w.t, err)
	require.Contains(w.t, string(lines), line)
	require.NoError(w.t, os.WriteFile(path, []byte(strings.Replace(string(lines), line, "  - components/plain\n", 1)), 0o644))
	// The CRD, the requests and the namespace stay.
	own := []string{"-n", namespace, "delete", "--ignore-not-found"}
	w.kubectl(append(own, "trigger/onefire", "broker/onefire", "sinkbinding/onefire-source", "ksvc/onefire", "deployment/onefire-source", "deployment/onefire-deadletters")...)
	w.kubectl("-n", namespace, "wait", "--for=delete", "service/onefire", "--timeout="+settled.String())
	w.t.Cleanup(func() {
		w.kubectl(append(own, "deployment/onefire", "service/onefire", "poddisruptionbudget/onefire", "deployment/onefire-source")...)
		w.kubectl("apply", "-k", site)
		w.ready()
	})
	w.kubectl("apply", "-k", plain)
	for _, deployment := range []string{"onefire", "onefire-source"} {
		w.kubectl("-n", namespace, "rollout", "status", "deployment", deployment, "--timeout="+settled.String())
	}
}
