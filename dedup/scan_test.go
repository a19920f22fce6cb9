package dedup

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func enough(int) error { return nil }

// whole is an object with all that the protocol reads, and with what it does not.
const whole = `{"apiVersion":"kubernaut.ai/v1alpha1","kind":"RemediationRequest","metadata":{"name":"rr-1","uid":"u","resourceVersion":"7",
	"creationTimestamp":"2026-01-17T12:00:00Z","deletionTimestamp":null,"generation":1,
	"labels":{"app.kubernetes.io/managed-by":"onefire","onefire/fingerprint":"abc","team":"a"},
	"annotations":{"onefire/event":"key","onefire/event-time":"2026-01-17T12:00:00.5Z","kubectl.kubernetes.io/last-applied-configuration":"{\"a\":\"\\\"\"}"},
	"managedFields":[{"manager":"onefire","fieldsV1":{"f:spec":{".":{}}}}]},
	"spec":{"signalFingerprint":"abc","signalName":"A","severity":"high","signalLabels":{"alertname":"A", "x":"é\u00e9"},
	"firingTime":"2026-01-17T11:00:00Z","receivedTime":"2026-01-17T12:00:00Z","originalPayload":"{\"a\":\"\\\\\"}","targetResource":{"kind":"Pod"}},
	"status":{"overallPhase":"Completed","outcome":"ManualReviewRequired","nextAllowedExecution":"2026-01-17T13:00:00Z",
	"conditions":[{"type":"onefire/Record","status":"True","reason":"Counted","message":"2@1768651200 k2\nabsorbed t 3\nomitted","lastTransitionTime":"2026-01-17T12:00:00Z"}, {"type":"Ready"} ],
	"completionStatus":{"outcome":"x"},"routingStatus":{"nextAllowedExecution":"2026-01-17T14:00:00Z"},"steps":[1,2.5e3,true,null,[],{}],
	"deduplication":{"firstSeenAt":"2026-01-17T12:00:00Z","lastSeenAt":"2026-01-17T12:00:00Z","occurrenceCount":4,"events":{"k3":3},
	"alerts":[{"id":"i","alertname":"B","severity":"low","labels":{"a":"b"}}],"alertsOmitted":true}}}`

// decoded is an object as encoding/json alone reads it.
func decoded(t *testing.T, text string) object {
	t.Helper()
	var w wireObject
	require.NoError(t, decode([]byte(text), &w))
	return w.observe()
}

func TestAnObjectIsReadAsEncodingJSONReadsIt(t *testing.T) {
	for reason, text := range map[string]string{
		"all of it":                 whole,
		"nothing of it":             `{}`,
		"no object":                 ` [1] `,
		"null":                      `null`,
		"parts that are null":       `{"metadata":null,"spec":null,"status":{"conditions":null,"deduplication":null}}`,
		"parts of another type":     `{"metadata":[],"spec":"a","status":{"conditions":{"a":1},"overallPhase":5,"deduplication":{"occurrenceCount":"many","alerts":7}}}`,
		"a field twice":             `{"metadata":{"name":"a","labels":{"onefire/a":"1"}},"metadata":{"uid":"b","labels":{"app.kubernetes.io/managed-by":"onefire"}}}`,
		"names in capitals":         `{"METADATA":{"Name":"a"},"ſtatuſ":{"OVERALLPHASE":"Failed"}}`,
		"names with escapes":        `{"\u006detadata":{"n\u0061me":"a"},"sp\\ec":{"signalName":"b"}}`,
		"labels that are not texts": `{"metadata":{"labels":{"app.kubernetes.io/managed-by":1,"onefire/a":{}}}}`,
	} {
		t.Run(reason, func(t *testing.T) {
			w, err := readObject(iotest.OneByteReader(strings.NewReader(text)), enough)
			require.NoError(t, err)
			require.Equal(t, decoded(t, text), w.observe())
		})
	}
}

func TestWhatIsCutOffIsNoObject(t *testing.T) {
	for end := range len(whole) {
		_, err := readObject(strings.NewReader(whole[:end]), enough)
		require.Error(t, err, whole[:end])
	}
	for reason, text := range map[string]string{
		"more than one":            `{}{}`,
		"a comma too many":         `{"kind":"A",}`,
		"no colon":                 `{"kind" "A"}`,
		"what is kept is not JSON": `{"metadata":{"name":nil}}`,
		"a bracket too many":       `}`,
	} {
		t.Run(reason, func(t *testing.T) {
			_, err := readObject(strings.NewReader(text), enough)
			require.Error(t, err)
		})
	}
}

// Each field of the decoded object is among the parts that are kept, so none can be
// forgotten there.
func TestAllThatIsDecodedIsKept(t *testing.T) {
	var check func(*fieldMask, reflect.Type, string)
	check = func(p *fieldMask, of reflect.Type, path string) {
		if p == nil || of.Kind() != reflect.Struct {
			return
		}
		for i := range of.NumField() {
			name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
			sub, ok := p.fields[name]
			require.True(t, ok, path+"."+name)
			check(sub, of.Field(i).Type, path+"."+name)
		}
	}
	check(neededFields, reflect.TypeFor[wireObject](), "")
}

func TestAListIsReadItemByItem(t *testing.T) {
	for reason, row := range map[string]struct {
		text, next string
		items      int
		fails      bool
	}{
		"as the API server sends it": {text: `{"apiVersion":"v1","items":[` + whole + `,` + whole + `],"kind":"RemediationRequestList","metadata":{"continue":"c","resourceVersion":"1"}}` + "\n", next: "c", items: 2},
		"in another order":           {text: ` { "kind" : "List" , "metadata":{}, "items" : [ ` + whole + ` ] } `, items: 1},
		"none":                       {text: `{"kind":"List","items":[]}`},
		"null":                       {text: `{"kind":"List","items":null}`},
		"another kind":               {text: `{"kind":"Status","items":[]}`, fails: true},
		"nothing":                    {text: ``, fails: true},
		"no JSON":                    {text: `<html>`, fails: true},
		"an item that is not JSON":   {text: `{"kind":"List","items":[{"metadata":{"name":nil}}]}`, fails: true},
		"a token that is not JSON":   {text: `{"kind":"List","metadata":{"continue":nil},"items":[]}`, fails: true},
		"a field without a value":    {text: `{"kind":"List","items":[],"more":}`, fails: true},
		"an end too early":           {text: `{"kind":"List","items":[` + whole, fails: true},
	} {
		t.Run(reason, func(t *testing.T) {
			var items []object
			next, err := readList(strings.NewReader(row.text), enough, func(o object) error { items = append(items, o); return nil })
			if row.fails {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, row.next, next)
			require.Len(t, items, row.items)
			for _, o := range items {
				require.Equal(t, decoded(t, whole), o)
			}
		})
	}
}

func TestWhatIsSkippedTakesNoMemory(t *testing.T) {
	large := `{"kind":"List","items":[{"metadata":{"name":"a"},"spec":{"originalPayload":"` + strings.Repeat(`\"`, 1<<20) + `"}}]}`
	_, err := readList(strings.NewReader(large), func(int) error { return errBusy }, func(o object) error {
		require.Equal(t, "a", o.name)
		return nil
	})
	require.ErrorIs(t, err, errBusy, "its name does")
	asked := 0
	_, err = readList(strings.NewReader(large), func(n int) error { asked += n; return nil }, func(object) error { return nil })
	require.NoError(t, err)
	require.Equal(t, scanBuffer, asked)
}

func FuzzReadObject(f *testing.F) {
	f.Add([]byte(whole), 3)
	f.Add([]byte(`{"metadata":{"name":"a"}}`), 1)
	f.Fuzz(func(t *testing.T, text []byte, piece int) {
		w, err := readObject(&pieces{bytes.NewReader(text), max(1, piece)}, enough)
		if !json.Valid(text) {
			return // Of what is skipped it is not asked whether it is JSON.
		}
		var want wireObject
		if bad := decode(text, &want); bad != nil {
			return
		}
		require.NoError(t, err)
		require.Equal(t, want.observe(), w.observe())
	})
}

// pieces gives no more than so many bytes at once.
type pieces struct {
	io.Reader
	most int
}

func (p *pieces) Read(b []byte) (int, error) { return p.Reader.Read(b[:min(len(b), p.most)]) }

func FuzzReadList(f *testing.F) {
	f.Add([]byte(`{"kind":"List","metadata":{"continue":"c"},"items":[` + whole + `]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var items []object
		next, err := readList(bytes.NewReader(text), enough, func(o object) error { items = append(items, o); return nil })
		var want struct {
			Kind     string
			Metadata struct{ Continue string }
			Items    []wireObject
		}
		if !json.Valid(text) || bytes.Count(bytes.ToLower(text), []byte("items")) != 1 || bytes.Contains(text, []byte(`\u`)) || decode(text, &want) != nil || err != nil {
			return
		}
		require.Equal(t, want.Metadata.Continue, next)
		require.Len(t, items, len(want.Items))
		for i := range items {
			require.Equal(t, want.Items[i].observe(), items[i])
		}
	})
}
