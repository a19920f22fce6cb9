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
					at := request.Timestamp.UTC()
					require.Equal(t, at.Format(time.RFC3339), decode[created](t, a.body).Timestamp, "without its fraction")
					sent["event_timestamp"] = at.Truncate(time.Microsecond).Format(time.RFC3339Nano)

					got := c.byID(id)
					require.NotContains(t, got, "ce_id")
					if schema == mapping.Schema202608 {
						delete(sent, "cluster_name") // It is for older servers; this one drops what it does not know.
					}
					for name, value := range sent {
						require.Equal(t, value, got[name], "%s comes back as it was sent", name)
					}
					require.Len(t, c.rows(), i+1)
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
					c.requireRefused(a, "doesn't match schema")
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

// The first schema refuses what it does not know, and the second drops it.
func TestUnknownFieldsAreDropped(t *testing.T) {
	c := serve(t, Options{Schema: mapping.Schema202608})
	body := event(t, mapping.Schema202608, set("tenant", "x"), set("cluster_name", "west"), set("event_id", "x"), setData("alert_name", "x"),
		setData("priority", "P1"))
	got := c.byID(requireStored(t, c.post(body, "")))
	require.NotContains(t, got, "tenant")
	require.NotContains(t, got, "cluster_name")
	require.NotContains(t, got["event_data"], "alert_name")
	require.NotContains(t, got["event_data"], "priority")
}

func TestNumbersOfAPayloadLoseWhatFloatsCannotHold(t *testing.T) {
	c := serve(t, Options{})
	body := event(t, mapping.Schema202601, setData("original_payload", object{"n": json.Number("12345678901234567890")}))
	payload := c.byID(requireStored(t, c.post(body, "")))["event_data"].(map[string]any)["original_payload"]
	require.Equal(t, object{"n": 12345678901234567000.0}, payload)
}

func TestActorAndResourceHaveDefaults(t *testing.T) {
	c := serve(t, Options{})
	got := c.byID(requireStored(t, c.post(event(t, mapping.Schema202601, unset("actor_type"), unset("actor_id"), unset("resource_type"),
		unset("resource_id"), set("correlation_id", "rr-1")), "")))
	require.Equal(t, "service", got["actor_type"])
	require.Equal(t, "gateway-service", got["actor_id"])
	require.Equal(t, "gateway", got["resource_type"])
	require.Equal(t, "rr-1", got["resource_id"])
	require.EqualValues(t, 2555, got["retention_days"])
}

func TestParentMustExist(t *testing.T) {
	c := serve(t, Options{})
	parent := requireStored(t, c.post(event(t, mapping.Schema202601), ""))
	got := c.byID(requireStored(t, c.post(event(t, mapping.Schema202601, set("parent_event_id", parent)), "")))
	require.Equal(t, parent, got["parent_event_id"])
	orphan := event(t, mapping.Schema202601, set("parent_event_id", "6e0f5e64-682c-4795-a8dc-4e44bb355b25"))
	for path, body := range map[string][]byte{events: orphan, batch: array(orphan)} {
		requireProblem(t, c.must(http.MethodPost, path, body), http.StatusBadRequest, "parent event does not exist")
	}
	require.Equal(t, 2, c.total())
}

// nested is an object of that many levels.
func nested(levels int) any {
	v := any("leaf")
	for range levels {
		v = object{"a": v}
	}
	return v
}

func TestEventDataHasLimits(t *testing.T) {
	tests := map[string]struct {
		change change
		stored bool
	}{
		// The payload is within event_data, which is a level of its own.
		"a payload 9 levels deep":  {setData("original_payload", nested(9)), true},
		"a payload 10 levels deep": {setData("original_payload", nested(10)), false},
		"almost 256 KiB":           {setData("original_payload", object{"a": long(256<<10 - 2000)}), true},
		"more than 256 KiB":        {setData("original_payload", object{"a": long(256 << 10)}), false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := serve(t, Options{})
			body := event(t, mapping.Schema202601, tt.change)
			for path, body := range map[string][]byte{events: body, batch: array(event(t, mapping.Schema202601), body)} {
				a := c.must(http.MethodPost, path, body)
				if tt.stored {
					require.Equal(t, http.StatusCreated, a.status, "%s", a.body)
				} else {
					requireProblem(t, a, http.StatusBadRequest, "event_data exceeds size or nesting depth limits")
				}
			}
			require.Equal(t, tt.stored, c.total() == 3)
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
