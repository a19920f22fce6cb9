package dedup

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"onefire/mapping"
)

// requestsOn are [Requests] on an API server that a test plays.
func requestsOn(t *testing.T, answer http.HandlerFunc) *Requests {
	t.Helper()
	q, err := OpenRequests(played(t, answer))
	require.NoError(t, err)
	return q
}

// pageOf is the first request of a page that has one object.
func pageOf(t *testing.T, object string) Request {
	t.Helper()
	page, err := requestsOn(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", epoch.Format(http.TimeFormat))
		fmt.Fprintf(w, `{"kind":"RemediationRequestList","items":[%s]}`, object)
	}).Page(t.Context(), "", 1, "")
	require.NoError(t, err)
	require.Len(t, page.Requests, 1)
	return page.Requests[0]
}

// recordOf is a condition with a record.
func recordOf(reason, message string) string {
	return fmt.Sprintf(`"conditions":[{"type":"onefire/Record","status":"True","reason":%q,"message":%q,"lastTransitionTime":%q}]`, reason, message, ago(time.Minute))
}

func TestWhatARequestStandsFor(t *testing.T) {
	said := `state 0123456789abcdef {"firingSeenAt":"` + ago(time.Hour) + `"}`
	foreign := func(text string) string { return strings.Replace(text, `"onefire"`, `"helm"`, 1) }
	for name, row := range map[string]struct {
		text  string
		state State
		open  bool
	}{
		"a new one":                           {ending(``, ``), StateBurning, true},
		"one in an active phase":              {ending(`"overallPhase":"Executing"`, ``), StateBurning, true},
		"one in an unknown phase":             {ending(`"overallPhase":"Resting"`, ``), StateBurning, true},
		"one that counted repeats":            {ending(recordOf("Counted", said)+`,"deduplication":{"occurrenceCount":3}`, ``), StateBurning, true},
		"one whose alerts have ended":         {ending(recordOf("Resolved", said), ``), StateResolved, true},
		"one that says so only to people":     {ending(`"deduplication":{"lastResolvedAt":"`+ago(time.Minute)+`"}`, ``), StateResolved, true},
		"one with more alerts than it names":  {ending(recordOf("Counted", said+"\nomitted"), ``), StateUnknown, true},
		"one with repeats and without record": {ending(`"deduplication":{"occurrenceCount":3}`, ``), StateUnknown, true},
		"somebody else's":                     {foreign(ending(`"overallPhase":"Executing"`, ``)), StateUnknown, true},
		"somebody else's that was counted on": {foreign(ending(recordOf("Counted", said), ``)), StateBurning, true},
		"an ended one":                        {ending(`"overallPhase":"Completed"`, ``), StateEnded, false},
		"an ended one that was resolved":      {ending(`"overallPhase":"Completed",`+recordOf("Resolved", said), ``), StateEnded, false},
		"one that asks for a person":          {ending(`"overallPhase":"Failed","outcome":"ManualReviewRequired"`, ``), StateReview, true},
		"an active one that does":             {ending(`"overallPhase":"Executing","outcome":"ManualReviewRequired"`, ``), StateBurning, true},
		"so does one of kubernaut's":          {ending(`"overallPhase":"Failed","completionStatus":{"outcome":"ManualReviewRequired"}`, ``), StateReview, true},
		"one that asks for time":              {ending(`"overallPhase":"Failed","nextAllowedExecution":"`+ago(-time.Second)+`"`, ``), StateWaiting, true},
		"one whose time is over":              {ending(`"overallPhase":"Failed","nextAllowedExecution":"`+ago(0)+`"`, ``), StateEnded, false},
		"an active one that asks for time":    {ending(`"overallPhase":"Blocked","nextAllowedExecution":"`+ago(-time.Second)+`"`, ``), StateBurning, true},
		"one that is being deleted":           {ending(`"overallPhase":"Executing"`, `,"deletionTimestamp":"`+ago(time.Hour)+`"`), StateDeleting, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := pageOf(t, row.text)
			require.Equal(t, row.state, r.State)
			require.Equal(t, row.open, r.Open)
			require.Equal(t, row.state == StateWaiting, !r.QuietUntil.IsZero())
		})
	}
}

func TestWhatARequestTells(t *testing.T) {
	require.Equal(t, Request{
		Namespace: "onefire", Name: "o", Fingerprint: "ab12", Alertname: "PodDown", Severity: mapping.Severity("high"), FiringAt: epoch.Add(-3 * time.Hour), Cluster: "eu",
		Target: mapping.Target{APIVersion: "v1", Kind: "Pod", Name: "api-1", Namespace: "shop"}, Folded: 1, FoldedMore: true, Count: 7, State: StateResolved, Open: true,
		Phase: "Executing", Outcome: "Remediated", Ours: true, Created: epoch.Add(-2 * time.Hour), LastSeen: epoch.Add(-time.Hour), Resolved: epoch.Add(-time.Minute),
	}, pageOf(t, `{"metadata":{"namespace":"onefire","name":"o","labels":{"app.kubernetes.io/managed-by":"onefire"},"creationTimestamp":"`+ago(2*time.Hour)+`"},
		"spec":{"signalFingerprint":"ab12","signalName":"PodDown","severity":"high","clusterID":"eu","firingTime":"2026-01-17T11:00:00+02:00",
			"targetResource":{"apiVersion":"v1","kind":"Pod","name":"api-1","namespace":"shop"}},
		"status":{"overallPhase":"Executing","outcome":"Remediated","deduplication":{"occurrenceCount":7,"lastSeenAt":"`+ago(time.Hour)+`"},`+
		recordOf("Resolved", `alert {"id":"0123456789abcdef","alertname":"PodSlow","severity":"low"}`+"\nomitted")+`}}`), "with the time of another zone in UTC")

	r := pageOf(t, `{"metadata":{"creationTimestamp":"`+ago(time.Hour)+`"},"spec":{"targetResource":"none"}}`)
	require.Equal(t, Request{State: StateUnknown, Open: true, Count: 1, Created: epoch.Add(-time.Hour), LastSeen: epoch.Add(-time.Hour)}, r,
		"what others made may lack everything; without a repeat it was last seen when it was made")
}

func TestAPageOfRequests(t *testing.T) {
	var asked *http.Request
	q := requestsOn(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r
		w.Header().Set("Date", epoch.Format(http.TimeFormat))
		fmt.Fprintf(w, `{"kind":"RemediationRequestList","metadata":{"continue":"more"},"items":[%s,%s]}`, ending(``, ``), ending(``, ``))
	})
	page, err := q.Page(t.Context(), "shop", 500, "here")
	require.NoError(t, err)
	require.Len(t, page.Requests, 2)
	require.Equal(t, "more", page.Next)
	require.Equal(t, epoch, page.Now)
	require.Equal(t, "/apis/kubernaut.ai/v1alpha1/namespaces/shop/remediationrequests", asked.URL.Path)
	require.Equal(t, "continue=here&limit=500&timeout=10s", asked.URL.RawQuery, "whoever made them, in whatever phase, in the most recent state")
	_, err = q.Page(t.Context(), "", 1, "")
	require.NoError(t, err)
	require.Equal(t, "/apis/kubernaut.ai/v1alpha1/remediationrequests", asked.URL.Path)

	_, err = requestsOn(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }).Page(t.Context(), "", 1, "")
	require.True(t, apierrors.IsForbidden(err), "%v", err)
	_, err = OpenRequests(&rest.Config{Host: "::"})
	require.Error(t, err)
}
