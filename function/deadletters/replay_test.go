package deadletters

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"onefire/function/receive"
)

// request is what the function got.
type request struct {
	header http.Header
	body   string
}

// function answers with its statuses one by one, and the last for ever; 0 ends
// the connection.
type function struct {
	*httptest.Server

	mu       sync.Mutex
	answers  []int
	requests []request
	meet     func() // Called before each answer.
}

func serveFunction(t *testing.T, answers ...int) *function {
	f := &function{answers: answers, meet: func() {}}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		f.mu.Lock()
		status := f.answers[0]
		if len(f.answers) > 1 {
			f.answers = f.answers[1:]
		}
		f.requests = append(f.requests, request{r.Header, string(body)})
		f.mu.Unlock()
		f.meet()
		if status == 0 {
			panic(http.ErrAbortHandler)
		}
		if status == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "0")
		}
		http.Error(w, "because", status)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *function) seen() []request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests
}

// replay replays with no pauses worth speaking of.
func (f *fixture) replay(ctx context.Context, url string, names ...string) (string, error) {
	var out bytes.Buffer
	p := newReplayer(f.api, url, "", &out)
	p.firstPause = time.Microsecond
	err := p.replay(ctx, names)
	return out.String(), err
}

func (f *fixture) names(t *testing.T) []string {
	all, err := f.api.oldestFirst(t.Context())
	require.NoError(t, err)
	var names []string
	for i := range all {
		names = append(names, all[i].Name)
	}
	return names
}

func TestWhatTheFunctionTakesIsDeleted(t *testing.T) {
	for reason, row := range map[string]struct {
		answers []int
		tries   int
		kept    string // Empty when it is taken.
	}{
		"taken":                         {[]int{200}, 1, ""},
		"accepted":                      {[]int{202}, 1, ""},
		"refused again":                 {[]int{400}, 1, "kept: 400: because"},
		"too large":                     {[]int{413, 200}, 1, "kept: 413: because"},
		"moved":                         {[]int{307, 200}, 1, "kept: 307: because"},
		"busy, then taken":              {[]int{503, 200}, 2, ""},
		"too many, with a wait":         {[]int{429, 200}, 2, ""},
		"starting":                      {[]int{0, 502, 404, 200}, 4, ""},
		"in conflict, then taken":       {[]int{409, 200}, 2, ""},
		"not let in":                    {[]int{401, 200}, 1, "kept: 401: because"},
		"never there":                   {[]int{503}, maxTries, "kept: 503: because"},
		"hangs up each time":            {[]int{0}, maxTries, "EOF"},
		"not now, and then never again": {[]int{503, 400, 200}, 2, "kept: 400: because"},
	} {
		t.Run(reason, func(t *testing.T) {
			f, target := fix(t), serveFunction(t, row.answers...)
			require.Equal(t, http.StatusOK, f.send(nil, `{}`).Code)
			name := f.kube.one(t).Name
			out, err := f.replay(t.Context(), target.URL, name)
			require.Len(t, target.seen(), row.tries)
			require.Equal(t, "onefire-deadletters", target.seen()[0].header.Get(receive.KeptHeader), "what the brake holds back is kept")
			if row.kept == "" {
				require.NoError(t, err)
				require.Equal(t, name+"\taccepted\n1 of 1 dead letters accepted\n", out)
				require.Empty(t, f.kube.all())
				return
			}
			require.ErrorIs(t, err, errNotTaken)
			require.Contains(t, out, row.kept)
			require.NotContains(t, out, "the function is not available", "each line is about the function")
			require.Contains(t, out, "0 of 1 dead letters accepted")
			require.Len(t, f.kube.all(), 1)
		})
	}
}

func TestTheEventIsSentAsItOnceWas(t *testing.T) {
	f, target := fix(t), serveFunction(t, 200)
	body := `{"alerts": [ {"labels" : {}} ]}`
	more := map[string]string{"Ce-Subject": "100%25 full", "Ce-Partitionkey": "0123456789abcdef", "Ce-Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	require.Equal(t, http.StatusOK, f.send(more, body).Code)
	_, err := f.replay(t.Context(), target.URL, f.kube.one(t).Name)
	require.NoError(t, err)
	got := target.seen()[0]
	require.Equal(t, body, got.body)
	want := binaryHeaders(more)
	for name := range got.header {
		if strings.HasPrefix(name, "Ce-") || name == "Content-Type" {
			require.Equal(t, want[name], got.header.Get(name), name)
			delete(want, name)
		}
	}
	require.Equal(t, map[string]string{
		"Ce-Knativeerrordest": want["Ce-Knativeerrordest"], "Ce-Knativeerrorcode": "400", "Ce-Knativeerrordata": want["Ce-Knativeerrordata"],
	}, want, "only what the Broker added is left out")
}

func TestTheOldestGoesFirst(t *testing.T) {
	f, target := fix(t), serveFunction(t, 200, 400, 200)
	for _, id := range []string{"c", "a", "b"} {
		require.Equal(t, http.StatusOK, f.send(map[string]string{"Ce-Id": id}, `{}`).Code)
	}
	out, err := f.replay(t.Context(), target.URL, f.names(t)...)
	require.ErrorContains(t, err, "1 of 3 are kept")
	require.Contains(t, out, "2 of 3 dead letters accepted")
	var ids []string
	for _, r := range target.seen() {
		ids = append(ids, r.header.Get("Ce-Id"))
	}
	require.Equal(t, []string{"c", "a", "b"}, ids)
	require.Equal(t, "a", f.kube.one(t).Annotations[idAnnotation])
}

func TestAFunctionThatIsAwayEndsTheReplay(t *testing.T) {
	f, target := fix(t), serveFunction(t, 503)
	for i := range 6 {
		require.Equal(t, http.StatusOK, f.send(map[string]string{"Ce-Id": fmt.Sprint(i)}, `{}`).Code)
	}
	out, err := f.replay(t.Context(), target.URL, f.names(t)...)
	require.ErrorIs(t, err, errNotTaken)
	require.Len(t, target.seen(), maxUnavailable*maxTries)
	require.Contains(t, out, "3 more were not tried")
	require.Len(t, f.kube.all(), 6)
}

// Only events one after the other that find no function end a replay.
func TestAFunctionThatIsThereNowAndThenGetsAll(t *testing.T) {
	away := slices.Repeat([]int{503}, maxTries)
	for reason, answer := range map[string]int{"it takes one": 200, "it refuses one": 400} {
		t.Run(reason, func(t *testing.T) {
			f, target := fix(t), serveFunction(t, slices.Concat(away, away, []int{answer}, away, away, []int{200})...)
			for i := range 6 {
				require.Equal(t, http.StatusOK, f.send(map[string]string{"Ce-Id": fmt.Sprint(i)}, `{}`).Code)
			}
			out, err := f.replay(t.Context(), target.URL, f.names(t)...)
			require.ErrorIs(t, err, errNotTaken)
			require.Len(t, target.seen(), 4*maxTries+2)
			require.NotContains(t, out, "not tried")
		})
	}
}

func TestTheLastOfAReplayLeavesNothingUntried(t *testing.T) {
	f, target := fix(t), serveFunction(t, 503)
	for i := range maxUnavailable {
		require.Equal(t, http.StatusOK, f.send(map[string]string{"Ce-Id": fmt.Sprint(i)}, `{}`).Code)
	}
	out, err := f.replay(t.Context(), target.URL, f.names(t)...)
	require.ErrorIs(t, err, errNotTaken)
	require.NotContains(t, out, "not tried")
}

func TestLettersOfOneSecondAreInTheOrderOfTheirNames(t *testing.T) {
	f := fix(t)
	at := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	for name, at := range map[string]metav1.Time{"b": at, "c": at, "a": at, "d": metav1.NewTime(at.Add(-time.Second))} {
		f.kube.put(&configMap{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: at, Labels: map[string]string{deadLetterLabel: "true"}}})
	}
	require.Equal(t, []string{"d", "a", "b", "c"}, f.names(t))
}

func TestOnlyWhatWasTakenIsDeleted(t *testing.T) {
	for reason, row := range map[string]struct {
		meanwhile func(f *fixture, c *configMap)
		left      int
		said      string
	}{
		"replayed by another": {func(f *fixture, c *configMap) { f.kube.remove(c.Name) }, 0, "\taccepted\n"},
		"replaced by another": {func(f *fixture, c *configMap) { again := *c; f.kube.put(&again) }, 1, "could not be deleted"},
		"no rights":           {func(f *fixture, _ *configMap) { f.kube.fail(fault{verb: "delete", status: 403}) }, 1, "could not be deleted"},
		"deleted, but no answer": {func(f *fixture, _ *configMap) {
			f.kube.fail(fault{verb: "delete", status: 500, after: true})
		}, 0, "could not be deleted"},
	} {
		t.Run(reason, func(t *testing.T) {
			f, target := fix(t), serveFunction(t, 200)
			require.Equal(t, http.StatusOK, f.send(nil, `{}`).Code)
			c := f.kube.one(t)
			target.meet = func() { row.meanwhile(f, c) }
			out, err := f.replay(t.Context(), target.URL, c.Name)
			require.Equal(t, row.said != "\taccepted\n", err != nil)
			require.Contains(t, out, row.said)
			require.Len(t, f.kube.all(), row.left)
		})
	}
}

func TestWhatIsNoDeadLetterIsNotReplayed(t *testing.T) {
	f, target := fix(t), serveFunction(t, 200)
	labels := map[string]string{deadLetterLabel: "true", managedByLabel: managedBy}
	f.kube.put(&configMap{ObjectMeta: metav1.ObjectMeta{Name: "another"}, Data: map[string]string{plainKey: "{}"}})
	f.kube.put(&configMap{ObjectMeta: metav1.ObjectMeta{Name: "empty", Labels: labels}})
	f.kube.put(&configMap{ObjectMeta: metav1.ObjectMeta{Name: "broken", Labels: labels}, Data: map[string]string{plainKey: "{"}})
	f.kube.put(&configMap{ObjectMeta: metav1.ObjectMeta{Name: "nothing", Labels: labels}, Data: map[string]string{plainKey: "{}"}})
	out, err := f.replay(t.Context(), target.URL, "another", "empty", "broken", "nothing", "missing")
	require.ErrorIs(t, err, errNotTaken)
	require.Empty(t, target.seen())
	require.Len(t, f.kube.all(), 4)
	for _, want := range []string{"another\tkept: foreign, not a dead letter: it has no label onefire/dead-letter=true", "empty\tkept: foreign, not a dead letter: it has neither", "broken\tkept: foreign, not a dead letter: it is not JSON", "nothing\tkept: foreign, not a dead letter: specversion: REQUIRED", "missing\tthere is no such dead letter in namespace onefire"} {
		require.Contains(t, out, want)
	}
}

func TestAReplayThatIsStoppedKeepsWhatIsUnderWay(t *testing.T) {
	f, target := fix(t), serveFunction(t, 200)
	require.Equal(t, http.StatusOK, f.send(nil, `{}`).Code)
	require.Equal(t, http.StatusOK, f.send(map[string]string{"Ce-Id": "2"}, `{}`).Code)
	ctx, cancel := context.WithCancel(t.Context())
	target.meet = cancel
	_, err := f.replay(ctx, target.URL, f.names(t)...)
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, f.kube.all(), 2)
	require.Len(t, target.seen(), 1)

	ctx, cancel = context.WithCancel(t.Context())
	target.meet = func() {
		if len(target.seen()) == 3 {
			cancel()
		}
	}
	_, err = f.replay(ctx, target.URL, f.names(t)...)
	require.EqualError(t, err, "stopped with 1 of 2 dead letters left: context canceled")
}
