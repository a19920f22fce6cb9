package deadletters

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"onefire/dedup/client"
	"onefire/function/receive"
)

// outcome is what became of a dead letter.
type outcome string

const (
	kept        outcome = "kept"
	keptAlready outcome = "kept_already" // delivered again
	refused     outcome = "refused"      // it can never be kept, and is in the log
	full        outcome = "full"
	unavailable outcome = "unavailable"
)

// store is the dead-letter sink. It is safe for concurrent use.
type store struct {
	api      *api
	quota    *quota
	receiver *receive.Receiver
	metrics  *metrics
	log      *slog.Logger
	now      func() time.Time
}

func newStore(a *api, most usage, log *slog.Logger) *store {
	s := &store{api: a, quota: newQuota(most, a.count), receiver: receive.New(bounds), log: log, now: time.Now}
	s.receiver.Answered = func(ctx context.Context, status int, _ time.Duration) { s.metrics.request(ctx, status) }
	return s
}

// ServeHTTP receives one dead letter.
func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	came := false
	a := s.receiver.Serve(w, r, s.log, func(ctx context.Context, body []byte) receive.Answer {
		came = true
		return s.receive(ctx, r, body)
	})
	if a.Status == http.StatusRequestEntityTooLarge && !came {
		// In binary mode the headers identify the event.
		s.log.Error("dead letter rejected: it is lost", "status", a.Status, "reason", a.Reason,
			"id", sanitize(r.Header.Get("Ce-Id")), "source", sanitize(r.Header.Get("Ce-Source")), "type", sanitize(r.Header.Get("Ce-Type")),
			"content_type", sanitize(r.Header.Get("Content-Type")), "content_length", r.ContentLength)
		s.metrics.letter(r.Context(), refused)
	}
}

func (s *store) receive(ctx context.Context, r *http.Request, body []byte) receive.Answer {
	if cehttp.IsHTTPBatch(r.Header) {
		return s.lost(ctx, body, receive.Refuse(http.StatusUnsupportedMediaType, "a batch: a dead letter is one CloudEvent"))
	}
	e, bad := receive.Decode(r, body)
	if e == nil {
		return s.lost(ctx, body, bad)
	}
	if err := receive.Validate(*e); err != nil {
		return s.lost(ctx, body, receive.Refuse(http.StatusBadRequest, "%v", err))
	}
	what, name, err := s.keep(ctx, *e)
	code, reason := why(*e)
	log := s.log.With("name", name, "id", sanitize(e.ID()), "source", sanitize(e.Source()), "type", sanitize(e.Type()), "bytes", len(body),
		"error_code", code, "error", sanitize(reason))
	s.metrics.letter(ctx, what)
	switch what {
	case kept, keptAlready:
		log.Info("dead letter kept", "already", what == keptAlready)
		return receive.OK()
	case refused:
		log.Error("dead letter rejected: it is lost", "reason", err, "beginning", excerpt(body))
		if errors.Is(err, errTooLarge) {
			return receive.Refuse(http.StatusRequestEntityTooLarge, "%v", err)
		}
		return receive.Refuse(http.StatusBadRequest, "%v", err)
	case full:
		log.Error("dead letter not kept: it is lost if there is still no room at its last redelivery", "reason", err)
		return receive.Refuse(http.StatusInsufficientStorage, "%v", err)
	default:
		log.Warn("dead letter not kept: the Broker must send it again", "reason", err)
		return receive.Refuse(http.StatusServiceUnavailable, "keeping the dead letter: %v", err)
	}
}

// lost logs a body that is not a CloudEvent. No Broker sends such a body.
func (s *store) lost(ctx context.Context, body []byte, a receive.Answer) receive.Answer {
	s.metrics.letter(ctx, refused)
	s.log.Error("dead letter rejected: it is lost", "status", a.Status, "reason", a.Reason, "bytes", len(body), "beginning", excerpt(body))
	return a
}

// excerpt is the first part of a body, which shows where it comes from.
func excerpt(body []byte) string { return sanitize(string(body[:min(len(body), maxText)])) }

// keep creates the event's ConfigMap, unless it exists.
func (s *store) keep(ctx context.Context, e event.Event) (outcome, string, error) {
	c, size, err := configMapOf(e, s.now())
	if err != nil {
		return refused, name(e), err
	}
	giveBack, err := s.quota.reserve(ctx, size)
	if err != nil {
		if !errors.Is(err, errFull) {
			return unavailable, c.Name, err
		}
		// An event that is kept already needs no room.
		if s.exists(ctx, c.Name) == nil {
			return keptAlready, c.Name, nil
		}
		return full, c.Name, err
	}
	err = s.api.create(ctx, c)
	switch {
	case err == nil:
		return kept, c.Name, nil
	case apierrors.IsAlreadyExists(err):
		giveBack(ctx)
		if err := s.exists(ctx, c.Name); err != nil {
			return unavailable, c.Name, err
		}
		return keptAlready, c.Name, nil
	case client.Invalid(err), client.TooLarge(err):
		return refused, c.Name, err
	default:
		// Missing permissions, a missing namespace or a denying policy: an operator can
		// correct these while the Broker retries.
		return unavailable, c.Name, err
	}
}

// exists returns nil if a dead letter with that name is kept and stays: the ConfigMap is
// not foreign and is not being deleted.
func (s *store) exists(ctx context.Context, name string) error {
	c, err := s.api.get(ctx, name)
	switch {
	case err != nil:
		return err
	case c.DeletionTimestamp != nil:
		return fmt.Errorf("the ConfigMap %s is being deleted", name)
	}
	if _, err := read(c); err != nil {
		return fmt.Errorf("the ConfigMap %s is not a dead letter: delete it: %w", name, err)
	}
	return nil
}

// ready tells whether dead letters can be listed. The log says why not.
func (s *store) ready(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if _, err := s.quota.waiting(ctx); err != nil {
		s.log.Warn("not ready", "error", err)
		return false
	}
	return true
}

// alive tells whether no request is stuck.
func (s *store) alive() bool { return s.receiver.Oldest() < stuckAfter }
