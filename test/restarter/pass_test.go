package restarter

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestARolloutThatGetsDoneCompletesItsRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.deploy("api")
	w.request("a", "api", nil)
	w.pass()
	began := w.after(0)
	require.Equal(t, "Restarting", w.status("a", "overallPhase"))
	require.Equal(t, began, w.restarted("api"))

	// The Deployment's controller has not seen the restart yet.
	w.now = w.now.Add(time.Minute)
	revision := w.get("a").GetResourceVersion()
	w.pass()
	require.Equal(t, revision, w.get("a").GetResourceVersion(), "nothing is written that is there")

	w.rollOut("api")
	w.pass()
	require.Equal(t, "Completed", w.status("a", "overallPhase"))
	require.Equal(t, w.after(0), w.status("a", "completedAt"))
	require.Equal(t, w.after(14*time.Minute), w.status("a", "nextAllowedExecution"), "the back-off counts from the restart")
	require.Equal(t, began, w.restarted("api"))

	ended := w.get("a").GetResourceVersion()
	w.now = w.now.Add(time.Hour)
	w.pass()
	require.Equal(t, ended, w.get("a").GetResourceVersion(), "what has ended is left alone")
}

func TestARolloutThatIsNotDoneInTimeAsksForAPerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.deploy("api")
	w.request("a", "api", nil)
	w.pass()
	w.now = w.now.Add(10*time.Minute - time.Second)
	w.pass()
	require.Equal(t, "Restarting", w.status("a", "overallPhase"))
	w.now = w.now.Add(time.Second)
	w.pass()
	require.Equal(t, "Failed", w.status("a", "overallPhase"))
	require.Equal(t, "ManualReviewRequired", w.status("a", "outcome"))
}

func TestAlertsThatHaveEndedCompleteTheirRequest(t *testing.T) {
	t.Parallel()
	resolved := map[string]func(*world, string){
		"as Onefire's CRD says it": (*world).resolve,
		"as a CRD that keeps conditions alone says it": func(w *world, name string) {
			w.set(name, map[string]any{"conditions": []any{map[string]any{"type": "onefire/Record", "status": "True", "reason": "Resolved"}}})
		},
	}
	for name, resolve := range resolved {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.deploy("api")
			w.request("before", "api", nil)
			resolve(w, "before")
			w.pass()
			require.Equal(t, "Completed", w.status("before", "overallPhase"))
			require.Empty(t, w.restarted("api"), "there is nothing to repair")
			require.Empty(t, w.status("before", "nextAllowedExecution"), "and nothing to wait for")

			w.request("during", "api", nil)
			w.pass()
			require.Equal(t, "Restarting", w.status("during", "overallPhase"))
			resolve(w, "during")
			w.pass()
			require.Equal(t, "Completed", w.status("during", "overallPhase"))
			require.Equal(t, w.after(15*time.Minute), w.status("during", "nextAllowedExecution"))
		})
	}
}

func TestOnlySoManyRolloutsAreUnderWayAndTheWorstComeFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, severity := range map[string]string{"a-low": "low", "b-page": "page", "c-critical": "critical", "d-medium": "medium"} {
		w.deploy(name)
		w.request(name, name, map[string]any{"severity": severity})
	}
	// A worse alert than its own was counted on this one.
	w.set("a-low", map[string]any{"deduplication": map[string]any{"alerts": []any{map[string]any{"alertname": "Down", "severity": "high"}}}})
	all := []string{"a-low", "b-page", "c-critical", "d-medium"}
	w.pass()
	require.Equal(t, []string{"Restarting", "Pending", "Restarting", "Pending"}, w.phases(all...))
	require.Empty(t, w.restarted("d-medium"))
	w.pass()
	require.Equal(t, []string{"Restarting", "Pending", "Restarting", "Pending"}, w.phases(all...), "the next pass has no more room")
	w.rollOut("c-critical")
	w.pass()
	w.pass()
	require.Equal(t, []string{"Restarting", "Pending", "Completed", "Restarting"}, w.phases(all...))
}

func TestADeploymentIsRestartedOnceInABackOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.deploy("api")
	w.request("a", "api", nil)
	w.request("b", "api", nil)
	w.pass()
	require.Equal(t, []string{"Restarting", "Pending"}, w.phases("a", "b"))
	began := w.after(0)
	w.rollOut("api")
	w.now = w.now.Add(15*time.Minute - time.Second)
	w.pass()
	require.Equal(t, []string{"Completed", "Pending"}, w.phases("a", "b"))
	require.Contains(t, w.status("b", "message"), "left alone until "+w.after(time.Second))
	require.Equal(t, began, w.restarted("api"))
	w.now = w.now.Add(time.Second)
	w.pass()
	require.Equal(t, []string{"Completed", "Restarting"}, w.phases("a", "b"))
	require.Equal(t, w.after(0), w.restarted("api"))
}

func TestWhatCannotBeRestartedIsSkipped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.request("gone", "no-more", nil)
	w.deploy("paused")
	d, err := w.deployments.Get(t.Context(), "paused", metav1.GetOptions{})
	require.NoError(t, err)
	require.NoError(t, unstructured.SetNestedField(d.Object, true, "spec", "paused"))
	_, err = w.deployments.Update(t.Context(), d, metav1.UpdateOptions{})
	require.NoError(t, err)
	w.request("paused", "paused", nil)
	w.deploy("deleted")
	w.request("deleted", "deleted", map[string]any{"severity": "critical"})
	w.pass()
	require.NoError(t, w.deployments.Delete(t.Context(), "deleted", metav1.DeleteOptions{}))
	w.pass()
	for _, name := range []string{"gone", "paused", "deleted"} {
		require.Equal(t, "Skipped", w.status(name, "overallPhase"), name)
		require.Equal(t, w.after(15*time.Minute), w.status(name, "nextAllowedExecution"), "or each repeat would make another request")
	}
}

func TestRequestsOfOthersAreLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.deploy("api")
	target := func(apiVersion, kind string) map[string]any {
		return map[string]any{"targetResource": map[string]any{"apiVersion": apiVersion, "kind": kind, "name": "api", "namespace": w.namespace}}
	}
	others := map[string]map[string]any{
		"pod": target("v1", "Pod"), "kind-of-another-group": target("example.com/v1", "Deployment"),
		"other-cluster": {"clusterID": "west"}, "cloud": {"targetType": "aws"},
	}
	for name, changes := range others {
		w.request(name, "api", changes)
	}
	w.request("approved-by-people", "api", nil)
	w.set("approved-by-people", map[string]any{"overallPhase": "AwaitingApproval"})
	w.request("deleted", "api", nil)
	deleted := w.get("deleted")
	deleted.SetFinalizers([]string{"example.com/keep"})
	_, err := w.requests.Update(t.Context(), deleted, metav1.UpdateOptions{})
	require.NoError(t, err)
	require.NoError(t, w.requests.Delete(t.Context(), "deleted", metav1.DeleteOptions{}))
	w.pass()
	require.Empty(t, w.restarted("api"))
	require.Equal(t, []string{"", "", "", "", "AwaitingApproval", ""},
		w.phases("pod", "kind-of-another-group", "other-cluster", "cloud", "approved-by-people", "deleted"))
}

func TestARestarterThatWasKilledIsGoneOnWith(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.deploy("api")
	w.request("a", "api", nil)
	// It wrote that it would restart, and did not come to it.
	claimed := w.after(-time.Minute)
	w.set("a", map[string]any{"overallPhase": "Restarting", "restartedAt": claimed})
	w.pass()
	require.Equal(t, claimed, w.restarted("api"))
	w.rollOut("api")
	w.pass()
	require.Equal(t, "Completed", w.status("a", "overallPhase"))
	require.Equal(t, w.after(14*time.Minute), w.status("a", "nextAllowedExecution"))
}

func TestTwoRestartersRestartOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.deploy("api")
	w.request("a", "api", nil)
	w.request("b", "api", nil)
	// Both have read their requests before either has written.
	a, err := read(w.get("a"))
	require.NoError(t, err)
	b, err := read(w.get("b"))
	require.NoError(t, err)
	d, err := w.restarter.deployment(t.Context(), b)
	require.NoError(t, err)
	began, err := w.restarter.settle(t.Context(), a, true)
	require.NoError(t, err)
	require.True(t, began)
	first := w.restarted("api")

	w.now = w.now.Add(time.Second)
	s := b.next(d, true, w.restarter.options)
	require.True(t, s.restart, "it saw no restart")
	require.NoError(t, w.another().write(t.Context(), b, s))
	require.Error(t, w.another().restart(t.Context(), d, b.Status.RestartedAt.Time), "the Deployment is not as it was")
	_, err = w.another().settle(t.Context(), b, true)
	require.NoError(t, err)
	require.Equal(t, first, w.restarted("api"))
	w.rollOut("api")
	w.pass()
	require.Equal(t, []string{"Completed", "Completed"}, w.phases("a", "b"))
}

func TestAStepIsDecidedAnewWhereTheRequestHasChanged(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		change func(w *world)
		phase  string
		begins bool
	}{
		"an alert was counted": {func(w *world) {
			w.set("a", map[string]any{"deduplication": map[string]any{"occurrenceCount": 7}})
		}, "Restarting", true},
		"its alerts ended":               {func(w *world) { w.resolve("a") }, "Completed", false},
		"somebody cancelled it":          {func(w *world) { w.set("a", map[string]any{"overallPhase": "Cancelled"}) }, "Cancelled", false},
		"another controller has begun":   {func(w *world) { w.set("a", map[string]any{"overallPhase": "Analyzing"}) }, "Analyzing", false},
		"another restarter has begun":    {func(w *world) { require.NoError(w.t, w.another().Pass(w.t.Context())) }, "Restarting", true},
		"it was deleted in the meantime": {func(w *world) { require.NoError(w.t, w.requests.Delete(w.t.Context(), "a", metav1.DeleteOptions{})) }, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.deploy("api")
			w.request("a", "api", nil)
			q, err := read(w.get("a"))
			require.NoError(t, err)
			row.change(w)
			began, err := w.restarter.settle(t.Context(), q, true)
			require.NoError(t, err)
			require.Equal(t, row.begins, began)
			require.Equal(t, row.begins, w.restarted("api") != "")
			if row.phase != "" {
				require.Equal(t, row.phase, w.status("a", "overallPhase"))
			}
		})
	}
}

func TestAWrongRequestHarmsNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.deploy("api")
	w.request("a", "api", nil)
	w.request("wrong", "api", map[string]any{"severity": "critical"})
	w.set("wrong", map[string]any{"message": map[string]any{"is": "no text"}})
	require.ErrorContains(t, w.restarter.Pass(t.Context()), "reading the RemediationRequest "+w.namespace+"/wrong")
	require.Equal(t, "Restarting", w.status("a", "overallPhase"))
}

func TestOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	_, err := New(kube, Defaults())
	require.NoError(t, err)
	for name, change := range map[string]func(*Options){
		"no rollout":  func(o *Options) { o.AtOnce = 0 },
		"no back-off": func(o *Options) { o.BackOff = time.Second - 1 },
		"no limit":    func(o *Options) { o.Limit = 0 },
		"no interval": func(o *Options) { o.Every = 0 },
	} {
		o := Defaults()
		change(&o)
		_, err := New(kube, o)
		require.Error(t, err, name)
	}
}
