package datastorage

import (
	"net/http"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

func TestOtherPathsAndMethods(t *testing.T) {
	tests := map[string]struct {
		method, path string
		want         int
	}{
		"PUT of events":         {http.MethodPut, events, 405},
		"PATCH of events":       {http.MethodPatch, events, 405},
		"DELETE of events":      {http.MethodDelete, events, 405},
		"GET of the batch":      {http.MethodGet, batch, 405},
		"GET of the chain":      {http.MethodGet, VerifyPath, 405},
		"the root":              {http.MethodPost, "/", 404},
		"a slash too many":      {http.MethodPost, events + "/", 404},
		"another version":       {http.MethodPost, "/api/v2/audit/events", 404},
		"an event by its id":    {http.MethodGet, events + "/1", 404},
		"a path above the root": {http.MethodGet, "/..", 404},
	}
	c := serve(t, Options{})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := c.must(tt.method, tt.path, event(t, mapping.Schema202601))
			require.Equal(t, tt.want, a.status)
			require.NotEqual(t, "application/problem+json", a.header.Get("Content-Type"))
		})
	}
	require.Zero(t, c.total())
}

// A probe with HEAD gets an answer, and needs no more.
func TestHEADIsAnswered(t *testing.T) {
	a := serve(t, Options{}).must(http.MethodHead, events, nil)
	require.Equal(t, http.StatusMethodNotAllowed, a.status)
	require.Empty(t, a.body)
}

func TestTokenIsAskedFor(t *testing.T) {
	c := serve(t, Options{Token: "secret"})
	body := event(t, mapping.Schema202601)
	for name, headers := range map[string][]string{
		"none":           nil,
		"another":        {"Authorization", "Bearer other"},
		"half of it":     {"Authorization", "Bearer secre"},
		"more than it":   {"Authorization", "Bearer secret2"},
		"an empty one":   {"Authorization", "Bearer "},
		"another scheme": {"Authorization", "Basic secret"},
		"without scheme": {"Authorization", "secret"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, a := range []answer{
				c.must(http.MethodPost, events, body, headers...),
				c.must(http.MethodPost, batch, array(body), headers...),
				c.must(http.MethodGet, events, nil, headers...),
			} {
				requireProblem(t, a, http.StatusUnauthorized, "")
			}
		})
	}
	page := func() page {
		a := c.must(http.MethodGet, events, nil, "Authorization", "Bearer secret")
		require.Equal(t, http.StatusOK, a.status)
		return decode[page](t, a.body)
	}
	require.Empty(t, page().Data)
	requireStored(t, c.must(http.MethodPost, events, body, "Authorization", "Bearer secret"))
	require.Len(t, page().Data, 1)
}

func TestNoTokenIsAskedForWithoutOne(t *testing.T) {
	c := serve(t, Options{})
	requireStored(t, c.must(http.MethodPost, events, event(t, mapping.Schema202601), "Authorization", "Bearer whatever"))
}

func TestHealthNeedsNoToken(t *testing.T) {
	c := serve(t, Options{Token: "secret"})
	require.Equal(t, http.StatusOK, c.must(http.MethodGet, "/healthz", nil).status)
}

func TestEventsAreKeptOverARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a file with ? and # in its name.db")
	var (
		id   string
		kept page
	)
	t.Run("before", func(t *testing.T) {
		c := serve(t, Options{Path: path})
		id = requireStored(t, c.post(event(t, mapping.Schema202601), "one"))
		requireStored(t, c.post(event(t, mapping.Schema202601), ""))
		kept = c.get("")
	})
	t.Run("after", func(t *testing.T) {
		c := serve(t, Options{Path: path})
		require.Equal(t, kept, c.get(""))
		require.NotEqual(t, id, requireStored(t, c.post(event(t, mapping.Schema202601), "one")), "it is not known")
		require.Equal(t, 3, c.total())
	})
	t.Run("with the newer schema", func(t *testing.T) {
		c := serve(t, Options{Path: path, Schema: mapping.Schema202608})
		requireStored(t, c.post(event(t, mapping.Schema202608), "two"))
		require.Equal(t, 4, c.total())
	})
	files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	require.NoError(t, err)
	require.Equal(t, []string{path}, files, "all of it is in one file")
}

func TestOpenSaysWhichDatabaseItCannotOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "events.db")
	_, err := Open(Options{Path: path})
	require.ErrorContains(t, err, path)
}

func TestClosedServerSaysSo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	c := serve(t, Options{Path: path})
	require.NoError(t, c.server.Close())
	requireProblem(t, c.post(event(t, mapping.Schema202601), ""), http.StatusInternalServerError, "Failed to write")
	requireProblem(t, c.must(http.MethodGet, events, nil), http.StatusInternalServerError, "Failed to query")
}
