package deadletters

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestLettersAreReadInPages(t *testing.T) {
	f := fix(t)
	for _, id := range []string{"1", "2", "3"} {
		require.Equal(t, http.StatusOK, f.send(map[string]string{"Ce-Id": id}, `{}`).Code)
	}
	l, err := OpenLetters(f.kube.config(t), namespace)
	require.NoError(t, err)
	first, read, next, err := l.Page(t.Context(), 2, "")
	require.NoError(t, err)
	require.Len(t, first, 2)
	require.Equal(t, 2, read)
	second, read, end, err := l.Page(t.Context(), 2, next)
	require.NoError(t, err)
	require.Len(t, second, 1)
	require.Equal(t, 1, read)
	require.Empty(t, end)

	got := first[0]
	c := f.kube.all()[got.Name]
	require.Equal(t, Letter{
		Namespace: namespace, Name: c.Name, Since: c.CreationTimestamp.Time, ID: c.Annotations[idAnnotation], Source: "urn:onefire:alertmanager:default",
		Type: "io.prometheus.alert.v1", Alertname: "KubePodCrashLooping", Severity: "critical", Why: "400: no alerts in it", object: got.object,
	}, Letter{
		Namespace: got.Namespace, Name: got.Name, Since: got.Since.In(c.CreationTimestamp.Location()), ID: got.ID, Source: got.Source,
		Type: got.Type, Alertname: got.Alertname, Severity: got.Severity, Why: got.Why, object: got.object,
	})

	goes := *c
	goes.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	f.kube.put(&goes)
	again, read, _, err := l.Page(t.Context(), 500, "")
	require.NoError(t, err)
	require.Len(t, again, 2, "one is being deleted")
	require.Equal(t, 3, read)
}

// A replay that has read a dead letter is not kept from its end when prune deletes
// the letter; and what came back under its name since is another one.
func TestPruneAndReplayOfTheSameLetter(t *testing.T) {
	f := fix(t)
	require.Equal(t, http.StatusOK, f.send(nil, `{}`).Code)
	l := Letters{f.kube.api(t)}
	read, _, _, err := l.Page(t.Context(), 500, "")
	require.NoError(t, err)

	function := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		require.NoError(t, l.Delete(t.Context(), read[0])) // While the function works on it.
	}))
	defer function.Close()
	p := newReplayer(l.api, function.URL, "", &f.logs.text)
	require.NoError(t, p.replay(t.Context(), []string{read[0].Name}))
	require.Empty(t, f.kube.all())

	require.Equal(t, http.StatusOK, f.send(nil, `{}`).Code)
	require.True(t, apierrors.IsConflict(l.Delete(t.Context(), read[0])))
	require.Equal(t, read[0].Name, f.kube.one(t).Name, "it has the same name, and stays")
}
