package conformance

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// publicEvent is an event as the CloudEvents project writes down its own.
type publicEvent struct {
	Mode       string         `json:"Mode"`
	Attributes map[string]any `json:"ContextAttributes"`
	Data       string         `json:"Data"`
}

// publicEvents are all of those of the CloudEvents project, by file and id.
func publicEvents(t testing.TB) map[string]publicEvent {
	paths, err := filepath.Glob("testdata/cloudevents/*.yaml")
	require.NoError(t, err)
	require.Len(t, paths, 4)
	all := map[string]publicEvent{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		for i, part := range bytes.Split(text, []byte("\n---\n")) {
			var e publicEvent
			require.NoError(t, yaml.Unmarshal(part, &e))
			extensions, _ := e.Attributes["Extensions"].(map[string]any)
			delete(e.Attributes, "Extensions")
			for name, value := range extensions {
				// YAML's block ends with a line that no header can hold.
				e.Attributes[name] = strings.TrimSpace(value.(string))
			}
			if n, ok := e.Attributes["specversion"].(float64); ok {
				e.Attributes["specversion"] = map[float64]string{1: "1.0", 0.3: "0.3"}[n]
			}
			all[strings.TrimSuffix(filepath.Base(path), ".yaml")+" "+string(rune('1'+i))] = e
		}
	}
	return all
}

// in gives the event as a request in a mode.
func (e publicEvent) in(t *testing.T, mode string) request {
	q := request{header: map[string]string{}}
	if mode == "binary" {
		q.body = e.Data
		for name, value := range e.Attributes {
			if name == "datacontenttype" {
				name = "Content-Type"
			} else {
				name = "Ce-" + name
			}
			q.header[name] = value.(string)
		}
		return q
	}
	whole := map[string]any{"data": e.Data}
	for name, value := range e.Attributes {
		whole[name] = value
	}
	kind, _ := e.Attributes["datacontenttype"].(string)
	if kind == "" || strings.HasPrefix(kind, "application/json") {
		whole["data"] = json.RawMessage(e.Data)
	}
	body, err := json.Marshal(whole)
	require.NoError(t, err)
	q.body, q.header["Content-Type"] = string(body), "application/cloudevents+json"
	return q
}

func TestPublicEventsAreTakenInBothModes(t *testing.T) {
	fn := startFunction(t)
	for name, e := range publicEvents(t) {
		for _, mode := range []string{"binary", "structured"} {
			t.Run(name+" "+mode, func(t *testing.T) {
				store := startStore(t)
				got := store.send(t, e.in(t, mode))
				require.Equal(t, http.StatusOK, got.status, got.body)
				require.Equal(t, 1, store.effects(t))
				for _, kept := range store.letters.letters(t) {
					extensions := kept.Extensions()
					for attribute, want := range e.Attributes {
						switch attribute {
						case "specversion":
							require.Equal(t, want, kept.SpecVersion())
						case "id":
							require.Equal(t, want, kept.ID())
						case "source":
							require.Equal(t, want, kept.Source())
						case "type":
							require.Equal(t, want, kept.Type())
						case "time":
							require.Equal(t, want, kept.Time().Format("2006-01-02T15:04:05Z"))
						case "datacontenttype":
							require.Equal(t, want, kept.DataContentType())
						default:
							require.Equal(t, want, extensions[attribute], attribute)
							delete(extensions, attribute)
						}
					}
					require.Empty(t, extensions)
					require.Equal(t, strings.TrimSpace(e.Data), strings.TrimSpace(string(kept.Data())))
				}

				// The function reads the event, and then finds no alerts in it,
				// or, in an array of texts, alerts that are none.
				got = fn.send(t, e.in(t, mode))
				require.Contains(t, []int{http.StatusBadRequest, http.StatusOK}, got.status)
				require.NotContains(t, got.body, "CloudEvent")
				require.Equal(t, got.status == http.StatusBadRequest, strings.Contains(got.body, "alert"))
				filled := publicEvent{Attributes: maps.Clone(e.Attributes), Data: webhook(t)}
				filled.Attributes["datacontenttype"] = "application/json"
				got = fn.send(t, filled.in(t, mode))
				require.Equal(t, http.StatusOK, got.status, got.body)
			})
		}
	}
	require.NotZero(t, fn.effects(t))
}

// notEvents are requests without a valid CloudEvent, by what is wrong.
func notEvents() map[string]request {
	all := map[string]request{
		"an empty request":     {},
		"JSON":                 {header: map[string]string{"Content-Type": "application/json"}, body: `{"alerts":[]}`},
		"structured, no JSON":  {header: map[string]string{"Content-Type": "application/cloudevents+json"}, body: `{"specversion":`},
		"structured, an array": {header: map[string]string{"Content-Type": "application/cloudevents+json"}, body: `[]`},
		"an unknown format":    {header: map[string]string{"Content-Type": "application/cloudevents+avro"}, body: `x`},
	}
	attributes := map[string]any{"specversion": "1.0", "id": "1", "source": "urn:s", "type": "t"}
	with := func(what, name string, value any) {
		changed := map[string]any{}
		for n, v := range attributes {
			changed[n] = v
		}
		changed[name] = value
		if value == nil {
			delete(changed, name)
		}
		body, err := json.Marshal(changed)
		if err != nil {
			panic(err) // The table is wrong.
		}
		all["structured, "+what] = request{header: map[string]string{"Content-Type": "application/cloudevents+json"}, body: string(body)}
		q := request{header: map[string]string{}}
		for n, v := range changed {
			text, ok := v.(string)
			if !ok {
				return // Headers have no other types.
			}
			q.header["Ce-"+n] = text
		}
		all["binary, "+what] = q
	}
	for _, name := range []string{"specversion", "id", "source", "type"} {
		with("without "+name, name, nil)
		with("an empty "+name, name, "")
	}
	with("an unknown version", "specversion", "9.9")
	with("a time that is none", "time", "at noon")
	with("a time without seconds", "time", "2026-01-02T03:04Z")
	with("a numeric id", "id", 25)
	with("an id that is an object", "id", map[string]any{"a": "b"})
	return all
}

func TestTheTableOfWhatIsNoEventHasBothModes(t *testing.T) {
	names := make([]string, 0, len(notEvents()))
	for name := range notEvents() {
		names = append(names, strings.SplitN(name, ",", 2)[0])
	}
	slices.Sort(names)
	require.Equal(t, []string{"JSON", "an empty request", "an unknown format", "binary", "structured"}, slices.Compact(names))
}
