package conformance

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"
)

// configMaps is as much of an API server as the dead-letter store needs: the
// one of make run has no ConfigMaps. The store's own tests use a stricter one.
type configMaps struct {
	*httptest.Server

	mu      sync.Mutex
	objects map[string]map[string]any
	down    bool
}

func startConfigMaps(t *testing.T) *configMaps {
	c := &configMaps{objects: map[string]map[string]any{}}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *configMaps) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	name := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/api/v1/namespaces/onefire/configmaps"), "/")
	w.Header().Set("Content-Type", "application/json")
	answer := func(code int, o any) {
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(o)
	}
	failure := func(code int, reason string) {
		answer(code, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason})
	}
	var made map[string]any
	switch {
	case c.down:
		failure(http.StatusServiceUnavailable, "ServiceUnavailable")
	case r.Method == http.MethodPost && json.Unmarshal(body, &made) == nil:
		metadata := made["metadata"].(map[string]any)
		if c.objects[metadata["name"].(string)] != nil {
			failure(http.StatusConflict, "AlreadyExists")
			return
		}
		metadata["uid"], metadata["resourceVersion"] = "1", "1"
		c.objects[metadata["name"].(string)] = made
		answer(http.StatusCreated, made)
	case name == "":
		items := []any{}
		for _, o := range c.objects {
			items = append(items, o)
		}
		answer(http.StatusOK, map[string]any{"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "items": items})
	case c.objects[name] == nil:
		failure(http.StatusNotFound, "NotFound")
	case r.Method == http.MethodDelete:
		delete(c.objects, name)
		answer(http.StatusOK, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Success"})
	default:
		answer(http.StatusOK, c.objects[name])
	}
}

// setDown makes the API server fail, or not.
func (c *configMaps) setDown(down bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = down
}

// letters are the events that are kept, by name.
func (c *configMaps) letters(t *testing.T) map[string]event.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]event.Event{}
	for name, o := range c.objects {
		var e event.Event
		require.NoError(t, json.Unmarshal([]byte(o["data"].(map[string]any)["event.json"].(string)), &e))
		out[name] = e
	}
	return out
}

// kubeconfig is a file that leads to it.
func (c *configMaps) kubeconfig(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(path, fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Config","current-context":"x",
		"clusters":[{"name":"x","cluster":{"server":%q}}],"users":[{"name":"x"}],"contexts":[{"name":"x","context":{"cluster":"x","user":"x"}}]}`,
		c.URL), 0o600))
	return path
}
