package dedup

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
)

// A CRD that prunes what it does not know makes the API server warn of it with
// each patch; client-go would write that to stderr, between the lines of JSON.
func TestWarningsOfTheAPIServerAreNotWrittenIntoTheLog(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Warning", `299 - "unknown field \"status.deduplication.events\""`)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"metadata":{"resourceVersion":"2"}}`)
	}))
	defer server.Close()
	k, err := connect(&rest.Config{Host: server.URL})
	require.NoError(t, err)

	stderr := os.Stderr
	defer func() { os.Stderr = stderr }()
	read, write, err := os.Pipe()
	require.NoError(t, err)
	os.Stderr = write
	revision, err := k.patchStatus(t.Context(), "ns", "rr", map[string]any{})
	require.NoError(t, write.Close())
	require.NoError(t, err)
	require.Equal(t, "2", revision)
	written, err := io.ReadAll(read)
	require.NoError(t, err)
	require.Empty(t, string(written))
}
