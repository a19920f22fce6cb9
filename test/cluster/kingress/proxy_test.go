package kingress

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRequestsFindTheirPath(t *testing.T) {
	var paths []path
	require.NoError(t, json.Unmarshal([]byte(`[
		{"path": "/a", "headers": {"K-Tag": {"exact": "blue"}}, "splits": [{"serviceName": "blue", "serviceNamespace": "n", "servicePort": 80, "percent": 100}]},
		{"path": "/a", "splits": [{"serviceName": "a", "serviceNamespace": "n", "servicePort": 80, "percent": 100}]},
		{"splits": [{"serviceName": "rest", "serviceNamespace": "n", "servicePort": 80, "percent": 100}]},
		{"path": "/"}
	]`), &paths))
	routes := table{"host": paths}
	for name, tt := range map[string]struct {
		reason, url, tag, want string
	}{
		"path":         {"the first that fits is taken", "http://host/a/b", "", "a"},
		"header":       {"a tag goes before", "http://host/a", "blue", "blue"},
		"other header": {"it must be exact", "http://host/a", "green", "a"},
		"no path":      {"an empty path fits all", "http://host/b", "", "rest"},
		"port":         {"a port is no part of the host", "http://host:8080/b", "", "rest"},
		"other host":   {"nobody serves it", "http://other/a", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, tt.url, nil)
			r.Header.Set("K-Tag", tt.tag)
			found := routes.match(r)
			if tt.want == "" {
				require.Nil(t, found, tt.reason)
				return
			}
			require.NotNil(t, found)
			require.Equal(t, tt.want, found.choose(0).ServiceName, tt.reason)
		})
	}
}

func TestASplitGetsItsShare(t *testing.T) {
	p := path{Splits: []split{{ServiceName: "old", Percent: 30}, {ServiceName: "new", Percent: 70}}}
	shares := map[string]int{}
	for roll := range percents {
		shares[p.choose(roll).ServiceName]++
	}
	require.Equal(t, map[string]int{"old": 30, "new": 70}, shares)
}
