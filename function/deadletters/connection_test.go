package deadletters

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// idle is a network that counts how often its idle connections were closed.
type idle struct {
	network
	closed int
}

func (i *idle) CloseIdleConnections() { i.closed++ }

func TestAReplayLeavesNoConnections(t *testing.T) {
	for reason, run := range map[string]func(p *replayer) error{
		"a replay":  func(p *replayer) error { return p.replay(t.Context(), nil) },
		"a dry run": func(p *replayer) error { return p.dryRun(t.Context(), nil) },
	} {
		t.Run(reason, func(t *testing.T) {
			p, connections := newReplayer(nil, "http://function.test", "", io.Discard), &idle{}
			p.client.Wrap(func(http.RoundTripper) http.RoundTripper { return connections })
			require.NoError(t, run(p))
			require.Equal(t, 1, connections.closed)
		})
	}
}

func TestAnEventOfWhichThereIsNoRequestSaysWhy(t *testing.T) {
	p := newReplayer(nil, "http://%", "", io.Discard)
	_, err := p.ask(t.Context(), sample(nil))
	require.ErrorContains(t, err, "making a request of the event: ")
	require.ErrorContains(t, p.deliver(t.Context(), sample(nil)), "making a request of the event: ")
}

// Only a function that is busy or away accepts none of the others either.
func TestAFunctionThatLetsNobodyInIsAskedAboutEach(t *testing.T) {
	f, target := fix(t), serveFunction(t, 401)
	for i := range maxUnavailable + 2 {
		require.Equal(t, http.StatusOK, f.send(map[string]string{"Ce-Id": fmt.Sprint(i)}, `{}`).Code)
	}
	out, err := f.replay(t.Context(), target.URL, f.names(t)...)
	require.ErrorIs(t, err, errNotTaken)
	require.Len(t, target.seen(), maxUnavailable+2)
	require.NotContains(t, out, "not tried")
}
