package history

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCheck(t *testing.T) {
	// Operations in a row, each over before the next begins.
	row := func(ops ...func(*Recorder)) func(*Recorder) {
		return func(r *Recorder) {
			for _, op := range ops {
				op(r)
				// The real clock must go on: intervals that touch count as concurrent.
				time.Sleep(time.Microsecond)
			}
		}
	}
	delivered := func(key, object string, count int32) func(*Recorder) {
		return func(r *Recorder) { r.Deliver(key)(Answer{object, count}) }
	}
	ended := func(object string) func(*Recorder) { return func(r *Recorder) { r.End(object)() } }
	seen := func(object string, count int32) func(*Recorder) {
		return func(r *Recorder) { r.Read()(Answer{object, count}) }
	}
	atOnce := func(r *Recorder) {
		a, b := r.Deliver("a"), r.Deliver("b")
		a(Answer{"x", 2})
		b(Answer{"x", 1})
	}
	for name, c := range map[string]struct {
		history func(*Recorder)
		ok      bool
	}{
		"nothing":                           {row(), true},
		"new, repeat, read":                 {row(delivered("a", "x", 1), delivered("b", "x", 2), seen("x", 2)), true},
		"a replay":                          {row(delivered("a", "x", 1), delivered("b", "x", 2), delivered("a", "x", 1), seen("x", 2)), true},
		"a recurrence":                      {row(delivered("a", "x", 1), ended("x"), seen("", 0), delivered("b", "y", 1), delivered("a", "x", 1)), true},
		"two at once, the later one first":  {row(atOnce, seen("x", 2)), true},
		"twins":                             {row(delivered("a", "x", 1), delivered("b", "y", 1)), false},
		"a lost count":                      {row(delivered("a", "x", 1), delivered("b", "x", 2), seen("x", 1)), false},
		"a count made twice":                {row(delivered("a", "x", 1), delivered("b", "x", 3)), false},
		"a replay that counts":              {row(delivered("a", "x", 1), delivered("a", "x", 2)), false},
		"a count on what has ended":         {row(delivered("a", "x", 1), ended("x"), delivered("b", "x", 2)), false},
		"a name that comes again":           {row(delivered("a", "x", 1), ended("x"), delivered("b", "x", 1)), false},
		"an end of what is not active":      {row(ended("x")), false},
		"an order that time does not allow": {row(delivered("b", "x", 2), delivered("a", "x", 1)), false},
	} {
		t.Run(name, func(t *testing.T) {
			var r Recorder
			c.history(&r)
			err := r.Check(time.Minute)
			if c.ok {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, "no order")
			}
		})
	}
}
