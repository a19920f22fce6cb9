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

// ErrUnknownSender means that the sender has shown no valid token: 401.
var ErrUnknownSender = errors.New("unknown sender")

// ErrNotAllowed means that the sender is known and may not send: 403.
var ErrNotAllowed = errors.New("the sender may not send")

var errCrowd = errors.New("too many requests are waiting for the review of their tokens")

func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnknownSender, fmt.Sprintf(format, args...))
}

// VerifierOptions say who may send.
type VerifierOptions struct {
	// Audience is the audience of valid tokens. It must not be one of the API server's
	// own audiences, because every pod's token for the API server would then be valid.
	Audience string
	// Subjects are the user names that may send, such as
	// system:serviceaccount:NAMESPACE:NAME. If it is empty, everybody with a valid token
	// may send.
	Subjects []string
}

// Verifier finds out who sends. It is safe for concurrent use.
type Verifier struct {
	options VerifierOptions
	review  func(ctx context.Context, token, audience string) (user string, err error)
	now     func() time.Time

	known  *lru.Cache[[sha256.Size]byte, identity]
	flight singleflight.Group
	// unknown bounds the requests with unknown tokens, and slots bounds their reviews.
	unknown, slots *semaphore.Weighted
}

// identity is the API server's answer for a valid token.
type identity struct {
	user string
	// until is when the token must be reviewed again.
	until time.Time
}

// NewVerifier makes a Verifier from a client configuration, which it copies. It opens no
// connection.
func NewVerifier(config *rest.Config, o VerifierOptions) (*Verifier, error) {
	r, err := newReviewer(config)
	if err != nil {
		return nil, err
	}
	return newVerifier(r.review, o), nil
}

func newVerifier(review func(context.Context, string, string) (string, error), o VerifierOptions) *Verifier {
	// A cache fails only for a size below 1.
	known, _ := lru.New[[sha256.Size]byte, identity](maxKnownSenders)
	return &Verifier{options: o, review: review, now: time.Now, known: known,
		unknown: semaphore.NewWeighted(maxUnknown), slots: semaphore.NewWeighted(maxReviews)}
}

// Check returns the user name of the sender of a request with these headers. Its error is
// [ErrUnknownSender], [ErrNotAllowed], or a temporary failure of the API server. With
// ErrNotAllowed the user name is set, too.
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
		return user, fmt.Errorf("%w: %q is not in OIDC_SUBJECTS", ErrNotAllowed, user)
	}
	return user, nil
}

func (v *Verifier) allowed(user string) bool {
	return len(v.options.Subjects) == 0 || slices.Contains(v.options.Subjects, user)
}

// identify returns whose token this is, from memory or from the API server.
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
	// Concurrent checks of one token share one TokenReview.
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
	// A token that was valid before does not queue among unknown ones.
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
		// Everybody who can create pods can make any number of valid tokens. They must
		// not displace the tokens of the senders that may send.
		return user, nil
	}
	if end := c.until(); !end.IsZero() && end.Before(until) {
		until = end
	}
	v.known.Add(key, identity{user, until})
	return user, nil
}
