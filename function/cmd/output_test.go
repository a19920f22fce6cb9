package cmd

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// full is an output that takes nothing, as a file on a full disk.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// stopping is an output that ends a context when something is written.
type stopping struct {
	bytes.Buffer
	stop context.CancelFunc
}

func (s *stopping) Write(b []byte) (int, error) {
	s.stop()
	return s.Buffer.Write(b)
}

func TestAnOutputThatTakesNothingIsAnError(t *testing.T) {
	k := startRequests(t, night()...)
	prometheus := fired(t, map[string]string{"node": "n"}).URL + "/prometheus"
	for _, command := range []string{
		"version", "config", "config -o json", "explain -", "explain -o json -", "list -A", "list -A -o json", "list -A -w", "list -A -w -o json",
		"explain -since 1h -prometheus " + prometheus, "explain -o json -since 1h -prometheus " + prometheus,
	} {
		t.Run(command, func(t *testing.T) {
			var problems bytes.Buffer
			environment := map[string]string{"AUDIT_SINK": "http://sink"}
			if strings.HasPrefix(command, "list") {
				environment = map[string]string{"KUBECONFIG": k.kubeconfig, "BRAKE": "none"}
			}
			code := Main(t.Context(), strings.Fields(command), environment, Streams{In: strings.NewReader(`{"labels":{"alertname":"A"}}`), Out: full{}, Err: &problems})
			require.Equal(t, 1, code)
			require.Contains(t, problems.String(), "no space left on device")
		})
	}
}

func TestAWatchListsUntilItIsStopped(t *testing.T) {
	k := startRequests(t, night()...)
	ctx, stop := context.WithCancel(t.Context())
	out, problems := &stopping{stop: stop}, bytes.Buffer{}
	code := Main(ctx, []string{"list", "-A", "-w"}, map[string]string{"KUBECONFIG": k.kubeconfig, "BRAKE": "none"}, Streams{Out: out, Err: &problems})
	require.Zero(t, code, problems.String())
	require.Contains(t, out.String(), ", all namespaces: 6 requests\nFINGERPRINT ")
}

// Only the command prints what is wrong, not also the package that reads its flags.
func TestAWrongFlagIsSaidOnce(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	require.NoError(t, err)
	defer file.Close()
	before := os.Stderr
	os.Stderr = file
	defer func() { os.Stderr = before }()
	for _, command := range []string{"list", "explain", "config", "prune", "version"} {
		code, out, problems := run(t, "", nil, command, "-bogus")
		require.Equal(t, 2, code)
		require.Empty(t, out)
		require.Equal(t, "onefire: flag provided but not defined: -bogus\nfor help: onefire "+command+" -h\n", problems)
	}
	said, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	require.Empty(t, string(said))
}

func TestTextIsPrintedAsItIs(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, output{format: "json"}.print(&b, map[string]string{"text": "<a & b>"}, nil))
	require.Contains(t, b.String(), `"<a & b>"`)
	b.Reset()
	require.NoError(t, output{}.print(&b, nil, func(w io.Writer) { _, _ = io.WriteString(w, "<b>&amp;\tx\na\ty\n") }))
	require.Equal(t, "<b>&amp;  x\na         y\n", b.String(), "no character is taken for markup")

	_, out, _ := run(t, "", map[string]string{"AUDIT_SINK": "http://sink"}, "config")
	require.Regexp(t, `^VARIABLE +VALUE +FROM\n`, out)
}
