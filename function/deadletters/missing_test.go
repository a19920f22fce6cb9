package deadletters

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestADeadLetterThatDoesNotExistIsNotSaidToBeKept(t *testing.T) {
	const missing = "there is no such dead letter in namespace onefire"
	f, target := fix(t), serveFunction(t, 200)
	require.Equal(t, http.StatusOK, f.send(nil, `{}`).Code)
	own := f.kube.one(t).Name
	run := func(args ...string) (string, error) {
		var out bytes.Buffer
		err := Run(t.Context(), f.configuration(t, target.URL), args, &out, &out)
		return out.String(), err
	}
	out, err := run("show", "dead-letter-x")
	require.Empty(t, out)
	require.EqualError(t, err, "reading dead-letter-x: "+missing)

	out, err = run("replay", "-dry-run", "dead-letter-x")
	require.Equal(t, "dead-letter-x\t"+missing+"\n", out)
	require.EqualError(t, err, "1 of 1 dead letters do not exist")

	out, err = run("replay", "dead-letter-x")
	require.Equal(t, "dead-letter-x\t"+missing+"\n0 of 0 dead letters accepted\n", out)
	require.EqualError(t, err, "1 of 1 dead letters do not exist")
	require.Empty(t, target.seen())

	out, err = run("replay", "dead-letter-x", own)
	require.Equal(t, "dead-letter-x\t"+missing+"\n"+own+"\taccepted\n1 of 1 dead letters accepted\n", out)
	require.EqualError(t, err, "1 of 2 dead letters do not exist")
}

func TestWhatIsKeptAndWhatDoesNotExistAreCountedApart(t *testing.T) {
	f, target := fix(t), serveFunction(t, 400)
	require.Equal(t, http.StatusOK, f.send(nil, `{}`).Code)
	out, err := f.replay(t.Context(), target.URL, f.kube.one(t).Name, "dead-letter-x")
	require.Contains(t, out, "\n0 of 1 dead letters accepted\n")
	require.ErrorIs(t, err, errNotTaken)
	require.ErrorContains(t, err, "1 of 1 are kept")
	require.ErrorContains(t, err, "1 of 2 dead letters do not exist")
}

// Another replay, or a prune, may delete a dead letter after it was listed.
func TestADeadLetterThatIsGoneMeanwhileIsSkipped(t *testing.T) {
	f, target := fix(t), serveFunction(t, 200)
	for _, id := range []string{"1", "2"} {
		require.Equal(t, http.StatusOK, f.send(map[string]string{"Ce-Id": id}, `{}`).Code)
	}
	names := f.names(t)
	target.meet = func() { f.kube.remove(names[1]) }
	var out bytes.Buffer
	require.NoError(t, Replay(t.Context(), f.configuration(t, target.URL), []string{"all"}, &out))
	require.Equal(t, names[0]+"\taccepted\n"+names[1]+"\tskipped: there is no such dead letter in namespace onefire\n1 of 1 dead letters accepted\n", out.String())
}
