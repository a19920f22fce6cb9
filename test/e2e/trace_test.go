package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

// span is a span as OTLP has it, with the service that recorded it.
type span struct {
	TraceID string `json:"traceId"`
	SpanID  string `json:"spanId"`
	Parent  string `json:"parentSpanId"`
	Name    string `json:"name"`
	Start   string `json:"startTimeUnixNano"`
	service string
}

// collector takes spans by OTLP, as JSON.
type collector struct {
	*httptest.Server
	mu    sync.Mutex
	spans []span
}

func newCollector(t *testing.T) *collector {
	c := &collector{}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var all struct {
		ResourceSpans []struct {
			Resource struct {
				Attributes []struct {
					Key   string
					Value struct{ StringValue string }
				}
			}
			ScopeSpans []struct{ Spans []span }
		}
	}
	if r.URL.Path != "/v1/traces" {
		return
	}
	if err := json.NewDecoder(r.Body).Decode(&all); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range all.ResourceSpans {
		service := ""
		for _, a := range of.Resource.Attributes {
			if a.Key == "service.name" {
				service = a.Value.StringValue
			}
		}
		for _, scope := range of.ScopeSpans {
			for _, s := range scope.Spans {
				s.service = service
				c.spans = append(c.spans, s)
			}
		}
	}
}

// tree draws the spans below a parent.
func (c *collector) tree(parent, indent string) string {
	var below []span
	for _, s := range c.spans {
		if s.Parent == parent {
			below = append(below, s)
		}
	}
	slices.SortFunc(below, func(a, b span) int { return strings.Compare(a.Start, b.Start) })
	text := ""
	for _, s := range below {
		text += indent + s.service + ": " + s.Name + "\n" + c.tree(s.SpanID, indent+"  ")
	}
	return text
}

func TestOneTraceGoesFromTheWebhookToTheAudit(t *testing.T) {
	w, c := newWorld(t, mapping.Schema202608), newCollector(t)
	f := w.start("OTEL_EXPORTER_OTLP_ENDPOINT=" + c.URL)
	source := w.serve(w.prepare(sourceBinary, "OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL, "K_SINK="+f.url))
	resp, err := http.Post(source.url+"/alertmanager", "application/json", strings.NewReader(webhook(firing("DiskFull", "db-0"))))
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	w.stop(source)
	w.stop(f) // It has sent its spans by then.

	c.mu.Lock()
	defer c.mu.Unlock()
	require.Equal(t, strings.TrimLeft(`
onefire-source: POST /alertmanager
  onefire-source: send io.prometheus.alert.v1
    onefire: process io.prometheus.alert.v1
      onefire: settle
        onefire: list remediationrequests
        onefire: create remediationrequests
        onefire: list remediationrequests
      onefire: send gateway.signal.received
      onefire: send gateway.crd.created
`, "\n"), c.tree("", ""))
	require.Len(t, c.spans, 9, "nothing else is traced")
	for _, s := range c.spans {
		require.Equal(t, c.spans[0].TraceID, s.TraceID)
	}
	require.Contains(t, f.log.String(), `"trace_id":"`+c.spans[0].TraceID+`"`)
	require.Contains(t, source.log.String(), `"trace_id":"`+c.spans[0].TraceID+`"`)
}
