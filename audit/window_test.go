package audit

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// The events of a question are in no order.
func TestAQuestionIsAboutTheEarliestAndTheLatestEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &store{t: t}
		var events []Event
		for i, us := range []time.Duration{2, 4, 1, 3} {
			events = append(events, entry(i, base().Add(us*time.Microsecond)))
		}
		requireAll(t, d.process().Deliver(t.Context(), again(events)))
		require.Len(t, d.asked(), 1)
		require.Equal(t, "2026-01-02T03:04:05.000001Z", d.asked()[0].Get("since"))
		require.Equal(t, "2026-01-02T03:04:05.000004Z", d.asked()[0].Get("until"))
	})
}

func TestAQuestionIsAboutTheEventsCorrelation(t *testing.T) {
	for reason, row := range map[string]struct {
		subject, key string
		want         []string
	}{
		"its RemediationRequest": {"rr-1", "f00d", []string{"rr-1"}},
		"its fingerprint":        {"", "f00d", []string{"f00d"}},
		"neither":                {"", "", nil},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, e := &store{t: t}, entry(1, base())
				e.Subject, e.PartitionKey = row.subject, row.key
				requireAll(t, d.process().Deliver(t.Context(), again([]Event{e})))
				require.Equal(t, row.want, d.asked()[0]["correlation_id"])
			})
		})
	}
}

// While it is not known whether DataStorage has an event, the event is not sent.
func TestRowsThatCannotBeReadSendNothing(t *testing.T) {
	for reason, row := range map[string]struct {
		rows   int
		before func(r *http.Request) *http.Response
		says   string
	}{
		"one RemediationRequest has too many": {2*maxRows + 2, func(*http.Request) *http.Response { return nil }, "too many audit events of the same time"},
		"the second has too many, and those of a RemediationRequest are not given": {2*maxRows + 2, func(r *http.Request) *http.Response {
			if r.URL.Query().Get("correlation_id") != "" {
				return responded(500, "no")
			}
			return nil
		}, "500 no"},
		"a row is too large": {1, func(*http.Request) *http.Response {
			return responded(200, `{"data":[{"filling":"`+strings.Repeat("x", maxPage)+`"}]}`)
		}, "the answer is too large"},
		"the query is refused": {1, func(*http.Request) *http.Response { return responded(400, "no") },
			"the audit sink is not available: 400 to a query: no"},
		"the answer has no rows": {1, func(*http.Request) *http.Response { return responded(204, "") },
			"the audit sink is not available: 204 to a query"},
		"nothing is answered": {1, func(*http.Request) *http.Response { return responded(200, "") },
			"reading the answer to a query: EOF"},
		"a list that reads like it": {1, func(*http.Request) *http.Response { return responded(200, `["data",[]]`) },
			"the answer to a query has no rows"},
		"half a value": {1, func(*http.Request) *http.Response { return responded(200, `{"pagination":{"total`) },
			"reading the answer to a query: unexpected EOF"},
		"no name": {1, func(*http.Request) *http.Response { return responded(200, `{7:[]}`) },
			"reading the answer to a query: invalid character '7'"},
		"the answer is of something else": {1, func(*http.Request) *http.Response { return responded(200, "{}") },
			"the audit sink is not available: the answer to a query has no rows"},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &store{t: t}
				missing := []Event{entry(0, base()), entry(1, base())}
				for i := range row.rows {
					var s stored
					s.Time, s.Category, s.Correlation = base(), "gateway", missing[i%2].Subject
					d.rows = append(d.rows, s)
				}
				d.before = func(r *http.Request, events int) *http.Response {
					if events > 0 {
						return nil
					}
					return row.before(r)
				}
				for _, err := range d.process().Deliver(t.Context(), again(missing)) {
					require.Equal(t, unavailable, verdictOf(err))
					require.ErrorContains(t, err, row.says)
				}
				require.Empty(t, d.posts())
			})
		})
	}
}

func TestARowThatIsTooLargeIsAskedForWithFewOthersInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &store{t: t}
		d.before = func(*http.Request, int) *http.Response {
			return responded(200, `{"data":[{"filling":"`+strings.Repeat("x", maxPage)+`"}]}`)
		}
		s := d.process()
		it, err := s.item(again(entries(1))[0])
		require.NoError(t, err)
		require.ErrorIs(t, s.ask([]*item{it}).unread[it.id], errLarge)
		var limits []string
		for _, query := range d.asked() {
			limits = append(limits, query.Get("limit"))
		}
		require.Equal(t, []string{"1000", "100", "10"}, limits)
	})
}

// A page may be so large, and its last brace is not needed.
func TestAPageIsReadUpToItsBound(t *testing.T) {
	for reason, row := range map[string]struct{ surplus, posts int }{"the largest": {1, 1}, "a byte more": {2, 0}} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const head, tail = `{"data":[{"filling":"`, `"}]}`
				d := &store{t: t}
				d.before = func(_ *http.Request, events int) *http.Response {
					if events > 0 {
						return nil
					}
					return responded(200, head+strings.Repeat("x", maxPage+row.surplus-len(head)-len(tail))+tail)
				}
				err := one(t.Context(), d.process(), again(entries(1))[0])
				require.Equal(t, row.posts == 1, err == nil, "%v", err)
				require.Len(t, d.posts(), row.posts)
			})
		})
	}
}

// Where a second has too many rows, each RemediationRequest is asked for once.
func TestEachRemediationRequestIsAskedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &store{t: t}
		for range maxRows {
			d.rows = append(d.rows, stored{Time: base(), Category: "gateway", Correlation: "another"})
		}
		var events []Event
		for i, name := range []string{"rr-1", "rr-2", "rr-1"} {
			e := entry(i, base())
			e.Subject = name
			events = append(events, filled(e, false, ""))
		}
		s := d.process()
		var items []*item
		for _, e := range events {
			items = append(items, must(s.item(e)))
		}
		require.Empty(t, s.ask(items).unread)
		var asked []string
		for _, query := range d.asked() {
			if name := query.Get("correlation_id"); name != "" {
				asked = append(asked, name)
			}
		}
		require.Equal(t, []string{"rr-1", "rr-2"}, asked)
	})
}

// An answer that is cut off is broken, and one that reaches the bound is too large.
func TestAnAnswerIsReadUpToItsBound(t *testing.T) {
	const whole = `{"data":[]}`
	for reason, row := range map[string]struct {
		text  string
		bound int64
		large bool
		whole bool
	}{
		"whole":                     {whole, 100, false, true},
		"whole, at the bound":       {whole, int64(len(whole)), false, true},
		"cut by the bound":          {whole, int64(len(whole)) - 2, true, false},
		"broken off at the bound":   {whole[:5], 5, true, false},
		"broken off just before it": {whole[:5], 6, false, false},
	} {
		t.Run(reason, func(t *testing.T) {
			q := &question{found: map[uuid.UUID]bool{}}
			_, err := q.rows(&io.LimitedReader{R: strings.NewReader(row.text), N: row.bound})
			if row.whole {
				require.NoError(t, err)
				return
			}
			require.Error(t, err)
			if row.large {
				require.ErrorIs(t, err, errLarge)
			} else {
				require.NotErrorIs(t, err, errLarge)
			}
		})
	}
}
