package dedup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"

	"onefire/mapping"
)

// Nothing is made later than a second after the brake was put on, however long an alert
// has been under way by then.
func TestNothingIsMadeWhileTheBrakeIsOn(t *testing.T) {
	for reason, row := range map[string]struct {
		takes, late map[string]time.Duration
		// on is when the brake is put on.
		on time.Duration
		// busy is how long no call is free; busy the API server asks for time.
		full, busy time.Duration
		// gets is how often the brake is read.
		gets int
	}{
		"before all":                  {nil, nil, -time.Minute, 0, 0, 1},
		"during a slow List":          {map[string]time.Duration{"GET remediationrequests": 3 * time.Second}, nil, time.Second, 0, 0, 2},
		"while no call is free":       {nil, nil, 2 * time.Second, 4 * time.Second, 0, 2},
		"while it waits to try again": {nil, nil, time.Second, 0, 3 * time.Second, 2},
		"while the Get is slow":       {map[string]time.Duration{"GET configmaps": 2 * time.Second}, nil, time.Millisecond, 0, 0, 1},
		"while what it said is on its way": {map[string]time.Duration{"GET remediationrequests": 2500 * time.Millisecond},
			map[string]time.Duration{"GET configmaps": 2 * time.Second}, time.Second, 0, 0, 2},
	} {
		t.Run(strings.ReplaceAll(reason, " ", "_"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWired()
				maps.Copy(w.takes, row.takes)
				w.late = row.late
				if row.on < 0 {
					w.put(true)
				} else {
					time.AfterFunc(row.on, func() { w.put(true) })
				}
				w.meet = func(call string) *http.Response {
					if call != "POST remediationrequests" || w.clock().Sub(epoch) >= row.busy {
						return nil
					}
					resp := no(http.StatusTooManyRequests, "TooManyRequests")
					resp.Header.Set("Retry-After", fmt.Sprint(row.busy.Seconds()))
					return resp
				}
				d := w.replica(t, nil)
				if row.full > 0 {
					k := d.api.(*kube)
					w.takes["GET remediationrequests"] = time.Millisecond
					time.AfterFunc(500*time.Microsecond, func() {
						for range maxCalls - 1 { // The List has its place.
							release, err := k.limiter.acquire(context.Background())
							require.NoError(t, err)
							time.AfterFunc(row.full, release)
						}
						release, err := k.limiter.acquire(context.Background())
						require.NoError(t, err)
						time.AfterFunc(row.full, release)
					})
				}
				out, err := d.Settle(t.Context(), signal, []string{"a"}, nil)
				require.NoError(t, err)
				require.Empty(t, w.objects, "I13: it was made")
				for _, at := range w.posts {
					require.False(t, row.on < 0 || at.Sub(epoch) >= row.on+brakeAge, "I13: a create was sent while the brake was on")
				}
				require.Equal(t, mapping.BrakeOn, out[0].Reason, "I13: nobody was told why")
				want := &Pause{Namespace: "onefire", Name: "brake", UID: types.UID("uid-" + w.since.Format(time.RFC3339Nano)), Since: w.since.Truncate(time.Second), Reason: "ask Jane"}
				require.Equal(t, want, out[0].Paused)
				require.Equal(t, row.gets, w.count("GET configmaps"), "I13: Gets of the brake")
			})
		})
	}
}

// In a storm each process asks once a second at most, no create is sent later than a
// second after the brake was put on, and none is missing when it was let go and the
// alerts came again.
func TestTheBrakeInAStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const alerts, replicas = 500, 3
		w := newWired()
		for _, call := range []string{"GET remediationrequests", "POST remediationrequests", "GET configmaps"} {
			w.takes[call] = 20 * time.Millisecond
		}
		var all []*Deduplicator
		for range replicas {
			all = append(all, w.replica(t, nil))
		}
		storm := func(every time.Duration) (made int) {
			var mu sync.Mutex
			var settling sync.WaitGroup
			for i := range alerts {
				settling.Go(func() {
					out, err := all[i%replicas].Settle(t.Context(), about(fmt.Sprint("A", i)), []string{"k"}, nil)
					require.NoError(t, err)
					mu.Lock()
					defer mu.Unlock()
					if out[0].Reason == mapping.FirstSeen {
						made++
					}
				})
				pass(every)
			}
			settling.Wait()
			return made
		}
		time.AfterFunc(2*time.Second, func() { w.put(true) })
		begun := time.Now()
		made := storm(10 * time.Millisecond)
		require.Len(t, w.objects, made)
		require.Greater(t, made, 100)
		require.Less(t, made, alerts-100)
		last := w.posts[len(w.posts)-1]
		require.LessOrEqual(t, last.Sub(w.since), brakeAge+w.takes["GET configmaps"], "I13: a create was sent while the brake was on")
		seconds := int(time.Since(begun).Seconds()) + 1
		require.LessOrEqual(t, w.count("GET configmaps"), replicas*seconds)

		w.put(false)
		pass(brakeAge)
		require.Equal(t, alerts-made, storm(0))
		require.Len(t, w.objects, alerts)
	})
}

func TestABrakeThatCannotBeRead(t *testing.T) {
	for reason, row := range map[string]struct {
		known, on bool
		answer    func() *http.Response
		want      mapping.Decision
	}{
		"never known: forbidden":          {false, true, func() *http.Response { return no(http.StatusForbidden, "Forbidden") }, mapping.New},
		"never known: hangs":              {false, true, nil, mapping.New},
		"known to be on: forbidden":       {true, true, func() *http.Response { return no(http.StatusForbidden, "Forbidden") }, mapping.Paused},
		"known to be on: hangs":           {true, true, nil, mapping.Paused},
		"known to be on: nonsense":        {true, true, func() *http.Response { return said(http.StatusOK, "no ConfigMap") }, mapping.Paused},
		"known to be on: another kind":    {true, true, func() *http.Response { return said(http.StatusOK, map[string]any{"kind": "Status"}) }, mapping.Paused},
		"known to be off: server trouble": {true, false, func() *http.Response { return no(http.StatusInternalServerError, "InternalError") }, mapping.New},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWired()
				w.put(row.on)
				var unread []error
				d := w.replica(t, func(err error) { unread = append(unread, err) })
				if row.known {
					require.Equal(t, row.on, d.Paused(t.Context()) != nil)
					pass(brakeAge)
				}
				w.meet = func(call string) *http.Response {
					if call != "GET configmaps" || row.answer == nil {
						return nil
					}
					return row.answer()
				}
				if row.answer == nil {
					w.takes["GET configmaps"] = time.Hour
				}
				begun := time.Now()
				out, err := d.Settle(t.Context(), signal, []string{"a"}, nil)
				require.NoError(t, err)
				require.Equal(t, row.want, out[0].Reason.Decision(), "I13: what was known holds")
				require.LessOrEqual(t, time.Since(begun), brakeTimeout)
				synctest.Wait()
				require.Len(t, unread, 1, "and the next alert of this second does not wait again")
				_, err = d.Settle(t.Context(), about("another"), []string{"b"}, nil)
				require.NoError(t, err)
			})
		})
	}
}

// An alert that makes nothing costs no Get of the brake.
func TestTheBrakeCostsARepeatNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWired()
		d := w.replica(t, nil)
		settle := func(key string) mapping.Reason {
			out, err := d.Settle(t.Context(), signal, []string{key}, nil)
			require.NoError(t, err)
			pass(brakeAge)
			return out[0].Reason
		}
		require.Equal(t, mapping.FirstSeen, settle("a"))
		require.Equal(t, []string{"GET remediationrequests", "POST remediationrequests", "GET remediationrequests"}, slices.DeleteFunc(w.calls, func(call string) bool { return call == "GET configmaps" }))
		pass(settledAge)
		settle("b")
		w.put(true)
		w.calls = nil
		require.Equal(t, mapping.Active, settle("c"))
		require.Equal(t, []string{"PATCH remediationrequests"}, w.calls, "it counts while the brake is on")
		out, err := d.Resolve(t.Context(), []mapping.Signal{signalOf("-a")})
		require.NoError(t, err)
		require.Equal(t, mapping.ResolvedActive, out[0].Reason, "and ends are noted")
		require.Zero(t, w.count("GET configmaps"))
		require.NoError(t, d.Ready(t.Context(), "ns"))
		synctest.Wait()
		require.Equal(t, 1, w.count("GET configmaps"), "an alert that comes next finds it known")
	})
}

func TestAForecastSaysThatTheBrakeIsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWired()
		d := w.replica(t, nil)
		for _, on := range []bool{true, false} {
			want := mapping.FirstSeen
			if on {
				want = mapping.BrakeOn
			}
			w.put(on)
			pass(brakeAge)
			o, err := d.Forecast(t.Context(), signal, "a", false)
			require.NoError(t, err)
			require.Equal(t, want, o.Reason)
			require.Equal(t, on, o.Paused != nil)
		}
		_, err := d.Settle(t.Context(), signal, []string{"a"}, nil)
		require.NoError(t, err)
		w.put(true)
		pass(brakeAge)
		o, err := d.Forecast(t.Context(), signal, "b", false)
		require.NoError(t, err)
		require.Equal(t, mapping.Active, o.Reason, "a repeat counts all the same")
	})
}

func TestWhoGivesUpOnTheBrakeIsToldWhatIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWired()
		d := w.replica(t, nil)
		w.put(true)
		w.takes["GET configmaps"] = 2 * time.Second
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		require.Nil(t, d.Paused(ctx))
		require.NotNil(t, d.Paused(t.Context()), "who came later waits for the same Get")
		require.Equal(t, 1, w.count("GET configmaps"))
	})
}

func TestABrakeThatPanicsIsOneThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var unread error
		b := newBrake(func(context.Context) (*Pause, error) { panic("a bug") }, func(err error) { unread = err })
		require.Nil(t, b.pause(t.Context()))
		synctest.Wait()
		require.ErrorContains(t, unread, "a bug")
		b.close()
	})
}

func TestALongReasonIsCut(t *testing.T) {
	require.Equal(t, "ask Jane", shortReason("ask Jane"))
	require.Equal(t, strings.Repeat("x", maxPauseReason), shortReason(strings.Repeat("x", maxPauseReason+1)))
	require.Equal(t, strings.Repeat("x", maxPauseReason-1), shortReason(strings.Repeat("x", maxPauseReason-1)+"é"))
}

func TestAQuotaIsNoOutage(t *testing.T) {
	refuse := refusal(t, "quota")
	f := &faulty{store: newStore(), refuse: func(map[string]any) error { return refuse }}
	outcomes, err := settle(t, f, "a", "b")
	require.NoError(t, err)
	for _, o := range outcomes {
		require.Equal(t, mapping.QuotaExceeded, o.Reason)
		require.Equal(t, "none", o.Capped.Quota)
		require.ErrorIs(t, o.Capped, refuse)
		require.Equal(t, refuse.Error()[:20], errors.Unwrap(errors.Unwrap(o.Capped)).Error()[:20])
	}
}

// A readiness probe that nobody waits for any more may ask when the function stops.
func TestNoGetBeginsAfterTheBrakeIsClosed(t *testing.T) {
	gets := 0
	b := newBrake(func(context.Context) (*Pause, error) { gets++; return nil, nil }, nil)
	b.close()
	b.begin(t.Context())
	require.Nil(t, b.pause(t.Context()))
	require.Zero(t, gets)
}
