package client

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheAPIServerIsFoundByTheKubeconfigFiles(t *testing.T) {
	dir := t.TempDir()
	clusters, contexts := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	require.NoError(t, os.WriteFile(clusters, []byte(`{"clusters":[{"name":"c","cluster":{"server":"https://127.0.0.1:1"}}]}`), 0o600))
	require.NoError(t, os.WriteFile(contexts, []byte(`{"contexts":[{"name":"x","context":{"cluster":"c"}}],"current-context":"x"}`), 0o600))
	config, err := Load(strings.Join([]string{clusters, contexts}, string(filepath.ListSeparator)))
	require.NoError(t, err)
	require.Equal(t, "https://127.0.0.1:1", config.Host)
	_, err = Load(filepath.Join(dir, "none"))
	require.ErrorContains(t, err, "set KUBECONFIG, or run in a cluster")
	t.Setenv("KUBECONFIG", strings.Join([]string{clusters, contexts}, string(filepath.ListSeparator)))
	config, err = Load("")
	require.NoError(t, err)
	require.Equal(t, "https://127.0.0.1:1", config.Host, "the usual rules")

	require.NoError(t, os.WriteFile(contexts, []byte(`{"contexts":[{"name":"x","context":{"cluster":"c","namespace":"shop"}}],"current-context":"x"}`), 0o600))
	_, namespace, err := LoadWithNamespace("")
	require.NoError(t, err)
	ns, err := namespace()
	require.NoError(t, err)
	require.Equal(t, "shop", ns)
}
