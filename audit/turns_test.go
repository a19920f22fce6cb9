package audit

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// An event that DataStorage cannot have is posted at once, whatever else is asked for.
func TestWhatIsSureDoesNotWaitForQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &store{t: t}
		d.before = func(r *http.Request, _ int) *http.Response {
			if r.Method == http.MethodGet {
				pass(askTimeout / 2)
			}
			return nil
		}
		s, begun := d.process(), time.Now()
		events := []Event{again(entries(1))[0], entry(7, base())}
		wait := s.Send(t.Context(), events)
		require.NoError(t, one(t.Context(), s, events[1]))
		require.Less(t, time.Since(begun), time.Second)
		requireAll(t, wait())
		d.requireOnce(events)
	})
}

// With one request at a time, neither kind of events waits for all of the other.
func TestQuestionsAndOthersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &store{t: t}
		var events []Event
		for i := range 4 {
			events = append(events, again([]Event{entry(i, base().Add(time.Duration(i)*time.Minute))})...)
		}
		for i := range 4 {
			events = append(events, entry(10+i, base()))
		}
		s := d.process()
		s.pace.most, s.pace.size = 1, 1
		s.unbatched = time.Now().Add(time.Hour)
		requireAll(t, s.Deliver(t.Context(), events))
		var order []string
		for _, name := range d.seen() {
			order = append(order, strings.Fields(name)[0])
		}
		// An event is posted as soon as its question is answered.
		require.Equal(t, slices.Repeat([]string{"GET", "POST", "POST"}, 4), order)
	})
}
