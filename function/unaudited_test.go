package function

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onefire/config"
)

func TestWithoutAnAuditSinkAlertsAreSettledAndNothingIsSent(t *testing.T) {
	f := newFixture()
	audit, err := newReporter(config.Config{AuditSink: config.NoAudit}, f.service.observer)
	require.NoError(t, err)
	f.service.pipeline.audit = audit
	requireStatus(t, http.StatusOK, f.serve(binary("1", webhook(alert("firing", "alertname=A"), alert("firing", "pod=p")))))
	require.Empty(t, f.sink.events)
	require.Contains(t, f.log.String(), `"decisions":"new=1 invalid=1"`)
	ready, err := f.Ready(t.Context())
	require.NoError(t, err)
	require.True(t, ready, "nobody is there to be asked")
	require.NoError(t, f.Stop(t.Context()))
}

// The log says it once, at the start, so that nobody looks for audit events.
func TestAStartSaysThatNothingIsAudited(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(kubeconfig, []byte(`{"clusters":[{"name":"c","cluster":{"server":"https://127.0.0.1:1"}}],
		"contexts":[{"name":"x","context":{"cluster":"c"}}],"current-context":"x"}`), 0o600))
	for sink, want := range map[string]int{"none": 1, "http://127.0.0.1:1": 0} {
		t.Run(sink, func(t *testing.T) {
			log, err := os.Create(filepath.Join(t.TempDir(), "log"))
			require.NoError(t, err)
			stderr := os.Stderr
			os.Stderr = log
			defer func() { os.Stderr = stderr }()
			f := New()
			require.NoError(t, f.Start(t.Context(), map[string]string{"AUDIT_SINK": sink, "KUBECONFIG": kubeconfig}))
			require.NoError(t, f.Stop(t.Context()))
			require.NoError(t, log.Close())
			said, err := os.ReadFile(log.Name())
			require.NoError(t, err)
			require.Equal(t, want, strings.Count(string(said), "AUDIT_SINK is none"))
		})
	}
}
