package collector

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// node is a span with those below it.
type node struct {
	span    ptrace.Span
	service string
	below   []*node
}

// Tree writes each trace as an indented tree: when a span began, counted from
// the trace's first, how long it took, its service and name, its attributes, and
// below it its events and links. A span whose parent did not come is a root.
func Tree(w io.Writer, all []ptrace.Traces) {
	nodes := map[pcommon.SpanID]*node{}
	for _, traces := range all {
		for _, resource := range traces.ResourceSpans().All() {
			service := "unknown"
			if name, ok := resource.Resource().Attributes().Get("service.name"); ok {
				service = name.AsString()
			}
			for _, scope := range resource.ScopeSpans().All() {
				for _, span := range scope.Spans().All() {
					nodes[span.SpanID()] = &node{span: span, service: service}
				}
			}
		}
	}
	roots := map[pcommon.TraceID][]*node{}
	for _, n := range nodes {
		if parent := nodes[n.span.ParentSpanID()]; parent != nil && parent.span.TraceID() == n.span.TraceID() {
			parent.below = append(parent.below, n)
			continue
		}
		roots[n.span.TraceID()] = append(roots[n.span.TraceID()], n)
	}
	for _, n := range nodes {
		slices.SortFunc(n.below, earlier)
	}
	for _, trace := range roots {
		slices.SortFunc(trace, earlier)
	}
	for _, trace := range slices.SortedFunc(maps.Values(roots), func(a, b []*node) int { return earlier(a[0], b[0]) }) {
		fmt.Fprintf(w, "trace %s\n", trace[0].span.TraceID())
		for _, root := range trace {
			root.write(w, "  ", trace[0].span.StartTimestamp())
		}
	}
}

func earlier(a, b *node) int {
	return cmp.Or(cmp.Compare(a.span.StartTimestamp(), b.span.StartTimestamp()), strings.Compare(a.span.SpanID().String(), b.span.SpanID().String()))
}

func (n *node) write(w io.Writer, indent string, begun pcommon.Timestamp) {
	s := n.span
	fmt.Fprintf(w, "%s%s %s  %s %s [%s]", indent, since(begun, s.StartTimestamp()), duration(s.EndTimestamp()-s.StartTimestamp()),
		n.service, s.Name(), strings.ToLower(s.Kind().String()))
	if s.Status().Code() != ptrace.StatusCodeUnset {
		fmt.Fprintf(w, " %s", strings.ToLower(s.Status().Code().String()))
		if s.Status().Message() != "" {
			fmt.Fprintf(w, " %q", s.Status().Message())
		}
	}
	fmt.Fprintln(w, attributes(s.Attributes()))
	for _, e := range s.Events().All() {
		fmt.Fprintf(w, "%s  * %s %s%s\n", indent, since(begun, e.Timestamp()), e.Name(), attributes(e.Attributes()))
	}
	for _, l := range s.Links().All() {
		fmt.Fprintf(w, "%s  → %s/%s%s\n", indent, l.TraceID(), l.SpanID(), attributes(l.Attributes()))
	}
	for _, below := range n.below {
		below.write(w, indent+"  ", begun)
	}
}

// attributes are sorted by name.
func attributes(all pcommon.Map) string {
	var text strings.Builder
	raw := all.AsRaw()
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		if s, ok := raw[name].(string); ok && !strings.ContainsAny(s, " \"\n\t") && s != "" {
			fmt.Fprintf(&text, " %s=%s", name, s)
			continue
		}
		fmt.Fprintf(&text, " %s=%#v", name, raw[name])
	}
	return text.String()
}

func since(begun, at pcommon.Timestamp) string {
	return "+" + time.Duration(int64(at)-int64(begun)).Round(time.Microsecond).String()
}

func duration(d pcommon.Timestamp) string {
	return time.Duration(int64(d)).Round(time.Microsecond).String()
}
