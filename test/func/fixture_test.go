package funccli

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// environment is what func and the function need, of which HOME is where func
// would leave files of its own.
func environment(t *testing.T, namespace string, more ...string) []string {
	t.Helper()
	env := append(os.Environ(), "HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir(),
		"KUBECONFIG="+kubeconfig, "AUDIT_SINK="+auditURL, "REMEDIATION_NAMESPACE="+namespace)
	for _, name := range []string{"GOPATH", "GOCACHE", "GOMODCACHE"} {
		value, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
		require.NoError(t, err)
		env = append(env, name+"="+strings.TrimSpace(string(value)))
	}
	return append(env, more...)
}

// start starts a process in a group of its own, which is killed at the end.
func start(t *testing.T, c *exec.Cmd) *syncBuffer {
	t.Helper()
	log := &syncBuffer{}
	c.Stdout, c.Stderr = log, log
	// One that is left behind would hold the log open, and the wait for ever.
	c.WaitDelay = stopDelay
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	c.SysProcAttr.Setpgid = true
	c.SysProcAttr.Pdeathsig = syscall.SIGKILL
	require.NoError(t, c.Start())
	t.Cleanup(func() {
		// When the test went well, nobody is there any more.
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
		if c.ProcessState == nil {
			_ = c.Wait()
		}
	})
	return log
}

// post posts an event with one alert, as a Broker would, and returns the status.
func post(ctx context.Context, address, id, body string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address, strings.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("making the request: %w", err)
	}
	for name, value := range map[string]string{
		"Ce-Specversion": "1.0", "Ce-Type": "io.prometheus.alerts.v1", "Ce-Source": "/test", "Ce-Id": id, "Content-Type": "application/json",
	} {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, fmt.Errorf("posting the event: %w", err)
	}
	return resp.StatusCode, resp.Body.Close()
}

// requireSettles posts an alert twice, and asks for one object that counts both.
func requireSettles(t *testing.T, address, namespace string, log fmt.Stringer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, id := range []string{"1", "2"} {
		status, err := post(ctx, address, id, `{"version":"4","status":"firing","alerts":[{"status":"firing",`+
			`"labels":{"alertname":"KubePodCrashLooping","namespace":"payments","pod":"api-0","severity":"warning"},"startsAt":"2026-01-17T11:00:00Z"}]}`)
		require.NoError(t, err, "%s", log)
		require.Equal(t, http.StatusOK, status, "%s", log)
	}
	all, err := objects.Namespace(namespace).List(ctx, metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, all.Items, 1)
	require.EqualValues(t, 2, all.Items[0].Object["status"].(map[string]any)["deduplication"].(map[string]any)["occurrenceCount"])
	require.Equal(t, "high", all.Items[0].Object["spec"].(map[string]any)["severity"])
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
