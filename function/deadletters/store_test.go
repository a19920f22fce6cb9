package deadletters

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestADeadLetterIsAConfigMap(t *testing.T) {
	f := fix(t)
	f.now = func() time.Time { return time.Date(2026, 1, 2, 3, 9, 0, 0, time.UTC) }
	w := f.send(nil, `{"alerts": []}`)
	require.Equal(t, http.StatusOK, w.Code)
	require.Empty(t, w.Body.String(), "a Broker takes a 2xx with a body for a failure")

	c := f.kube.one(t)
	require.Equal(t, "dead-letter-e534551ac2911bf9c94c9dd00a4aaa00", c.Name, "names do not change between versions")
	require.True(t, c.Immutable)
	require.Equal(t, map[string]string{
		"app.kubernetes.io/managed-by": "onefire-deadletters", "onefire/dead-letter": "true", "onefire/error-code": "400",
		"onefire/event-type": "io.prometheus.alert.v1", "onefire/alertname": "KubePodCrashLooping", "onefire/severity": "critical",
	}, c.Labels)
	require.Equal(t, map[string]string{
		"onefire/error": "400: no alerts in it", "onefire/error-destination": "http://onefire.onefire.svc.cluster.local",
		"onefire/event-source": "urn:onefire:alertmanager:default", "onefire/event-id": "1", "onefire/event-time": "2026-01-02T03:04:05Z",
		"onefire/received-at": "2026-01-02T03:09:00Z", "onefire/bytes": fmt.Sprint(len(c.Data["event.json"])),
	}, c.Annotations)
	require.JSONEq(t, `{"specversion":"1.0","id":"1","source":"urn:onefire:alertmanager:default","type":"io.prometheus.alert.v1",
		"time":"2026-01-02T03:04:05Z","datacontenttype":"application/json","alertname":"KubePodCrashLooping","severity":"critical",
		"knativeerrordest":"http://onefire.onefire.svc.cluster.local","knativeerrorcode":"400","knativeerrordata":"bm8gYWxlcnRzIGluIGl0Cg==",
		"data":{"alerts":[]}}`, c.Data["event.json"])
	require.Contains(t, f.logs.String(), `"dead letter kept"`)
}

func TestTheSameEventAgainChangesNothing(t *testing.T) {
	f := fix(t)
	require.Equal(t, http.StatusOK, f.send(nil, `{}`).Code)
	before := *f.kube.one(t)
	// It may come with another error, and another trace.
	for _, code := range []string{"400", "503"} {
		require.Equal(t, http.StatusOK, f.send(map[string]string{"Ce-Knativeerrorcode": code, "Traceparent": "00-" + code}, `{}`).Code)
	}
	require.Equal(t, before, *f.kube.one(t))
	require.Contains(t, f.logs.String(), `"already":true`)
}

func TestEventsThatShareOneIDAreKeptApart(t *testing.T) {
	f := fix(t)
	for _, body := range []string{`{"n":1}`, `{"n":2}`} {
		require.Equal(t, http.StatusOK, f.send(nil, body).Code)
	}
	require.Equal(t, http.StatusOK, f.send(map[string]string{"Ce-Type": "another"}, `{"n":1}`).Code)
	require.Len(t, f.kube.all(), 3)
	require.Equal(t, http.StatusOK, f.send(nil, " {\"n\": 1}\n").Code)
	require.Len(t, f.kube.all(), 3, "white space makes no other event")
}

func TestNothingIsAcknowledgedBeforeItIsKept(t *testing.T) {
	for reason, faults := range map[string][]fault{
		"the API server is busy":                  {{verb: "create", status: 500}},
		"it hangs up":                             {{verb: "create"}},
		"it hangs up after the effect":            {{verb: "create", after: true}},
		"it fails after the effect":               {{verb: "create", status: 504, after: true}},
		"there are no rights":                     {{verb: "create", status: 403}},
		"there is no namespace":                   {{verb: "create", status: 404}},
		"a policy denies it":                      {{verb: "create", recorded: "policy-on-configmaps"}},
		"a policy denies it as too large":         {{verb: "create", recorded: "policy-too-large"}},
		"nothing can be counted":                  {{verb: "list", status: 500}},
		"what is there cannot be looked at":       {{verb: "create", status: 500, after: true}, {verb: "get", status: 500}},
		"counting fails and then creating does":   {{verb: "list", status: 403}, {verb: "create"}},
		"two failures after each other's effects": {{verb: "create", after: true}, {verb: "get"}},
	} {
		t.Run(reason, func(t *testing.T) {
			f := fix(t)
			f.kube.fail(faults...)
			w := f.send(nil, `{}`)
			require.Equal(t, http.StatusServiceUnavailable, w.Code, w.Body)
			require.Equal(t, "5", w.Header().Get("Retry-After"))
			require.Contains(t, f.logs.String(), "the Broker must send it again")
			require.Eventually(t, func() bool { return f.send(nil, `{}`).Code == http.StatusOK }, 10*time.Second, time.Millisecond)
			require.NotEmpty(t, f.kube.one(t).Data)
		})
	}
}

func TestWhatHoldsTheNameMustBeTheDeadLetter(t *testing.T) {
	for reason, change := range map[string]func(*configMap){
		"another's":     func(c *configMap) { c.Labels = nil },
		"one that goes": func(c *configMap) { now := metav1.Now(); c.DeletionTimestamp = &now },
	} {
		t.Run(reason, func(t *testing.T) {
			f := fix(t)
			require.Equal(t, http.StatusOK, f.send(nil, `{}`).Code)
			c := f.kube.one(t)
			change(c)
			f.kube.put(c)
			require.Equal(t, http.StatusServiceUnavailable, f.send(nil, `{}`).Code)
		})
	}
}

func TestThereIsRoomForSoManyOnly(t *testing.T) {
	for reason, most := range map[string]usage{
		"by number": {letters: 2, bytes: 1 << 20},
		"by size":   {letters: 1000, bytes: 1000}, // An event here has about 400 bytes.
	} {
		t.Run(reason, func(t *testing.T) {
			f := fix(t)
			now := time.Now()
			f.quota.most, f.quota.now = most, func() time.Time { return now }
			send := func(id string) *httptest.ResponseRecorder { return f.send(map[string]string{"Ce-Id": id}, `{}`) }
			require.Equal(t, http.StatusOK, send("1").Code)
			require.Equal(t, http.StatusOK, send("2").Code)
			for range 3 {
				require.Equal(t, http.StatusOK, send("1").Code, "what is kept needs no room")
			}
			s, err := f.quota.waiting(t.Context())
			require.NoError(t, err)
			require.Equal(t, 2, s.letters)
			require.Equal(t, 1, f.kube.count("list"), "what it makes itself it knows")
			w := send("3")
			require.Equal(t, http.StatusInsufficientStorage, w.Code)
			require.Equal(t, "5", w.Header().Get("Retry-After"), "a Broker tries again")
			require.Contains(t, w.Body.String(), "MAX_DEAD_LETTERS")
			require.Contains(t, f.logs.String(), `"level":"ERROR"`)
			require.Equal(t, http.StatusOK, send("1").Code, "what is kept needs no room")
			require.Len(t, f.kube.all(), 2)

			for name := range f.kube.all() {
				f.kube.remove(name)
				break
			}
			require.Equal(t, http.StatusInsufficientStorage, send("3").Code, "it has just been counted")
			now = now.Add(fullAge)
			require.Equal(t, http.StatusOK, send("3").Code, "soon it is seen that there is room")
		})
	}
}

func TestManyAtOnceDoNotGoOverTheBound(t *testing.T) {
	f := fix(t)
	f.quota.most.letters = 10
	var group sync.WaitGroup
	for i := range 50 {
		group.Go(func() { f.send(map[string]string{"Ce-Id": fmt.Sprint(i)}, `{}`) })
	}
	group.Wait()
	require.Len(t, f.kube.all(), 10)
}

func TestMoreThanOnePageIsCounted(t *testing.T) {
	f := fix(t)
	for i := range 2*pageSize + 1 {
		f.kube.put(&configMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("x-%04d", i), Labels: map[string]string{deadLetterLabel: "true"}}})
	}
	f.kube.put(&configMap{ObjectMeta: metav1.ObjectMeta{Name: "other"}})
	s, err := f.quota.waiting(t.Context())
	require.NoError(t, err)
	require.Equal(t, usage{letters: 2*pageSize + 1, bytes: (2*pageSize + 1) * maxKept}, s, "what does not say its size is taken for the largest")
	require.Equal(t, 3, f.kube.count("list"), "a page is as long as it says")
	require.Equal(t, http.StatusInsufficientStorage, f.send(nil, `{}`).Code)
}

func TestWhatIsNoDeadLetter(t *testing.T) {
	structured := map[string]string{"Content-Type": "application/cloudevents+json"}
	for reason, row := range map[string]struct {
		method  string
		headers map[string]string
		body    string
		status  int
	}{
		"not a POST":         {http.MethodGet, nil, ``, 405},
		"no CloudEvent":      {http.MethodPost, map[string]string{"Content-Type": "application/json"}, `{}`, 415},
		"a batch":            {http.MethodPost, map[string]string{"Content-Type": "application/cloudevents-batch+json"}, `[]`, 415},
		"an unknown version": {http.MethodPost, map[string]string{"Ce-Specversion": "2.0", "Ce-Id": "1", "Ce-Type": "t", "Ce-Source": "s"}, ``, 415},
		"no source":          {http.MethodPost, map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Type": "t"}, ``, 400},
		"broken JSON":        {http.MethodPost, structured, `{"specversion`, 400},
		"no event":           {http.MethodPost, structured, `{}`, 400},
		"no id":              {http.MethodPost, structured, `{"specversion":"1.0","type":"t","source":"s"}`, 400},
	} {
		t.Run(reason, func(t *testing.T) {
			f := fix(t)
			r := httptest.NewRequest(row.method, "/", strings.NewReader(row.body))
			for name, value := range row.headers {
				r.Header.Set(name, value)
			}
			w := httptest.NewRecorder()
			f.ServeHTTP(w, r)
			require.Equal(t, row.status, w.Code)
			require.NotEmpty(t, w.Body.String())
			require.Empty(t, f.kube.all())
			if row.method == http.MethodPost {
				require.Contains(t, f.logs.String(), "it is lost")
			} else {
				require.NotContains(t, f.logs.String(), "it is lost")
			}
			if reason == "a batch" {
				require.Contains(t, w.Body.String(), "a batch: a dead letter is one CloudEvent")
			}
		})
	}
}

func TestAStructuredEventIsKeptToo(t *testing.T) {
	f := fix(t)
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"specversion":"1.0","id":"1","source":"s","type":"t","n":7,"data_base64":"`+
		base64.StdEncoding.EncodeToString([]byte{0, 1, 2})+`"}`))
	r.Header.Set("Content-Type", "application/cloudevents+json; charset=utf-8")
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	require.JSONEq(t, `{"specversion":"1.0","id":"1","source":"s","type":"t","n":7,"data_base64":"AAEC"}`, f.kube.one(t).Data[plainKey])
}

func TestAClientThatHangsUpChangesNothing(t *testing.T) {
	f := fix(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(`{}`))
	for name, value := range binaryHeaders(nil) {
		r.Header.Set(name, value)
	}
	f.ServeHTTP(httptest.NewRecorder(), r)
	require.Len(t, f.kube.all(), 1)
}

func TestReadyAndAlive(t *testing.T) {
	f := fix(t)
	f.kube.fail(fault{verb: "list", status: 403})
	require.False(t, f.ready(t.Context()))
	require.Contains(t, f.logs.String(), `"not ready"`)
	require.True(t, f.ready(t.Context()))
	require.True(t, f.alive())
}
