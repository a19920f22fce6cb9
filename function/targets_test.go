package function

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/rest"

	"onefire/config"
	"onefire/dedup"
	"onefire/function/kube"
	"onefire/function/telemetry"
	"onefire/mapping"
)

// fakeOwners is an owners of one function.
type fakeOwners func(ctx context.Context, s mapping.Signal) (kube.Found, error)

func (f fakeOwners) Find(ctx context.Context, s mapping.Signal) (kube.Found, error) {
	return f(ctx, s)
}

// controls are the Deployments of pods: the name up to the first hyphen.
func controls(_ context.Context, s mapping.Signal) (kube.Found, error) {
	if s.Target.Kind != "Pod" {
		return kube.Found{Target: s.Target}, nil
	}
	name, _, _ := strings.Cut(s.Target.Name, "-")
	return kube.Found{Target: mapping.Target{APIVersion: "apps/v1", Kind: "Deployment", Name: name, Namespace: s.Target.Namespace}, Result: kube.Resolved}, nil
}

// settled notes the signals that come to be settled, with the number of keys.
func (f *fixture) settled() map[mapping.Target]int {
	seen := map[mapping.Target]int{}
	var mu sync.Mutex
	f.dedup.settle = func(_ context.Context, s mapping.Signal, keys []string) ([]dedup.Outcome, error) {
		mu.Lock()
		defer mu.Unlock()
		seen[s.Target] += len(keys)
		return (&fakeDedup{}).Settle(context.Background(), s, keys, nil)
	}
	return seen
}

func TestPodsOfOneControllerAreOneTarget(t *testing.T) {
	f := newFixture()
	f.service.pipeline.targets.owners = fakeOwners(controls)
	seen := f.settled()
	var resolved mapping.Signal
	f.dedup.resolve = func(s mapping.Signal, _ time.Time) (dedup.Outcome, error) {
		resolved = s
		return dedup.Outcome{Reason: mapping.ResolvedActive}, nil
	}
	api := mapping.Target{APIVersion: "apps/v1", Kind: "Deployment", Name: "api", Namespace: "shop"}
	requireStatus(t, http.StatusOK, f.serve(binary("1", webhook(
		alert("firing", "alertname=A", "namespace=shop", "pod=api-1"), alert("firing", "alertname=A", "namespace=shop", "pod=api-2"),
		alert("firing", "alertname=A", "namespace=shop", "pod=web-1"), alert("firing", "alertname=A", "node=n1"),
		alert("resolved", "alertname=A", "namespace=shop", "pod=api-3")))))
	require.Equal(t, map[mapping.Target]int{
		api: 2,
		{APIVersion: "apps/v1", Kind: "Deployment", Name: "web", Namespace: "shop"}: 1,
		{APIVersion: "v1", Kind: "Node", Name: "n1"}:                                1,
	}, seen)
	require.Equal(t, api, resolved.Target, "what ends must meet what began")
	labels := f.service.pipeline.rules
	named, err := labels.Signal(mapping.Alert{Labels: map[string]string{"alertname": "A", "namespace": "shop", "deployment": "api"}}, noon)
	require.NoError(t, err)
	require.Equal(t, named.Fingerprint, resolved.Fingerprint, "as if the labels had named it")
	require.Contains(t, f.log.String(), `"target":"Deployment/api","owner":"resolved"`)
}

func TestWhatCannotBeToldNowComesAgain(t *testing.T) {
	f := newFixture()
	down := true
	f.service.pipeline.targets.owners = fakeOwners(func(ctx context.Context, s mapping.Signal) (kube.Found, error) {
		if down && s.Target.Name == "api-1" {
			return kube.Found{}, errors.New("the API server is away")
		}
		return controls(ctx, s)
	})
	seen := f.settled()
	event := func() *http.Request {
		return binary("1", webhook(alert("firing", "alertname=A", "namespace=shop", "pod=api-1"), alert("firing", "alertname=A", "namespace=shop", "pod=web-1")))
	}
	w := f.serve(event())
	requireStatus(t, http.StatusServiceUnavailable, w)
	require.NotEmpty(t, w.Header().Get("Retry-After"))
	require.Contains(t, w.Body.String(), "1 of 2 alerts are not settled: the API server is away")
	require.Len(t, seen, 1, "its neighbour is settled, and it is not, under no fingerprint")
	down = false
	requireStatus(t, http.StatusOK, f.serve(event()))
	require.Len(t, seen, 2)
}

func TestWhatIsLeftOutIsNotAskedFor(t *testing.T) {
	f := newFixture()
	f.service.pipeline.targets.owners = fakeOwners(func(_ context.Context, s mapping.Signal) (kube.Found, error) {
		return kube.Found{}, errors.New("this must not be asked: " + s.Name)
	})
	requireStatus(t, http.StatusOK, f.serve(binary("1", webhook(alert("firing", "alertname=Watchdog", "namespace=shop", "pod=api-1"),
		alert("firing", "namespace=shop", "pod=api-1"), `7`))))
}

func TestAForbiddenOwnerIsLoud(t *testing.T) {
	f := newFixture()
	f.service.pipeline.targets.owners = fakeOwners(func(_ context.Context, s mapping.Signal) (kube.Found, error) {
		return kube.Found{Target: s.Target, Result: kube.Forbidden}, nil
	})
	seen := f.settled()
	requireStatus(t, http.StatusOK, f.serve(binary("1", webhook(alert("firing", "alertname=A", "namespace=shop", "pod=api-1")))))
	require.Equal(t, map[mapping.Target]int{{APIVersion: "v1", Kind: "Pod", Name: "api-1", Namespace: "shop"}: 1}, seen)
	require.Regexp(t, `"level":"WARN","msg":"alert".*"target":"Pod/api-1","owner":"forbidden"`, f.log.String())
}

func TestAPanicInFindingAnOwnerHarmsNoNeighbour(t *testing.T) {
	f := newFixture()
	f.service.pipeline.targets.owners = fakeOwners(func(ctx context.Context, s mapping.Signal) (kube.Found, error) {
		if s.Target.Name == "api-1" {
			panic("boom")
		}
		return controls(ctx, s)
	})
	seen := f.settled()
	requireStatus(t, http.StatusInternalServerError, f.serve(binary("1", webhook(alert("firing", "alertname=A", "namespace=shop", "pod=api-1"),
		alert("firing", "alertname=A", "namespace=shop", "pod=web-1")))))
	require.Len(t, seen, 1)
}

// An API server that is stuck for some pods leaves time to settle the others.
func TestFindingOwnersLeavesTimeToSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.service.pipeline.targets.owners = fakeOwners(func(ctx context.Context, s mapping.Signal) (kube.Found, error) {
			if s.Target.Name == "api-1" {
				<-ctx.Done()
				return kube.Found{}, ctx.Err()
			}
			return controls(ctx, s)
		})
		seen := f.settled()
		begun := time.Now()
		w := httptest.NewRecorder()
		f.ServeHTTP(w, binary("1", webhook(alert("firing", "alertname=A", "namespace=shop", "pod=api-1"), alert("firing", "alertname=A", "namespace=shop", "pod=web-1"))))
		requireStatus(t, http.StatusServiceUnavailable, w)
		require.Equal(t, targetTimeout, time.Since(begun))
		require.Len(t, seen, 1)
	})
}

func TestOwnersAreFoundOnlyWhereConfigured(t *testing.T) {
	var calls atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		http.Error(w, "no", http.StatusBadRequest)
	}))
	defer server.Close()
	client := &rest.Config{Host: server.URL}
	found, err := newTargets(client, config.Config{Target: config.TargetLabels})
	require.NoError(t, err)
	require.Nil(t, found.owners)
	require.Nil(t, found.scopes)
	everything := config.Selector{Selector: labels.Everything()}
	found, err = newTargets(client, config.Config{Target: config.TargetLabels, Scope: everything})
	require.NoError(t, err)
	require.Nil(t, found.owners)
	require.NotNil(t, found.scopes)
	found, err = newTargets(client, config.Config{Target: config.TargetOwner, Scope: everything})
	require.NoError(t, err)
	require.Equal(t, found.owners, found.scopes, "one Get answers both questions")
	found, err = newTargets(client, config.Config{Target: config.TargetOwner})
	require.NoError(t, err)
	require.Nil(t, found.scopes)
	for cluster, want := range map[string]kube.OwnerResult{"": kube.Refused, "eu-2": kube.OtherCluster} {
		owned, err := found.owners.Find(t.Context(), mapping.Signal{Cluster: cluster, Target: mapping.Target{APIVersion: "v1", Kind: "Pod", Name: "p" + cluster, Namespace: "shop"}})
		require.NoError(t, err)
		require.Equal(t, want, owned.Result)
	}
	require.EqualValues(t, 1, calls.Load())
}

func TestTargetsAreCountedByHowTheyWereFound(t *testing.T) {
	f := newFixture()
	address := freeAddress(t)
	watch, err := telemetry.Start(t.Context(), telemetry.Options{Address: address})
	require.NoError(t, err)
	f.service.observer.metrics, err = newMetrics(watch.Meter())
	require.NoError(t, err)
	f.service.pipeline.targets.owners = fakeOwners(func(ctx context.Context, s mapping.Signal) (kube.Found, error) {
		if s.Target.Name == "api-1" {
			return kube.Found{}, errors.New("the API server is away")
		}
		return controls(ctx, s)
	})
	requireStatus(t, http.StatusServiceUnavailable, f.serve(binary("1", webhook(alert("firing", "alertname=A", "namespace=shop", "pod=api-1"),
		alert("firing", "alertname=A", "namespace=shop", "pod=web-1"), alert("firing", "alertname=A", "namespace=shop", "pod=web-2"), alert("firing", "alertname=A", "node=n1")))))
	text := scraped(t, address)
	require.NoError(t, watch.Stop(t.Context()))
	require.Contains(t, text, "onefire_targets_total{result=\"resolved\"} 2\nonefire_targets_total{result=\"unsettled\"} 1\n")
}
