package function

import "net/http"

// NewForWire makes a started function on which the requests of [Wire] do what
// their names say.
func NewForWire() *Function {
	f := newFixture()
	f.service.pipeline.requests = wireDedup()
	return f.Function
}

// Wire is every kind of request of the HTTP contract, by name.
func Wire() map[string]*http.Request {
	out := map[string]*http.Request{}
	for name, row := range wire {
		out[name] = row.request
	}
	return out
}
