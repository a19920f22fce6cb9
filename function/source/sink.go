package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"onefire/audit"
	"onefire/config"
	"onefire/function/telemetry"
)

// sinkName is the name of the sink in errors.
const sinkName = "the sink"

// sink delivers events. It is safe for concurrent use.
type sink struct {
	url        string
	extensions map[string]string
	client     *audit.Client
	// firstPause is the constant of that name; tests change it.
	firstPause time.Duration
}

// newSink makes a sink. It opens no connection.
func newSink(c config.Source) (*sink, error) {
	client, err := audit.NewClient(audit.ClientOptions{
		Name: sinkName, TokenFile: c.SinkTokenFile, CACerts: c.CACerts, Retried: []int{http.StatusConflict}, MaxShown: maxAnswerShown,
		MaxIdle: maxIdle, ConnectTimeout: connectTimeout, PingAfter: pingAfter,
	})
	return &sink{url: c.Sink, extensions: c.Overrides.Extensions, client: client, firstPause: firstPause}, err
}

// deliver sends one event until the sink has accepted it, at most attempts times, and
// within the bounds of limits.go and the context. An [audit.RefusedError] means that a
// retry cannot succeed; after any other error it can.
func (s *sink) deliver(ctx context.Context, e event.Event, attempts uint) error {
	for name, value := range s.extensions {
		e.SetExtension(name, value)
	}
	if len(e.Data()) > maxEvent {
		return refused(e, http.StatusRequestEntityTooLarge, fmt.Sprintf("its %d bytes are more than the %d that the function takes", len(e.Data()), maxEvent))
	}
	err := s.client.Deliver(ctx, s.request(e), audit.Retry{Tries: attempts, FirstPause: s.firstPause, MaxPause: maxElapsed, MaxElapsed: maxElapsed})
	if no := (*audit.RefusedError)(nil); errors.As(err, &no) {
		return refused(e, no.Status, no.Answer)
	}
	return err
}

// request is the event in binary mode.
func (s *sink) request(e event.Event) audit.Request {
	return func(ctx context.Context) (*http.Request, error) {
		req, err := cehttp.NewHTTPRequestFromEvent(ctx, s.url, e)
		if err != nil {
			return nil, refused(e, http.StatusBadRequest, err.Error())
		}
		for name, value := range e.Extensions() {
			req.Header.Set("Ce-"+name, audit.HeaderValue(fmt.Sprint(value)))
		}
		if parent := telemetry.ParseTraceparent(fmt.Sprint(e.Extensions()["traceparent"])); parent.IsValid() {
			// On the first hop, the header has the event's own trace context. A Broker
			// goes on from there.
			req.Header.Set("Traceparent", telemetry.FormatTraceparent(parent))
		}
		return req, nil
	}
}

func refused(e event.Event, status int, answer string) *audit.RefusedError {
	whole, _ := json.Marshal(e) // A valid event can always be encoded.
	return &audit.RefusedError{By: sinkName, Status: status, Answer: answer, Event: whole}
}

// unreachable tells whether an error means that the sink cannot be reached, rather than
// that it has answered this event.
func unreachable(err error) bool {
	var dial *net.OpError
	return errors.As(err, &dial) && dial.Op == "dial"
}
