package deadletters

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAReplayShowsItsToken(t *testing.T) {
	f, target := fix(t), serveFunction(t, 401, 200)
	path := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(path, []byte("abc\n"), 0o600))
	require.Equal(t, http.StatusOK, f.send(nil, `{}`).Code)
	c := f.configuration(t, target.URL)
	c.ReplayTokenFile = path
	require.ErrorIs(t, Replay(t.Context(), c, []string{"all"}, t.Output()), errNotTaken, "the function did not take the token")
	require.Len(t, f.kube.all(), 1)
	require.NoError(t, Replay(t.Context(), c, []string{"all"}, t.Output()))
	require.Empty(t, f.kube.all())
	for _, r := range target.seen() {
		require.Equal(t, "Bearer abc", r.header.Get("Authorization"))
	}
}

func TestAReplayWithoutItsTokenKeepsWhatIsThere(t *testing.T) {
	f, target := fix(t), serveFunction(t, 200)
	require.Equal(t, http.StatusOK, f.send(nil, `{}`).Code)
	p := newReplayer(f.api, target.URL, filepath.Join(t.TempDir(), "absent"), t.Output())
	p.firstPause = 1
	require.ErrorIs(t, p.replay(t.Context(), f.names(t)), errNotTaken)
	require.Empty(t, target.seen())
	require.Len(t, f.kube.all(), 1)
}
