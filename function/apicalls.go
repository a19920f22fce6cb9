package function

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"onefire/dedup"
	"onefire/function/telemetry"
)

// apiCalls observes the calls of the Kubernetes API. It measures the time until an answer
// begins. A call under a span gets a span of its own; a call without one, such as a
// probe, does not begin a trace. Without metrics and traces, apiCalls only logs the API
// server's warnings.
type apiCalls struct {
	log *slog.Logger
	// warned keeps the log from repeating a warning for each patch.
	warned sync.Once
	// tracer is nil if nothing is traced, metrics is nil before the start.
	tracer  trace.Tracer
	metrics *metrics
	// tries counts the attempts of each call that client-go may retry, by the Done
	// channel of its context.
	tries sync.Map // <-chan struct{} to int
}

// wrap returns a transport that observes the calls of next.
func (c *apiCalls) wrap(next http.RoundTripper) http.RoundTripper { return observedCall{next, c} }

type observedCall struct {
	http.RoundTripper
	calls *apiCalls
}

// RoundTrip makes one attempt of a call.
func (o observedCall) RoundTrip(r *http.Request) (*http.Response, error) {
	c := o.calls
	traced := c.tracer != nil && trace.SpanContextFromContext(r.Context()).IsValid()
	counted := c.metrics != nil && c.metrics.calls.Enabled(r.Context())
	if !traced && !counted {
		resp, err := o.RoundTripper.RoundTrip(r)
		c.logWarnings(r.Context(), resp)
		return resp, err
	}
	what, span := apiCallOf(r), telemetry.NoSpan
	if traced {
		r, span = c.begin(r, what)
		defer span.End()
	}
	begun := time.Now()
	resp, err := o.RoundTripper.RoundTrip(r)
	c.logWarnings(r.Context(), resp)
	code := "none"
	if err == nil {
		code = strconv.Itoa(resp.StatusCode)
	}
	if counted {
		c.metrics.call(r.Context(), what, code, time.Since(begun))
	}
	if err != nil {
		telemetry.Fail(span, "transport", err.Error())
		return resp, err
	}
	span.SetAttributes(attribute.Int(telemetry.AttrStatus, resp.StatusCode))
	// 409 and 404 are part of the protocol.
	if resp.StatusCode >= http.StatusBadRequest && resp.StatusCode != http.StatusConflict && resp.StatusCode != http.StatusNotFound {
		telemetry.Fail(span, code, http.StatusText(resp.StatusCode))
	}
	if resp.Header.Get("Retry-After") != "" {
		c.again(r.Context())
	}
	return resp, nil
}

// logWarnings logs the warnings of an answer, which can be nil.
func (c *apiCalls) logWarnings(ctx context.Context, resp *http.Response) {
	if resp == nil || !dedup.KeepsNoRecord(resp.Header.Values("Warning")) {
		return
	}
	if c.metrics != nil {
		c.metrics.unrecorded.Add(ctx, 1)
	}
	c.warned.Do(func() {
		c.log.Warn("the RemediationRequest CRD keeps no status.conditions, so a redelivered alert counts again: add them to its schema")
	})
}

// begin starts the span of a call and sends its trace context along, because the API
// server may trace too.
func (c *apiCalls) begin(r *http.Request, what apiCall) (*http.Request, trace.Span) {
	attributes := telemetry.Texts(telemetry.AttrVerb, what.verb, telemetry.AttrResource, what.resource, telemetry.AttrMethod, r.Method, telemetry.AttrServer, r.URL.Hostname())
	if what.namespace != "" {
		attributes = append(attributes, attribute.String(telemetry.AttrNamespace, what.namespace))
	}
	if n, err := strconv.Atoi(r.URL.Port()); err == nil {
		attributes = append(attributes, attribute.Int(telemetry.AttrServerPort, n))
	}
	if n, ok := c.tries.Load(r.Context().Done()); ok {
		attributes = append(attributes, attribute.Int(telemetry.AttrResend, n.(int)))
	}
	ctx, span := c.tracer.Start(r.Context(), what.verb+" "+what.resource, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attributes...))
	if !span.SpanContext().IsSampled() {
		return r, span
	}
	r = r.WithContext(ctx)
	r.Header = maps.Clone(r.Header) // client-go shares the headers among its attempts.
	r.Header.Set("Traceparent", telemetry.FormatTraceparent(span.SpanContext()))
	return r, span
}

// again counts an attempt that client-go may retry. Each call has its own context with a
// deadline, and the count is dropped when that context ends.
func (c *apiCalls) again(ctx context.Context) {
	done := ctx.Done()
	if n, before := c.tries.Load(done); before {
		c.tries.Store(done, n.(int)+1)
		return
	}
	if done == nil {
		return
	}
	c.tries.Store(done, 1)
	context.AfterFunc(ctx, func() { c.tries.Delete(done) })
}

// apiCall is what a request asks of the Kubernetes API.
type apiCall struct{ verb, resource, namespace string }

// resources are all resources that Onefire asks for.
var resources = []string{"remediationrequests", "events", "tokenreviews", "pods", "replicasets", "deployments", "statefulsets", "daemonsets", "jobs", "cronjobs", "namespaces", "nodes", "persistentvolumes"}

// apiCallOf reads a request's path:
// …/apis/<group>/<version>/[namespaces/<namespace>/]<resource>[/<name>[/…]], or
// …/api/<version>/… for the core group.
func apiCallOf(r *http.Request) apiCall {
	c := apiCall{verb: strings.ToLower(r.Method), resource: "other"}
	_, path, ok := strings.Cut(r.URL.Path, "/apis/")
	skip := 2
	if !ok {
		_, path, _ = strings.Cut(r.URL.Path, "/api/")
		skip = 1
	}
	at := strings.Split(path, "/")
	if len(at) > skip+2 && at[skip] == "namespaces" {
		c.namespace = at[skip+1]
		skip += 2
	}
	for _, known := range resources {
		if len(at) > skip && at[skip] == known {
			c.resource = known
		}
	}
	named := len(at) > skip+1
	switch {
	case r.Method == http.MethodPost:
		c.verb = "create"
	case r.Method == http.MethodGet && !named:
		c.verb = "list"
	}
	return c
}
