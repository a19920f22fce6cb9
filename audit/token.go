package audit

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// token is a bearer token that somebody else keeps in a file, such as Kubernetes or
// Knative's SinkBinding, who renew it there.
type token struct {
	file string
	// age is how long a token is used before its file is read again; 0 for reading it
	// each time, which takes some 10 µs.
	age time.Duration

	mu    sync.Mutex
	value string
	since time.Time
}

// ShowToken puts the token that a file holds into a request; with an empty path none.
// An error has nothing of the token in it, and a later try may heal it.
func ShowToken(r *http.Request, file string) error { return (&token{file: file}).show(r) }

func (t *token) show(r *http.Request) error {
	if t.file == "" {
		return nil
	}
	value, err := t.read()
	if err != nil {
		return fmt.Errorf("reading the token to show: %w", err)
	}
	r.Header.Set("Authorization", "Bearer "+value)
	return nil
}

func (t *token) read() (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.value != "" && time.Since(t.since) < t.age {
		return t.value, nil
	}
	value, err := ReadSecret(t.file)
	if err != nil {
		return "", err
	}
	if strings.ContainsFunc(value, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "", fmt.Errorf("%s does not hold a token", t.file)
	}
	t.value, t.since = value, time.Now()
	return value, nil
}

// forget makes the file be read again, and tells whether that can be of use.
func (t *token) forget() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.value = ""
	return t.file != "" && t.age > 0
}

// ReadSecret reads a secret that somebody else keeps in a file, without the white space
// around it. An error has nothing of it.
func ReadSecret(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(b))
	switch {
	case secret == "":
		return "", fmt.Errorf("%s is empty", file)
	case len(secret) > maxSecret:
		return "", fmt.Errorf("%s holds more than %d bytes", file, maxSecret)
	}
	return secret, nil
}
