package function

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onefire/audit"
	"onefire/config"
)

func TestNoAttributeOfAnAuditEventCanBeOverridden(t *testing.T) {
	var attributes []string
	sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for header := range r.Header {
			if name, ok := strings.CutPrefix(strings.ToLower(header), "ce-"); ok {
				attributes = append(attributes, name)
			}
		}
	}))
	t.Cleanup(sink.Close)
	s, err := audit.New(audit.Options{URL: sink.URL})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	e := audit.Event{ID: "a", Type: "b", Subject: "c", PartitionKey: "d", Traceparent: "e", Data: "f"}
	require.NoError(t, s.Deliver(t.Context(), []audit.Event{e})[0])
	require.Contains(t, attributes, "causationid")
	for _, name := range attributes {
		_, err := config.Load(map[string]string{"AUDIT_SINK": "http://sink", "K_CE_OVERRIDES": `{"extensions":{"` + name + `":"x"}}`})
		require.ErrorContains(t, err, name)
	}
}
