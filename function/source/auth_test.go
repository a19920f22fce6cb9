package source

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/config"
)

func file(t *testing.T, name, text string) string {
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// show posts a webhook with credentials.
func (f *fixture) show(credentials string) (status int, challenge string) {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, f.web.URL+"/alertmanager", strings.NewReader(simple))
	require.NoError(f.t, err)
	if user, password, ok := strings.Cut(credentials, ":"); ok && !strings.HasPrefix(credentials, "Bearer ") {
		req.SetBasicAuth(user, password)
	} else if credentials != "" {
		req.Header.Set("Authorization", credentials)
	}
	resp, err := f.web.Client().Do(req)
	require.NoError(f.t, err)
	resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Www-Authenticate")
}

func TestOnlyWhoShowsTheSecretMaySend(t *testing.T) {
	token := func(c *config.Source) { c.TokenFile = file(t, "token", "s3cret\n") }
	basic := func(c *config.Source) { c.BasicFile = file(t, "basic", "alertmanager:pass:word\n") }
	blank := func(c *config.Source) { c.BasicFile = file(t, "basic", ":") }
	for name, tt := range map[string]struct {
		change    []func(*config.Source)
		shown     string
		status    int
		challenge string
	}{
		"the token":                  {[]func(*config.Source){token}, "Bearer s3cret", 200, ""},
		"the token, in lower case":   {[]func(*config.Source){token}, "bearer s3cret", 200, ""},
		"a wrong token":              {[]func(*config.Source){token}, "Bearer s3cre", 401, "Bearer"},
		"no token":                   {[]func(*config.Source){token}, "", 401, "Bearer"},
		"an empty token":             {[]func(*config.Source){token}, "Bearer ", 401, "Bearer"},
		"a password for a token":     {[]func(*config.Source){token}, "s3cret:s3cret", 401, "Bearer"},
		"the password":               {[]func(*config.Source){basic}, "alertmanager:pass:word", 200, ""},
		"a wrong password":           {[]func(*config.Source){basic}, "alertmanager:pass", 401, `Basic realm="onefire-source"`},
		"another user":               {[]func(*config.Source){basic}, "prometheus:pass:word", 401, `Basic realm="onefire-source"`},
		"a token for a password":     {[]func(*config.Source){basic}, "Bearer alertmanager:pass:word", 401, `Basic realm="onefire-source"`},
		"nothing for an empty one":   {[]func(*config.Source){blank}, "", 401, `Basic realm="onefire-source"`},
		"either of both: token":      {[]func(*config.Source){token, basic}, "Bearer s3cret", 200, ""},
		"either of both: password":   {[]func(*config.Source){token, basic}, "alertmanager:pass:word", 200, ""},
		"neither of both":            {[]func(*config.Source){token, basic}, "Bearer x", 401, `Basic realm="onefire-source"`},
		"nothing where nothing need": {nil, "", 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t)
			f := start(t, b, tt.change...)
			status, challenge := f.show(tt.shown)
			require.Equal(t, tt.status, status)
			require.Equal(t, tt.challenge, challenge)
			require.Equal(t, tt.status == 200, len(b.events()) == 1)
			require.Equal(t, http.StatusOK, get(t, f.web.Client(), f.web.URL+"/health/readiness"), "health needs no secret")
			require.NotContains(t, f.log.String(), "s3cret")
			require.NotContains(t, f.log.String(), "pass:word")
		})
	}
}

// checks returns a check of tokens against a file, and its clock.
func checks(t *testing.T, path string) (check func(token string) error, now *time.Time) {
	now = new(time.Time)
	*now = noon
	a := newAuth(path, "", func() time.Time { return *now })
	return func(token string) error {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+token)
		return a.check(r)
	}, now
}

func TestASecretIsReadAgainWhenItChanges(t *testing.T) {
	path := file(t, "token", "old")
	check, now := checks(t, path)
	require.NoError(t, check("old"))
	require.NoError(t, os.WriteFile(path, []byte("new"), 0o600))
	require.ErrorIs(t, check("new"), errCredentials, "wrong guesses do not make it read all the time")
	*now = now.Add(retryRead)
	require.NoError(t, check("new"))
	require.ErrorIs(t, check("old"), errCredentials)

	require.NoError(t, os.WriteFile(path, []byte("newest"), 0o600))
	*now = now.Add(fileAge)
	require.ErrorIs(t, check("new"), errCredentials, "an old one is not taken for long")

	require.NoError(t, os.Remove(path))
	*now = now.Add(fileAge)
	err := check("newest")
	require.Error(t, err)
	require.NotErrorIs(t, err, errCredentials, "a later try may heal that")
	require.Error(t, check("newest"), "and what was taken away lets nobody in")
	for _, bad := range []string{"", strings.Repeat("x", 8<<10+1)} {
		require.NoError(t, os.WriteFile(path, []byte(bad), 0o600))
		require.NotErrorIs(t, check(bad), errCredentials)
		require.Error(t, check(bad))
	}
	require.NoError(t, os.WriteFile(path, []byte("newest"), 0o600))
	require.NoError(t, check("newest"))
}

func TestASecretIsUsedWithoutItsFileForAWhile(t *testing.T) {
	path := file(t, "token", "t")
	check, now := checks(t, path)
	require.NoError(t, check("t"))
	require.NoError(t, os.Remove(path))
	*now = now.Add(fileAge - 1)
	require.NoError(t, check("t"), "what is right makes nobody read the file so soon")
	require.ErrorContains(t, check("wrong"), "cannot check the credentials: ")
	require.Error(t, check("t"), "it is known now that the secret was taken away")
}

func TestASecretThatCannotBeReadIsA503(t *testing.T) {
	b := newBroker(t)
	path := file(t, "token", "t")
	f := start(t, b, func(c *config.Source) { c.TokenFile = path })
	require.NoError(t, os.Remove(path))
	for _, after := range []time.Duration{0, 0, refusalPause - 1, refusalPause} {
		status, _ := f.at(after).show("Bearer t")
		require.Equal(t, http.StatusServiceUnavailable, status)
	}
	loud := f.log.with(t, "credentials cannot be checked, so no webhook is accepted")
	require.Len(t, loud, 2, "once a minute")
	require.InDelta(t, 2, loud[1]["unlogged"], 0)
}

func TestASourceWithoutItsSecretDoesNotStart(t *testing.T) {
	empty := file(t, "secret", "\n")
	for _, change := range []func(*config.Source){
		func(c *config.Source) { c.TokenFile = empty },
		func(c *config.Source) { c.BasicFile = empty },
		func(c *config.Source) { c.TokenFile, c.BasicFile = file(t, "token", "t"), empty },
	} {
		c := settings("http://127.0.0.1:1")
		change(&c)
		_, err := New(t.Context(), c, &lines{})
		require.ErrorContains(t, err, "is empty")
	}
}
