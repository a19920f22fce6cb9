package dedup

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
)

const week = 7 * 24 * time.Hour

// ago is a time before the epoch, as Kubernetes writes it.
func ago(d time.Duration) string { return formatTime(epoch.Add(-d)) }

// ending is an object of ours that was made a year ago, with a status.
func ending(status, metadata string) string {
	return `{"metadata":{"name":"o","uid":"u","labels":{"app.kubernetes.io/managed-by":"onefire"},"creationTimestamp":"` +
		ago(365*24*time.Hour) + `"` + metadata + `},"spec":{"signalFingerprint":"f"},"status":{` + status + `}}`
}

// readEnd reads when an object ended.
func readEnd(t *testing.T, text string) (object, endTimes) {
	t.Helper()
	o := read(t, text)
	var e wireEnd
	require.NoError(t, decode([]byte(text), &e))
	return o, e.times(o)
}

func TestWhenAnObjectEnded(t *testing.T) {
	for name, row := range map[string]struct {
		status, metadata string
		ended            time.Duration
	}{
		"the phase's own time":                   {`"overallPhase":"Completed","completedAt":"` + ago(9*time.Hour) + `"`, ``, 9 * time.Hour},
		"not what came after it":                 {`"overallPhase":"Failed","completedAt":"` + ago(9*time.Hour) + `","deduplication":{"lastSeenAt":"` + ago(2*time.Hour) + `"},"conditions":[{"lastTransitionTime":"` + ago(time.Hour) + `"}]`, `,"managedFields":[{"time":"` + ago(0) + `"}]`, 9 * time.Hour},
		"the time of a timeout":                  {`"overallPhase":"TimedOut","timeoutTime":"` + ago(8*time.Hour) + `"`, ``, 8 * time.Hour},
		"the later of the two":                   {`"overallPhase":"TimedOut","timeoutTime":"` + ago(8*time.Hour) + `","completedAt":"` + ago(7*time.Hour) + `"`, ``, 7 * time.Hour},
		"a timeout of another phase is not it":   {`"overallPhase":"Failed","timeoutTime":"` + ago(8*time.Hour) + `"`, ``, 365 * 24 * time.Hour},
		"the last repeat":                        {`"overallPhase":"Skipped","deduplication":{"lastSeenAt":"` + ago(6*time.Hour) + `","lastResolvedAt":"` + ago(8*time.Hour) + `"}`, ``, 6 * time.Hour},
		"when it was resolved":                   {`"overallPhase":"Skipped","deduplication":{"lastSeenAt":"` + ago(6*time.Hour) + `","lastResolvedAt":"` + ago(5*time.Hour) + `"}`, ``, 5 * time.Hour},
		"the last condition":                     {`"overallPhase":"Cancelled","conditions":[{"lastTransitionTime":"` + ago(4*time.Hour) + `"},{"lastTransitionTime":"` + ago(5*time.Hour) + `"}]`, ``, 4 * time.Hour},
		"the last write":                         {`"overallPhase":"Completed"`, `,"managedFields":[{"time":"` + ago(10*time.Hour) + `"},{"time":"` + ago(3*time.Hour) + `"},{}]`, 3 * time.Hour},
		"nothing but its creation":               {`"overallPhase":"Completed"`, ``, 365 * 24 * time.Hour},
		"a time that is none":                    {`"overallPhase":"Completed","completedAt":"yesterday"`, ``, 365 * 24 * time.Hour},
		"a time of another type":                 {`"overallPhase":"Completed","completedAt":7,"deduplication":{"lastSeenAt":"` + ago(time.Hour) + `"}`, ``, time.Hour},
		"fractions of a second are read as well": {`"overallPhase":"Completed","completedAt":"` + strings.Replace(ago(time.Hour), "Z", ".000000Z", 1) + `"`, ``, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			_, got := readEnd(t, ending(row.status, row.metadata))
			require.Equal(t, formatTime(epoch.Add(-row.ended)), formatTime(got.ended))
		})
	}
}

func TestWhatMayBePruned(t *testing.T) {
	done := `"overallPhase":"Completed","completedAt":"` + ago(week+time.Second) + `"`
	for name, row := range map[string]struct {
		text   string
		prunes bool
	}{
		"what ended a week ago":           {ending(done, ``), true},
		"not yet a week ago":              {ending(`"overallPhase":"Completed","completedAt":"`+ago(week)+`"`, ``), false},
		"an end that is to come":          {ending(`"overallPhase":"Completed","completedAt":"`+ago(-time.Hour)+`"`, ``), false},
		"an active one":                   {ending(`"overallPhase":"Executing","completedAt":"`+ago(week+time.Second)+`"`, ``), false},
		"one without a phase":             {ending(`"completedAt":"`+ago(week+time.Second)+`"`, ``), false},
		"one of an unknown phase":         {ending(`"overallPhase":"Resting","completedAt":"`+ago(week+time.Second)+`"`, ``), false},
		"one that is being deleted":       {ending(done, `,"deletionTimestamp":"`+ago(time.Hour)+`"`), false},
		"somebody else's":                 {strings.Replace(ending(done, ``), `"onefire"`, `"helm"`, 1), false},
		"one that asks for a person":      {ending(done+`,"outcome":"ManualReviewRequired"`, ``), false},
		"so does one of kubernaut's":      {ending(done+`,"completionStatus":{"outcome":"ManualReviewRequired"}`, ``), false},
		"another outcome":                 {ending(done+`,"outcome":"Remediated"`, ``), true},
		"one that asks for time":          {ending(done+`,"nextAllowedExecution":"`+ago(-time.Second)+`"`, ``), false},
		"so does one of kubernaut's, too": {ending(done+`,"routingStatus":{"nextAllowedExecution":"`+ago(-time.Second)+`"}`, ``), false},
		"one whose time is over":          {ending(done+`,"nextAllowedExecution":"`+ago(0)+`"`, ``), true},
		"one that kubernaut keeps":        {ending(done+`,"retentionExpiryTime":"`+ago(-time.Second)+`"`, ``), false},
		"one that kubernaut lets go":      {ending(done+`,"retentionExpiryTime":"`+ago(0)+`"`, ``), true},
		"a repeat that may come again":    {ending(done+`,"deduplication":{"lastSeenAt":"`+ago(redelivered)+`"}`, ``), false},
		"a repeat that is long ago":       {ending(done+`,"deduplication":{"lastSeenAt":"`+ago(redelivered+time.Second)+`"}`, ``), true},
		"a repeat after a quiet time":     {ending(done+`,"nextAllowedExecution":"`+ago(time.Second)+`","deduplication":{"lastSeenAt":"`+ago(time.Minute)+`"}`, ``), false},
		"one that tells no time":          {`{"metadata":{"labels":{"app.kubernetes.io/managed-by":"onefire"}},"status":{"overallPhase":"Completed"}}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			o, times := readEnd(t, row.text)
			require.Equal(t, row.prunes, o.prunable(times, epoch, week))
		})
	}
}

// played leads to an API server that a test plays.
func played(t *testing.T, answer http.HandlerFunc) *rest.Config {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &rest.Config{Host: server.URL, Transport: transport}
}

// pastOn is a [Past] on an API server that a test plays.
func pastOn(t *testing.T, answer http.HandlerFunc) *Past {
	t.Helper()
	p, err := OpenPast(played(t, answer))
	require.NoError(t, err)
	return p
}

func TestAPageOfThePast(t *testing.T) {
	done := ending(`"overallPhase":"Completed","completedAt":"`+ago(week+time.Hour)+`"`, `,"namespace":"shop","resourceVersion":"7"`)
	var asked *http.Request
	p := pastOn(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r
		w.Header().Set("Date", epoch.Format(http.TimeFormat))
		fmt.Fprintf(w, `{"kind":"RemediationRequestList","metadata":{"continue":"more"},"items":[%s,%s]}`, done, ending(`"overallPhase":"Executing"`, ``))
	})
	page, err := p.Page(t.Context(), "", week, 500, "here")
	require.NoError(t, err)
	require.Equal(t, "/apis/kubernaut.ai/v1alpha1/remediationrequests", asked.URL.Path)
	q := asked.URL.Query()
	require.Equal(t, []string{"app.kubernetes.io/managed-by=onefire", "500", "here"}, []string{q.Get("labelSelector"), q.Get("limit"), q.Get("continue")})
	require.False(t, q.Has("resourceVersion"), "the first page is the most recent state")
	at := epoch.Add(-week - time.Hour)
	require.Equal(t, EndedPage{
		Old:  []Ended{{Namespace: "shop", Name: "o", Fingerprint: "f", Phase: "Completed", At: at, uid: "u", resourceVersion: "7"}},
		Read: 2, Now: epoch, Next: "more",
	}, page)

	_, err = p.Page(t.Context(), "shop", week, 1, "")
	require.NoError(t, err)
	require.Equal(t, "/apis/kubernaut.ai/v1alpha1/namespaces/shop/remediationrequests", asked.URL.Path)
}

// Where a proxy takes the Date off, our own clock stands in.
func TestAPageWithoutADate(t *testing.T) {
	p := pastOn(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Date"] = nil
		fmt.Fprint(w, `{"kind":"RemediationRequestList","items":[]}`)
	})
	page, err := p.Page(t.Context(), "shop", week, 1, "")
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), page.Now, time.Hour)
}

func TestAnAnswerThatIsNoPage(t *testing.T) {
	for says, text := range map[string]string{
		`is a "Status"`: `{"kind":"Status","items":[]}`, "decoding the API server's answer": `{"kind":"RemediationRequestList","items":[`,
	} {
		p := pastOn(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) })
		_, err := p.Page(t.Context(), "shop", week, 1, "")
		require.ErrorContains(t, err, says)
	}
}

func TestAPageThatIsTooLargeIsNotRead(t *testing.T) {
	p := pastOn(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"kind":"RemediationRequestList","items":[` + strings.Repeat(" ", maxEndedPage) + `]}`))
	})
	_, err := p.Page(t.Context(), "shop", week, 500, "")
	require.ErrorIs(t, err, ErrTooLarge)
}

func TestAPageIsReadOnce(t *testing.T) {
	calls := 0
	p := pastOn(t, func(w http.ResponseWriter, _ *http.Request) {
		calls++
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	_, err := p.Page(t.Context(), "shop", week, 1, "")
	require.True(t, apierrors.IsTooManyRequests(err), "%v", err)
	require.Equal(t, 1, calls, "the caller decides whether it is tried again")
}

func TestADeleteNamesTheRevision(t *testing.T) {
	calls := 0
	p := pastOn(t, func(w http.ResponseWriter, r *http.Request) {
		calls++
		var o struct {
			Preconditions map[string]string `json:"preconditions"`
		}
		require.NoError(t, json.NewDecoder(r.Body).Decode(&o))
		require.Equal(t, "DELETE /apis/kubernaut.ai/v1alpha1/namespaces/shop/remediationrequests/o", r.Method+" "+r.URL.Path)
		require.Equal(t, map[string]string{"uid": "u", "resourceVersion": "7"}, o.Preconditions)
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	err := p.Delete(t.Context(), Ended{Namespace: "shop", Name: "o", uid: "u", resourceVersion: "7"})
	require.True(t, apierrors.IsTooManyRequests(err), "%v", err)
	require.Equal(t, 1, calls, "the caller decides whether it is tried again")
}
