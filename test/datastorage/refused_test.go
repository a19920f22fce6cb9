package datastorage

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

func TestEventsOutsideTheContractAreRefused(t *testing.T) {
	both, first, second := schemas, schemas[:1], schemas[1:]
	const missing, enum, foreign = "is missing", "not one of the allowed values", "is unsupported"
	tests := map[string]struct {
		schemas []mapping.Schema
		change  change
		says    []string
	}{
		"no version":                      {both, unset("version"), []string{"version", missing}},
		"no type":                         {both, unset("event_type"), []string{"event_type", missing}},
		"no timestamp":                    {both, unset("event_timestamp"), []string{"event_timestamp", missing}},
		"no category":                     {both, unset("event_category"), []string{"event_category", missing}},
		"no action":                       {both, unset("event_action"), []string{"event_action", missing}},
		"no outcome":                      {both, unset("event_outcome"), []string{"event_outcome", missing}},
		"no correlation id":               {both, unset("correlation_id"), []string{"correlation_id", missing}},
		"no data":                         {both, unset("event_data"), []string{"event_data", missing}},
		"the first: another version":      {first, set("version", "2.0"), []string{"version", enum}},
		"another category":                {both, set("event_category", "kitchen"), []string{"event_category", enum}},
		"another outcome":                 {both, set("event_outcome", "unknown"), []string{"event_outcome", enum}},
		"an empty type":                   {both, set("event_type", ""), []string{"event_type", "minimum"}},
		"a type too long":                 {both, set("event_type", long(101)), []string{"event_type", "maximum"}},
		"an action too long":              {both, set("event_action", long(51)), []string{"event_action", "maximum"}},
		"an empty correlation id":         {both, set("correlation_id", ""), []string{"correlation_id", "minimum"}},
		"a correlation id too long":       {both, set("correlation_id", long(256)), []string{"correlation_id", "maximum"}},
		"the first: a field of nobody's":  {first, set("tenant", "x"), []string{"tenant", foreign}},
		"a time that is none":             {both, set("event_timestamp", "yesterday"), []string{"event_timestamp", "regular expression"}},
		"a time without its zone":         {both, set("event_timestamp", "2026-01-02T03:04:05"), []string{"event_timestamp", "regular expression"}},
		"a day that there is not":         {both, set("event_timestamp", "2026-02-30T03:04:05Z"), []string{"day out of range"}},
		"older than 7 days":               {both, old(7*24*time.Hour + time.Minute), []string{"7 days old"}},
		"more than 60 minutes ahead":      {both, old(-61 * time.Minute), []string{"60 minutes ahead"}},
		"data of no type":                 {both, unsetData("event_type"), []string{"event_data", "discriminator"}},
		"data of another type":            {both, setData("event_type", "workflow.started"), []string{"event_data", "discriminator"}},
		"no signal type":                  {both, unsetData("signal_type"), []string{"signal_type", missing}},
		"no namespace":                    {both, unsetData("namespace"), []string{"namespace", missing}},
		"no fingerprint":                  {both, unsetData("fingerprint"), []string{"fingerprint", missing}},
		"a status that is an action":      {both, setData("deduplication_status", "deduplicated"), []string{"deduplication_status", enum}},
		"a count that is no int32":        {both, setData("occurrence_count", 1<<31), []string{"occurrence_count", "int32"}},
		"a payload in text":               {both, setData("original_payload", "{}"), []string{"original_payload", "object"}},
		"a label that is no text":         {both, setData("signal_labels", object{"a": 1}), []string{"/signal_labels/a", "string"}},
		"half the details of an error":    {both, setData("error_details", object{"message": "m"}), []string{"error_details", missing}},
		"the first: severity warning":     {first, set("severity", "warning"), []string{"severity", enum}},
		"the first: data's warning":       {first, setData("severity", "warning"), []string{"severity", enum}},
		"the first: no alert_name":        {first, unsetData("alert_name"), []string{"alert_name", missing}},
		"the first: signal_name":          {first, setData("signal_name", "x"), []string{"signal_name", foreign}},
		"the first: signal_type alert":    {first, setData("signal_type", "alert"), []string{"signal_type", enum}},
		"the first: cluster_id":           {first, set("cluster_id", "x"), []string{"cluster_id", foreign}},
		"the second: no signal_name":      {second, unsetData("signal_name"), []string{"signal_name", missing}},
		"the second: prometheus-alert":    {second, setData("signal_type", "prometheus-alert"), []string{"signal_type", enum}},
		"the second: severity, no string": {second, set("severity", 1), []string{"severity", "string"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, schema := range tt.schemas {
				c := serve(t, Options{Schema: schema})
				a := c.post(event(t, schema, tt.change), "one")
				for _, says := range tt.says {
					c.requireRefused(a, says)
				}
				require.Zero(t, c.total())
			}
		})
	}
}

func TestOnlyJSONIsTaken(t *testing.T) {
	c := serve(t, Options{})
	body := event(t, mapping.Schema202601)
	for _, contentType := range []string{"application/cloudevents+json", "application/cloudevents-batch+json", "text/plain", "application/xml", ""} {
		a := c.must(http.MethodPost, events, body, "Content-Type", contentType)
		c.requireRefused(a, "Content-Type")
	}
	for _, text := range []string{"", "hello", "{", "null", "[]"} {
		c.requireRefused(c.post([]byte(text), ""), "")
	}
	require.Zero(t, c.total())
	requireStored(t, c.must(http.MethodPost, events, body, "Content-Type", "application/json; charset=utf-8"))
}

// A recorder stands in for the network: a real server hangs up on what is too
// long, and the client may see that before the answer.
func TestMoreThanFiveMebibytesAreTooMuch(t *testing.T) {
	s := open(t, Options{})
	padding := func(n int) []byte {
		body := event(t, mapping.Schema202601)
		return append(body, strings.Repeat(" ", n-len(body))...)
	}
	for _, path := range []string{events, batch} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader(string(padding(5<<20+1)))))
		requireProblem(t, answer{w.Code, w.Header(), w.Body.Bytes()}, http.StatusRequestEntityTooLarge, "exceeds the maximum")
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, events, strings.NewReader(string(padding(5<<20))))
	r.Header.Set("Content-Type", "application/json")
	s.ServeHTTP(w, r)
	require.Equal(t, http.StatusCreated, w.Code, "%s", w.Body)
}
