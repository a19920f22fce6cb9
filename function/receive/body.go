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

// ErrBusy is the reason of a 503 because of a bound.
var ErrBusy = errors.New("too many requests are running")

// ErrSlow is the reason of a 503 for a body that came slowly and was cut off for the
// benefit of others.
var ErrSlow = errors.New("the body came too slowly while other requests waited")

// Bodies reads the bodies of requests and bounds their number and bytes. When a bound is
// reached, it cuts off bodies that come slowly, so that any number of slow senders cannot
// shut out others. It is safe for concurrent use. Its zero value accepts no body; see
// [NewBodies].
type Bodies struct {
	most int

	mu       sync.Mutex
	left     int64
	arriving map[*arrival]struct{}
}

// NewBodies bounds how many bodies arrive at once, and the bytes of all bodies that
// arrive or are in use.
func NewBodies(most int, size int64) *Bodies {
	return &Bodies{most: most, left: size, arriving: map[*arrival]struct{}{}}
}

// Read reads a request's body of at most so many bytes, within [BodyTimeout]. It never
// waits for other bodies. It fails with [ErrBusy] if a bound was reached, with [ErrSlow]
// if the body was cut off for others, and with [http.MaxBytesError] if it is too large.
// After an error the connection ends with the request. The caller must call release in
// any case.
func (b *Bodies) Read(w http.ResponseWriter, r *http.Request, most int64) (body []byte, release func(), err error) {
	defer func() {
		if err != nil {
			HangUp(w, r)
		}
	}()
	if r.ContentLength > most {
		return nil, func() {}, &http.MaxBytesError{Limit: most}
	}
	// A host that cannot set a deadline has a deadline of its own.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(BodyTimeout))
	a := &arrival{of: b, begun: time.Now(), cutOff: func() { _ = control.SetReadDeadline(time.Now()) }}
	if !b.register(a) {
		return nil, func() {}, ErrBusy
	}
	var buffer bytes.Buffer
	_, err = io.Copy(&buffer, io.TeeReader(http.MaxBytesReader(w, r.Body, most), a))
	if b.unregister(a) {
		err = ErrSlow
	}
	if err != nil {
		return nil, a.release, fmt.Errorf("reading the body: %w", err)
	}
	_ = control.SetReadDeadline(time.Time{})
	return buffer.Bytes(), a.release, nil
}

// Arriving is how many bodies are arriving.
func (b *Bodies) Arriving() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.arriving)
}

// register registers one more body, if the bounds allow it.
func (b *Bodies) register(a *arrival) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.makeRoom(slowAfter, func() bool { return len(b.arriving) < b.most }, func(*arrival) bool { return true }) {
		return false
	}
	b.arriving[a] = struct{}{}
	return true
}

// unregister ends an arrival, and tells whether it was cut off.
func (b *Bodies) unregister(a *arrival) (late bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.arriving, a)
	return a.late
}

// makeRoom cuts off bodies that have been slow for the given time, the oldest first,
// until enough returns true. It returns whether enough did.
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
		oldest.cutOff()
	}
	return true
}

// arrival is a body that is arriving. Its bytes count as they come, so a sender holds no
// more memory than it has sent bytes.
type arrival struct {
	of    *Bodies
	begun time.Time
	// cutOff ends the read. It must not be called after unregister.
	cutOff func()
	held   int64
	// late tells that the body was cut off.
	late bool
}

// slow tells whether the body is older than the given time and has come below the pace
// that lets a body go on while others wait.
func (a *arrival) slow(now time.Time, after time.Duration) bool {
	age := now.Sub(a.begun)
	return age >= after && float64(a.held) < age.Seconds()*slowPace
}

// Write counts bytes that have come.
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

// HangUp makes the connection end with the answer to a request whose body was not read to
// its end. Otherwise the server would read the rest before it sends the answer, for as
// long as a slow sender likes. It must be called before the answer is begun.
func HangUp(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 || r.ProtoMajor != 1 {
		return // There is nothing to read, or other requests share the connection.
	}
	w.Header().Set("Connection", "close")
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(LingerTimeout))
}
