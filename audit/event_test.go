package audit

import (
	"context"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The literal is here on purpose: ids must survive an upgrade, because an event
// may be delivered by one version and redelivered by the next.
func TestEventIDStaysTheSameForEver(t *testing.T) {
	id := EventID("alertmanager", "incoming-1", "0f3a", "gateway.signal.received")
	require.Equal(t, "de69ca7d-f9c0-5422-85e4-aa9bf1dc892d", id)
	require.Equal(t, uuid.Version(5), uuid.MustParse(id).Version())
	require.Equal(t, uuid.RFC4122, uuid.MustParse(id).Variant())
}

func TestEventIDDiffersWhenItsCauseDiffers(t *testing.T) {
	type cause struct{ source, id, alert, eventType string }
	id := func(c cause) string { return EventID(c.source, c.id, c.alert, c.eventType) }
	tests := map[string]struct{ a, b cause }{
		"another source":               {cause{"a", "1", "x", "t"}, cause{"b", "1", "x", "t"}},
		"another id":                   {cause{"a", "1", "x", "t"}, cause{"a", "2", "x", "t"}},
		"another alert of the event":   {cause{"a", "1", "x", "t"}, cause{"a", "1", "y", "t"}},
		"another type":                 {cause{"a", "1", "x", "t"}, cause{"a", "1", "x", "u"}},
		"source and id swapped":        {cause{"a", "b", "x", "t"}, cause{"b", "a", "x", "t"}},
		"a space that moved":           {cause{"a b", "c", "x", "t"}, cause{"a", "b c", "x", "t"}},
		"quotes that look like ours":   {cause{`a" "b`, "c", "x", "t"}, cause{"a", `b" "c`, "x", "t"}},
		"a backslash before the quote": {cause{`a\`, `b`, "x", "t"}, cause{`a`, `\b`, "x", "t"}},
		"a letter that moved":          {cause{"a", "bx", "y", "t"}, cause{"a", "b", "xy", "t"}},
		"an invalid byte and its text": {cause{"\xff", "b", "x", "t"}, cause{`\xff`, "b", "x", "t"}},
		"a newline and its text":       {cause{"\n", "b", "x", "t"}, cause{`\n`, "b", "x", "t"}},
		"nothing and nothing else":     {cause{"", "a", "x", "t"}, cause{"a", "", "x", "t"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			require.NotEqual(t, id(tt.a), id(tt.b))
		})
	}
}

// One text is divided into a cause in two ways, at what a careless encoding
// would put between its parts.
func TestEventIDIsUnambiguous(t *testing.T) {
	word := rapid.SampledFrom([]string{"", "a", `\`, `"`, `\"`, " "})
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(word, 5, 8).Draw(t, "words")
		between := rapid.SampledFrom([]string{" ", `" "`}).Draw(t, "between")
		divide := func() (parts [4]string) {
			borders := rapid.SliceOfNDistinct(rapid.IntRange(1, len(words)-1), 3, 3, rapid.ID[int]).Draw(t, "borders")
			slices.Sort(borders)
			from := 0
			for i, to := range append(borders, len(words)) {
				parts[i], from = strings.Join(words[from:to], between), to
			}
			return parts
		}
		id := func(c [4]string) string { return EventID(c[0], c[1], c[2], c[3]) }
		a, b := divide(), divide()
		require.Equal(t, a == b, id(a) == id(b), "%q and %q", a, b)
	})
}

func TestEventGoesOutInBinaryMode(t *testing.T) {
	sink := serve(t, status(http.StatusCreated))
	s := open(t, Options{URL: sink.URL + "/api/v1/audit/events", Extensions: map[string]string{"team": "site reliability"}})
	require.NoError(t, one(t.Context(), s, sample()))
	require.Len(t, sink.seen(), 1)
	got := sink.seen()[0]

	require.Equal(t, http.MethodPost, got.method)
	require.Equal(t, "/api/v1/audit/events", got.path)
	for header, want := range map[string]string{
		"Content-Type":    "application/json",
		"Ce-Specversion":  "1.0",
		"Ce-Id":           EventID("alertmanager", "incoming-1", "0f3a", "gateway.signal.received"),
		"Ce-Source":       "onefire",
		"Ce-Type":         "gateway.signal.received",
		"Ce-Subject":      "rr-0123456789ab-01234567",
		"Ce-Time":         "2026-01-02T03:04:05.6Z",
		"Ce-Causationid":  "incoming-1",
		"Ce-Partitionkey": "0123456789abcdef",
		"Ce-Traceparent":  "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"Ce-Team":         "site%20reliability",
	} {
		require.Equal(t, []string{want}, got.header.Values(header), header)
	}
	require.JSONEq(t, `{"version":"1.0","event_data":{"alert_name":"KubePod <&> ä"}}`, string(got.body))
}

func TestEventIsReadByTheSDK(t *testing.T) {
	out, err := sample().cloudEvent(nil)
	require.NoError(t, err)
	req, err := cehttp.NewHTTPRequestFromEvent(t.Context(), "http://sink.test", out)
	require.NoError(t, err)
	in, err := cehttp.NewEventFromHTTPRequest(req)
	require.NoError(t, err)
	require.NoError(t, in.Validate())
	require.Equal(t, out.ID(), in.ID())
	require.Equal(t, out.Data(), in.Data())
	require.True(t, out.Time().Equal(in.Time()))
}

func TestEventLeavesOutWhatItDoesNotHave(t *testing.T) {
	sink := serve(t, status(http.StatusCreated))
	e := sample()
	e.Subject, e.PartitionKey, e.Traceparent = "", "", ""
	require.NoError(t, one(t.Context(), open(t, Options{URL: sink.URL}), e))
	for _, header := range []string{"Ce-Subject", "Ce-Partitionkey", "Ce-Traceparent", "Authorization"} {
		require.NotContains(t, sink.seen()[0].header, header)
	}
}

func TestOverrideGoesBeforeOurOwnExtension(t *testing.T) {
	out, err := sample().cloudEvent(map[string]string{"partitionkey": "all in one"})
	require.NoError(t, err)
	require.Equal(t, "all%20in%20one", out.Extensions()["partitionkey"])
}

func TestEventThatCannotBeBuiltIsRefusedUnsent(t *testing.T) {
	tests := map[string]func(*Event){
		"data that JSON has no form for": func(e *Event) { e.Data = make(chan int) },
		"a number that JSON has not":     func(e *Event) { e.Data = math.Inf(1) },
		"no type":                        func(e *Event) { e.Type = "" },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			sink := serve(t, status(http.StatusCreated))
			e := sample()
			spoil(&e)
			var refused *RefusedError
			require.ErrorAs(t, one(t.Context(), open(t, Options{URL: sink.URL}), e), &refused)
			require.Zero(t, refused.Status)
			require.NotEmpty(t, refused.Answer)
			require.Empty(t, sink.seen())
			if e.Type == "" {
				require.JSONEq(t, `{"version":"1.0","event_data":{"alert_name":"KubePod <&> ä"}}`, string(refused.Event), "its data can be sent by hand")
			}
		})
	}
}

func TestHeaderValueIsPercentEncoded(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"nothing stays nothing":      {"", ""},
		"plain text stays as it is":  {"incoming-1/a:b,c;d=e~!'", "incoming-1/a:b,c;d=e~!'"},
		"space":                      {"a b", "a%20b"},
		"double quote":               {`a"b`, "a%22b"},
		"per cent":                   {"50%", "50%25"},
		"what looks encoded already": {"a%20b", "a%2520b"},
		"line breaks":                {"a\r\nX-Evil: 1", "a%0D%0AX-Evil:%201"},
		"tab, NUL and DEL":           {"\t\x00\x7f", "%09%00%7F"},
		"beyond ASCII, as UTF-8":     {"€", "%E2%82%AC"},
		"bytes that are not UTF-8":   {"\xff", "%FF"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { require.Equal(t, tt.want, HeaderValue(tt.in)) })
	}
}

// The incoming id is any sender's text. None may keep an audit event from being
// delivered, and the sink must be able to tell what it was.
func TestAnyIncomingIDIsDelivered(t *testing.T) {
	sink := serve(t, status(http.StatusCreated))
	s := open(t, Options{URL: sink.URL})
	visible := regexp.MustCompile(`^[!#-~]*$`)
	anything := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }))
	rapid.Check(t, func(t *rapid.T) {
		e := another()
		e.ID = anything.Draw(t, "id")
		require.NoError(t, one(context.Background(), s, e))
		requests := sink.seen()
		got := requests[len(requests)-1].header.Get("Ce-Causationid")
		require.Regexp(t, visible, got)
		decoded, err := url.PathUnescape(got)
		require.NoError(t, err)
		require.Equal(t, e.ID, decoded)
	})
}
