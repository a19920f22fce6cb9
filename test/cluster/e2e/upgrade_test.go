//go:build upgrade

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/test/cluster/build"
	"onefire/test/cluster/node"
)

// run runs a program, and logs what it printed as somebody would see it.
func (w *world) run(name string, args ...string) string {
	w.t.Helper()
	out, err := exec.CommandContext(context.Background(), w.p.Bin(name), args...).CombinedOutput()
	require.NoError(w.t, err, "%s %s: %s", name, strings.Join(args, " "), out)
	w.t.Logf("$ %s %s\n%s", name, strings.ReplaceAll(strings.Join(args, " "), w.p.Repo+"/", ""), strings.TrimSpace(string(out)))
	return string(out)
}

// version is the function's image.
func (w *world) version() string {
	w.t.Helper()
	return w.kubectl("-n", namespace, "get", "ksvc", "onefire", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
}

// columns are what kubectl prints of a RemediationRequest.
func (w *world) columns() string {
	w.t.Helper()
	return w.kubectl("get", "crd", "remediationrequests.kubernaut.ai", "-o", "jsonpath={.spec.versions[0].additionalPrinterColumns[*].name}")
}

// alarm gives Alertmanager a new alert every while, until stop; then it says how
// many there were.
func (w *world) alarm(name string) (stop func() map[string]int) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	raised := make(chan map[string]int, 1)
	go func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		pods := map[string]int{}
		defer func() { raised <- pods }()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			pod := fmt.Sprint("pod-", len(pods))
			w.raise(0, alert(name, pod))
			pods[pod] = 1
		}
	}()
	w.t.Cleanup(cancel)
	return func() map[string]int { cancel(); return <-raised }
}

// older makes the exported version one whose CRD knows one column less, and
// kustomize's files of both ready to be applied.
func (w *world) older() (before, now string) {
	w.t.Helper()
	for _, file := range []string{"knative/crd/remediationrequests.yaml", "knative/chart/templates/crd.yaml"} {
		path := filepath.Join(w.p.Before(), file)
		text, err := os.ReadFile(path)
		require.NoError(w.t, err)
		older := strings.Join(withoutLines(string(text), "- {name: Last seen,"), "\n")
		require.NoError(w.t, os.WriteFile(path, []byte(older+"\n"), 0o644))
	}
	now, before = w.p.In("knative"), filepath.Join(w.p.Before(), "knative")
	site, err := os.ReadFile(filepath.Join(now, "site.env"))
	require.NoError(w.t, err)
	require.NoError(w.t, os.WriteFile(filepath.Join(before, "site.env"), site, 0o644))
	path := filepath.Join(before, "kustomization.yaml")
	text, err := os.ReadFile(path)
	require.NoError(w.t, err)
	require.NoError(w.t, os.WriteFile(path, []byte(strings.ReplaceAll(string(text), "newTag: dev", "newTag: "+build.BeforeTag)), 0o644))
	files, err := filepath.Glob(filepath.Join(w.p.Before(), "bin", "images", "*.tar"))
	require.NoError(w.t, err)
	require.Len(w.t, files, 3)
	for _, file := range files {
		out, err := exec.CommandContext(w.t.Context(), "ctr", "--address", node.ContainerdSocket, "--namespace", "k8s.io", "images", "import", file).CombinedOutput()
		require.NoError(w.t, err, string(out))
	}
	return before, now
}

// gone waits until the namespace is.
func (w *world) gone() {
	w.t.Helper()
	w.kubectl("wait", "--for=delete", "namespace/"+namespace, "--timeout="+settled.String())
}

func TestAnUpgradeLosesNothing(t *testing.T) {
	w := newWorld(t)
	before, now := w.older()
	values := w.p.In("values.yaml")
	require.NoError(t, os.WriteFile(values, []byte("audit:\n  url: "+auditURL+"\n  namespace: kubernaut-system\n"), 0o644))
	chart := func(of, tag string) []string {
		return []string{"onefire", filepath.Join(of, "chart"), "--namespace", namespace, "--values", values, "--set", "images.tag=" + tag}
	}
	t.Cleanup(func() {
		w.t = t
		w.ready()
	})

	// upgrade goes there, back and there again while alerts fire.
	upgrade := func(t *testing.T, there, back func()) {
		w.t = t
		require.Equal(t, "dev.local/onefire:before", w.version())
		require.NotContains(t, w.columns(), "Last seen")
		name := fresh("Upgrade" + filepath.Base(t.Name()))
		stop := w.alarm(name)
		require.Eventually(t, func() bool { return len(w.named(name)) > 5 }, settled, look)
		for _, step := range []struct {
			do      func()
			version string
			columns bool
		}{{there, "dev", true}, {back, build.BeforeTag, false}, {there, "dev", true}} {
			begin, had := time.Now(), len(w.named(name))
			step.do()
			w.ready()
			require.Equal(t, "dev.local/onefire:"+step.version, w.version())
			require.Equal(t, step.columns, strings.Contains(w.columns(), "Last seen"), "the CRD is of the same version")
			// The new revision settles the next alerts.
			require.Eventually(t, func() bool { return len(w.named(name)) > had+50 }, settled, look)
			t.Logf("now %s, ready after %.0f s; %d objects", w.version(), time.Since(begin).Seconds(), len(w.named(name)))
		}
		w.settles(name, stop())
	}

	t.Run("kustomize", func(t *testing.T) {
		w.t = t
		w.run("kubectl", "apply", "-k", before)
		w.ready()
		upgrade(t, func() { w.run("kubectl", "apply", "-k", now) }, func() { w.run("kubectl", "apply", "-k", before) })
		w.run("kubectl", "delete", "-k", now)
		w.gone()
	})

	t.Run("helm", func(t *testing.T) {
		w.t = t
		w.run("helm", append([]string{"install", "--create-namespace"}, chart(before, build.BeforeTag)...)...)
		w.ready()
		upgrade(t, func() { w.run("helm", append([]string{"upgrade"}, chart(now, "dev")...)...) },
			func() { w.run("helm", "rollback", "onefire", "1", "--namespace", namespace) })
		w.run("helm", "history", "onefire", "--namespace", namespace)

		status, err := post(t.Context(), fresh("poison"), []byte(`{"this is": "no alert"}`))
		require.NoError(t, err)
		require.Equal(t, 202, status)
		require.Eventually(t, func() bool { return w.letters("") == 1 }, settled, look)
		objects := len(w.all())
		w.run("helm", "uninstall", "onefire", "--namespace", namespace)
		require.Eventually(t, func() bool { return w.kubectl("-n", namespace, "get", "pods", "-o", "name") == "" }, zero, 5*look, "pods finish, and go")
		require.Len(t, w.all(), objects, "what was made stays")
		require.Equal(t, 1, w.letters(""))
		left := w.run("kubectl", "-n", namespace, "get", "all,configmaps,secrets,serviceaccounts,roles,rolebindings,networkpolicies,brokers,triggers,sinkbindings,ksvc", "-o", "name")
		for line := range strings.Lines(left) {
			require.Regexp(t, `^(configmap/(kube-root-ca.crt|dead-letter-\S+)|serviceaccount/default)$`, strings.TrimSpace(line), "what stays")
		}

		w.run("helm", append([]string{"install"}, chart(now, "dev")...)...)
		w.ready()
		require.Len(t, w.all(), objects, "and is there for a new release")
		name := fresh("Again")
		w.raise(0, alert(name, "api"))
		w.settles(name, map[string]int{"api": 1})

		w.run("helm", "uninstall", "onefire", "--namespace", namespace)
		w.run("kubectl", "delete", "namespace", namespace)
		w.run("kubectl", "delete", "crd", "remediationrequests.kubernaut.ai")
		w.run("kubectl", "apply", "-k", now)
	})
}
