package function

import (
	"bytes"
	"io"
	"net/http"
	"slices"
)

// The helpers below make requests that can be sent more than once: they have a
// GetBody.

func with(r *http.Request, header, value string) *http.Request {
	r.Header.Set(header, value)
	return r
}

func without(r *http.Request, header string) *http.Request {
	r.Header.Del(header)
	return r
}

func withPath(r *http.Request, path string) *http.Request {
	r.URL.Path = path
	return r
}

// chunked hides the length of a body.
func chunked(r *http.Request) *http.Request {
	r.ContentLength = -1
	return r
}

func slicesRepeat(s string, n int) []string { return slices.Repeat([]string{s}, n) }

func readAll(r io.Reader) []byte {
	b, err := io.ReadAll(r)
	if err != nil {
		panic(err)
	}
	return b
}

// replayable gives a request a GetBody.
func replayable(r *http.Request, body string) *http.Request {
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader([]byte(body))), nil }
	r.Body, _ = r.GetBody()
	return r
}
