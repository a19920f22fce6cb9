package audit

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// tokenFile is a file that holds a token.
func tokenFile(t *testing.T, token string) string {
	path := filepath.Join(t.TempDir(), "token")
	write(t, path, token)
	return path
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

// wants answers 401 to all but one token.
func wants(token string) answer {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusCreated)
	}
}

// bearers are the Authorization headers that a sink saw.
func (f *fake) bearers() []string {
	var out []string
	for _, r := range f.seen() {
		out = append(out, r.header.Get("Authorization"))
	}
	return out
}

func TestTokenIsSentWithoutItsLineBreak(t *testing.T) {
	sink := serve(t, wants("first"))
	s := open(t, Options{URL: sink.URL, TokenFile: tokenFile(t, " first\n")})
	require.NoError(t, one(t.Context(), s, another()))
	require.Equal(t, []string{"Bearer first"}, sink.bearers())
}

func TestRefusedTokenIsReadAgain(t *testing.T) {
	sink := serve(t, wants("first"), wants("second"))
	path := tokenFile(t, "first")
	s := open(t, Options{URL: sink.URL, TokenFile: path})
	require.NoError(t, one(t.Context(), s, another()))
	write(t, path, "second")
	require.NoError(t, one(t.Context(), s, another()))
	require.NoError(t, one(t.Context(), s, another()))
	require.Equal(t, []string{"Bearer first", "Bearer first", "Bearer second", "Bearer second"}, sink.bearers())
}

func TestTokenThatStaysRefusedIsAnOperators(t *testing.T) {
	sink := serve(t, wants("another"))
	s := open(t, Options{URL: sink.URL, TokenFile: tokenFile(t, "first")})
	err := one(t.Context(), s, another())
	require.Equal(t, unavailable, verdictOf(err))
	require.ErrorContains(t, err, "401")
	require.Len(t, sink.seen(), 2, "one with the token, one with the token read again")
}

func TestSecondTryAfterRotationIsRetriedLikeAny(t *testing.T) {
	sink := serve(t, status(401), status(503), status(201))
	s := open(t, Options{URL: sink.URL, TokenFile: tokenFile(t, "first")})
	require.NoError(t, one(t.Context(), s, another()))
	require.Len(t, sink.seen(), 3)
}

func TestSecondTryAfterRotationMayBeRefused(t *testing.T) {
	sink := serve(t, status(401), status(422))
	s := open(t, Options{URL: sink.URL, TokenFile: tokenFile(t, "first")})
	require.Equal(t, refused, verdictOf(one(t.Context(), s, another())))
	require.Len(t, sink.seen(), 2)
}

func TestTokenIsReadAgainWhenItIsOld(t *testing.T) {
	sink := serve(t, status(201))
	path := tokenFile(t, "first")
	s := open(t, Options{URL: sink.URL, TokenFile: path})
	require.NoError(t, one(t.Context(), s, another()))
	write(t, path, "second")
	require.NoError(t, one(t.Context(), s, another()))
	s.client.token.since = s.client.token.since.Add(-tokenAge)
	require.NoError(t, one(t.Context(), s, another()))
	require.Equal(t, []string{"Bearer first", "Bearer first", "Bearer second"}, sink.bearers())
}

func TestATokenIsUsedUntilItsAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := tokenFile(t, "first")
		held := &token{file: path, age: tokenAge}
		require.Equal(t, "first", must(held.read()))
		write(t, path, "second")
		pass(tokenAge - 1)
		require.Equal(t, "first", must(held.read()))
		pass(1)
		require.Equal(t, "second", must(held.read()))
	})
}

// A token without an age is read for each request, so none is older than its file.
func TestATokenThatIsReadEachTimeIsNotTriedTwice(t *testing.T) {
	sink := serve(t, status(401))
	c, err := NewClient(ClientOptions{Name: "the server", TokenFile: tokenFile(t, "first")})
	require.NoError(t, err)
	defer c.Close()
	require.ErrorContains(t, c.Deliver(t.Context(), get(sink.URL, nil), Retry{Tries: 3}), "401")
	require.Len(t, sink.seen(), 1)
}

// DataStorage has not seen what was not sent for want of a token.
func TestAMissingTokenLeavesNoDoubt(t *testing.T) {
	sink := serve(t, status(201))
	path := filepath.Join(t.TempDir(), "token")
	s := open(t, Options{URL: sink.URL + "/audit/events", TokenFile: path})
	err := one(t.Context(), s, sample())
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "the audit sink is not available: ")
	write(t, path, "late")
	require.NoError(t, one(t.Context(), s, sample()))
	require.Len(t, sink.seen(), 1)
	require.Equal(t, http.MethodPost, sink.seen()[0].method)
}

func TestTokenFileThatIsMissingSendsNothing(t *testing.T) {
	sink := serve(t, status(201))
	path := filepath.Join(t.TempDir(), "token")
	s := open(t, Options{URL: sink.URL, TokenFile: path})
	err := one(t.Context(), s, another())
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.Equal(t, unavailable, verdictOf(err))
	require.Empty(t, sink.seen())

	write(t, path, "late")
	require.NoError(t, one(t.Context(), s, another()))
	require.Equal(t, []string{"Bearer late"}, sink.bearers())
}

// A file is empty for a moment while it is written anew; a request without a
// token would only be turned away.
func TestEmptyTokenFileSendsNothing(t *testing.T) {
	sink := serve(t, status(201))
	path := tokenFile(t, " \n")
	s := open(t, Options{URL: sink.URL, TokenFile: path})
	err := one(t.Context(), s, another())
	require.Equal(t, unavailable, verdictOf(err))
	require.ErrorContains(t, err, path+" is empty")
	require.Empty(t, sink.seen())

	write(t, path, "late")
	require.NoError(t, one(t.Context(), s, another()))
	require.Equal(t, []string{"Bearer late"}, sink.bearers())
}

func TestTokenIsRotatedUnderManyDeliveries(t *testing.T) {
	const n = 32
	path := tokenFile(t, "first")
	sink := serve(t, wants("second"))
	s := open(t, Options{URL: sink.URL, TokenFile: path})
	require.Equal(t, unavailable, verdictOf(one(t.Context(), s, another())))
	write(t, path, "second")
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = one(t.Context(), s, another()) })
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
}

// A token has any of the characters that can be seen, and a file of it a bound.
func TestWhatATokenMayBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	for content, ok := range map[string]bool{
		"!~": true, "a b": false, "a\x7fb": false,
		strings.Repeat("x", maxSecret): true, strings.Repeat("x", maxSecret+1): false,
	} {
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		read, err := (&token{file: file}).read()
		require.Equal(t, ok, err == nil, "%v", err)
		if ok {
			require.Equal(t, content, read)
		}
	}
}
