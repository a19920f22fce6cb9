package deadletters

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"onefire/audit"
	"onefire/config"
	"onefire/function/receive"
)

// errNotTaken means that some dead letters are still there after a replay.
var errNotTaken = errors.New("not all dead letters were accepted")

// replayer posts dead letters to the function, one after the other.
type replayer struct {
	api    *api
	url    string
	client *audit.Client
	out    io.Writer
	// all tells that no names were given; see skips.
	all bool
	// firstPause is the constant of that name; tests change it.
	firstPause time.Duration
}

// newReplayer makes a replayer. tokenFile holds a bearer token for the function, and may
// be empty.
func newReplayer(a *api, url, tokenFile string, out io.Writer) *replayer {
	// Only certificates that cannot be read are an error, and there are none.
	client, _ := audit.NewClient(audit.ClientOptions{
		Name: "the function", TokenFile: tokenFile, ConnectTimeout: connectTimeout,
		// A Broker retries these too.
		Retried: []int{http.StatusNotFound, http.StatusConflict},
	})
	return &replayer{api: a, url: url, client: client, out: out, firstPause: firstPause}
}

// replay posts the dead letters with these names and deletes those that the function
// accepts. It prints the outcome of each, and fails when any is left.
func (p *replayer) replay(ctx context.Context, names []string) error {
	defer p.client.Close()
	taken, failures, skipped, missing := 0, 0, 0, 0
	for i, name := range names {
		err := p.one(ctx, name)
		if ctx.Err() != nil {
			return fmt.Errorf("stopped with %d of %d dead letters left: %w", len(names)-taken, len(names), ctx.Err())
		}
		var away *audit.UnavailableError
		switch {
		case err == nil:
			taken++
			failures = 0
		case errors.As(err, &away) && !away.Permanent:
			failures++
		default:
			failures = 0
		}
		switch {
		case err == nil:
			fmt.Fprintf(p.out, "%s\taccepted\n", name)
		case p.skips(err):
			fmt.Fprintf(p.out, "%s\tskipped: %s\n", name, sanitize(reason(err)))
			skipped++
		case errors.Is(err, errMissing):
			fmt.Fprintf(p.out, "%s\t%s\n", name, sanitize(reason(err)))
			missing++
		default:
			fmt.Fprintf(p.out, "%s\tkept: %s\n", name, sanitize(reason(err)))
		}
		if rest := len(names) - i - 1; failures >= maxUnavailable && rest > 0 {
			fmt.Fprintf(p.out, "%d more were not tried: %s accepts no events now\n", rest, config.Redacted(p.url))
			break
		}
	}
	letters := len(names) - skipped - missing
	fmt.Fprintf(p.out, "%d of %d dead letters accepted\n", taken, letters)
	var err error
	if taken < letters {
		err = fmt.Errorf("%w: %d of %d are kept", errNotTaken, letters-taken, letters)
	}
	return withMissing(err, missing, len(names))
}

// skips tells whether a run on all dead letters leaves one out: it is foreign, or was
// deleted after it was listed.
func (p *replayer) skips(err error) bool {
	return p.all && (errors.Is(err, errForeign) || errors.Is(err, errMissing))
}

// one replays one dead letter. It returns nil if the function has accepted it and it is
// gone.
func (p *replayer) one(ctx context.Context, name string) error {
	c, e, err := p.load(ctx, name)
	if err != nil {
		return err
	}
	if err := p.deliver(ctx, e); err != nil {
		return err
	}
	// Only the revision that was read and accepted may be deleted. If it is gone already,
	// another replay did that, which does no harm.
	if err := p.api.delete(ctx, c); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("the function has taken it, but it could not be deleted: %w", err)
	}
	return nil
}

// load reads a dead letter, and its event as it was before the Broker's extensions were
// added.
func (p *replayer) load(ctx context.Context, name string) (*configMap, event.Event, error) {
	c, err := p.api.letter(ctx, name)
	if err != nil {
		return nil, event.Event{}, err
	}
	e, err := read(c)
	if err != nil {
		return nil, e, err
	}
	for extension := range e.Extensions() {
		if strings.HasPrefix(extension, errorExtensions) {
			e.SetExtension(extension, nil)
		}
	}
	return c, e, nil
}

// deliver posts an event until the function has answered for good.
func (p *replayer) deliver(ctx context.Context, e event.Event) error {
	return p.client.Deliver(ctx, func(ctx context.Context) (*http.Request, error) {
		if !headersHold(e) {
			ctx = binding.WithForceStructured(ctx)
		}
		req, err := cehttp.NewHTTPRequestFromEvent(ctx, p.url, e)
		if err != nil {
			return nil, fmt.Errorf("making a request of the event: %w", err)
		}
		// The function must not accept an alert for which the brake or a quota allows no
		// object.
		req.Header.Set(receive.KeptHeader, "onefire-deadletters")
		return req, nil
	}, audit.Retry{Tries: maxTries, FirstPause: p.firstPause, MaxPause: maxPause, Timeout: replayTimeout})
}

// reason says why an event was not accepted.
func reason(err error) string {
	var no *audit.RefusedError
	var away *audit.UnavailableError
	switch {
	case errors.As(err, &no):
		return fmt.Sprintf("%d: %s", no.Status, no.Answer)
	case errors.As(err, &away) && away.Status != 0:
		return fmt.Sprintf("%d: %s", away.Status, away.Answer)
	case errors.As(err, &away):
		return away.Reason()
	}
	return err.Error()
}

// headersHold tells whether an event can be sent in binary mode unchanged: headers only
// carry printable ASCII.
func headersHold(e event.Event) bool {
	values := []string{e.ID(), e.Source(), e.Type(), e.Subject(), e.DataContentType(), e.DataSchema()}
	for name := range e.Extensions() {
		values = append(values, extension(e, name))
	}
	for _, value := range values {
		for i := range len(value) {
			if value[i] < ' ' || value[i] > '~' {
				return false
			}
		}
		if strings.TrimSpace(value) != value {
			return false
		}
	}
	return true
}
