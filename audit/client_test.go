package audit

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAnswersInMessagesAreShort(t *testing.T) {
	require.Equal(t, strings.Repeat("x", 256)+"…", short(strings.Repeat("x", maxAnswer), 256))
	require.Equal(t, strings.Repeat("x", maxAnswer), short(" "+strings.Repeat("x", maxAnswer)+"\n", 0))
	require.Equal(t, "ü…", short("üü", 3), "no half of a character stays")
	require.Equal(t, "xyz", short("xyz", 3), "what fits is whole")
}

// A server that asks for time gets it where the delivery has a bound in time, and no
// more than the longest pause where it has none.
func TestWhatAServerAsksForIsBounded(t *testing.T) {
	for name, row := range map[string]struct {
		retry Retry
		asked string
		took  time.Duration
		posts int
	}{
		"seconds within the bound":   {Retry{Tries: 2, MaxElapsed: time.Minute}, "7", 7 * time.Second, 2},
		"seconds beyond it":          {Retry{Tries: 2, MaxElapsed: 10 * time.Second}, "11", 0, 1},
		"no bound":                   {Retry{Tries: 2, MaxPause: 10 * time.Second}, "11", 10 * time.Second, 2},
		"no bound, and a date":       {Retry{Tries: 2, MaxPause: 10 * time.Second}, "Fri, 01 Jan 2100 00:00:00 GMT", 10 * time.Second, 2},
		"no bound, and it asks less": {Retry{Tries: 2, MaxPause: 10 * time.Second}, "3", 3 * time.Second, 2},
		"it asks for no time":        {Retry{Tries: 2, FirstPause: time.Second, MaxPause: time.Second, MaxElapsed: time.Minute}, "0", 0, 2},
		"a day, as far as it counts": {Retry{Tries: 2, MaxElapsed: time.Hour}, "86400", maxRetryAfter, 2},
		"a year, as a date":          {Retry{Tries: 2, MaxElapsed: time.Hour}, "Fri, 01 Jan 2100 00:00:00 GMT", maxRetryAfter, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, err := NewClient(ClientOptions{Name: "the server"})
				require.NoError(t, err)
				posts := 0
				c.Wrap(func(http.RoundTripper) http.RoundTripper {
					return transport(func(*http.Request) (*http.Response, error) {
						posts++
						resp := responded(http.StatusServiceUnavailable, "busy")
						resp.Header = http.Header{"Retry-After": {row.asked}}
						return resp, nil
					})
				})
				begun := time.Now()
				err = c.Deliver(t.Context(), get("http://server.test", nil), row.retry)
				require.EqualError(t, err, "the server is not available: 503 busy")
				require.Equal(t, row.took, time.Since(begun))
				require.Equal(t, row.posts, posts)
			})
		})
	}
}

func TestEachTryHasATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := NewClient(ClientOptions{Name: "the server"})
		require.NoError(t, err)
		c.Wrap(func(http.RoundTripper) http.RoundTripper {
			return transport(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			})
		})
		begun := time.Now()
		err = c.Deliver(t.Context(), get("http://server.test", nil), Retry{Tries: 1, Timeout: 3 * time.Second})
		require.ErrorContains(t, err, "the server is not available: ")
		require.Equal(t, 3*time.Second, time.Since(begun))
	})
}
