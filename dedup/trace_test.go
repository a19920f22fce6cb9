package dedup

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// linked is a span that keeps its links.
type linked struct {
	noop.Span
	context trace.SpanContext
	links   *links
}

type links struct {
	mu  sync.Mutex
	all []trace.Link
}

func (l linked) IsRecording() bool              { return true }
func (l linked) SpanContext() trace.SpanContext { return l.context }

func (l linked) AddLink(link trace.Link) {
	l.links.mu.Lock()
	defer l.links.mu.Unlock()
	l.links.all = append(l.links.all, link)
}

func span(id byte, links *links) linked {
	return linked{context: trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{id}}), links: links}
}

// A caller whose List another one makes has a link to the other's span.
func TestASharedListIsLinked(t *testing.T) {
	var links links
	own, other := span(1, &links), span(2, &links)
	ctx := trace.ContextWithSpan(t.Context(), own)
	g := newListBatcher(&instant{})
	_, _, err := g.list(ctx, "ns", "f", nil)
	require.NoError(t, err)
	require.Empty(t, links.all, "it made the List itself")

	b := &listBatch{ctx: trace.ContextWithSpan(t.Context(), other), listRequest: listRequest{fingerprints: map[string]bool{}}, done: make(chan struct{})}
	close(b.done)
	g.spaces["ns"] = &namespaceLists{next: b}
	_, _, err = g.list(ctx, "ns", "f", nil)
	require.NoError(t, err)
	require.Len(t, links.all, 1)
	require.Equal(t, other.context, links.all[0].SpanContext)
	require.Equal(t, "onefire.shared", string(links.all[0].Attributes[0].Key))
	require.Equal(t, "list", links.all[0].Attributes[0].Value.AsString())

	linkTo(t.Context(), b.ctx, "list") // There is no span to link.
	require.Len(t, links.all, 1)
}
