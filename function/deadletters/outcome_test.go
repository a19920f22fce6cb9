package deadletters

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric/noop"
)

// An operator finds a dead letter by what the log says.
func TestWhateverBecomesOfALetterTheLogNamesIt(t *testing.T) {
	const name = `"name":"dead-letter-e534551ac2911bf9c94c9dd00a4aaa00"`
	exists := fault{verb: "create", status: 500, after: true}
	for reason, row := range map[string]struct {
		again  bool
		most   int
		faults []fault
		status int
		says   string // in the answer
	}{
		"kept":                  {false, 1, nil, 200, ""},
		"kept already":          {true, 2, nil, 200, ""},
		"kept, and full":        {true, 1, nil, 200, ""},
		"full":                  {false, 0, nil, 507, "there is no room for more dead letters"},
		"invalid":               {false, 1, []fault{{verb: "create", recorded: "configmap-too-large"}}, 400, "is invalid"},
		"too large":             {false, 1, []fault{{verb: "create", recorded: "too-large-for-the-server"}}, 400, "too large"},
		"not counted":           {false, 1, []fault{{verb: "list", status: 403}}, 503, "keeping the dead letter: counting dead letters: as the test wants it"},
		"not created":           {false, 1, []fault{{verb: "create", status: 403}}, 503, "keeping the dead letter: as the test wants it"},
		"there, but not read":   {true, 2, []fault{{verb: "get", status: 403}}, 503, "keeping the dead letter: as the test wants it"},
		"created, with no word": {false, 2, []fault{exists}, 503, "keeping the dead letter: as the test wants it"},
	} {
		t.Run(reason, func(t *testing.T) {
			f := fix(t)
			f.quota.most.letters = row.most
			if row.again {
				require.Equal(t, http.StatusOK, f.send(nil, `{"alerts": []}`).Code)
				f.logs.text.Reset()
			}
			f.kube.fail(row.faults...)
			w := f.send(nil, `{"alerts": []}`)
			require.Equal(t, row.status, w.Code, w.Body)
			require.Contains(t, w.Body.String(), row.says)
			require.Contains(t, f.logs.String(), name)
		})
	}
}

func TestALetterThatIsKeptAlreadyTakesNoRoom(t *testing.T) {
	f := fix(t)
	for range 3 {
		require.Equal(t, http.StatusOK, f.send(nil, `{}`).Code)
	}
	s, err := f.quota.waiting(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, s.letters)
	require.Equal(t, 1, f.kube.count("list"), "it was not counted again")
}

func TestTheLogHasTheBeginningOfWhatIsLost(t *testing.T) {
	for size, want := range map[int]int{10: 10, maxText: maxText, maxText + 1: maxText} {
		f := fix(t)
		require.Equal(t, http.StatusBadRequest, f.send(map[string]string{"Ce-Id": ""}, strings.Repeat("x", size)).Code)
		require.Contains(t, f.logs.String(), `"beginning":"`+strings.Repeat("x", want)+`"`)
	}
}

// unsent is a body of which nothing comes until it ends.
type unsent chan struct{}

func (u unsent) Read([]byte) (int, error) { <-u; return 0, io.EOF }

func TestSoManyRequestsAreTakenAtOnceForSoLong(t *testing.T) {
	const arriving, running, timeout = 512, 256, 25 * time.Second
	synctest.Test(t, func(t *testing.T) {
		s := newStore(network(stuck).api(t), usage{1, 1}, slog.New(slog.DiscardHandler))
		var err error
		s.metrics, err = newMetrics(noop.NewMeterProvider().Meter(""), s.quota.waiting)
		require.NoError(t, err)
		s.quota.turn <- struct{}{} // So each letter waits until its time is up.
		send := func(body io.Reader) {
			r := httptest.NewRequest(http.MethodPost, "/", body)
			for name, value := range binaryHeaders(nil) {
				r.Header.Set(name, value)
			}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			require.Equal(t, http.StatusServiceUnavailable, w.Code)
		}
		begun := time.Now()
		var answered atomic.Int64
		var group sync.WaitGroup
		bodies := make(unsent)
		for range arriving {
			group.Go(func() { send(bodies); answered.Add(1) })
		}
		synctest.Wait()
		send(strings.NewReader("{}"))
		require.Zero(t, time.Since(begun), "there are too many that arrive")
		require.Zero(t, answered.Load())
		close(bodies)
		synctest.Wait()
		require.EqualValues(t, arriving-running, answered.Load(), "of those that have arrived the others wait")
		group.Wait()
		require.Equal(t, timeout, time.Since(begun))
	})
}
