package function

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
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

// fakeScopes is a scopes of one function.
type fakeScopes func(s mapping.Signal) (kube.Scoped, error)

func (f fakeScopes) Scope(_ context.Context, s mapping.Signal) (kube.Scoped, error) { return f(s) }

// onlyShop is the scope of namespace shop.
func onlyShop(s mapping.Signal) (kube.Scoped, error) {
	return kube.Scoped{In: s.Target.Namespace == "shop"}, nil
}

func TestWhatIsNotInTheScopeIsFiltered(t *testing.T) {
	f := newFixture()
	address := freeAddress(t)
	watch, err := telemetry.Start(t.Context(), telemetry.Options{Address: address})
	require.NoError(t, err)
	f.service.observer.metrics, err = newMetrics(watch.Meter())
	require.NoError(t, err)
	f.service.pipeline.targets.scopes = fakeScopes(onlyShop)
	seen := f.settled()
	f.dedup.resolve = func(s mapping.Signal, _ time.Time) (dedup.Outcome, error) {
		require.Equal(t, "shop", s.Target.Namespace, "the end of an alert that made nothing changes nothing")
		return dedup.Outcome{Reason: mapping.ResolvedActive}, nil
	}
	requireStatus(t, http.StatusOK, f.serve(binary("1", webhook(
		alert("firing", "alertname=A", "namespace=shop", "pod=api-1"), alert("firing", "alertname=A", "namespace=lab", "pod=api-1"),
		alert("resolved", "alertname=A", "namespace=shop", "pod=api-2"), alert("resolved", "alertname=A", "namespace=lab", "pod=api-2")))))
	require.Equal(t, map[mapping.Target]int{{APIVersion: "v1", Kind: "Pod", Name: "api-1", Namespace: "shop"}: 1}, seen)
	require.Contains(t, f.log.String(), `"decision":"filtered","reason":"unmanaged"`)
	for _, e := range f.sink.events {
		require.NotContains(t, e.Data.(mapping.AuditRequest).Data.Namespace, "lab")
	}
	text := scraped(t, address)
	require.NoError(t, watch.Stop(t.Context()))
	require.Contains(t, text, `onefire_alerts_total{decision="filtered",reason="unmanaged"} 2`)
}

func TestTheScopeIsAskedAboutTheTargetThatWasFound(t *testing.T) {
	f := newFixture()
	f.service.pipeline.targets.owners = fakeOwners(controls)
	f.service.pipeline.targets.scopes = fakeScopes(func(s mapping.Signal) (kube.Scoped, error) {
		return kube.Scoped{In: s.Target.Kind == "Deployment" && s.Target.Name == "api"}, nil
	})
	seen := f.settled()
	requireStatus(t, http.StatusOK, f.serve(binary("1", webhook(
		alert("firing", "alertname=A", "namespace=shop", "pod=api-1"), alert("firing", "alertname=A", "namespace=shop", "pod=web-1")))))
	require.Equal(t, map[mapping.Target]int{{APIVersion: "apps/v1", Kind: "Deployment", Name: "api", Namespace: "shop"}: 1}, seen)
}

func TestAScopeThatCannotBeToldNowComesAgain(t *testing.T) {
	f := newFixture()
	down := true
	f.service.pipeline.targets.scopes = fakeScopes(func(s mapping.Signal) (kube.Scoped, error) {
		if down && s.Target.Name == "api-1" {
			return kube.Scoped{}, errors.New("the API server is away")
		}
		return kube.Scoped{In: true}, nil
	})
	seen := f.settled()
	event := func() *http.Request {
		return binary("1", webhook(alert("firing", "alertname=A", "namespace=shop", "pod=api-1"), alert("firing", "alertname=A", "namespace=shop", "pod=web-1")))
	}
	w := f.serve(event())
	requireStatus(t, http.StatusServiceUnavailable, w)
	require.Contains(t, w.Body.String(), "1 of 2 alerts are not settled: the API server is away")
	require.Len(t, seen, 1, "its neighbour is settled")
	down = false
	requireStatus(t, http.StatusOK, f.serve(event()))
	require.Len(t, seen, 2)
}

func TestTheScopeIsNotAskedAboutWhatIsLeftOut(t *testing.T) {
	f := newFixture()
	f.service.pipeline.targets.owners = fakeOwners(func(context.Context, mapping.Signal) (kube.Found, error) {
		return kube.Found{}, errors.New("the API server is away")
	})
	f.service.pipeline.targets.scopes = fakeScopes(func(s mapping.Signal) (kube.Scoped, error) {
		return kube.Scoped{}, errors.New("this must not be asked: " + s.Name)
	})
	requireStatus(t, http.StatusOK, f.serve(binary("1", webhook(alert("firing", "alertname=Watchdog", "namespace=shop", "pod=api-1"), alert("firing", "pod=a")))))
	w := f.serve(binary("2", webhook(alert("firing", "alertname=A", "namespace=shop", "pod=api-1"))))
	requireStatus(t, http.StatusServiceUnavailable, w)
	require.NotContains(t, w.Body.String(), "must not be asked")
}

func TestAScopeThatMayNotBeReadIsLoud(t *testing.T) {
	f := newFixture()
	f.service.pipeline.targets.scopes = fakeScopes(func(mapping.Signal) (kube.Scoped, error) {
		return kube.Scoped{In: true, Unread: kube.Forbidden}, nil
	})
	seen := f.settled()
	requireStatus(t, http.StatusOK, f.serve(binary("1", webhook(alert("firing", "alertname=A", "namespace=shop", "pod=api-1")))))
	require.Len(t, seen, 1)
	require.Regexp(t, `"level":"WARN","msg":"alert".*"scope":"forbidden"`, f.log.String())
}

func TestTheScopeIsReadFromTheAPIServer(t *testing.T) {
	selector, err := labels.Parse("team=shop")
	require.NoError(t, err)
	transport := roundTrip(func(r *http.Request) *http.Response {
		team := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
		return kubeAnswer(http.StatusOK, map[string]any{"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
			"metadata": map[string]any{"name": team, "labels": map[string]string{"team": team}}})
	})
	all, err := newTargets(&rest.Config{Host: "https://api.test", Transport: transport}, config.Config{Scope: config.Selector{Selector: selector}})
	require.NoError(t, err)
	require.Nil(t, all.owners)
	for namespace, in := range map[string]bool{"shop": true, "lab": false} {
		scoped, err := all.scopes.Scope(t.Context(), mapping.Signal{Target: mapping.Target{APIVersion: "v1", Kind: "Namespace", Name: namespace}})
		require.NoError(t, err)
		require.Equal(t, in, scoped.In, namespace)
	}
	_, err = newTargets(&rest.Config{Host: "https://[::1"}, config.Config{Target: config.TargetOwner})
	require.Error(t, err)
}

// roundTrip answers calls of an API server.
type roundTrip func(*http.Request) *http.Response

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }
