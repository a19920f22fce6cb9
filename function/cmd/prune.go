package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/client-go/rest"

	"onefire/config"
	"onefire/dedup"
	"onefire/function/deadletters"
	"onefire/mapping"
)

// PruneOptions are the options of a run beside its configuration.
type PruneOptions struct {
	// DryRun prints what would be deleted, and deletes nothing.
	DryRun bool
	// Log receives one line of JSON for each object, and one at the end.
	Log io.Writer
	// Notes receives the progress for people, if it is a terminal.
	Notes io.Writer
}

// Prune deletes what is old, once. It fails if it could not read everything or could not
// delete some objects.
func Prune(ctx context.Context, kube *rest.Config, c config.Prune, o PruneOptions) error {
	return newPruner(c, o).run(ctx, kube, c)
}

func newPruner(c config.Prune, o PruneOptions) *pruner {
	return &pruner{
		log: slog.New(slog.NewJSONHandler(o.Log, &slog.HandlerOptions{Level: c.LogLevel})), dry: o.DryRun, shown: newPruneProgress(o.Notes),
		rate: rate.NewLimiter(callsPerSecond, 1), pause: wait,
	}
}

func (r *pruner) run(ctx context.Context, kube *rest.Config, c config.Prune) error {
	requests, letters, err := openCollections(kube, c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, pruneTimeout)
	defer cancel()
	began := time.Now()
	// Dead letters come first: there are few, and they must not wait for a million
	// requests.
	var problems []error
	late, failed := false, 0
	counted := []slog.Attr{slog.Bool("dry_run", r.dry), slog.String("ttl", c.TTL.String()), slog.String("dead_letter_ttl", c.DeadLetterTTL.String())}
	for _, s := range []collection{letters, requests} {
		if s.page == nil {
			continue
		}
		did, err := r.sweep(ctx, s)
		if errors.Is(err, errLate) {
			err, late = nil, true
		}
		problems = append(problems, err)
		failed += did.failed
		counted = append(counted, did.attr(s.name, r.dry))
	}
	r.shown.end()
	if failed > 0 {
		problems = append(problems, fmt.Errorf("%d could not be deleted: the log says why", failed))
	}
	err = errors.Join(problems...)
	counted = append(counted, slog.String("took", time.Since(began).Round(time.Millisecond).String()))
	switch {
	case err != nil:
		r.log.LogAttrs(ctx, slog.LevelError, "prune failed: the next run goes on", append(counted, slog.String("error", err.Error()))...)
	case late:
		r.log.LogAttrs(ctx, slog.LevelWarn, fmt.Sprintf("prune stopped after %s: the next run goes on", pruneTimeout), counted...)
	default:
		r.log.LogAttrs(ctx, slog.LevelInfo, "prune finished", counted...)
	}
	return err
}

// openCollections finds the requests and the dead letters. A collection that is kept
// forever has no pages, so it is not read.
func openCollections(kube *rest.Config, c config.Prune) (requests, letters collection, err error) {
	requests.name, letters.name = "requests", "dead_letters"
	if c.TTL > 0 {
		past, err := dedup.OpenPast(kube)
		if err != nil {
			return requests, letters, err
		}
		namespace := c.Namespace
		if c.Placement == mapping.PlacementSignal {
			namespace = "" // all namespaces
		}
		requests.page = pagesOfRequests(past, namespace, c.TTL)
	}
	if c.DeadLetterTTL > 0 {
		server := &serverClock{}
		own := rest.CopyConfig(kube)
		own.Wrap(func(rt http.RoundTripper) http.RoundTripper { return dated{rt, server} })
		kept, err := deadletters.OpenLetters(own, c.DeadLetterNamespace)
		if err != nil {
			return requests, letters, err
		}
		letters.page = pagesOfLetters(kept, server.now, c.DeadLetterTTL)
	}
	return requests, letters, nil
}

func pagesOfRequests(past *dedup.Past, namespace string, ttl time.Duration) pages {
	return func(ctx context.Context, size int, next string) (page, error) {
		found, err := past.Page(ctx, namespace, ttl, size, next)
		p := page{read: found.Read, next: found.Next}
		for _, e := range found.Old {
			p.old = append(p.old, expiredObject{
				key: e.Namespace + "/" + e.Name, what: "request", level: slog.LevelInfo,
				delete: func(ctx context.Context) error { return past.Delete(ctx, e) },
				is: []slog.Attr{
					slog.String("namespace", e.Namespace), slog.String("name", e.Name), slog.String("fingerprint", e.Fingerprint),
					slog.String("phase", e.Phase), slog.Time("ended", e.At.UTC()), ageAttr(found.Now, e.At),
				},
			})
		}
		return p, err
	}
}

func pagesOfLetters(kept *deadletters.Letters, now func() time.Time, ttl time.Duration) pages {
	return func(ctx context.Context, size int, next string) (page, error) {
		letters, read, more, err := kept.Page(ctx, size, next)
		p, now := page{read: read, next: more}, now()
		for _, l := range letters {
			if now.Sub(l.Since) <= ttl {
				continue
			}
			p.old = append(p.old, expiredObject{
				key: l.Namespace + "/" + l.Name, what: "dead letter", level: slog.LevelWarn,
				delete: func(ctx context.Context) error { return kept.Delete(ctx, l) },
				is: []slog.Attr{
					slog.String("namespace", l.Namespace), slog.String("name", l.Name), slog.String("id", l.ID), slog.String("source", l.Source),
					slog.String("type", l.Type), slog.String("alertname", l.Alertname), slog.String("severity", l.Severity),
					slog.String("why", l.Why), slog.Time("since", l.Since.UTC()), ageAttr(now, l.Since),
				},
			})
		}
		return p, err
	}
}

func ageAttr(now, from time.Time) slog.Attr {
	return slog.String("age", now.Sub(from).Round(time.Second).String())
}

// serverClock is the API server's clock, by its last answer.
type serverClock struct{ ahead atomic.Int64 }

// Until the first answer, now is our own clock.
func (c *serverClock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// dated stores the Date of each answer.
type dated struct {
	http.RoundTripper
	clock *serverClock
}

func (d dated) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := d.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		d.clock.ahead.Store(int64(time.Until(at)))
	}
	return resp, nil
}
