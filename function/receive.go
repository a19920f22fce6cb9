package function

import (
	"context"
	"fmt"
	"net/http"

	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"onefire/function/inbound"
	"onefire/mapping"
)

// ServeHTTP answers one request.
func (f *Function) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := f.parts.Load()
	if p == nil {
		inbound.HangUp(w, r)
		inbound.Refuse(http.StatusServiceUnavailable, "the function is starting").Write(w, r)
		return
	}
	f.receiver.Serve(w, r, p.log, func(ctx context.Context, body []byte) inbound.Answer {
		if r.Header.Get("Content-Type") == inbound.DryRunType {
			return p.forecast(ctx, body)
		}
		ctx = p.withHop(ctx, r.Header)
		if cehttp.IsHTTPBatch(r.Header) {
			return p.handleBatch(ctx, body)
		}
		e, bad := inbound.Decode(r, body)
		if e == nil {
			return p.elsewhere(body, bad)
		}
		return p.handle(ctx, *e)
	})
}

// elsewhere makes the answer to what is no CloudEvent. If it holds alerts, the answer says
// where an Alertmanager is to send them.
func (p *parts) elsewhere(body []byte, a inbound.Answer) inbound.Answer {
	if a.Status != http.StatusUnsupportedMediaType {
		return a
	}
	if _, err := mapping.Parse(body, p.now()); err != nil {
		return a
	}
	return inbound.Refuse(a.Status, "%s. These are alerts: point Alertmanager's webhook at /alertmanager of onefire-source, which sends them here as CloudEvents", a.Reason)
}

// validate tells whether an event is a CloudEvent that can be passed on.
func validate(e event.Event) error {
	if err := inbound.Validate(e); err != nil {
		return err
	}
	if len(e.ID()) > maxAttribute || len(e.Source()) > maxAttribute {
		return fmt.Errorf("the CloudEvent's id or source is longer than %d bytes", maxAttribute)
	}
	return nil
}
