package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

// lists is the command in a world.
func (w *world) lists(args ...string) *exec.Cmd {
	command := exec.CommandContext(w.t.Context(), functionBinary, append([]string{"list", "-o", "json"}, args...)...)
	command.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "REMEDIATION_NAMESPACE="+w.namespace)
	command.Stderr = os.Stderr
	return command
}

// listed is what the command shows of each request.
type listed struct {
	Namespace, State, Alertname, Severity, TargetNamespace, TargetKind, TargetName, Phase string
	Open                                                                                  bool
	Count, Folded                                                                         int
}

func (w *world) listed(args ...string) (all []listed) {
	w.t.Helper()
	out, err := w.lists(args...).Output()
	require.NoError(w.t, err)
	require.NoError(w.t, json.Unmarshal(out, &all), "%s", out)
	return all
}

func TestAListFollowsAFire(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mapping.Schema202608)
	f := w.start()
	require.Empty(t, w.listed())
	fire := func(status string) string {
		return alert(status, "alertname=DiskFull", "namespace=shop", "pod=db-0", "severity=critical", "mountpoint=/data")
	}
	other := func(status string) string {
		return alert(status, "alertname=DiskFull", "namespace=shop", "pod=db-0", "severity=critical", "mountpoint=/log")
	}
	want := listed{Namespace: w.namespace, State: "burning", Alertname: "DiskFull", Severity: "critical", TargetNamespace: "shop", TargetKind: "Pod", TargetName: "db-0", Open: true, Count: 1}
	require.Equal(t, http.StatusOK, w.post(f, "1", webhook(fire("firing"))))
	require.Equal(t, []listed{want}, w.listed())

	want.Count, want.Folded, want.Phase = 2, 1, "Executing"
	require.Equal(t, http.StatusOK, w.post(f, "2", webhook(other("firing"))))
	w.setStatus(w.only().GetName(), map[string]any{"overallPhase": "Executing"})
	require.Equal(t, []listed{want}, w.listed())
	require.Contains(t, w.listed("-A"), want)

	want.State = "resolved"
	require.Equal(t, http.StatusOK, w.post(f, "3", webhook(fire("resolved"), other("resolved"))))
	require.Equal(t, []listed{want}, w.listed())

	want.State, want.Phase, want.Open = "ended", "Completed", false
	w.setStatus(w.only().GetName(), map[string]any{"overallPhase": "Completed"})
	require.Empty(t, w.listed())
	require.Equal(t, []listed{want}, w.listed("-ended"))
}

func TestAWatchFollowsAFireUntilItIsInterrupted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mapping.Schema202608)
	f := w.start()
	command := w.lists("-w")
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	shown := json.NewDecoder(out)
	var all []listed
	require.NoError(t, shown.Decode(&all))
	require.Empty(t, all)
	require.Equal(t, http.StatusOK, w.post(f, "1", webhook(firing("DiskFull", "db-0"))))
	require.NoError(t, shown.Decode(&all))
	require.Len(t, all, 1)
	require.NoError(t, command.Process.Signal(syscall.SIGINT))
	require.False(t, shown.More())
	require.NoError(t, command.Wait(), "Ctrl-C is how it ends")
}
