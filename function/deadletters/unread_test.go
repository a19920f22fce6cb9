package deadletters

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestALetterThatCannotBeReadIsSaid(t *testing.T) {
	f := fix(t)
	require.Equal(t, http.StatusOK, f.send(nil, `{}`).Code)
	name := f.kube.one(t).Name
	for _, args := range [][]string{{"list"}, {"show", name}} {
		f.kube.fail(fault{verb: "get", status: 403})
		var out bytes.Buffer
		require.EqualError(t, Run(t.Context(), f.configuration(t, ""), args, &out, &out), "reading "+name+": as the test wants it")
		require.Empty(t, out.String())
	}
	f.kube.fail(fault{verb: "get", status: 403})
	out, err := f.replay(t.Context(), "http://function.test", name)
	require.ErrorIs(t, err, errNotTaken)
	require.Contains(t, out, name+"\tkept: as the test wants it\n")
}

func TestAListLeavesOutWhatIsGoneMeanwhile(t *testing.T) {
	f := fix(t)
	for _, id := range []string{"1", "2"} {
		require.Equal(t, http.StatusOK, f.send(map[string]string{"Ce-Id": id}, `{}`).Code)
	}
	names := f.names(t)
	f.kube.meet = func(verb string) {
		if verb == "get" {
			f.kube.remove(names[0])
		}
	}
	var out bytes.Buffer
	require.NoError(t, List(t.Context(), f.configuration(t, ""), &out))
	require.NotContains(t, out.String(), names[0])
	require.Contains(t, out.String(), names[1])
}

func TestWhatHoldsNoEventIsNotShown(t *testing.T) {
	f := fix(t)
	f.kube.put(&configMap{ObjectMeta: metav1.ObjectMeta{Name: "empty"}})
	f.kube.put(&configMap{ObjectMeta: metav1.ObjectMeta{Name: "broken"}, Data: map[string]string{plainKey: "{"}})
	for name, says := range map[string]string{
		"empty":  "reading empty: it has neither event.json nor event.json.gz",
		"broken": "reading broken: unexpected end of JSON input",
	} {
		var out bytes.Buffer
		require.EqualError(t, Show(t.Context(), f.configuration(t, ""), name, &out, io.Discard), says)
		require.Empty(t, out.String())
	}
}

// closed is an output that nobody reads any more.
type closed struct{}

var errClosed = errors.New("closed")

func (closed) Write([]byte) (int, error) { return 0, errClosed }

func TestAListThatCannotBePrintedIsAnError(t *testing.T) {
	f := fix(t)
	require.Equal(t, http.StatusOK, f.send(nil, `{}`).Code)
	require.ErrorIs(t, List(t.Context(), f.configuration(t, ""), closed{}), errClosed)
}
