package alternatives

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"onefire/dedup"
)

const (
	// patience bounds every delivery, its redeliveries included.
	patience = 60 * time.Second
	// redeliveries and redeliverAfter are how a Broker delivers again what
	// fails: 10 times, with pauses that grow from 200 ms; here they do not grow.
	redeliveries   = 10
	redeliverAfter = 200 * time.Millisecond
)

var places atomic.Int64

// place is a namespace of its own.
type place struct {
	t         *testing.T
	way       way
	namespace string
	objects   dynamic.ResourceInterface
	// calls are the API calls of all of its processes, but for watches.
	calls atomic.Int64
	// unrecorded are the calls that the API server warned of: the CRD keeps no record.
	unrecorded atomic.Int64
	// failures are deliveries that failed and were made again, and letters
	// those that were given up.
	failures, letters atomic.Int64
}

func newPlace(t *testing.T, w way) *place {
	t.Helper()
	client, err := dynamic.NewForConfig(kube)
	require.NoError(t, err)
	p := &place{t: t, way: w, namespace: fmt.Sprintf("place-%d", places.Add(1))}
	p.objects = client.Resource(dedup.Resource).Namespace(p.namespace)
	return p
}

// process opens the way anew. Its creates wait for the gate, if there is one.
func (p *place) process(g *gate) deliver {
	p.t.Helper()
	config := rest.CopyConfig(kube)
	config.WarningHandler = rest.NoWarnings{} // Of fields that are pruned.
	arrived := &sync.Once{}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Query().Get("watch") != "true" {
				p.calls.Add(1)
			}
			if g != nil && r.Method == http.MethodPost {
				arrived.Do(func() { g.wait(r.Context()) })
			}
			resp, err := next.RoundTrip(r)
			if err == nil && dedup.KeepsNoRecord(resp.Header.Values("Warning")) {
				p.unrecorded.Add(1)
			}
			return resp, err
		})
	})
	once := p.way.open(p.t, config, p.namespace)
	p.calls.Store(0) // An alert does not pay for the start.
	return once
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// gate holds the first create of each process until all have come so far: all
// have seen the past, and none has changed it.
type gate struct {
	missing atomic.Int32
	open    chan struct{}
}

func newGate(processes int32) *gate {
	g := &gate{open: make(chan struct{})}
	g.missing.Store(processes)
	return g
}

func (g *gate) wait(ctx context.Context) {
	if g.missing.Add(-1) == 0 {
		close(g.open)
	}
	select {
	case <-g.open:
	case <-ctx.Done():
	}
}

// deliver delivers until it is taken, or is a dead letter.
func (p *place) deliver(d deliver, id string, n int) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for tries := 0; ; tries++ {
		if d(ctx, id, signal(p.namespace, n)) == nil {
			return
		}
		if tries == redeliveries {
			p.letters.Add(1)
			return
		}
		p.failures.Add(1)
		select {
		case <-time.After(redeliverAfter):
		case <-ctx.Done():
		}
	}
}

func (p *place) list() []unstructured.Unstructured {
	list, err := p.objects.List(p.t.Context(), metav1.ListOptions{})
	require.NoError(p.t, err)
	return list.Items
}

// complete ends all objects that there are.
func (p *place) complete() {
	for _, o := range p.list() {
		_, err := p.objects.Patch(p.t.Context(), o.GetName(), types.MergePatchType, []byte(`{"status":{"overallPhase":"Completed"}}`), metav1.PatchOptions{}, "status")
		require.NoError(p.t, err)
	}
}

// result is what is there in the end.
type result struct {
	objects, active int
	counted         int64
	// worst is the most active objects of a fingerprint, and torn the number of fingerprints
	// that have not exactly one.
	worst, torn int
}

func (p *place) result(fingerprints int) result {
	var r result
	each := map[string]int{}
	for _, o := range p.list() {
		r.objects++
		r.counted += occurrences(o)
		if active(o) {
			r.active++
			each[text(o, "spec", "signalFingerprint")]++
		}
	}
	whole := 0
	for _, n := range each {
		r.worst = max(r.worst, n)
		if n == 1 {
			whole++
		}
	}
	r.torn = fingerprints - whole
	return r
}
