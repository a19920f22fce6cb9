package function

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
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
	for field, lines := range map[string]int{"status.conditions": 1, "status.deduplication.lastResolvedAt": 0} {
		var log strings.Builder
		watch := &apiCalls{log: slog.New(slog.NewJSONHandler(&log, nil))}
		for range 3 {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, "http://api.test/", nil)
			require.NoError(t, err)
			_, err = watch.wrap(warning(field)).RoundTrip(r) //nolint:bodyclose // There is none.
			require.NoError(t, err)
		}
		require.Equal(t, lines, strings.Count(log.String(), `"level":"WARN"`), field)
	}
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
