package source

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"onefire/audit"
)

var errCredentials = errors.New("wrong or missing credentials")

// auth checks a sender's credentials. Without files it accepts everybody.
type auth struct {
	token, basic *secret
}

func newAuth(tokenFile, basicFile string, now func() time.Time) *auth {
	a := &auth{}
	if tokenFile != "" {
		a.token = &secret{file: tokenFile, now: now}
	}
	if basicFile != "" {
		a.basic = &secret{file: basicFile, now: now}
	}
	return a
}

// check returns nil, errCredentials, or why it cannot check now, which can be temporary.
// If both kinds of credentials are configured, either is enough.
func (a *auth) check(r *http.Request) error {
	if a.token == nil && a.basic == nil {
		return nil
	}
	if scheme, shown, _ := strings.Cut(r.Header.Get("Authorization"), " "); a.token != nil && strings.EqualFold(scheme, "bearer") {
		return a.token.check(strings.TrimSpace(shown))
	}
	if user, password, ok := r.BasicAuth(); ok && a.basic != nil {
		return a.basic.check(user + ":" + password)
	}
	return errCredentials
}

// challenge is the WWW-Authenticate header of a 401.
func (a *auth) challenge() string {
	if a.basic != nil {
		return `Basic realm="onefire-source"`
	}
	return "Bearer"
}

// secret is a text in a file that another program updates.
type secret struct {
	file string
	now  func() time.Time

	mu    sync.Mutex
	hash  [sha256.Size]byte
	since time.Time
}

// check compares a text with the secret, in constant time. After a wrong text it reads
// the file again, in case the secret has changed, at most once in [retryRead].
func (s *secret) check(shown string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	hash := sha256.Sum256([]byte(shown))
	age := s.now().Sub(s.since)
	if age < fileAge && subtle.ConstantTimeCompare(hash[:], s.hash[:]) == 1 {
		return nil
	}
	if age >= retryRead {
		text, err := s.read()
		if err != nil {
			s.since = time.Time{} // A secret that was removed admits nobody.
			return fmt.Errorf("cannot check the credentials: %w", err)
		}
		s.hash, s.since = sha256.Sum256([]byte(text)), s.now()
	}
	if subtle.ConstantTimeCompare(hash[:], s.hash[:]) == 1 {
		return nil
	}
	return errCredentials
}

func (s *secret) read() (string, error) {
	text, err := audit.ReadSecret(s.file)
	if err != nil {
		return "", fmt.Errorf("reading a secret: %w", err)
	}
	return text, nil
}
