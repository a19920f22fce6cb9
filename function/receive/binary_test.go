package receive

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// asked is an event in binary mode with more headers, one on each line.
func asked(version, headers, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Ce-Specversion", version)
	for _, header := range []string{"Ce-Type: t", "Ce-Source: /s", "Ce-Id: 1", "Content-Type: application/json"} {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	for header := range strings.SplitSeq(headers, "\n") {
		if name, value, ok := strings.Cut(header, ": "); ok {
			r.Header.Set(name, value)
		}
	}
	return r
}

// answer is what an event decodes to, or what it is answered with.
func answer(r *http.Request, body string) string {
	e, a := Decode(r, []byte(body))
	if e == nil {
		return fmt.Sprint(a.Status, " ", a.Reason)
	}
	return fmt.Sprint(e.String(), Validate(*e))
}

// one asks that the same request has one answer however often it is decoded.
func one(t *testing.T, r *http.Request, body string) string {
	t.Helper()
	first := answer(r, body)
	for range 20 {
		require.Equal(t, first, answer(r, body), "the same request again")
	}
	return first
}

func TestOneEventHasOneAnswer(t *testing.T) {
	for reason, row := range map[string]struct{ version, headers, want string }{
		"version 0.3":                             {"0.3", "", "specversion: 0.3"},
		"version 1.0":                             {"1.0", "", "specversion: 1.0"},
		"0.3: a name that no attribute has":       {"0.3", "Ce-Content-Type: application/json", "400 not a valid CloudEvent: ce-content-type: the name of an attribute has lower-case letters and digits only"},
		"1.0: a name that no attribute has":       {"1.0", "Ce-Content-Type: application/json", "400 not a valid CloudEvent: ce-content-type: the name of an attribute"},
		"a header without a name":                 {"1.0", "Ce-: x", "400 not a valid CloudEvent: ce-: the name of an attribute"},
		"0.3: an attribute that came with 1.0":    {"0.3", "Ce-Dataschema: /x", "dataschema: /x"},
		"1.0: an attribute that went with 0.3":    {"1.0", "Ce-Schemaurl: /x", "schemaurl: /x"},
		"0.3: an encoding, which is no extension": {"0.3", "Ce-Datacontentencoding: base64", "400 not a valid CloudEvent: ce-datacontentencoding: "},
		"1.0: an encoding":                        {"1.0", "Ce-Datacontentencoding: base64", "datacontentencoding: base64"},
		"two mistakes, the first is named":        {"1.0", "Ce-Time: noon\nCe-A_b: x", "400 not a valid CloudEvent: ce-a_b: the name of an attribute"},
		"two mistakes in attributes":              {"1.0", "Ce-Time: noon\nCe-Dataschema: %", "400 not a valid CloudEvent: ce-dataschema: "},
		"the type of the data":                    {"1.0", "", "datacontenttype: application/json"},
		"an extension":                            {"1.0", "Ce-Partitionkey: k", "partitionkey: k"},
		"0.3: an extension":                       {"0.3", "Ce-Partitionkey: k", "partitionkey: k"},
	} {
		t.Run(reason, func(t *testing.T) {
			require.Contains(t, one(t, asked(row.version, row.headers, "{}"), "{}"), row.want)
		})
	}
}

func FuzzOneEventHasOneAnswer(f *testing.F) {
	f.Add("0.3", "Ce-Content-Type: x", "{}", false)
	f.Add("1.0", "Ce-Time: noon\nCe-Dataschema: %\nCe-A_b: c", "{}", false)
	f.Add("0.3", "", `{"specversion":"0.3","type":"t","source":"/s","id":"1","A":"1","a-b":2,"data":{}}`, true)
	f.Add("", "", `{"a":{},"b":[],"data_base64":7,"datacontentencoding":"","type":"","id":"","specversion":"1.0"}`, true)
	f.Fuzz(func(t *testing.T, version, headers, body string, structured bool) {
		r := asked(version, headers, body)
		if structured {
			r.Header.Set("Content-Type", "application/cloudevents+json")
		}
		one(t, r, body)
	})
}
