package conformance

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// rule is one demand of a contract on who takes events.
type rule struct {
	// level is MUST, SHOULD, MAY, or ours: what we demand beyond the contract.
	level string
	// text is the demand, and how what we do about it.
	text, how string
	// check fails if a recipient or a sender does not do so.
	recipient func(t *testing.T, start func(*testing.T) *recipient)
	sender    func(t *testing.T, send func(*testing.T, string) outcome)
	// but says, by name, who does it in another way, and why.
	but map[string]string
}

// recipientRules are the demands on who takes events.
var recipientRules = []rule{
	{level: "MUST", text: "takes CloudEvents 1.0 in binary mode", how: "200", recipient: func(t *testing.T, start func(*testing.T) *recipient) {
		r := start(t)
		require.Equal(t, http.StatusOK, r.send(t, binary(t, "1", nil)).status)
		require.NotZero(t, r.effects(t))
	}},
	{level: "MUST", text: "takes CloudEvents 1.0 in structured mode", how: "200", recipient: func(t *testing.T, start func(*testing.T) *recipient) {
		r := start(t)
		require.Equal(t, http.StatusOK, r.send(t, structured(t, "1")).status)
		require.NotZero(t, r.effects(t))
	}},
	{level: "MUST", text: "names POST in `Allow` when it is asked with OPTIONS, if it answers that at all", how: "405 with `Allow: POST`, as for every method but POST",
		recipient: func(t *testing.T, start func(*testing.T) *recipient) {
			r := start(t)
			for _, method := range []string{http.MethodOptions, http.MethodGet, http.MethodPut} {
				got := r.send(t, request{method: method})
				require.Equal(t, http.StatusMethodNotAllowed, got.status)
				require.Equal(t, "POST", got.header.Get("Allow"))
			}
		}},
	{level: "SHOULD NOT", text: "accepts an event before it is processed or stored", how: "503 while the API server is away, and nothing has happened; 200 when it has", recipient: func(t *testing.T, start func(*testing.T) *recipient) {
		r := start(t)
		r.setDown(true)
		require.Equal(t, http.StatusServiceUnavailable, r.send(t, binary(t, "1", nil)).status)
		r.setDown(false)
		require.Zero(t, r.effects(t))
		require.Equal(t, http.StatusOK, r.send(t, binary(t, "1", nil)).status)
		require.NotZero(t, r.effects(t))
	}},
	{level: "ours", text: "tells a sender when to come again", how: "503 with `Retry-After`", recipient: func(t *testing.T, start func(*testing.T) *recipient) {
		r := start(t)
		r.setDown(true)
		require.Regexp(t, `^\d+$`, r.send(t, binary(t, "1", nil)).header.Get("Retry-After"))
		r.setDown(false)
	}},
	{level: "MUST", text: "accepts an event that is delivered again", how: "200 each time; the first had all of the effect", recipient: func(t *testing.T, start func(*testing.T) *recipient) {
		r := start(t)
		require.Equal(t, http.StatusOK, r.send(t, binary(t, "1", nil)).status)
		once := r.effects(t)
		for range 3 {
			require.Equal(t, http.StatusOK, r.send(t, binary(t, "1", nil)).status)
		}
		require.Equal(t, http.StatusOK, r.send(t, structured(t, "1")).status, "in the other mode too")
		require.Equal(t, once, r.effects(t))
	}},
	{level: "MUST", text: "tells duplicates by source and id", how: "another id, or another source, is another event; some senders have only one id, so the alert and its start (function), and type and data (dead-letter store), tell events apart as well",
		recipient: func(t *testing.T, start func(*testing.T) *recipient) {
			r := start(t)
			seen := 0
			for _, q := range []request{binary(t, "1", nil), binary(t, "2", nil), binary(t, "1", map[string]string{"Ce-Source": "urn:another"})} {
				require.Equal(t, http.StatusOK, r.send(t, q).status)
				require.Greater(t, r.effects(t), seen)
				seen = r.effects(t)
			}
		}},
	{level: "MAY", text: "a sender changes other attributes at each try, as `traceparent`", how: "it is the same event", recipient: func(t *testing.T, start func(*testing.T) *recipient) {
		r := start(t)
		require.Equal(t, http.StatusOK, r.send(t, binary(t, "1", nil)).status)
		once := r.effects(t)
		require.Equal(t, http.StatusOK, r.send(t, binary(t, "1", map[string]string{
			"Ce-Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Ce-Knativearrivaltime": "2026-01-02T03:04:05Z", "Ce-Time": "2026-01-02T03:04:05Z",
		})).status)
		require.Equal(t, once, r.effects(t))
	}},
	{level: "MUST", text: "answers 400 to what is no event, so that it is not sent again", how: "400; 415 where nothing says that it is a CloudEvent, 413 where it is too large", recipient: func(t *testing.T, start func(*testing.T) *recipient) {
		r := start(t)
		for reason, q := range notEvents() {
			got := r.send(t, q)
			require.Contains(t, []int{http.StatusBadRequest, http.StatusUnsupportedMediaType}, got.status, reason)
			require.NotEmpty(t, got.body, reason)
		}
		require.Equal(t, http.StatusRequestEntityTooLarge, r.send(t, request{header: binary(t, "1", nil).header, body: strings.Repeat(" ", 5<<20)}).status)
		require.Zero(t, r.effects(t))
	}},
	{level: "SHOULD NOT", text: "answers 1xx, 3xx, or a 2xx that the contract does not name", how: "nor 404, 409 and 429, which a Broker would try again: only 200, 400, 405, 413, 415, 503, and 507 of a dead-letter store that is full", recipient: func(t *testing.T, start func(*testing.T) *recipient) {
		r := start(t)
		allowed := []int{200, 400, 405, 413, 415, 503, 507}
		for _, q := range append([]request{binary(t, "1", nil), structured(t, "2"), {method: http.MethodDelete}, {header: map[string]string{"Content-Type": "application/cloudevents-batch+json"}, body: "[]"}},
			slices.Collect(maps.Values(notEvents()))...) {
			require.Contains(t, allowed, r.send(t, q).status)
		}
	}},
	{level: "MUST", text: "a 2xx has a CloudEvent in its body, or none", how: "no body, and no event, even when the sender prefers a reply: in a Broker it would come back (`REPLY=summary` is for tests by hand)", recipient: func(t *testing.T, start func(*testing.T) *recipient) {
		got := start(t).send(t, binary(t, "1", map[string]string{"Prefer": "reply"}))
		require.Equal(t, http.StatusOK, got.status)
		require.Empty(t, got.body)
		require.Empty(t, got.header.Get("Content-Type"))
		for name := range got.header {
			require.False(t, strings.HasPrefix(name, "Ce-"), name)
		}
	}},
	{level: "SHOULD", text: "ignores offers to negotiate, like `Upgrade`", how: "200 over HTTP/1.1", recipient: func(t *testing.T, start func(*testing.T) *recipient) {
		got := start(t).send(t, binary(t, "1", map[string]string{"Connection": "Upgrade", "Upgrade": "cloudevents/2"}))
		require.Equal(t, http.StatusOK, got.status)
	}},
}

// senderRules are the demands on who sends events.
var senderRules = []rule{
	{level: "MUST", text: "sends with POST, as the CloudEvents HTTP binding 1.x has it, in binary or structured mode", how: "binary mode; valid, with an id, a source and a type", sender: func(t *testing.T, send func(*testing.T, string) outcome) {
		s := startSink(t, statuses(200)...)
		require.Equal(t, delivered, send(t, s.URL))
		require.Len(t, s.seen(), 1)
		got := s.seen()[0]
		require.Equal(t, http.MethodPost, got.method)
		require.NoError(t, got.err)
		require.Equal(t, "1.0", got.header.Get("Ce-Specversion"))
		require.Equal(t, "application/json", got.header.Get("Content-Type"))
		for name, values := range got.header {
			if strings.HasPrefix(name, "Ce-") {
				require.Regexp(t, `^[!-~]([ -~]*[!-~])?$`, values[0], "printable ASCII, percent-encoded where it is not: %s", name)
			}
		}
	}},
	{level: "MUST", text: "takes every 2xx for delivered", how: "and sends no more", sender: func(t *testing.T, send func(*testing.T, string) outcome) {
		for _, code := range []int{200, 201, 202, 204, 207} {
			s := startSink(t, statuses(code, 500)...)
			require.Equal(t, delivered, send(t, s.URL), code)
			require.Len(t, s.seen(), 1, code)
		}
	}},
	{level: "MUST", text: "does not take 3xx for delivered", how: "and does not follow it: a redirected POST would arrive as a GET", sender: func(t *testing.T, send func(*testing.T, string) outcome) {
		for _, code := range []int{301, 303, 307} {
			elsewhere := startSink(t, statuses(200)...)
			s := startSink(t, reply{status: code, header: map[string]string{"Location": elsewhere.URL}})
			require.NotEqual(t, delivered, send(t, s.URL), code)
			require.Empty(t, elsewhere.seen(), code)
		}
	}},
	{level: "SHOULD", text: "sends again after 404, 409, 429, 5xx, or no answer", how: "at once a few times, with growing pauses, where that may help; and what it stands for is not acknowledged, so it comes again", but: map[string]string{
		"audit sink": "409 is DataStorage's word for an event that it will never take: the audit event is rejected, and whole in the log",
	}, sender: func(t *testing.T, send func(*testing.T, string) outcome) {
		for _, code := range []int{404, 429, 500, 502, 503, 504, 0} {
			t.Run(fmt.Sprint(code), func(t *testing.T) {
				t.Parallel()
				require.Equal(t, later, send(t, startSink(t, statuses(code)...).URL))
			})
		}
		t.Run("and then taken", func(t *testing.T) {
			t.Parallel()
			s := startSink(t, statuses(503, 0, 200)...)
			require.Equal(t, delivered, send(t, s.URL))
			all := s.seen()
			require.Len(t, all, 3)
			for _, again := range all[1:] {
				require.Equal(t, all[0].event.ID(), again.event.ID(), "it is the same event")
				require.Equal(t, all[0].event.Source(), again.event.Source())
				require.Equal(t, string(all[0].event.Data()), string(again.event.Data()))
			}
		})
	}},
	{level: "SHOULD NOT", text: "sends again at once after 400 and other 4xx", how: "one try; then it is refused for good, and not lost: whole in the log (source, audit sink), or still a dead letter (replay)", sender: func(t *testing.T, send func(*testing.T, string) outcome) {
		for _, code := range []int{400, 413, 415, 422} {
			s := startSink(t, statuses(code, 200)...)
			require.NotEqual(t, delivered, send(t, s.URL), code)
			require.Len(t, s.seen(), 1, code)
		}
	}},
	{level: "RECOMMENDED", text: "controls congestion", how: "pauses grow, and `Retry-After` is kept to", sender: func(t *testing.T, send func(*testing.T, string) outcome) {
		s := startSink(t, reply{status: 503, header: map[string]string{"Retry-After": "2"}}, reply{status: 200})
		require.Equal(t, delivered, send(t, s.URL))
		require.Len(t, s.seen(), 2)
		require.GreaterOrEqual(t, s.seen()[1].at.Sub(s.seen()[0].at), 2*time.Second)
	}},
	{level: "MUST", text: "says `Prefer: reply` if it processes replies", how: "none does: a reply is not asked for, and one that comes counts as accepted", sender: func(t *testing.T, send func(*testing.T, string) outcome) {
		s := startSink(t, reply{status: 200, body: "{}", header: map[string]string{
			"Ce-Specversion": "1.0", "Ce-Id": "r", "Ce-Source": "s", "Ce-Type": "t", "Content-Type": "application/json"}})
		require.Equal(t, delivered, send(t, s.URL))
		require.Empty(t, s.seen()[0].header.Get("Prefer"))
	}},
}
