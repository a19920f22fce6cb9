package audit

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// token is a bearer token that is kept in a file by someone else.
type token struct {
	file string

	mu    sync.Mutex
	value string
	since time.Time
}

func (t *token) read() (string, error) {
	if t.file == "" {
		return "", nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.value != "" && time.Since(t.since) < tokenAge {
		return t.value, nil
	}
	b, err := os.ReadFile(t.file)
	if err != nil {
		return "", err
	}
	if t.value, t.since = strings.TrimSpace(string(b)), time.Now(); t.value == "" {
		return "", fmt.Errorf("%s is empty", t.file)
	}
	return t.value, nil
}

func (t *token) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.value = ""
}
