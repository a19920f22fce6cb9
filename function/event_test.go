package function

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"onefire/audit"
	"onefire/dedup"
	"onefire/mapping"
)

const (
	structured = "application/cloudevents+json"
	batched    = "application/cloudevents-batch+json"
)

func structuredEvent(id, data string) string {
	return fmt.Sprintf(`{"specversion":"1.0","type":"t","source":"/s","id":%q,"data":%s}`, id, data)
}

// wire is every kind of request and what it is answered with. The hosts' test
// uses it too, so that both hosts are held to it.
var wire = map[string]struct {
	request *http.Request
	status  int
	// body is a part of the answer; an empty one means an empty answer.
	body string
}{
	"binary mode":                        {binary("1", webhook(alert("firing", "alertname=A"))), 200, ""},
	"structured mode":                    {typed(structured, structuredEvent("1", webhook(alert("firing", "alertname=A")))), 200, ""},
	"structured mode with a charset":     {typed(structured+"; charset=utf-8", structuredEvent("1", webhook(alert("firing", "alertname=A")))), 200, ""},
	"structured mode, data in base64":    {typed(structured, `{"specversion":"1.0","type":"t","source":"/s","id":"1","data_base64":"eyJsYWJlbHMiOnsiYWxlcnRuYW1lIjoiQSJ9fQ=="}`), 200, ""},
	"a batch":                            {typed(batched, "["+structuredEvent("1", alert("firing", "alertname=A"))+","+structuredEvent("2", alert("firing", "alertname=B"))+"]"), 200, ""},
	"an array of alerts":                 {binary("1", "["+alert("firing", "alertname=A")+"]"), 200, ""},
	"one bare alert":                     {binary("1", alert("firing", "alertname=A")), 200, ""},
	"a filtered alert":                   {binary("1", webhook(alert("firing", "alertname=Watchdog"))), 200, ""},
	"a resolved alert":                   {binary("1", webhook(alert("resolved", "alertname=A"))), 200, ""},
	"an alert with no alertname":         {binary("1", webhook(alert("firing", "pod=p"))), 200, ""},
	"no CloudEvent":                      {typed("application/json", webhook(alert("firing", "alertname=A"))), 415, "not a CloudEvent"},
	"a webhook posted past the source":   {typed("application/json", webhook(alert("firing", "alertname=A"))), 415, "webhook at /alertmanager of onefire-source"},
	"JSON about something else":          {typed("application/json", `{"a":"b"}`), 415, "application/cloudevents-batch+json\n"},
	"no content type":                    {typed("", "x"), 415, "not a CloudEvent"},
	"binary mode without an id":          {without(binary("1", webhook(alert("firing", "alertname=A"))), "Ce-Id"), 400, "id: MUST be a non-empty string\n"},
	"binary mode without a source":       {without(binary("1", webhook(alert("firing", "alertname=A"))), "Ce-Source"), 400, "source: "},
	"an unknown specversion":             {with(binary("1", webhook(alert("firing", "alertname=A"))), "Ce-Specversion", "7.0"), 415, "not a CloudEvent"},
	"structured mode that is no JSON":    {typed(structured, `{"specversion":`), 400, "not a valid CloudEvent"},
	"a webhook said to be an event":      {typed(structured, webhook(alert("firing", "alertname=A"))), 400, "not a valid CloudEvent: specversion: REQUIRED\n"},
	"structured mode without a type":     {typed(structured, `{"specversion":"1.0","source":"/s","id":"1","data":{}}`), 400, "not a valid CloudEvent"},
	"no data":                            {binary("1", ""), 400, "no Prometheus alerts in it: the event has no data"},
	"data that is no JSON":               {binary("1", "{"), 400, "no Prometheus alerts in it"},
	"data without alerts":                {binary("1", `{"alerts":[]}`), 400, "neither alerts nor labels"},
	"data about something else":          {binary("1", `{"a":"b"}`), 400, "neither alerts nor labels"},
	"too many alerts":                    {binary("1", webhook(slicesRepeat(alert("firing", "alertname=A"), mapping.MaxAlerts+1)...)), 413, "more than 2000 alerts"},
	"an id too long to travel on":        {typed(structured, structuredEvent(strings.Repeat("x", maxAttribute+1), alert("firing", "alertname=A"))), 400, "id or source is longer than 2048 bytes"},
	"a body too large, of known length":  {binary("1", strings.Repeat(" ", maxBody+1)), 413, "larger than 2097152 bytes"},
	"a body too large, chunked":          {chunked(binary("1", strings.Repeat(" ", maxBody+1))), 413, "larger than 2097152 bytes"},
	"a batch that is no array":           {typed(batched, `{}`), 400, "not a batch"},
	"an empty batch":                     {typed(batched, `[]`), 400, "a batch of no CloudEvents"},
	"a batch too large":                  {typed(batched, "["+strings.Join(slicesRepeat(structuredEvent("1", alert("firing", "alertname=A")), maxBatch+1), ",")+"]"), 413, "more than 100 CloudEvents"},
	"a batch with one bad event":         {typed(batched, "["+structuredEvent("1", alert("firing", "alertname=A"))+`,{"id":"2"}]`), 400, "event 1 of the batch"},
	"a batch with a text that is none":   {typed(batched, `[{"specversion":"1.0","type":"t","source":"/s","id":"2","data_base64":7},`+structuredEvent("1", alert("firing", "alertname=A"))+"]"), 400, "event 0 of the batch: not a valid CloudEvent: data_base64: "},
	"structured mode, several mistakes":  {typed(structured, `{"specversion":"1.0","data":{}}`), 400, "not a valid CloudEvent: id: MUST be a non-empty string; source: REQUIRED; type: MUST be a non-empty string"},
	"a batch with two bad events":        {typed(batched, `[{"id":"1"},{"id":"2"}]`), 400, "event 0 of the batch"},
	"GET":                                {replayable(httptest.NewRequest(http.MethodGet, "/", nil), ""), 405, "POST a CloudEvent"},
	"PUT":                                {replayable(httptest.NewRequest(http.MethodPut, "/", strings.NewReader("x")), "x"), 405, "POST a CloudEvent"},
	"an alert whose handling panics":     {binary("1", webhook(alert("firing", "alertname=Panic"))), 500, "internal error"},
	"an alert that cannot be settled":    {binary("1", webhook(alert("firing", "alertname=Down"), alert("firing", "alertname=A"))), 503, "1 of 2 alerts are not settled: the API server is down"},
	"a batch with one unsettled event":   {typed(batched, "["+structuredEvent("1", alert("firing", "alertname=Down"))+","+structuredEvent("2", alert("firing", "alertname=A"))+"]"), 503, "event 0 of the batch"},
	"a path that is not the root's":      {withPath(binary("1", webhook(alert("firing", "alertname=A"))), "/any/path"), 200, ""},
	"an alert that is refused for good":  {binary("1", webhook(alert("firing", "alertname=Rejected"))), 200, ""},
	"duplicate alerts within one event":  {binary("1", webhook(alert("firing", "alertname=A"), alert("firing", "alertname=A"))), 200, ""},
	"specversion 0.3":                    {with(binary("1", webhook(alert("firing", "alertname=A"))), "Ce-Specversion", "0.3"), 200, ""},
	"specversion 0.3 and an odd header":  {with(with(binary("1", webhook(alert("firing", "alertname=A"))), "Ce-Specversion", "0.3"), "Ce-Content-Type", "x"), 400, "ce-content-type: the name of an attribute has lower-case letters and digits only"},
	"an alert that does not fire":        {binary("1", `[{"labels":{"alertname":"A"},"status":{"state":"suppressed"}}]`), 200, ""},
	"an envelope that is not for us":     {binary("1", `{"TopicArn":"arn","Message":"{}"}`), 400, "turn on raw message delivery"},
	"a content type that is not for us":  {with(binary("1", webhook(alert("firing", "alertname=A"))), "Content-Type", "text/plain"), 200, ""},
	"a media type that cannot be parsed": {typed(";;;", "x"), 415, "not a CloudEvent"},
}

// wireDedup makes the alertnames of wire do what they say.
func wireDedup() *fakeDedup {
	plain := &fakeDedup{}
	return &fakeDedup{settle: func(ctx context.Context, s mapping.Signal, keys []string) ([]dedup.Outcome, error) {
		switch s.Name {
		case "Panic":
			panic("on purpose")
		case "Down":
			return nil, errors.New("the API server is down")
		case "Rejected":
			return []dedup.Outcome{{Rejected: &dedup.RejectedError{Code: "ERR_K8S_INVALID", Err: errors.New("no")}}}, nil
		}
		return plain.Settle(ctx, s, keys, nil)
	}}
}

func TestHTTPContract(t *testing.T) {
	for name, row := range wire {
		t.Run(name, func(t *testing.T) {
			f := newFixture()
			f.service.pipeline.requests = wireDedup()
			r := row.request.Clone(t.Context())
			r.Body, _ = row.request.GetBody()
			w := f.serve(r)
			requireStatus(t, row.status, w)
			if row.status == http.StatusOK {
				require.Empty(t, w.Body.String(), "a Broker turns a 2xx with a text body into a 502")
			} else {
				require.Contains(t, w.Body.String(), row.body)
				require.Less(t, w.Body.Len(), 4096)
				require.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"))
			}
			require.Equal(t, row.status == http.StatusServiceUnavailable, w.Header().Get("Retry-After") != "")
			require.Equal(t, row.status == http.StatusMethodNotAllowed, w.Header().Get("Allow") == "POST")
		})
	}
}

func TestAFunctionThatIsNotStartedAsksForARetry(t *testing.T) {
	w, f := httptest.NewRecorder(), New()
	ready, err := f.Ready(t.Context())
	require.NoError(t, err)
	require.False(t, ready)
	f.ServeHTTP(w, binary("1", webhook(alert("firing", "alertname=A"))))
	requireStatus(t, http.StatusServiceUnavailable, w)
	require.NotEmpty(t, w.Header().Get("Retry-After"))
}

func TestABatchSettlesItsGoodEvents(t *testing.T) {
	f := newFixture()
	body := `[{"id":"x"},` + structuredEvent("2", alert("firing", "alertname=A")) + `,7]`
	requireStatus(t, http.StatusBadRequest, f.serve(typed(batched, body)))
	require.Len(t, f.sink.ids(), 2, "the good event has its two audit events")
}

func TestReplySummaryIsAnEvent(t *testing.T) {
	f := newFixture()
	f.service.pipeline.reply = true
	body := webhook(alert("firing", "alertname=A", "pod=p"), alert("firing", "alertname=Watchdog"), alert("firing", "pod=q"))
	first, again := f.serve(binary("1", body)), f.serve(binary("1", body))
	requireStatus(t, http.StatusOK, first)
	require.Equal(t, SummaryType, first.Header().Get("Ce-Type"))
	require.Equal(t, first.Header(), again.Header())
	require.Equal(t, first.Body.String(), again.Body.String())

	var s Summary
	require.NoError(t, json.Unmarshal(first.Body.Bytes(), &s))
	require.Len(t, s.Alerts[0].Fingerprint, 64)
	require.NotEqual(t, s.Alerts[0].Fingerprint, s.Alerts[1].Fingerprint)
	require.Equal(t, []AlertSummary{
		{Alertname: "A", Fingerprint: s.Alerts[0].Fingerprint, Decision: mapping.New, Object: "ns/rr-A", Count: 1},
		{Alertname: "Watchdog", Fingerprint: s.Alerts[1].Fingerprint, Decision: mapping.Filtered},
		{Fingerprint: s.Alerts[2].Fingerprint, Decision: mapping.Invalid},
	}, s.Alerts)
	require.Equal(t, "onefire", first.Header().Get("Ce-Source"))
	require.Equal(t, audit.EventID("/test", "1", "", SummaryType), first.Header().Get("Ce-Id"))

	f.dedup.settle = func(context.Context, mapping.Signal, []string) ([]dedup.Outcome, error) {
		return nil, errors.New("away")
	}
	unsettled := f.serve(binary("1", body))
	requireStatus(t, http.StatusServiceUnavailable, unsettled)
	require.Empty(t, unsettled.Header().Get("Ce-Type"))
	require.Equal(t, "1 of 3 alerts are not settled: away\n", unsettled.Body.String())
}

func TestTheFirstFailureIsTheReason(t *testing.T) {
	a := answer([]result{{reason: mapping.FirstSeen}, {reason: mapping.Unavailable, err: errors.New("one")}, {reason: mapping.Unavailable, err: errors.New("two")}})
	require.Equal(t, "2 of 3 alerts are not settled: one", a.Reason)
}

func TestAnEventThatIsRefusedIsInTheLog(t *testing.T) {
	f := newFixture()
	requireStatus(t, http.StatusBadRequest, f.serve(binary("1", `{"a":"b"}`)))
	require.Contains(t, f.log.String(), `"msg":"event","event_id":"1","event_source":"/test","event_type":"test","status":400,"alerts":0`)
}

func TestMalformedAlertsOfOneEventAreSeveral(t *testing.T) {
	f := newFixture()
	requireStatus(t, http.StatusOK, f.serve(binary("1", `[7,8,7]`)))
	require.Len(t, f.sink.ids(), 2)
}

func TestSignalsOfTwoNamespacesAreTwoGroups(t *testing.T) {
	in := func(namespace string) result {
		return result{alert: &mapping.Alert{}, signal: mapping.Signal{Namespace: namespace, Fingerprint: "f"}}
	}
	require.Len(t, groupByFingerprint([]result{in("a"), in("b"), in("a")}), 2)
}

func TestOneEventIsSettledInBoundedParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFixture().service.pipeline
		var running atomic.Int64
		release := make(chan struct{})
		go p.inParallel(t.Context(), 2*maxParallel, func(int) {
			running.Add(1)
			<-release
		})
		synctest.Wait()
		require.EqualValues(t, maxParallel, running.Load())
		close(release)
		synctest.Wait()
		require.EqualValues(t, 2*maxParallel, running.Load())
		require.True(t, p.slots.TryAcquire(maxSlots), "all slots are given back")
	})
}

func TestTheTraceContextComesFromTheEventOrTheRequest(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for name, header := range map[string]string{"the event's": "Ce-Traceparent", "the request's": "Traceparent"} {
		t.Run(name, func(t *testing.T) {
			f := newFixture()
			requireStatus(t, http.StatusOK, f.serve(with(binary("1", alert("firing", "alertname=A")), header, parent)))
			require.Equal(t, parent, f.sink.events[0].Traceparent)
		})
	}
	f := newFixture()
	requireStatus(t, http.StatusOK, f.serve(with(binary("1", alert("firing", "alertname=A")), "Traceparent", "nonsense")))
	require.Empty(t, f.sink.events[0].Traceparent)
}

// FuzzServe throws anything at the function: it answers what the contract knows
// and keeps no request.
func FuzzServe(f *testing.F) {
	for _, row := range wire {
		if row.request.ContentLength < 1<<16 {
			body, _ := row.request.GetBody()
			f.Add(row.request.Header.Get("Content-Type"), row.request.Header.Get("Ce-Id"), readAll(body))
		}
	}
	known := map[int]bool{200: true, 400: true, 405: true, 413: true, 415: true, 503: true}
	f.Fuzz(func(t *testing.T, contentType, id string, body []byte) {
		fx := newFixture()
		r := typed(contentType, string(body))
		if id != "" {
			r.Header["Ce-Specversion"], r.Header["Ce-Type"], r.Header["Ce-Source"], r.Header["Ce-Id"] = []string{"1.0"}, []string{"t"}, []string{"/s"}, []string{id}
		}
		w := fx.serve(r)
		require.True(t, known[w.Code], "%d %s", w.Code, w.Body)
		require.Zero(t, fx.receiver.Oldest())
	})
}
