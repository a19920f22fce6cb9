package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"onefire/mapping"
	"onefire/test/kubefault"
)

const day = 24 * time.Hour

func daysAgo(n float64) string {
	return time.Now().Add(-time.Duration(n * float64(day))).UTC().Format(time.RFC3339)
}

// prune runs the command; there are no ConfigMaps, and so no dead letters, on this
// API server.
func (w *world) prune(args []string, env ...string) (log []map[string]any, code int, problem string) {
	w.t.Helper()
	command := exec.CommandContext(w.t.Context(), functionBinary, append([]string{"prune"}, args...)...)
	command.Env = append(append(os.Environ(), "KUBECONFIG="+kubeconfig, "REMEDIATION_NAMESPACE="+w.namespace, "DEAD_LETTER_TTL=0"), env...)
	var problems bytes.Buffer
	command.Stderr = &problems
	out, err := command.Output()
	if err != nil {
		var exit *exec.ExitError
		require.ErrorAs(w.t, err, &exit)
	}
	for line := range strings.Lines(string(out)) {
		var one map[string]any
		require.NoError(w.t, json.Unmarshal([]byte(line), &one), line)
		log = append(log, one)
	}
	return log, command.ProcessState.ExitCode(), problems.String()
}

// names are the names that lines of a log with a message have.
func names(log []map[string]any, message string) (found []string) {
	for _, line := range log {
		if line["msg"] == message {
			found = append(found, line["name"].(string))
		}
	}
	slices.Sort(found)
	return found
}

func TestPruneDeletesWhatEndedLongAgoAndNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mapping.Schema202608)
	f := w.start()
	var goes, stays []string
	made := map[string]bool{}
	for i, row := range []struct {
		goes   bool
		status map[string]any
	}{
		{true, map[string]any{"overallPhase": "Completed", "completedAt": daysAgo(7.1)}},
		{true, map[string]any{"overallPhase": "Failed", "completedAt": daysAgo(400)}},
		{true, map[string]any{"overallPhase": "TimedOut", "timeoutTime": daysAgo(8)}},
		{true, map[string]any{"overallPhase": "Skipped", "completedAt": daysAgo(8), "nextAllowedExecution": daysAgo(1)}},
		{true, map[string]any{"overallPhase": "Cancelled", "completedAt": daysAgo(8), "outcome": "Remediated"}},
		{false, map[string]any{"overallPhase": "Completed", "completedAt": daysAgo(6.9)}},
		{false, map[string]any{"overallPhase": "Completed"}}, // It was written just now.
		{false, map[string]any{"overallPhase": "Executing", "completedAt": daysAgo(8)}},
		{false, map[string]any{"overallPhase": "Completed", "completedAt": daysAgo(8), "outcome": "ManualReviewRequired"}},
		{false, map[string]any{"overallPhase": "Failed", "completedAt": daysAgo(8), "routingStatus": map[string]any{"nextAllowedExecution": daysAgo(-1)}}},
		{false, map[string]any{"overallPhase": "Failed", "completedAt": daysAgo(8), "retentionExpiryTime": daysAgo(-1)}},
	} {
		require.Equal(t, http.StatusOK, w.post(f, fmt.Sprint(i), webhook(firing(fmt.Sprintf("Old%d", i), "api-0"))))
		for _, o := range w.list() {
			if name := o.GetName(); !made[name] {
				made[name] = true
				w.setStatus(name, row.status)
				if row.goes {
					goes = append(goes, name)
				} else {
					stays = append(stays, name)
				}
			}
		}
	}
	slices.Sort(goes)
	foreign := w.list()[0]
	foreign.SetName("foreign")
	foreign.SetLabels(nil)
	foreign.SetResourceVersion("")
	_, err := w.objects.Create(t.Context(), &foreign, metav1.CreateOptions{})
	require.NoError(t, err)
	w.setStatus("foreign", map[string]any{"overallPhase": "Completed", "completedAt": daysAgo(8)})
	stays = append(stays, "foreign")
	slices.Sort(stays)

	log, code, problem := w.prune([]string{"-dry-run"})
	require.Zero(t, code, problem)
	require.Empty(t, problem, "there is no terminal")
	require.Equal(t, goes, names(log, "request would be deleted"))
	require.Len(t, w.list(), len(goes)+len(stays))

	log, code, problem = w.prune(nil)
	require.Zero(t, code, problem)
	require.Equal(t, goes, names(log, "request deleted"))
	require.Equal(t, stays, namesOf(w.list()))
	last := log[len(log)-1]
	require.Equal(t, "prune finished", last["msg"])
	require.Equal(t, map[string]any{"read": 11.0, "deleted": 5.0, "gone": 0.0, "changed": 0.0, "failed": 0.0}, last["requests"])

	log, code, problem = w.prune(nil)
	require.Zero(t, code, problem)
	require.Empty(t, names(log, "request deleted"))

	// An alert whose object was pruned is new, and one whose object is still active
	// is a repeat.
	require.Equal(t, http.StatusOK, w.post(f, "again", webhook(firing("Old0", "api-0"))))
	require.Len(t, w.list(), len(stays)+1)
	require.Equal(t, http.StatusOK, w.post(f, "repeat", webhook(firing("Old7", "api-0"))))
	require.Len(t, w.list(), len(stays)+1)
}

func namesOf(all []unstructured.Unstructured) (found []string) {
	for _, o := range all {
		found = append(found, o.GetName())
	}
	slices.Sort(found)
	return found
}

// It is not parallel: in all namespaces it would prune what the other tests made.
func TestPruneLooksInAllNamespacesOrInOne(t *testing.T) {
	here, there := newWorld(t, mapping.Schema202608), newWorld(t, mapping.Schema202608)
	for _, w := range []*world{here, there} {
		require.Equal(t, http.StatusOK, w.post(w.start(), "1", webhook(firing("Old", "api-0"))))
		w.setStatus(w.only().GetName(), map[string]any{"overallPhase": "Completed", "completedAt": daysAgo(8)})
	}
	_, code, problem := here.prune(nil)
	require.Zero(t, code, problem)
	require.Empty(t, here.list())
	require.Len(t, there.list(), 1)
	_, code, problem = here.prune(nil, "REMEDIATION_PLACEMENT=signal")
	require.Zero(t, code, problem)
	require.Empty(t, there.list())
}

func TestPruneWithFinalizersAndWithoutConfigMaps(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mapping.Schema202608)
	require.Equal(t, http.StatusOK, w.post(w.start(), "1", webhook(firing("Old", "api-0"))))
	name := w.only().GetName()
	w.setStatus(name, map[string]any{"overallPhase": "Completed", "completedAt": daysAgo(8)})
	finalizers := func(list string) {
		_, err := w.objects.Patch(t.Context(), name, types.MergePatchType, []byte(`{"metadata":{"finalizers":`+list+`}}`), metav1.PatchOptions{})
		require.NoError(t, err)
	}
	finalizers(`["kubernaut.ai/test"]`)
	way := newFaulty(t, func(c kubefault.Call) (f kubefault.Fault) {
		if c.Verb == "dead letters" {
			f.Kind = kubefault.Error
		}
		return f
	})
	log, code, problem := w.prune(nil, "DEAD_LETTER_TTL=720h", "POD_NAMESPACE="+w.namespace, "KUBECONFIG="+way.kubeconfig)
	require.Equal(t, 1, code, "dead letters cannot be read here")
	require.Contains(t, problem, "onefire: reading dead_letters: ")
	require.Equal(t, []string{name}, names(log, "request deleted"), "and requests can")
	require.NotNil(t, w.only().GetDeletionTimestamp())
	log, code, problem = w.prune(nil)
	require.Zero(t, code, problem)
	require.Empty(t, names(log, "request deleted"), "it is being deleted already")
	finalizers(`null`)
	require.Empty(t, w.list())
}

func TestPruneSaysWhatIsWrongWithItsConfiguration(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mapping.Schema202608)
	log, code, problem := w.prune(nil, "TTL=5m", "DEAD_LETTER_TTL=-1h")
	require.Empty(t, log)
	require.Equal(t, 1, code)
	require.Equal(t, "onefire: wrong configuration: DEAD_LETTER_TTL: -1h0m0s is not between 1h0m0s and 87600h0m0s, and not 0, which keeps all; "+
		"TTL: 5m0s is not between 1h0m0s and 87600h0m0s, and not 0, which keeps all\n", problem)
	_, code, problem = w.prune([]string{"everything"})
	require.Equal(t, 2, code)
	require.Equal(t, "onefire: prune takes no arguments: \"everything\"\nfor help: onefire prune -h\n", problem)
}
