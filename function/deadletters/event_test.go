package deadletters

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"
)

// People read what is kept with kubectl, so JSON stays JSON.
func TestDataIsWrittenSoThatItCanBeRead(t *testing.T) {
	for reason, row := range map[string]struct{ kind, data, want string }{
		"JSON":                        {"application/json", " {\"a\": 1}\n", `"data":{"a": 1}`},
		"JSON of another kind":        {"text/json", "\t[] ", `"data":[]`},
		"JSON that is not said to be": {"", " {\"a\": 1}\n", `"data":{"a": 1}`},
		"text that could be JSON":     {"text/plain", " {} ", `"data":" {} "`},
		"what is no JSON":             {"application/json", " {", `"data_base64":"IHs="`},
	} {
		t.Run(reason, func(t *testing.T) {
			c, _, err := configMapOf(sample(func(e *event.Event) {
				if row.kind != "" {
					e.SetDataContentType(row.kind)
				}
				e.DataEncoded = []byte(row.data)
			}), time.Now())
			require.NoError(t, err)
			require.Contains(t, c.Data[plainKey], row.want)
		})
	}
}

func TestWhatAnEventDoesNotHaveIsNotWrittenBesideIt(t *testing.T) {
	c, _, err := configMapOf(sample(nil), time.Now())
	require.NoError(t, err)
	require.Equal(t, map[string]string{deadLetterLabel: "true", managedByLabel: managedBy, errorCodeLabel: "none", eventTypeLabel: "t"}, c.Labels)
	require.ElementsMatch(t, []string{sourceAnnotation, idAnnotation, receivedAnnotation, bytesAnnotation, errorAnnotation}, keysOf(c.Annotations))
}

func TestEachDifferenceBetweenEventsIsSaid(t *testing.T) {
	at := func(second int) time.Time { return time.Date(2026, 1, 2, 3, 4, second, 0, time.UTC) }
	for says, row := range map[string]struct{ a, b func(*event.Event) }{
		`its specversion "1.0" is read as "0.3"`: {nil, func(e *event.Event) { e.SetSpecVersion("0.3") }},
		`its id "1" is read as "2"`:              {nil, func(e *event.Event) { e.SetID("2") }},
		`its source "s" is read as "x"`:          {nil, func(e *event.Event) { e.SetSource("x") }},
		`its type "t" is read as "x"`:            {nil, func(e *event.Event) { e.SetType("x") }},
		`its subject "" is read as "x"`:          {nil, func(e *event.Event) { e.SetSubject("x") }},
		`its datacontenttype "" is read as "x"`:  {nil, func(e *event.Event) { e.SetDataContentType("x") }},
		`its dataschema "" is read as "x"`:       {nil, func(e *event.Event) { e.SetDataSchema("x") }},
		`its time "2026-01-02T03:04:05Z" is read as "2026-01-02T03:04:06Z"`: {
			func(e *event.Event) { e.SetTime(at(5)) }, func(e *event.Event) { e.SetTime(at(6)) },
		},
		`its more "7" is read as ""`:                         {func(e *event.Event) { e.SetExtension("more", 7) }, nil},
		"its data or its extensions change when it is read":  {nil, func(e *event.Event) { e.SetExtension("more", "") }},
		"its data or its extensions change when it is read ": {nil, func(e *event.Event) { e.DataEncoded = []byte("x") }},
	} {
		require.EqualError(t, differ(sample(row.a), sample(row.b)), strings.TrimSpace(says))
		require.NoError(t, differ(sample(row.a), sample(row.a)))
	}
}

// Headers can carry attributes that structured JSON has another use for.
func TestAnEventThatWouldBeReadAsAnotherIsLost(t *testing.T) {
	for data, says := range map[string]string{"{}": "writing the event as JSON: ", "{": "writing the event as JSON: it is not JSON"} {
		f := fix(t)
		w := f.send(map[string]string{"Ce-Data": "x"}, data)
		require.Equal(t, http.StatusBadRequest, w.Code, w.Body)
		require.Contains(t, w.Body.String(), says)
		require.Empty(t, f.kube.all())
		require.Contains(t, f.logs.String(), "dead letter rejected: it is lost")
	}
}

func TestTheLargestEventIsReadAgain(t *testing.T) {
	long := func(n int) event.Event {
		return sample(func(e *event.Event) { e.SetExtension("more", strings.Repeat("x", n)) })
	}
	text, err := encode(long(0))
	require.NoError(t, err)
	c, _, err := configMapOf(long(maxEvent-len(text)), time.Now())
	require.NoError(t, err)
	_, err = read(c)
	require.NoError(t, err)

	f := fix(t)
	what, name, err := f.keep(t.Context(), long(maxEvent-len(text)+1))
	require.Equal(t, refused, what)
	require.Regexp(t, `^dead-letter-[0-9a-f]{32}$`, name)
	require.ErrorIs(t, err, errTooLarge)
	const each = "the event is too large to be kept: 6640982 bytes of at most 6640981"
	require.EqualError(t, err, "writing the event as JSON: "+each+"\n"+each, "in either form")
}

func TestWhatKubectlCanShow(t *testing.T) {
	for size, key := range map[int]string{maxPlain: plainKey, maxPlain + 1: compressedKey} {
		var c configMap
		pack(bytes.Repeat([]byte("x"), size), &c)
		require.Equal(t, []string{key}, append(keysOf(c.Data), keysOf(c.BinaryData)...))
	}
}

func TestWhatCannotBeUnpackedSaysWhy(t *testing.T) {
	var small bytes.Buffer
	w := gzip.NewWriter(&small)
	require.NoError(t, w.Close())
	for says, packed := range map[string][]byte{
		"reading event.json.gz: gzip: invalid header": []byte("this is no gzip"),
		"reading event.json.gz: unexpected EOF":       small.Bytes()[:small.Len()-1],
	} {
		_, err := unpack(&configMap{BinaryData: map[string][]byte{compressedKey: packed}})
		require.EqualError(t, err, says)
	}
}
