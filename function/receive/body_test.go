package receive

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// sending is a request whose body comes as the test sends it.
type sending struct {
	io.WriteCloser
	answer chan Answer
}

func send(v *Receiver) *sending {
	body, w := io.Pipe()
	s := &sending{w, make(chan Answer, 1)}
	r := httptest.NewRequest(http.MethodPost, "/", body)
	go func() {
		a := v.Serve(httptest.NewRecorder(), r, silent(), done)
		_ = body.Close() // It never fails.
		s.answer <- a
	}()
	synctest.Wait()
	return s
}

// piece sends a piece, and tells whether anybody still reads.
func (s *sending) piece(text string) bool {
	_, err := io.WriteString(s, text)
	synctest.Wait()
	return err == nil
}

func TestThoseThatComeSlowlyMakeRoom(t *testing.T) {
	room := Bounds{Body: 1 << 20, Bodies: 1 << 20, Arriving: 3, Requests: 3, Timeout: small.Timeout}
	for reason, row := range map[string]struct {
		before, after string
		wait          time.Duration
		gives         bool
	}{
		"who sends nothing":            {"", "", slowAfter, true},
		"who sends a byte":             {"x", "y", slowAfter, true},
		"not before it had its time":   {"", "", slowAfter - 1, false},
		"not who sends quickly enough": {strings.Repeat("x", slowPace), "", slowAfter, false},
		"but that only for so long":    {strings.Repeat("x", slowPace), "", slowAfter + time.Millisecond, true},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := New(room)
				first := send(v)
				require.True(t, first.piece(row.before))
				pass(time.Nanosecond) // The first one is the oldest.
				others := []*sending{send(v), send(v)}
				pass(row.wait - time.Nanosecond)
				next := send(v)
				if !row.gives {
					require.Equal(t, ErrBusy.Error(), (<-next.answer).Reason)
				} else {
					first.piece(row.after + "z")
					a := <-first.answer
					require.Equal(t, http.StatusServiceUnavailable, a.Status)
					require.Contains(t, a.Reason, ErrSlow.Error())
					first = next
				}
				for _, s := range append(others, first) {
					require.NoError(t, s.Close())
					require.Equal(t, http.StatusOK, (<-s.answer).Status)
				}
				require.Zero(t, v.bodies.Arriving())
				require.Equal(t, room.Bodies, v.bodies.left)
			})
		})
	}
}

func TestBytesOfThoseThatComeSlowlyAreForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := New(Bounds{Body: 1 << 20, Bodies: 100, Arriving: 10, Requests: 3, Timeout: small.Timeout})
		slow, none, quick := send(v), send(v), send(v)
		require.True(t, slow.piece(strings.Repeat("x", 60)))
		require.True(t, quick.piece(strings.Repeat("x", 30)))
		require.NoError(t, quick.Close())
		require.Equal(t, http.StatusOK, (<-quick.answer).Status)
		pass(hopelessAfter - time.Nanosecond)
		early := send(v)
		require.True(t, early.piece(strings.Repeat("x", 50)))
		require.Contains(t, (<-early.answer).Reason, ErrBusy.Error())
		pass(time.Nanosecond)
		late := send(v)
		require.True(t, late.piece(strings.Repeat("x", 50)))
		require.NoError(t, late.Close())
		require.Equal(t, http.StatusOK, (<-late.answer).Status)
		slow.piece("x")
		require.Contains(t, (<-slow.answer).Reason, ErrSlow.Error())
		require.True(t, none.piece("x"), "who holds nothing does not help")
		require.NoError(t, none.Close())
		require.Equal(t, http.StatusOK, (<-none.answer).Status)
		require.Equal(t, int64(100), v.bodies.left)
	})
}

// A connection that ends at once takes answers with it that are on their way.
func TestAnAnswerBeforeTheEndOfABodyArrives(t *testing.T) {
	refuse := Refuse(http.StatusUnauthorized, "no")
	for name, size := range map[string]int{"a body that comes slowly": 1 << 20, "a body that is there": 128 << 10, "a large body": 8 << 20} {
		t.Run(name, func(t *testing.T) {
			v := New(Bounds{Body: 1 << 10, Bodies: 1 << 20, Arriving: 1, Requests: 1, Timeout: small.Timeout})
			v.Admit = func(context.Context, http.ResponseWriter, *http.Request) *Answer { return &refuse }
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { v.Serve(w, r, silent(), done) }))
			defer server.Close()
			c, err := net.Dial("tcp", server.Listener.Addr().String())
			require.NoError(t, err)
			defer c.Close()
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size)
				if size != 1<<20 {
					_, _ = io.WriteString(c, strings.Repeat("x", size)) // Nobody may want all of it.
				}
			}()
			begun := time.Now()
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			require.NoError(t, err)
			defer resp.Body.Close()
			require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
			require.True(t, resp.Close, "the connection ends")
			_, err = io.Copy(io.Discard, c)
			_ = err // However it ends.
			require.Less(t, time.Since(begun), BodyTimeout, "nor does it wait for the body")
			<-sent
		})
	}
}

// pass lets time go by: in synctest.Test, where the clock is the test's own, it
// takes none.
func pass(d time.Duration) {
	time.Sleep(d) // In a bubble of synctest this only moves its clock on; nothing waits.
}
