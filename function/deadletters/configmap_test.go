package deadletters

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/validation"
	"pgregory.net/rapid"
)

// sample is the smallest event, with a change.
func sample(change func(*event.Event)) event.Event {
	e := event.New()
	e.SetID("1")
	e.SetSource("s")
	e.SetType("t")
	if change != nil {
		change(&e)
	}
	return e
}

func TestWhy(t *testing.T) {
	encoded := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for reason, row := range map[string]struct{ code, data, wantCode, want string }{
		"as Knative writes it":                  {"400", encoded("no alerts in it\n"), "400", "no alerts in it"},
		"cut between two characters in base64":  {"503", encoded(strings.Repeat("a", 100))[:101], "503", strings.Repeat("a", 75)},
		"cut within a character of the text":    {"503", encoded("abcd€")[:8], "503", "abcd"},
		"another Broker's plain text":           {"500", "no way", "500", "no way"},
		"plain text that happens to be base64":  {"500", "test", "500", "test"},
		"no answer at all":                      {"-1", "", "none", "no reason was given"},
		"no code":                               {"", encoded("x"), "none", "x"},
		"a code that is none":                   {"4OO", "", "none", "no reason was given"},
		"an answer that is empty but for space": {"500", encoded(" \n"), "500", "no reason was given"},
		"the first code":                        {"100", "", "100", "no reason was given"},
		"less than any code":                    {"99", "", "none", "no reason was given"},
		"the last code":                         {"999", "", "999", "no reason was given"},
		"more than any code":                    {"1000", "", "none", "no reason was given"},
		"cut within its only character":         {"503", encoded("\xe2"), "503", "no reason was given"},
		"cut within a character of four bytes":  {"503", encoded("ab\xf0\x9f\x98"), "503", "ab"},
		"ends with a whole character":           {"503", encoded("a€"), "503", "a€"},
	} {
		t.Run(reason, func(t *testing.T) {
			code, text := why(sample(func(e *event.Event) {
				if row.code != "" {
					e.SetExtension("knativeerrorcode", row.code)
				}
				if row.data != "" {
					e.SetExtension("knativeerrordata", row.data)
				}
			}))
			require.Equal(t, row.wantCode, code)
			require.Equal(t, row.want, text)
		})
	}
	code, _ := why(sample(func(e *event.Event) { e.SetExtension("knativeerrorcode", 503) }))
	require.Equal(t, "503", code, "a number, as structured mode may have it")
}

func TestLabelValuesAreLegal(t *testing.T) {
	for text, want := range map[string]string{
		"":                       `^$`,
		"io.prometheus.alert.v1": `^io\.prometheus\.alert\.v1$`,
		"a b":                    `^a_b-[0-9a-f]{8}$`,
		"a.b-c d":                `^a\.b-c_d-[0-9a-f]{8}$`,
		"7 x":                    `^7_x-[0-9a-f]{8}$`,
		strings.Repeat("x", 63):  `^x{63}$`,
		"/a":                     `^a-[0-9a-f]{8}$`,
		"ä":                      `^[0-9a-f]{8}$`,
		strings.Repeat("x", 64):  `^x{54}-[0-9a-f]{8}$`,
	} {
		require.Regexp(t, want, labelValue(text))
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.String().Draw(t, "a"), rapid.String().Draw(t, "b")
		require.Empty(t, validation.IsValidLabelValue(labelValue(a)))
		if a != b {
			require.NotEqual(t, labelValue(a), labelValue(b))
		}
	})
}

func TestTextsAreBoundedAndHarmless(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := sanitize(string(rapid.SliceOfN(rapid.Byte(), 0, 3000).Draw(t, "bytes")))
		require.True(t, utf8.ValidString(s))
		require.LessOrEqual(t, len(s), 3*(maxText+3))
	})
	require.Equal(t, "a[2Jb c", sanitize("a\x1b[2Jb\nc"), "no terminal is told what to do")
	require.Equal(t, "a b?c", sanitize("a\tb\xffc"))
	require.Equal(t, strings.Repeat("x", maxText), sanitize(strings.Repeat("x", maxText)))
	require.Equal(t, strings.Repeat("x", maxText)+"…", sanitize(strings.Repeat("x", maxText+1)))
}

// isURI leaves out what no CloudEvent can have as its source, as urn://:a.
func isURI(s string) bool {
	_, err := url.Parse(s)
	return err == nil && !strings.Contains(s, "%")
}

func TestEveryEventComesBackAsItWas(t *testing.T) {
	types := []string{"", "application/json", "application/json; charset=utf-8", "text/plain", "application/octet-stream", "application/xml", "text/json"}
	data := []string{"", "{}", "{}\n", " [] ", `{"a": 1.0 , "b":[]}`, `{"a":`, "null", " ", "\xff\x00", "plain", `"text"`, "1e400", `{"a":1}{"b":2}`, "{\"a\":\"\x01\"}"}
	rapid.Check(t, func(t *rapid.T) {
		version := rapid.SampledFrom([]string{event.CloudEventsVersionV1, event.CloudEventsVersionV03}).Draw(t, "version")
		e := event.New(version)
		e.SetID(rapid.StringMatching(`[ -~äé€]{1,20}`).Draw(t, "id"))
		e.SetSource(rapid.StringMatching(`(urn:|https://h/)[a-z0-9/%:]{0,9}`).Filter(isURI).Draw(t, "source"))
		e.SetType(rapid.StringMatching(`[ -~]{1,20}`).Draw(t, "type"))
		if kind := rapid.SampledFrom(types).Draw(t, "content type"); kind != "" {
			e.SetDataContentType(kind)
		}
		if rapid.Bool().Draw(t, "time") {
			e.SetTime(time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds")).UTC())
		}
		for name, value := range rapid.MapOfN(rapid.StringMatching(`ext[a-z0-9]{1,9}`), rapid.StringMatching(`[ -~äé€]{0,20}`), 0, 4).Draw(t, "extensions") {
			e.SetExtension(name, value)
		}
		e.DataEncoded = rapid.OneOf(
			rapid.Map(rapid.SampledFrom(data), func(s string) []byte { return []byte(s) }),
			rapid.SliceOfN(rapid.Byte(), 0, 30),
		).Draw(t, "data")
		e.DataBase64 = version == event.CloudEventsVersionV1 && rapid.Bool().Draw(t, "base64")

		c, size, err := configMapOf(e, time.Now())
		require.NoError(t, err)
		require.Positive(t, size)
		require.Empty(t, invalid(c))
		back, err := read(c)
		require.NoError(t, err)
		if string(e.Data()) != string(back.Data()) {
			require.True(t, json.Valid(e.Data()), "only the white space around JSON goes")
			require.Equal(t, strings.TrimSpace(string(e.Data())), string(back.Data()))
			back.DataEncoded = e.DataEncoded
		}
		back.Context = back.Context.AsV1() // Version 0.3 may become 1.0, with the same attributes.
		asV1 := e.Clone()
		asV1.Context = asV1.Context.AsV1()
		require.NoError(t, differ(asV1, back))
	})
}

// FuzzRead reads any ConfigMap that somebody else may have made.
func FuzzRead(f *testing.F) {
	var small bytes.Buffer
	w := gzip.NewWriter(&small)
	_, err := w.Write([]byte(`{"specversion":"1.0","id":"1","source":"s","type":"t"}`))
	require.NoError(f, err)
	require.NoError(f, w.Close())
	f.Add([]byte(`{"specversion":"1.0","id":"1","source":"s","type":"t","data":{}}`), small.Bytes(), true)
	f.Add([]byte(``), small.Bytes(), false)
	f.Add([]byte(`{"specversion":"0.3","id":"1","source":"s","type":"t","datacontentencoding":"base64","data":"AA=="}`), []byte{}, true)
	f.Fuzz(func(t *testing.T, text, compressed []byte, asText bool) {
		c := &configMap{BinaryData: map[string][]byte{compressedKey: compressed}}
		if asText {
			c.Data = map[string]string{plainKey: string(text)}
		}
		e, err := read(c)
		if err != nil {
			return
		}
		if e.Validate() == nil {
			_, _, err = configMapOf(e, time.Now())
			require.NoError(t, err, "what can be read can be kept")
		}
	})
}

func TestAnEventThatUnpacksWithoutEndIsRefused(t *testing.T) {
	var small bytes.Buffer
	w := gzip.NewWriter(&small)
	_, err := w.Write(make([]byte, maxEvent+1))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	_, err = unpack(&configMap{BinaryData: map[string][]byte{compressedKey: small.Bytes()}})
	require.EqualError(t, err, "the event is larger than 6640981 bytes")
	_, err = unpack(&configMap{})
	require.ErrorContains(t, err, "neither event.json nor event.json.gz")
}
