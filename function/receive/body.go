package receive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// ErrBusy is the reason of a 503 that a bound made.
var ErrBusy = errors.New("too much is under way already")

// ErrSlow is the reason of a 503 to a sender whose body came slowly while there
// was no room for others.
var ErrSlow = errors.New("the body came too slowly, and others needed its room")

// Bodies reads the bodies of requests, within bounds over all of them. Where
// there is no room for another one, those that come slowly make room, so that
// slow senders shut nobody out, however many there are. Any number of goroutines
// may use it. Its zero value has no room; see [NewBodies].
type Bodies struct {
	most int

	mu       sync.Mutex
	left     int64
	arriving map[*arrival]struct{}
}

// NewBodies makes room for so many bodies that arrive at once, and for so many
// bytes of those that arrive or are held.
func NewBodies(most int, size int64) *Bodies {
	return &Bodies{most: most, left: size, arriving: map[*arrival]struct{}{}}
}

// Read reads a request's body of at most so many bytes, within [BodyTimeout]. It
// never waits for room: [ErrBusy] means that there was none, [ErrSlow] that the
// body had to make room, [http.MaxBytesError] that it is too large. After an
// error the connection ends with the request. release gives the room back; it is
// to be called in any case.
func (b *Bodies) Read(w http.ResponseWriter, r *http.Request, most int64) (body []byte, release func(), err error) {
	defer func() {
		if err != nil {
			HangUp(w, r)
		}
	}()
	if r.ContentLength > most {
		return nil, func() {}, &http.MaxBytesError{Limit: most}
	}
	// Hosts that cannot set a deadline have their own.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(BodyTimeout))
	a := &arrival{of: b, begun: time.Now(), hurry: func() { _ = control.SetReadDeadline(time.Now()) }}
	if !b.enter(a) {
		return nil, func() {}, ErrBusy
	}
	var buffer bytes.Buffer
	_, err = io.Copy(&buffer, io.TeeReader(http.MaxBytesReader(w, r.Body, most), a))
	if b.leave(a) {
		err = ErrSlow
	}
	if err != nil {
		return nil, a.release, fmt.Errorf("reading the body: %w", err)
	}
	_ = control.SetReadDeadline(time.Time{})
	return buffer.Bytes(), a.release, nil
}

// Arriving is how many bodies are still to come.
func (b *Bodies) Arriving() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.arriving)
}

// enter makes room for one more body that arrives.
func (b *Bodies) enter(a *arrival) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.makeRoom(slowAfter, func() bool { return len(b.arriving) < b.most }, func(*arrival) bool { return true }) {
		return false
	}
	b.arriving[a] = struct{}{}
	return true
}

// leave ends an arrival, and tells whether it had to make room.
func (b *Bodies) leave(a *arrival) (late bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.arriving, a)
	return a.late
}

// makeRoom has those that have come slowly for so long make room, the oldest
// first, until there is enough, and tells whether there is.
func (b *Bodies) makeRoom(after time.Duration, enough func() bool, helps func(*arrival) bool) bool {
	now := time.Now()
	for !enough() {
		var oldest *arrival
		for a := range b.arriving {
			if a.slow(now, after) && helps(a) && (oldest == nil || a.begun.Before(oldest.begun)) {
				oldest = a
			}
		}
		if oldest == nil {
			return false
		}
		delete(b.arriving, oldest)
		oldest.late = true
		b.left += oldest.held
		oldest.held = 0
		oldest.hurry()
	}
	return true
}

// arrival is a body that arrives. What has come of it is taken from the room for
// all bodies, piece by piece, so that a sender holds no more than it has sent.
type arrival struct {
	of    *Bodies
	begun time.Time
	// hurry ends the wait for more. It may be called only until the arrival leaves.
	hurry func()
	held  int64
	// late means that it had to make room.
	late bool
}

// slow tells whether a body has had its time, and has come more slowly than
// anybody's who may go on while others wait.
func (a *arrival) slow(now time.Time, after time.Duration) bool {
	age := now.Sub(a.begun)
	return age >= after && float64(a.held) < age.Seconds()*slowPace
}

// Write takes room for what has come.
func (a *arrival) Write(piece []byte) (int, error) {
	b, n := a.of, int64(len(piece))
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.late {
		return 0, ErrSlow
	}
	others := func(other *arrival) bool { return other != a && other.held > 0 }
	if !b.makeRoom(hopelessAfter, func() bool { return b.left >= n }, others) {
		return 0, ErrBusy
	}
	b.left -= n
	a.held += n
	return len(piece), nil
}

func (a *arrival) release() {
	a.of.mu.Lock()
	defer a.of.mu.Unlock()
	a.of.left += a.held
	a.held = 0
}

// HangUp makes a connection end with the answer to its request, whose body was
// not read to its end. Otherwise the server reads on in it before it sends the
// answer, for as long as a slow sender likes. It is to be called before the
// answer is begun.
func HangUp(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 || r.ProtoMajor != 1 {
		return // There is nothing to read, or other requests share the connection.
	}
	w.Header().Set("Connection", "close")
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(LingerTimeout))
}
