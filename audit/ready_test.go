package audit

import (
	"context"
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAnyAnswerMakesTheSinkReady(t *testing.T) {
	for _, code := range []int{200, 204, 302, 401, 403, 404, 405, 429, 500, 503} {
		t.Run(strconv.Itoa(code), func(t *testing.T) {
			sink := serve(t, status(code, "Location", "/elsewhere"))
			require.NoError(t, open(t, Options{URL: sink.URL + "/events"}).Ready(t.Context()))
			require.Len(t, sink.seen(), 1)
			require.Equal(t, http.MethodHead, sink.seen()[0].method)
			require.Equal(t, "/events", sink.seen()[0].path)
		})
	}
}

func TestNoAnswerMeansNotReady(t *testing.T) {
	tests := map[string]func(*fake) string{
		"no server":            func(f *fake) string { f.Close(); return f.URL },
		"a dropped connection": func(f *fake) string { return f.URL },
		"no URL":               func(*fake) string { return "://" },
	}
	for name, url := range tests {
		t.Run(name, func(t *testing.T) {
			sink := serve(t, drop)
			err := open(t, Options{URL: url(sink)}).Ready(t.Context())
			require.ErrorContains(t, err, "probing the audit sink")
		})
	}
}

func TestReadyReturnsWhenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	sink := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	require.ErrorIs(t, open(t, Options{URL: sink.URL}).Ready(ctx), context.Canceled)
}
