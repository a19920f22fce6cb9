package dedup

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// pagingServer is an API server that answers Lists in turn, the last one again and again.
type pagingServer struct {
	*kube
	asked []*url.URL
}

func serving(t *testing.T, answers ...answerer) *pagingServer {
	t.Helper()
	s := &pagingServer{}
	a := &answering{answer: func(r *http.Request) (*http.Response, error) {
		s.asked = append(s.asked, r.URL)
		return answers[min(len(s.asked), len(answers))-1](r)
	}}
	s.kube = a.connect(t)
	return s
}

// answerer answers a request.
type answerer = func(*http.Request) (*http.Response, error)

// items is an answer to a List at a time, with a token for the next page.
func items(at time.Time, next string, objects ...string) answerer {
	return func(r *http.Request) (*http.Response, error) {
		text := `{"kind":"RemediationRequestList","metadata":{"continue":"` + next + `"},"items":[` + strings.Join(objects, ",") + `]}`
		resp, err := texts(http.StatusOK, strings.NewReader(text))(r)
		if !at.IsZero() {
			resp.Header.Set("Date", at.Format(http.TimeFormat))
		}
		return resp, err
	}
}

func denied(*http.Request) (*http.Response, error)  { return no(http.StatusForbidden, "Forbidden"), nil }
func expired(*http.Request) (*http.Response, error) { return no(http.StatusGone, "Expired"), nil }
func unknown(*http.Request) (*http.Response, error) {
	return no(http.StatusBadRequest, "BadRequest"), nil
}

// cut is an answer that ends in the middle of its items, after the token.
func cut(r *http.Request) (*http.Response, error) {
	return texts(http.StatusOK, strings.NewReader(`{"kind":"RemediationRequestList","metadata":{"continue":"c"},"items":[{"metadata":`))(r)
}

func TestAListAsTheAPIServerSeesIt(t *testing.T) {
	s := serving(t, items(epoch, ""))
	_, now, err := s.list(t.Context(), "ns", selector{fingerprint: "f"})
	require.NoError(t, err)
	require.Equal(t, epoch, now)
	require.Equal(t, "/apis/kubernaut.ai/v1alpha1/namespaces/ns/remediationrequests?fieldSelector=spec.signalFingerprint%3Df&timeout=10s", s.asked[0].RequestURI())
}

// Where the phase cannot be selected, a List of active objects is a List of all. Of
// another List a 400 is an error.
func TestAListThatTheAPIServerDoesNotUnderstand(t *testing.T) {
	s := serving(t, unknown)
	_, _, err := s.list(t.Context(), "ns", selector{fingerprint: "f"})
	require.True(t, apierrors.IsBadRequest(err), "%v", err)
	require.Len(t, s.asked, 1)
	require.False(t, s.noPhases.Load())
}

func TestAListWithoutADateHasOurTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serving(t, items(time.Time{}, ""))
		_, now, err := s.list(t.Context(), "ns", selector{fingerprint: "f"})
		require.NoError(t, err)
		require.Equal(t, time.Now(), now)
	})
}

func TestOnlyAnUrgentListTakesNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serving(t, items(epoch, ""))
		for range maxCalls {
			_, err := s.limiter.acquire(t.Context())
			require.NoError(t, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, err := s.list(ctx, "ns", selector{fingerprint: "f"})
		require.ErrorContains(t, err, "waiting for a slot")
		_, _, err = s.list(t.Context(), "ns", selector{fingerprint: "f", urgent: true})
		require.NoError(t, err)
	})
}

// large is an object that takes n bytes of memory.
func large(uid string, n int) string {
	return fmt.Sprintf(`{"metadata":{"uid":%q,"name":%q,"labels":{"onefire/x":%q}},"spec":{"signalFingerprint":"f"}}`, uid, uid, strings.Repeat("x", n))
}

func TestListsWithinTheirMemory(t *testing.T) {
	for reason, row := range map[string]struct {
		urgent  bool
		free    int
		answers []answerer
		wait    bool
		check   func(err error) bool
		lists   int
	}{
		"enough":                   {false, maxListMemory, []answerer{items(epoch, "", large("a", 2*listMemory))}, false, nil, 1},
		"an urgent one":            {true, maxListMemory, []answerer{items(epoch, "", large("a", 2*listMemory))}, false, nil, 1},
		"an urgent one that fails": {true, maxListMemory, []answerer{denied}, false, apierrors.IsForbidden, 1},
		"later":                    {false, listMemory, []answerer{items(epoch, "", large("a", 2*listMemory))}, true, nil, 2},
		"later, and then it fails": {false, listMemory, []answerer{items(epoch, "", large("a", 2*listMemory)), denied}, true, apierrors.IsForbidden, 2},
		"never":                    {false, listMemory, []answerer{items(epoch, "", large("a", 2*listMemory))}, false, func(err error) bool { return strings.HasPrefix(err.Error(), "waiting for memory for a List: ") }, 1},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serving(t, row.answers...)
				if row.free < maxListMemory {
					held, err := s.budget.reserve(t.Context(), maxListMemory-row.free)
					require.NoError(t, err)
					if row.wait {
						time.AfterFunc(time.Second, held.release)
					}
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				objects, _, err := s.list(ctx, "ns", selector{fingerprint: "f", urgent: row.urgent})
				if row.check != nil {
					require.True(t, row.check(err), "%v", err)
				} else {
					require.NoError(t, err)
					require.Len(t, objects, 1)
				}
				require.Len(t, s.asked, row.lists)
				pass(time.Second) // The other List has released its memory by then.
				taken := int64(maxListMemory)
				if row.free < maxListMemory && !row.wait {
					taken = int64(row.free)
				}
				require.True(t, s.budget.free.TryAcquire(taken), "a List keeps no memory")
			})
		})
	}
}

// Pages are of the state of the first one: so is their time.
func TestHowPagesAreRead(t *testing.T) {
	about := subject{"ns", "f"}
	later, object := epoch.Add(time.Hour), large("a", 1)
	for reason, row := range map[string]struct {
		active  bool
		answers []answerer
		check   func(err error) bool
		lists   int
		long    bool // afterwards
	}{
		"two pages":               {false, []answerer{items(epoch, "c", object), items(later, "", object)}, nil, 2, true},
		"a page is enough":        {false, []answerer{items(epoch, "", object)}, nil, 1, false},
		"active ones say nothing": {true, []answerer{items(epoch, "", object)}, nil, 1, true},
		"it begins anew":          {false, []answerer{items(later, "c", object), expired, items(epoch, "c", object), items(later, "", object)}, nil, 4, true},
		"active ones begin anew":  {true, []answerer{items(later, "c", object), expired, items(epoch, "c", object), items(later, "", object)}, nil, 4, true},
		"it begins anew thrice":   {false, []answerer{items(later, "c", object), expired, items(later, "c", object), expired, items(later, "c", object), expired}, apierrors.IsResourceExpired, 6, true},
		"another error ends it":   {false, []answerer{items(epoch, "c", object), denied}, apierrors.IsForbidden, 2, true},
		"a page that is cut off":  {false, []answerer{cut}, func(err error) bool { return err != nil }, 1, true},
	} {
		t.Run(reason, func(t *testing.T) {
			s := serving(t, row.answers...)
			s.long.Add(about, struct{}{})
			reserved, err := s.budget.reserve(t.Context(), listMemory)
			require.NoError(t, err)
			defer reserved.release()
			_, now, err := s.pages(t.Context(), about, selector{fingerprint: "f", active: row.active}, reserved)
			if row.check != nil {
				require.True(t, row.check(err), "%v", err)
			} else {
				require.NoError(t, err)
				require.Equal(t, epoch, now)
			}
			require.Len(t, s.asked, row.lists)
			require.Equal(t, row.long, s.long.Contains(about))
		})
	}
}

// A past that was long is read in pages at once, but for its active objects, and a
// neighbour's is not.
func TestALongPastIsReadInPagesAtOnce(t *testing.T) {
	for reason, row := range map[string]struct {
		by    selector
		paged bool
	}{
		"itself":             {selector{fingerprint: "f"}, true},
		"its active objects": {selector{fingerprint: "f", active: true}, false},
		"another past":       {selector{fingerprint: "g"}, false},
	} {
		s := serving(t, items(epoch, ""))
		s.long.Add(subject{"ns", "f"}, struct{}{})
		_, _, err := s.list(t.Context(), "ns", row.by)
		require.NoError(t, err)
		require.Len(t, s.asked, 1)
		require.Equal(t, row.paged, s.asked[0].Query().Has("limit"), reason)
	}
}

// The bound of a batch is not that of a fingerprint.
func TestAnAnswerAboveTheBoundOfABatch(t *testing.T) {
	text := `{"x":"` + strings.Repeat("x", maxBatchList) + `"}`
	s := serving(t, items(epoch, "", text))
	_, _, err := s.list(t.Context(), "ns", selector{fingerprint: "f"})
	require.NoError(t, err)
	require.Len(t, s.asked, 1)
	_, _, err = s.list(t.Context(), "ns", selector{labels: []string{"f"}})
	require.ErrorIs(t, err, errTooLarge)
	require.Len(t, s.asked, 2)
}

// Of a batch, each long past is told.
func TestEachLongPastOfABatchIsTold(t *testing.T) {
	var texts []string
	for _, f := range []string{"f", "g"} {
		for i := range maxPast + 1 {
			texts = append(texts, fmt.Sprintf(`{"metadata":{"uid":"%s%d","name":"%s%d"},"spec":{"signalFingerprint":%q},"status":{"overallPhase":"Completed"}}`, f, i, f, i, f))
		}
	}
	s := serving(t, items(epoch, "", texts...))
	told := map[string]int{}
	s.onLongPast = func(p LongPast) { told[p.Fingerprint] = p.Objects }
	_, _, err := s.list(t.Context(), "ns", selector{labels: []string{"f", "g"}})
	require.NoError(t, err)
	require.Equal(t, map[string]int{"f": maxPast + 1, "g": maxPast + 1}, told)
}

// An answer that is given up, for pages or because a page has expired, leaves its memory to
// the next one.
func TestAnAnswerThatIsGivenUpLeavesItsMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		object := large("a", 40<<10)
		endless := strings.Replace(large("b", 1), `"spec":{`, `"spec":{"originalPayload":"`+strings.Repeat("x", maxList)+`",`, 1)
		s := serving(t, items(epoch, "", object, endless), items(epoch, "c", object), expired, items(epoch, "c", object), items(epoch, ""))
		held, err := s.budget.reserve(t.Context(), maxListMemory-listMemory)
		require.NoError(t, err)
		defer held.release()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		objects, _, err := s.list(ctx, "ns", selector{fingerprint: "f"})
		require.NoError(t, err)
		require.Len(t, objects, 1)
		require.Len(t, s.asked, 5)
	})
}
