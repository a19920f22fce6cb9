package function

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"onefire/config"
	"onefire/function/inbound"
	"onefire/function/sender"
)

// senders is what a function needs of [sender.Verifier]; nil where everybody
// may send.
type senders interface {
	Check(ctx context.Context, h http.Header) (user string, err error)
}

// newSenders makes what the configuration asks for. It opens no connection.
func newSenders(client *rest.Config, c config.Config) (senders, error) {
	if c.OIDCAudience == "" {
		return nil, nil
	}
	return sender.New(client, sender.Options{Audience: c.OIDCAudience, Subjects: c.OIDCSubjects})
}

// admit answers who may not send; nil lets a request in.
func (p *parts) admit(ctx context.Context, w http.ResponseWriter, r *http.Request) *inbound.Answer {
	if p.senders == nil {
		return nil
	}
	user, err := p.senders.Check(ctx, r.Header)
	if err == nil {
		return nil
	}
	a := inbound.Refuse(http.StatusServiceUnavailable, "cannot tell who sends: %v", err)
	switch {
	case errors.Is(err, sender.ErrUnknown):
		w.Header().Set("WWW-Authenticate", "Bearer")
		a = inbound.Refuse(http.StatusUnauthorized, "%v", err)
	case errors.Is(err, sender.ErrNotAllowed):
		a = inbound.Refuse(http.StatusForbidden, "%v", err)
	}
	lines := &p.refusals
	if a.Status == http.StatusServiceUnavailable {
		lines = &p.faults // It is ours to mend: strangers must not hide it.
	}
	if n, ok := lines.next(p.now(), refusalPause); ok {
		p.log.Warn("not let in", "status", a.Status, "user", user, "error", a.Reason, "unlogged", n)
	}
	return &a
}

// seldom lets one line of a kind into the log in a while, so that what happens often
// does not fill it.
type seldom struct {
	mu    sync.Mutex
	last  time.Time
	count int
}

// next tells whether the next line is logged, a pause after the last one, and how many
// were not since.
func (s *seldom) next(now time.Time, pause time.Duration) (unlogged int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.last.IsZero() && now.Sub(s.last) < pause {
		s.count++
		return 0, false
	}
	unlogged, s.count, s.last = s.count, 0, now
	return unlogged, true
}
