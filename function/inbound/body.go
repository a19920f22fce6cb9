package inbound

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"
)

// ErrBusy is the reason of a 503 that a bound made.
var ErrBusy = errors.New("too much is under way already")

// ReadBody reads a request's body of at most so many bytes, within
// [BodyTimeout]. It takes what comes from left, the bytes that all bodies
// together may still have, and never waits for them: [ErrBusy] means that there
// were none left, [http.MaxBytesError] that the body is too large. release gives
// them back; it is to be called in any case.
func ReadBody(w http.ResponseWriter, r *http.Request, most int64, left *semaphore.Weighted) (body []byte, release func(), err error) {
	held := &budget{left: left}
	if r.ContentLength > most {
		return nil, held.release, &http.MaxBytesError{Limit: most}
	}
	// Hosts that cannot set a deadline have their own.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(BodyTimeout))
	var buffer bytes.Buffer
	_, err = io.Copy(&buffer, io.TeeReader(http.MaxBytesReader(w, r.Body, most), held))
	_ = control.SetReadDeadline(time.Time{})
	return buffer.Bytes(), held.release, err
}

// budget takes what is written to it from the memory for bodies, piece by
// piece, so that a slow sender holds no more than it has sent.
type budget struct {
	left *semaphore.Weighted
	held int64
}

func (b *budget) Write(piece []byte) (int, error) {
	n := int64(len(piece))
	if !b.left.TryAcquire(n) {
		return 0, ErrBusy
	}
	b.held += n
	return len(piece), nil
}

func (b *budget) release() { b.left.Release(b.held) }
