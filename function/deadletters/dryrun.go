package deadletters

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"onefire/function/receive"
)

// errUnsaid means that the function did not answer a dry run of some dead letters.
var errUnsaid = errors.New("not all dead letters could be looked at")

// refusedError means that the function would reject an event for good.
type refusedError struct{ reason string }

func (e *refusedError) Error() string { return e.reason }

// dryRun asks the function what would become of dead letters, and prints one line for
// each alert. It changes nothing, neither here nor in the function.
func (p *replayer) dryRun(ctx context.Context, names []string) error {
	defer p.client.Close()
	unsaid, missing := 0, 0
	for _, name := range names {
		lines, err := p.dryRunOne(ctx, name)
		if ctx.Err() != nil {
			return fmt.Errorf("stopped: %w", ctx.Err())
		}
		switch {
		case p.skips(err):
			lines = []string{"skipped: " + sanitize(err.Error())}
		case errors.Is(err, errMissing):
			missing++
			lines = []string{sanitize(err.Error())}
		case err != nil:
			unsaid++
			lines = []string{"not known: " + sanitize(reason(err))}
		}
		for _, line := range lines {
			fmt.Fprintf(p.out, "%s\t%s\n", name, line)
		}
	}
	var err error
	if unsaid > 0 {
		err = fmt.Errorf("%w: %d of %d", errUnsaid, unsaid, len(names)-missing)
	}
	return withMissing(err, missing, len(names))
}

// dryRunOne asks what would become of one dead letter, and returns a line for each alert.
func (p *replayer) dryRunOne(ctx context.Context, name string) ([]string, error) {
	_, e, err := p.load(ctx, name)
	if err != nil {
		return nil, err
	}
	answer, err := p.ask(ctx, e)
	var no *refusedError
	switch {
	case errors.As(err, &no):
		return []string{"would be kept: " + sanitize(no.Error())}, nil
	case err != nil:
		return nil, err
	}
	// This is the part of the function's Summary that is printed.
	var summary struct {
		Alerts []struct{ Alertname, Decision, Reason, Object string }
	}
	if err := json.Unmarshal(answer, &summary); err != nil {
		return nil, fmt.Errorf("decoding what the function said: %w", err)
	}
	at := "-"
	if !e.Time().IsZero() {
		at = e.Time().UTC().Format("2006-01-02T15:04:05Z")
	}
	var lines []string
	for _, a := range summary.Alerts {
		line := fmt.Sprintf("%s  %s (%s)  %s", at, a.Decision, a.Reason, cmp.Or(a.Alertname, "-"))
		if a.Object != "" {
			line += "  " + a.Object
		}
		lines = append(lines, sanitize(line))
	}
	return lines, nil
}

// ask posts an event as a dry run, and returns the data of the answer.
func (p *replayer) ask(ctx context.Context, e event.Event) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, replayTimeout)
	defer cancel()
	resp, err := p.client.Do(ctx, func(ctx context.Context) (*http.Request, error) {
		req, err := cehttp.NewHTTPRequestFromEvent(binding.WithForceStructured(ctx), p.url, e)
		if err != nil {
			return nil, fmt.Errorf("making a request of the event: %w", err)
		}
		req.Header.Set("Content-Type", receive.DryRunType)
		return req, nil
	})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the function's answer: %w", err)
	case resp.StatusCode == http.StatusUnsupportedMediaType:
		return nil, errors.New("415: the function is of a version that knows no dry run")
	case resp.StatusCode == http.StatusOK:
		return text, nil
	}
	reason := fmt.Sprintf("%d: %s", resp.StatusCode, strings.TrimSpace(string(text)))
	if resp.StatusCode == http.StatusBadRequest || resp.StatusCode == http.StatusRequestEntityTooLarge {
		return nil, &refusedError{reason}
	}
	return nil, errors.New(reason)
}
