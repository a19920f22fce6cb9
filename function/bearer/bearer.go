// Package bearer shows a token that somebody else keeps in a file, such as
// Kubernetes or Knative's SinkBinding, who renew it there.
package bearer

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// Set puts the token that a file holds into a request; with an empty path none.
// The file is read each time, which takes some 10 µs, so a renewed token is
// there at once. An error has nothing of the token in it, and a later try may
// heal it.
func Set(r *http.Request, path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("reading the token to show: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxToken+1))
	if err != nil {
		return fmt.Errorf("reading the token to show: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" || len(token) > maxToken || strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return fmt.Errorf("reading the token to show: %s does not hold one of at most %d bytes", path, maxToken)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return nil
}
