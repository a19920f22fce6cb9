package receive

import (
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// slowOnes are bodies that have been slow for hours, the first one for the longest time.
// cut is told which ones are cut off.
func slowOnes(b *Bodies, cut *[]string, held ...int64) (all []*arrival) {
	for i, n := range held {
		a := &arrival{of: b, begun: time.Now().Add(time.Duration(i)*time.Minute - 5*time.Hour), held: n, cutOff: func() { *cut = append(*cut, fmt.Sprint(i)) }}
		b.left -= n
		b.arriving[a] = struct{}{}
		all = append(all, a)
	}
	return all
}

// As many slow bodies are cut off as are needed, the oldest first.
func TestTheOldestSlowBodiesMakeRoom(t *testing.T) {
	for range 20 { // In whatever order a map has them.
		var cut []string
		b := NewBodies(10, 20)
		all := slowOnes(b, &cut, 5, 5, 5, 5)
		a := &arrival{of: b, begun: time.Now()}
		n, err := a.Write(make([]byte, 12))
		require.NoError(t, err)
		require.Equal(t, 12, n)
		require.Equal(t, []string{"0", "1", "2"}, cut)
		require.EqualValues(t, 3, b.left)
		require.Equal(t, 1, b.Arriving())
		require.True(t, b.unregister(all[0]))
		require.False(t, b.unregister(all[3]))
	}
}

// A body is cut off for its bytes only if it holds some.
func TestABodyWithoutBytesMakesNoRoomForBytes(t *testing.T) {
	var cut []string
	b := NewBodies(10, 1)
	slowOnes(b, &cut, 0, 1)
	a := &arrival{of: b, begun: time.Now()}
	_, err := a.Write([]byte("x"))
	require.NoError(t, err)
	require.Equal(t, []string{"1"}, cut)
	_, err = a.Write([]byte("x"))
	require.ErrorIs(t, err, ErrBusy)
	require.Equal(t, []string{"1"}, cut)
}

// deadlines is a connection whose read deadline ends a read.
type deadlines struct {
	*httptest.ResponseRecorder
	over chan struct{}
}

func (d *deadlines) SetReadDeadline(at time.Time) error {
	if !at.IsZero() && !at.After(time.Now()) {
		close(d.over)
	}
	return nil
}

// A body that is cut off for another one says so, whatever its connection says.
func TestABodyThatIsCutOffSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBodies(1, 10)
		w := &deadlines{httptest.NewRecorder(), make(chan struct{})}
		r := post("")
		r.ContentLength = -1
		r.Body = io.NopCloser(reader(func([]byte) (int, error) {
			<-w.over
			return 0, errors.New("the deadline is over")
		}))
		slow := make(chan error)
		go func() {
			_, release, err := b.Read(w, r, 5)
			release()
			slow <- err
		}()
		synctest.Wait()
		require.Equal(t, 1, b.Arriving())
		pass(slowAfter)
		body, release, err := b.Read(httptest.NewRecorder(), post("12345"), 5)
		require.NoError(t, err)
		require.Equal(t, "12345", string(body))
		release()
		require.ErrorIs(t, <-slow, ErrSlow)
	})
}
