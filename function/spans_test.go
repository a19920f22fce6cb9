package function

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"onefire/audit"
	"onefire/function/receive"
	"onefire/function/telemetry"
	"onefire/mapping"
)

var pod = webhook(alert("firing", "alertname=A", "namespace=ns", "pod=a"))

func TestAnEventIsOneTreeBelowWhatCausedIt(t *testing.T) {
	f := newTraced(t)
	cause, hop := parentOf(1, 2, 1), parentOf(1, 3, 1)
	r := with(from(cause, binary("1", pod)), "Ce-Subject", "about")
	r.Header.Set("Traceparent", hop)
	requireStatus(t, 200, f.serve(r))
	spans := f.requireTree(cause, `
process test 200
	settle A first_seen
		list remediationrequests 200
		create remediationrequests 201
		list remediationrequests 200
	send gateway.signal.received stored
	send gateway.crd.created stored`)

	root := named(spans, "process test")[0]
	require.Equal(t, trace.SpanKindConsumer, root.SpanKind)
	require.True(t, root.Parent.IsRemote())
	require.Equal(t, "1", value(root, "cloudevents.event_id"))
	require.Equal(t, "/test", value(root, "cloudevents.event_source"))
	require.Equal(t, "1.0", value(root, "cloudevents.event_spec_version"))
	require.Equal(t, "about", value(root, "cloudevents.event_subject"))
	require.Empty(t, value(root, telemetry.AttrTruncated))
	require.Empty(t, root.Events, "a new alert has a span of its own")
	require.Len(t, root.Links, 1, "the way that the event came is not lost")
	require.Equal(t, telemetry.ParseTraceparent(hop).SpanID(), root.Links[0].SpanContext.SpanID())

	made := named(spans, "create remediationrequests")[0]
	require.Equal(t, trace.SpanKindClient, made.SpanKind)
	require.Equal(t, []string{"create", "remediationrequests", "POST", "ns", "api.test", "6443"},
		[]string{value(made, telemetry.AttrVerb), value(made, telemetry.AttrResource), value(made, telemetry.AttrMethod), value(made, telemetry.AttrNamespace), value(made, telemetry.AttrServer), value(made, telemetry.AttrServerPort)})
	require.Contains(t, f.api.parents, telemetry.FormatTraceparent(made.SpanContext), "the API server may trace too")

	settle := named(spans, "settle")[0]
	require.Equal(t, "new", value(settle, telemetry.AttrDecision))
	require.Len(t, value(settle, telemetry.AttrFingerprint), 64)
	require.Contains(t, value(settle, telemetry.AttrRequest), "ns/rr-")
	require.Empty(t, settle.Events, "one alert is told by the span itself")

	require.Len(t, f.sink.events, 2)
	for _, e := range f.sink.events {
		sent := named(spans, "send "+e.Type)[0]
		require.Equal(t, trace.SpanKindProducer, sent.SpanKind)
		require.Equal(t, telemetry.FormatTraceparent(sent.SpanContext), e.Traceparent, "what DataStorage does belongs to the trace")
		require.Equal(t, audit.EventID(e.Source, e.ID, e.Alert, e.Type), value(sent, "cloudevents.event_id"))
		require.Equal(t, []string{"onefire", "1.0", e.Subject},
			[]string{value(sent, "cloudevents.event_source"), value(sent, "cloudevents.event_spec_version"), value(sent, "cloudevents.event_subject")})
	}
	for _, line := range []string{"alert", "event"} {
		require.Regexp(t, `"msg":"`+line+`".*"trace_id":"00000000000000000000000000000001"`, f.log.String())
	}
}

func TestAnEventThatNobodyTracedBelongsToItsHop(t *testing.T) {
	f := newTraced(t)
	hop := parentOf(1, 3, 1)
	r := binary("1", webhook(alert("firing", "alertname=Watchdog")))
	r.Header.Set("Traceparent", hop)
	requireStatus(t, 200, f.serve(r))
	spans := f.requireTree(hop, "process test 200")
	require.Empty(t, spans[0].Links)
	require.Equal(t, "alert", spans[0].Events[0].Name, "what is filtered is noted")

	one := `{"specversion":"1.0","type":"test","source":"/test","id":"1","data":` + webhook(alert("firing", "alertname=Watchdog")) + `}`
	r = typed("application/cloudevents-batch+json", `[`+one+`,`+one+`]`)
	r.Header.Set("Traceparent", hop)
	requireStatus(t, 200, f.serve(r))
	f.requireTree(hop, "process test 200\nprocess test 200")

	requireStatus(t, 200, f.serve(binary("1", pod)))
	require.False(t, named(f.take(), "process test")[0].Parent.IsValid(), "a trace begins here")
}

func TestARaceThatIsLostIsNoFailure(t *testing.T) {
	f := newTraced(t)
	f.api.before = func(verb string, r *http.Request) *http.Response {
		if verb == "create" {
			f.api.before = nil
			again := r.Clone(context.Background())
			again.Body, _ = r.GetBody()
			_, _ = f.api.RoundTrip(again) // Another replica was first, with the same event.
			again.Body, _ = r.GetBody()
			resp, _ := f.api.RoundTrip(again)
			return resp
		}
		return nil
	}
	cause := parentOf(1, 2, 1)
	requireStatus(t, 200, f.serve(from(cause, binary("1", pod))))
	f.requireTree(cause, `
process test 200
	settle A replayed_new
		list remediationrequests 200
		create remediationrequests 409
		list remediationrequests 200
	send gateway.signal.received stored
	send gateway.crd.created stored`)
}

func TestAnAPIServerThatIsAwayIsSeenInTheTree(t *testing.T) {
	f := newTraced(t)
	f.api.before = func(string, *http.Request) *http.Response { return failure(503, "ServiceUnavailable") }
	cause := parentOf(1, 2, 1)
	requireStatus(t, 503, f.serve(from(cause, binary("1", pod))))
	spans := f.requireTree(cause, `
process test 503 !
	settle A unavailable !
		list remediationrequests 503 !`)
	require.Contains(t, named(spans, "settle")[0].Status.Description, "listing the RemediationRequests")
	require.Equal(t, "503", value(named(spans, "list remediationrequests")[0], telemetry.AttrErrorType))
}

func TestEachTryOfACallIsASpan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTraced(t)
		tries := 0
		f.api.before = func(verb string, _ *http.Request) *http.Response {
			if tries++; verb == "list" && tries < 3 {
				return failure(429, "TooManyRequests", "Retry-After", "1")
			}
			return nil
		}
		cause := parentOf(1, 2, 1)
		requireStatus(t, 200, f.serve(from(cause, binary("1", pod))))
		f.requireTree(cause, `
process test 200
	settle A first_seen
		list remediationrequests 429 !
		list remediationrequests 429 1 !
		list remediationrequests 200 2
		create remediationrequests 201
		list remediationrequests 200
	send gateway.signal.received stored
	send gateway.crd.created stored`)
	})
}

func TestARedeliveryIsATreeOfItsOwnInTheSameTrace(t *testing.T) {
	f := newTraced(t)
	cause := parentOf(1, 2, 1)
	f.sink.fail = func(e audit.Event) error {
		if e.Type == "gateway.crd.created" {
			return errors.New("the sink is down")
		}
		return nil
	}
	requireStatus(t, 503, f.serve(from(cause, binary("1", pod))))
	f.requireTree(cause, `
process test 503 !
	settle A first_seen
		list remediationrequests 200
		create remediationrequests 201
		list remediationrequests 200
	send gateway.signal.received stored
	send gateway.crd.created unavailable !`)
	f.sink.fail = nil
	requireStatus(t, 200, f.serve(from(cause, binary("1", pod))))
	spans := f.requireTree(cause, `
process test 200
	settle A replayed_new
		list remediationrequests 200
	send gateway.signal.received stored
	send gateway.crd.created stored`)
	require.Empty(t, named(spans, "process test")[0].Links, "the event came without a hop")
}

func TestAuditEventsThatAreNotStoredAreFailedSpans(t *testing.T) {
	f := newTraced(t)
	f.sink.fail = func(e audit.Event) error {
		if e.Type == "gateway.crd.created" {
			return errors.New("the sink is down")
		}
		return &audit.RefusedError{Status: 400}
	}
	requireStatus(t, 503, f.serve(binary("1", pod)))
	spans := f.take()
	require.Equal(t, "refused for good: see the log", named(spans, "send gateway.signal.received")[0].Status.Description)
	require.Equal(t, "the sink is down", named(spans, "send gateway.crd.created")[0].Status.Description)
}

func TestASpanTellsOfItsAlerts(t *testing.T) {
	f := newTraced(t)
	f.service.pipeline.requests = wireDedup()
	requireStatus(t, 500, f.serve(binary("1", `{"truncatedAlerts":18446744073709551615,"alerts":[`+strings.Join([]string{
		alert("firing", "alertname=A", "pod=p", "container=x"), alert("resolved", "alertname=A", "pod=p", "container=y"),
		alert("firing", "alertname=Watchdog"), alert("firing", "pod=p"), alert("firing", "alertname=Panic"),
	}, ",")+`]}`)))
	spans := f.take()
	root := named(spans, "process test")[0]
	require.Equal(t, "4294967296", value(root, telemetry.AttrTruncated))
	reasons := func(s tracetest.SpanStub) (all []string) {
		for _, e := range s.Events {
			one := tracetest.SpanStub{Attributes: e.Attributes}
			all = append(all, value(one, telemetry.AttrReason))
			require.Equal(t, value(one, telemetry.AttrReason) == "first_seen", slices.ContainsFunc(e.Attributes, func(a attribute.KeyValue) bool { return a.Key == telemetry.AttrRequest }))
		}
		return all
	}
	require.Equal(t, []string{"ignored_alertname", "malformed"}, reasons(root))
	for _, s := range named(spans, "settle") {
		if value(s, telemetry.AttrAlert) == "Panic" {
			require.Equal(t, "panic", s.Status.Description)
			continue
		}
		require.Equal(t, "first_seen", value(s, telemetry.AttrReason), "that of the first")
		require.Equal(t, "2", value(s, telemetry.AttrAlerts))
		require.Equal(t, []string{"first_seen", "resolved_nothing"}, reasons(s))
	}

	requireStatus(t, 200, f.serve(binary("2", `{"truncatedAlerts":1,"alerts":[`+alert("firing", "alertname=A")+`]}`)))
	require.Equal(t, "1", value(named(f.take(), "process test")[0], telemetry.AttrTruncated))
}

// serveAll serves events at once, while the first List under way waits for the
// others to come.
func (f *traced) serveAll(events ...*http.Request) {
	gate := make(chan struct{})
	first := true
	f.api.before = func(string, *http.Request) *http.Response {
		f.api.mu.Lock()
		waits := first
		first = false
		f.api.mu.Unlock()
		if waits {
			<-gate
		}
		return nil
	}
	var serving sync.WaitGroup
	for _, e := range events {
		serving.Go(func() { requireStatus(f.t, 200, f.serve(e)) })
		synctest.Wait()
	}
	close(gate)
	serving.Wait()
}

func TestWhoSharesAListSaysWhoseItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTraced(t)
		f.sink.fail = func(audit.Event) error { return &audit.RefusedError{Status: 400} }
		of := func(i int, name string) *http.Request {
			return from(parentOf(i, i, 1), binary(name, webhook(alert("firing", "alertname="+name, "namespace=ns", "pod=a"))))
		}
		f.serveAll(of(1, "A"), of(2, "B"), of(3, "C"))
		spans := f.take()
		settle := map[string]tracetest.SpanStub{}
		for _, s := range named(spans, "settle") {
			settle[value(s, telemetry.AttrAlert)] = s
		}
		require.Len(t, settle, 3)
		require.Equal(t, settle["B"].SpanContext.SpanID(), shared(settle["C"])["list"], "C's List was made with B's")
		lists := map[trace.SpanID]int{}
		for _, s := range named(spans, "list remediationrequests") {
			lists[s.Parent.SpanID()]++
		}
		require.Equal(t, 2*len(settle), lists[settle["A"].SpanContext.SpanID()]+lists[settle["B"].SpanContext.SpanID()]+lists[settle["C"].SpanContext.SpanID()])
		require.GreaterOrEqual(t, lists[settle["B"].SpanContext.SpanID()], 2)
	})
}

func TestWhoIsSettledWithAnotherSaysWithWhom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTraced(t)
		of := func(i int, id string) *http.Request { return from(parentOf(i, i, 1), binary(id, pod)) }
		f.serveAll(of(1, "1"), of(2, "2"), of(3, "3"))
		spans := f.take()
		settle := map[string]trace.SpanID{}
		for _, s := range named(spans, "settle") {
			settle[s.SpanContext.TraceID().String()[31:]] = s.SpanContext.SpanID()
		}
		require.Len(t, settle, 3)
		for _, s := range named(spans, "settle") {
			want := map[string]trace.SpanID{}
			if s.SpanContext.SpanID() == settle["3"] {
				want["settlement"] = settle["2"]
			}
			require.Equal(t, want, shared(s))
		}
		require.Len(t, named(spans, "patch remediationrequests"), 1, "one patch for two events")
		require.Equal(t, settle["2"], named(spans, "patch remediationrequests")[0].Parent.SpanID())
	})
}

func TestWhatIsNotSampledIsPassedOn(t *testing.T) {
	f := newTraced(t)
	cause := parentOf(1, 2, 0)
	requireStatus(t, 200, f.serve(from(cause, binary("1", pod))))
	require.Empty(t, f.take())
	require.Equal(t, cause, f.sink.events[0].Traceparent)
	require.Equal(t, []string{"", "", ""}, f.api.parents)
	require.Contains(t, f.log.String(), `"trace_id":"00000000000000000000000000000001"`)
}

func TestAProbeIsNoTrace(t *testing.T) {
	f := newTraced(t)
	require.NoError(t, f.service.pipeline.requests.Ready(noSpan(), "ns"))
	require.Empty(t, f.take())
}

func TestWithoutATracerNothingIsSpent(t *testing.T) {
	f := newTraced(t)
	f.service.observer.tracer = nil
	f.service.pipeline.requests = f.deduplicator(&apiCalls{metrics: f.service.observer.metrics})
	cause := parentOf(1, 2, 1)
	requireStatus(t, 200, f.serve(from(cause, binary("1", pod))))
	require.Empty(t, f.take())
	require.Equal(t, cause, f.sink.events[0].Traceparent, "a trace goes on beyond us")
	require.Contains(t, f.log.String(), `"trace_id":"00000000000000000000000000000001"`)
	require.Equal(t, []string{"", "", ""}, f.api.parents)

	e, header := event.New(), http.Header{"Traceparent": {cause}}
	results := []result{{reason: mapping.FirstSeen}}
	g := &group{firing: []*result{&results[0]}}
	watch := &apiCalls{metrics: f.service.observer.metrics}
	r, err := http.NewRequestWithContext(noSpan(), http.MethodGet, "http://api.test/apis/kubernaut.ai/v1alpha1/namespaces/ns/remediationrequests", nil)
	require.NoError(t, err)
	transport := watch.wrap(nothing{})
	require.Zero(t, testing.AllocsPerRun(100, func() {
		ctx := f.service.observer.withHop(noSpan(), header)
		ctx, span := f.service.observer.startEvent(ctx, e)
		_, settle := f.service.observer.startGroup(ctx)
		g.endSpan(settle)
		endEvent(span, receive.OK(), results, 0)
		f.service.observer.metrics.delivery(ctx, stored, time.Second)
		if resp, err := transport.RoundTrip(r); err == nil {
			resp.Body.Close()
		}
	}))
}

func TestASpanTellsOfAFewAlerts(t *testing.T) {
	f := newTraced(t)
	var alerts []string
	for i := range 4 * maxSpanAlerts {
		alerts = append(alerts, alert("firing", "alertname=Watchdog"), alert("firing", "alertname=A", "namespace=n", "pod=p", fmt.Sprintf("i=%d", i)))
	}
	requireStatus(t, 200, f.serve(from(parentOf(1, 2, 1), binary("1", webhook(alerts...)))))
	spans := f.take()
	for _, name := range []string{"process test", "settle"} {
		span := named(spans, name)[0]
		require.Len(t, span.Events, maxSpanAlerts, name)
		require.Contains(t, []string{fmt.Sprint(8 * maxSpanAlerts), fmt.Sprint(4 * maxSpanAlerts)}, value(span, telemetry.AttrAlerts), "but all are counted")
	}
}

// nothing is a transport that answers nothing.
type nothing struct{}

func (nothing) RoundTrip(*http.Request) (*http.Response, error) { return nil, errPanic }
