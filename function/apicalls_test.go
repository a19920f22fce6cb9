package function

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"onefire/function/telemetry"
)

func TestCallsAreReadFromTheirPaths(t *testing.T) {
	const ns, rr = "/namespaces/ns", "/apis/kubernaut.ai/v1alpha1"
	for reason, row := range map[string]struct {
		method, path string
		want         apiCall
	}{
		"a List":                  {http.MethodGet, rr + ns + "/remediationrequests", apiCall{"list", "remediationrequests", "ns"}},
		"one":                     {http.MethodGet, rr + ns + "/remediationrequests/rr-1", apiCall{"get", "remediationrequests", "ns"}},
		"a create":                {http.MethodPost, rr + ns + "/remediationrequests", apiCall{"create", "remediationrequests", "ns"}},
		"a status":                {http.MethodPatch, rr + ns + "/remediationrequests/rr-1/status", apiCall{"patch", "remediationrequests", "ns"}},
		"a deletion":              {http.MethodDelete, rr + ns + "/remediationrequests/rr-1", apiCall{"delete", "remediationrequests", "ns"}},
		"the core group":          {http.MethodGet, "/api/v1" + ns + "/pods/a", apiCall{"get", "pods", "ns"}},
		"a cluster's":             {http.MethodPost, "/apis/authentication.k8s.io/v1/tokenreviews", apiCall{"create", "tokenreviews", ""}},
		"behind a proxy":          {http.MethodGet, "/k8s/clusters/c-1" + rr + ns + "/remediationrequests", apiCall{"list", "remediationrequests", "ns"}},
		"a name like a resource":  {http.MethodGet, "/apis/x/v1" + ns + "/things/pods", apiCall{"get", "other", "ns"}},
		"many deletions":          {http.MethodDelete, rr + ns + "/remediationrequests", apiCall{"delete", "remediationrequests", "ns"}},
		"a namespace":             {http.MethodGet, "/api/v1" + ns, apiCall{"get", "namespaces", ""}},
		"a part of a cluster's":   {http.MethodGet, "/api/v1/nodes/n/status", apiCall{"get", "nodes", ""}},
		"an unknown resource":     {http.MethodGet, "/apis/x/v1" + ns + "/things", apiCall{"list", "other", "ns"}},
		"no path of a Kubernetes": {http.MethodGet, "/healthz", apiCall{"list", "other", ""}},
	} {
		t.Run(reason, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), row.method, "http://api.test"+row.path, nil)
			require.NoError(t, err)
			require.Equal(t, row.want, apiCallOf(r))
		})
	}
}

// warning is an API server whose CRD drops a field.
type warning string

func (w warning) RoundTrip(*http.Request) (*http.Response, error) {
	h := http.Header{}
	h.Add("Warning", `299 - "unknown field \"status.deduplication.alerts\""`)
	h.Add("Warning", `299 - "unknown field \"`+string(w)+`\""`)
	return &http.Response{StatusCode: http.StatusOK, Header: h, Body: http.NoBody}, nil
}

// A CRD that keeps no record is told of once; what people read may be dropped.
func TestACRDThatKeepsNoRecordIsToldOfOnce(t *testing.T) {
	address := freeAddress(t)
	watch, err := telemetry.Start(t.Context(), telemetry.Options{Address: address})
	require.NoError(t, err)
	defer func() { require.NoError(t, watch.Stop(t.Context())) }()
	counted, err := newMetrics(watch.Meter())
	require.NoError(t, err)
	for field, lines := range map[string]int{"status.conditions": 1, "status.deduplication.lastResolvedAt": 0} {
		var log strings.Builder
		watch := &apiCalls{log: slog.New(slog.NewJSONHandler(&log, nil))}
		for _, watch.metrics = range []*metrics{nil, counted, counted} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, "http://api.test/", nil)
			require.NoError(t, err)
			_, err = watch.wrap(warning(field)).RoundTrip(r) //nolint:bodyclose // There is none.
			require.NoError(t, err)
			require.Equal(t, lines, strings.Count(log.String(), `"level":"WARN"`), field)
		}
	}
	require.Contains(t, scraped(t, address), "onefire_unrecorded_total 2\n")
}

// away is an API server that nobody reaches.
type away struct{}

func (away) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("no route to host")
}

func TestACallWithoutAnAnswerIsAFailedSpan(t *testing.T) {
	f := newTraced(t)
	watch := &apiCalls{tracer: f.service.observer.tracer, metrics: f.service.observer.metrics}
	ctx, span := f.service.observer.startGroup(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://api.test/apis/kubernaut.ai/v1alpha1/namespaces/ns/remediationrequests", nil)
	require.NoError(t, err)
	_, err = watch.wrap(away{}).RoundTrip(r) //nolint:bodyclose // There is none.
	require.EqualError(t, err, "no route to host")
	span.End()
	failed := named(f.take(), "list remediationrequests")[0]
	require.Equal(t, "no route to host", failed.Status.Description)
}

// always is an API server with one answer.
type always struct {
	status     int
	retryAfter string
}

func (a always) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: a.status, Header: http.Header{"Retry-After": {a.retryAfter}}, Body: http.NoBody}, nil
}

// call makes one attempt of a call, and returns its span.
func (f *traced) call(watch *apiCalls, ctx context.Context, path string, server http.RoundTripper) tracetest.SpanStub {
	f.t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://api.test"+path, nil)
	require.NoError(f.t, err)
	r.Header.Set("Accept", "application/json")
	_, err = watch.wrap(server).RoundTrip(r) //nolint:bodyclose // There is none.
	require.NoError(f.t, err)
	require.Equal(f.t, http.Header{"Accept": {"application/json"}}, r.Header, "a transport does not change its request")
	spans := f.take()
	require.Len(f.t, spans, 1)
	return spans[0]
}

func TestACallThatFailsIsAFailedSpan(t *testing.T) {
	f := newTraced(t)
	watch := &apiCalls{tracer: f.service.observer.tracer} // Spans alone, without metrics.
	ctx, span := f.service.observer.startGroup(t.Context())
	defer span.End()
	for status, want := range map[int]codes.Code{
		200: codes.Unset, 304: codes.Unset, 400: codes.Error, 401: codes.Error, 403: codes.Error, 404: codes.Unset,
		405: codes.Error, 409: codes.Unset, 410: codes.Error, 422: codes.Error, 429: codes.Error, 500: codes.Error,
	} {
		got := f.call(watch, ctx, "/apis/authentication.k8s.io/v1/tokenreviews", always{status: status})
		require.Equal(t, want, got.Status.Code, status)
		require.Equal(t, strconv.Itoa(status), value(got, telemetry.AttrStatus))
		for _, a := range got.Attributes {
			require.NotContains(t, []string{telemetry.AttrNamespace, telemetry.AttrServerPort, telemetry.AttrResend}, string(a.Key), "what is unknown is left out")
		}
	}
}

func TestTriesOfACallAreCountedUntilItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTraced(t)
		watch := &apiCalls{tracer: f.service.observer.tracer}
		remembered := func() (n int) {
			watch.tries.Range(func(any, any) bool { n++; return true })
			return n
		}
		group, span := f.service.observer.startGroup(t.Context())
		defer span.End()
		ctx, cancel := context.WithCancel(group)
		defer cancel()
		busy := always{status: 429, retryAfter: "1"}
		for _, want := range []string{"", "1", "2"} {
			require.Equal(t, want, value(f.call(watch, ctx, "/", busy), telemetry.AttrResend))
		}
		require.Equal(t, 1, remembered())
		cancel()
		synctest.Wait()
		require.Zero(t, remembered())

		f.call(watch, group, "/", always{status: 503})
		require.Zero(t, remembered(), "it is not tried again")
		f.call(watch, context.WithoutCancel(group), "/", busy)
		require.Zero(t, remembered(), "nobody would tell that it has ended")
	})
}
