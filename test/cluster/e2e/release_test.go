//go:build upgrade

package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onefire/test/cluster/node"
)

// TestAReleaseInstalls installs from the files of `make release`, made without REPO, and
// from nothing else: each manifest for Knative that the surroundings fit, and the chart.
func TestAReleaseInstalls(t *testing.T) {
	w := newWorld(t)
	dir := filepath.Join(w.p.Repo, "bin", "release")
	charts, err := filepath.Glob(filepath.Join(dir, "onefire-*.tgz"))
	require.NoError(t, err)
	require.Len(t, charts, 1, "make release has one in %s", dir)
	for _, name := range []string{"onefire", "onefire-source", "onefire-deadletters"} {
		out, err := exec.CommandContext(t.Context(), "ctr", "--address", node.ContainerdSocket, "--namespace", "k8s.io",
			"images", "import", "--digests", "--base-name", "dev.local/"+name, filepath.Join(dir, "image-"+name+".tar")).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	site := w.p.In("knative")
	w.kubectl("delete", "-k", site)
	w.gone()
	t.Cleanup(func() {
		w.kubectl("apply", "-k", site)
		w.ready()
	})
	works := func(name string, audited bool) {
		w.ready()
		require.True(t, strings.HasPrefix(w.version(), "dev.local/onefire@sha256:"), w.version())
		w.raise(0, alert(name, "api"))
		if audited {
			w.settles(name, map[string]int{"api": 1})
			return
		}
		require.Eventually(t, func() bool { return len(w.named(name)) == 1 }, settled, look)
	}
	// Alertmanager sends an alert again only after its repeat_interval: each has its name.
	for name, file := range map[string]string{"Released": "install.yaml", "ReleasedAudited": "install-datastorage.yaml"} {
		w.run("kubectl", "apply", "-f", filepath.Join(dir, file))
		works(fresh(name), file != "install.yaml")
		w.run("kubectl", "delete", "-f", filepath.Join(dir, file))
		w.gone()
	}
	w.run("helm", "install", "onefire", charts[0], "--namespace", namespace, "--create-namespace",
		"--set", "audit.url="+auditURL, "--set", "audit.namespace=kubernaut-system")
	works(fresh("Charted"), true)
	w.run("helm", "uninstall", "onefire", "--namespace", namespace)
	w.run("kubectl", "delete", "namespace", namespace)
	w.run("kubectl", "delete", "crd", "remediationrequests.kubernaut.ai")
	w.gone()
}
