package kube

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"
	"k8s.io/client-go/rest"
)

// ErrUnknownSender means that the sender did not show a token that is good: 401.
var ErrUnknownSender = errors.New("unknown sender")

// ErrNotAllowed means that the sender is known, and may not send: 403.
var ErrNotAllowed = errors.New("the sender may not send")

var errCrowd = errors.New("too many senders wait until it is known who they are")

func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnknownSender, fmt.Sprintf(format, args...))
}

// VerifierOptions say who may send.
type VerifierOptions struct {
	// Audience is whom tokens must be made out to. It must not be one of the API
	// server's own, or every pod's token for the API server would do.
	Audience string
	// Subjects are the user names that may send, such as
	// system:serviceaccount:NAMESPACE:NAME; empty for everyone with a good token.
	Subjects []string
}

// Verifier tells who sends. Any number of goroutines may use it.
type Verifier struct {
	options VerifierOptions
	review  func(ctx context.Context, token, audience string) (user string, err error)
	now     func() time.Time

	known  *lru.Cache[[sha256.Size]byte, identity]
	flight singleflight.Group
	// unknown bounds the requests whose sender is not known yet, slots the calls
	// for them.
	unknown, slots *semaphore.Weighted
}

// identity is what the API server said of a good token.
type identity struct {
	user string
	// until is when it has to be asked again.
	until time.Time
}

// NewVerifier makes a verifier of a client configuration, which it copies. It opens no
// connection.
func NewVerifier(config *rest.Config, o VerifierOptions) (*Verifier, error) {
	r, err := newReviewer(config)
	if err != nil {
		return nil, err
	}
	return newVerifier(r.review, o)
}

func newVerifier(review func(context.Context, string, string) (string, error), o VerifierOptions) (*Verifier, error) {
	known, err := lru.New[[sha256.Size]byte, identity](maxKnownSenders)
	if err != nil {
		return nil, fmt.Errorf("making room for known senders: %w", err)
	}
	return &Verifier{options: o, review: review, now: time.Now, known: known,
		unknown: semaphore.NewWeighted(maxUnknown), slots: semaphore.NewWeighted(maxReviews)}, nil
}

// Check returns the user name of who sends a request with these headers. An
// error is [ErrUnknownSender], [ErrNotAllowed], or why the API server cannot tell,
// which a later try may heal. With ErrNotAllowed there is a user, too.
func (v *Verifier) Check(ctx context.Context, h http.Header) (user string, err error) {
	token, err := bearer(h)
	if err != nil {
		return "", err
	}
	c, err := read(token, v.options.Audience)
	if err != nil {
		return "", err
	}
	if user, err = v.identify(ctx, token, c); err != nil {
		return "", err
	}
	if !v.allowed(user) {
		return user, fmt.Errorf("%w: %q is none of OIDC_SUBJECTS", ErrNotAllowed, user)
	}
	return user, nil
}

func (v *Verifier) allowed(user string) bool {
	return len(v.options.Subjects) == 0 || slices.Contains(v.options.Subjects, user)
}

// identify returns whose a token is, from memory or from the API server.
func (v *Verifier) identify(ctx context.Context, token string, c claims) (string, error) {
	key := sha256.Sum256([]byte(token))
	if i, ok := v.known.Get(key); ok && v.now().Before(i.until) {
		return i.user, nil
	}
	if !v.known.Contains(key) {
		if !v.unknown.TryAcquire(1) {
			return "", errCrowd
		}
		defer v.unknown.Release(1)
	}
	// Who waits for somebody else's call waits no longer than for an own one.
	user, err, _ := v.flight.Do(string(key[:]), func() (any, error) {
		return v.ask(context.WithoutCancel(ctx), key, token, c)
	})
	if err != nil {
		return "", err
	}
	return user.(string), nil
}

func (v *Verifier) ask(ctx context.Context, key [sha256.Size]byte, token string, c claims) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	// Who was good the last time does not queue among strangers.
	if !v.known.Contains(key) {
		if err := v.slots.Acquire(ctx, 1); err != nil {
			return "", fmt.Errorf("too many tokens are being reviewed: %w", err)
		}
		defer v.slots.Release(1)
	}
	until := v.now().Add(reviewAge)
	user, err := v.review(ctx, token, v.options.Audience)
	if errors.Is(err, ErrUnknownSender) {
		v.known.Remove(key)
	}
	if err != nil {
		return "", err
	}
	if !v.allowed(user) {
		// Whoever makes pods makes good tokens without end: they must not push
		// out those of who may send.
		return user, nil
	}
	if end := c.until(); !end.IsZero() && end.Before(until) {
		until = end
	}
	v.known.Add(key, identity{user, until})
	return user, nil
}
