package audit

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheTokenOfAFileIsShown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	for reason, row := range map[string]struct{ text, want string }{
		"a token":                {"abc.def.ghi", "Bearer abc.def.ghi"},
		"white space around it":  {" abc\r\n", "Bearer abc"},
		"the longest":            {strings.Repeat("a", maxSecret), "Bearer " + strings.Repeat("a", maxSecret)},
		"one that is too long":   {strings.Repeat("a", maxSecret+1), ""},
		"nothing":                {"\n", ""},
		"another line":           {"secret\nX-Other: b", ""},
		"what no header carries": {"secret\x00", ""},
		"two words":              {"secret secret", ""},
		"a letter beyond ASCII":  {"secret\u00e9", ""},
		"the last of ASCII":      {"a~b", "Bearer a~b"},
		"what ASCII ends with":   {"secret\x7f", ""},
	} {
		t.Run(reason, func(t *testing.T) {
			require.NoError(t, os.WriteFile(path, []byte(row.text), 0o600))
			r := httptest.NewRequest(http.MethodPost, "/", nil)
			err := ShowToken(r, path)
			require.Equal(t, row.want, r.Header.Get("Authorization"))
			require.Equal(t, row.want == "", err != nil)
			if err != nil {
				require.NotContains(t, err.Error(), "secret")
			}
		})
	}
}

func TestWithoutAFileNothingIsShown(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	require.NoError(t, ShowToken(r, ""))
	require.Empty(t, r.Header)
	require.ErrorIs(t, ShowToken(r, filepath.Join(t.TempDir(), "absent")), os.ErrNotExist)
	require.Empty(t, r.Header)
	require.ErrorContains(t, ShowToken(r, t.TempDir()), "is a directory")
	require.Empty(t, r.Header)
}
