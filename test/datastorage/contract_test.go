package datastorage

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

var schemas = []mapping.Schema{mapping.Schema202601, mapping.Schema202608}

func TestWhatOnefireSendsIsStored(t *testing.T) {
	for _, schema := range schemas {
		for name, d := range decided {
			t.Run(string(schema)+" "+name, func(t *testing.T) {
				c := serve(t, Options{Schema: schema})
				for i, request := range requests(schema, d) {
					body, err := json.Marshal(request)
					require.NoError(t, err)
					a := c.post(body, "")
					id := requireStored(t, a)
					sent := decode[map[string]any](t, body)
					require.Equal(t, sent["event_timestamp"], decode[stored](t, a.body).Timestamp)

					got := c.get("").Data[i]
					require.Equal(t, id, got["event_id"])
					delete(got, "event_id")
					delete(got, "ce_id")
					require.Equal(t, sent, got, "it comes back as it was sent")
				}
			})
		}
	}
}

func TestTheSchemasDiffer(t *testing.T) {
	for _, schema := range schemas {
		t.Run(string(schema), func(t *testing.T) {
			c := serve(t, Options{Schema: schema})
			for _, other := range schemas {
				a := c.post(event(t, other), "")
				if other == schema {
					requireStored(t, a)
				} else {
					requireProblem(t, a, http.StatusBadRequest, "doesn't match schema")
				}
			}
			require.Equal(t, 1, c.total())
		})
	}
}

// change is what is done to a valid event before it is sent.
type change = func(e, data map[string]any)

// set and unset change the event; setData and unsetData its event_data.
func set(name string, value any) change { return func(e, _ map[string]any) { e[name] = value } }
func unset(name string) change          { return func(e, _ map[string]any) { delete(e, name) } }
func setData(name string, v any) change { return func(_, data map[string]any) { data[name] = v } }
func unsetData(name string) change      { return func(_, data map[string]any) { delete(data, name) } }
func old(d time.Duration) change        { return set("event_timestamp", time.Now().Add(-d)) }

func long(n int) string { return strings.Repeat("x", n) }

// object is one in JSON.
type object = map[string]any

func TestEventsWithinTheContractAreStored(t *testing.T) {
	both, second := schemas, schemas[1:]
	tests := map[string]struct {
		schemas []mapping.Schema
		change  change
	}{
		"nothing but what is required": {both, func(e, data map[string]any) {
			keep(e, "version", "event_type", "event_timestamp", "event_category", "event_action", "event_outcome", "correlation_id", "event_data")
			keep(data, "event_type", "signal_type", "alert_name", "signal_name", "namespace", "fingerprint")
		}},
		"the longest type":                    {both, set("event_type", long(100))},
		"the longest action":                  {both, set("event_action", long(50))},
		"the longest correlation id":          {both, set("correlation_id", long(255))},
		"a pending outcome":                   {both, set("event_outcome", "pending")},
		"the unknown severity":                {both, set("severity", "unknown")},
		"a duration":                          {both, set("duration_ms", 12)},
		"a parent":                            {both, set("parent_event_id", "6e0f5e64-682c-4795-a8dc-4e44bb355b25")},
		"almost too old":                      {both, old(7*24*time.Hour - time.Minute)},
		"almost too far ahead":                {both, old(-59 * time.Minute)},
		"another time zone":                   {both, set("event_timestamp", time.Now().In(time.FixedZone("", 5*3600+1800)))},
		"its cluster's name":                  {both, set("cluster_name", "west")},
		"its cluster's id":                    {second, set("cluster_id", "west")},
		"later, any severity: event":          {second, set("severity", "warning")},
		"later, any severity: event_data":     {second, setData("severity", "warning")},
		"details of an error":                 {both, setData("error_details", object{"message": "m", "code": "c", "component": "gateway", "retry_possible": true})},
		"the largest count":                   {both, setData("occurrence_count", 1<<31-1)},
		"any payload that is a JSON object":   {both, setData("original_payload", object{"a": object{"b": []int{1}}})},
		"text beyond ASCII in a label's text": {both, setData("signal_labels", object{"a": "ä€😀"})},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, schema := range tt.schemas {
				requireStored(t, serve(t, Options{Schema: schema}).post(event(t, schema, tt.change), ""))
			}
		})
	}
}

// keep deletes all but some.
func keep(m map[string]any, names ...string) {
	kept := object{}
	for _, name := range names {
		if v, ok := m[name]; ok {
			kept[name] = v
		}
	}
	clear(m)
	for name, v := range kept {
		m[name] = v
	}
}
