package local

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onefire/test/datastorage"
)

// stack is what Alert talks to: a source that answers with a status, and a DataStorage
// that then has some audit events.
func stack(t *testing.T, status int, answer, events string) Settings {
	t.Helper()
	posted := false
	mux := http.NewServeMux()
	mux.HandleFunc("/alertmanager", func(w http.ResponseWriter, _ *http.Request) {
		posted = true
		w.WriteHeader(status)
		fmt.Fprint(w, answer)
	})
	mux.HandleFunc(datastorage.AuditPath, func(w http.ResponseWriter, _ *http.Request) {
		if posted {
			fmt.Fprintf(w, `{"data":[%s]}`, events)
		} else {
			fmt.Fprint(w, `{"data":[]}`)
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	address := strings.TrimPrefix(server.URL, "http://")
	s := Settings{SourceAddr: address, DataStorageAddr: address, State: t.TempDir()}
	require.NoError(t, os.WriteFile(s.Kubeconfig(), []byte(`{"clusters":[{"name":"c","cluster":{"server":"http://127.0.0.1:1"}}],
		"contexts":[{"name":"c","context":{"cluster":"c"}}],"current-context":"c"}`), 0o600))
	return s
}

func webhook(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "README.md")
	require.NoError(t, os.WriteFile(file, []byte("# no webhook"), 0o600))
	return file
}

func TestAnAlertThatIsNotTakenIsAnError(t *testing.T) {
	for _, status := range []int{302, 400, 401, 503} {
		s, file, out := stack(t, status, "not JSON\n", ""), webhook(t), &bytes.Buffer{}
		err := Alert(t.Context(), s, file, out)
		require.EqualError(t, err, fmt.Sprintf("the source did not accept %s: POST to %s: %d: not JSON", file, s.SourceURL(), status))
		require.Empty(t, out.String())
	}
}

func TestAnAlertOfWhichNothingCameSaysSo(t *testing.T) {
	for reason, row := range map[string]struct{ events, want string }{
		"no event":                {``, `\nThe function wrote no audit event about it: it made no RemediationRequest, and counted on none\.\n`},
		"an event without object": {`{"event_type":"x","event_outcome":"success"}`, `\nThe audit events name no RemediationRequest\.\n\nAUDIT EVENT .*\nx .*\n`},
	} {
		t.Run(reason, func(t *testing.T) {
			s, file, out := stack(t, http.StatusOK, "", row.events), webhook(t), &bytes.Buffer{}
			require.NoError(t, Alert(t.Context(), s, file, out))
			require.Regexp(t, `^POST `+file+` to `+s.SourceURL()+`: 200 in \d+ ms\n`+row.want+`$`, out.String())
		})
	}
}
