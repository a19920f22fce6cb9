package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"onefire/config"
	"onefire/dedup"
	"onefire/function/cmd/help"
	"onefire/mapping"
)

// listed prints the open requests, the newest first.
func listed(ctx context.Context, args []string, environment map[string]string, s Streams) error {
	f, o := flags("list", "wide")
	kubeconfig := f.String("kubeconfig", "", "list the requests of the cluster that this `file` names (default: KUBECONFIG, else as kubectl finds it)")
	namespace := f.String("n", "", "list the requests in this `namespace` (default: REMEDIATION_NAMESPACE, else POD_NAMESPACE, else that of the kubeconfig's context)")
	all := f.Bool("A", false, "list the requests in all namespaces")
	ended := f.Bool("ended", false, "list ended requests too")
	watch := f.Bool("w", false, "list again when something changes, until Ctrl-C")
	if err := onlyFlags(f, args, s); err != nil {
		return err
	}
	if *all && *namespace != "" {
		return help.Error("list takes -A or -n, not both")
	}
	c, err := config.Mapping(environment)
	if err != nil {
		return err
	}
	kube, own, err := connect(cmp.Or(*kubeconfig, c.Kubeconfig))
	if err != nil {
		return err
	}
	if !config.NamespaceSet(environment) {
		c.Namespace = own
	}
	requests, err := dedup.OpenRequests(kube)
	if err != nil {
		return err
	}
	l := &lister{page: requests.Page, namespace: cmp.Or(*namespace, c.Namespace), ended: *ended, out: *o, streams: s, pause: wait}
	if *all || *namespace == "" && c.Placement == mapping.PlacementSignal {
		l.namespace = ""
	}
	for _, p := range pauses(ctx, kube, c, own, l.namespace) {
		fmt.Fprintf(s.Err, "onefire: ConfigMap %s/%s exists since %s: if the function runs in namespace %s, it makes no new requests: %s\n",
			p.Namespace, p.Name, p.Since.Format(time.RFC3339), p.Namespace, printable(cmp.Or(p.Reason, "no reason given")))
	}
	if *watch {
		return l.watch(ctx)
	}
	found, err := l.read(ctx)
	if err != nil {
		return err
	}
	return l.show(found)
}

// pauses reads the brakes that are on. The function reads only the brake of its own
// namespace. A command in the function's pod knows that namespace from POD_NAMESPACE. From
// outside it can be the namespace of the kubeconfig's context, as with make run, the
// namespace that is listed, or the usual one of Onefire. A brake that the user may not
// read counts as off.
func pauses(ctx context.Context, kube *rest.Config, c config.Config, own, listed string) (all []*dedup.Pause) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	namespaces := []string{own, listed, "onefire"}
	switch {
	case c.Brake == config.NoBrake:
		return nil
	case c.PodNamespace != "":
		namespaces = []string{c.PodNamespace}
	}
	for i, namespace := range namespaces {
		if namespace == "" || slices.Contains(namespaces[:i], namespace) {
			continue
		}
		if p, _ := dedup.ReadPause(ctx, kube, types.NamespacedName{Namespace: namespace, Name: c.Brake}); p != nil {
			all = append(all, p)
		}
	}
	return all
}

// lister lists requests.
type lister struct {
	page func(ctx context.Context, namespace string, size int, next string) (dedup.RequestPage, error)
	// namespace is empty for all namespaces.
	namespace string
	ended     bool
	out       output
	streams   Streams
	// pause waits. It fails when the context ends.
	pause func(context.Context, time.Duration) error
}

// listing is the result of a lister, and when it was read by the API server's clock.
type listing struct {
	requests []dedup.Request
	now      time.Time
}

// read reads all pages. If the API server has forgotten their state, it begins anew.
func (l *lister) read(ctx context.Context) (found listing, err error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	for size, next, restarts := listPage, "", 0; ; {
		p, err := l.page(ctx, l.namespace, size, next)
		switch {
		case errors.Is(err, dedup.ErrTooLarge) && size > 1:
			size /= 2
			continue
		case apierrors.IsResourceExpired(err) && next != "" && restarts < maxListRestarts:
			restarts++
			next, found.requests = "", nil
			continue
		case err != nil:
			return listing{}, fmt.Errorf("listing RemediationRequests in %s: %w", l.location(), err)
		}
		found.requests, found.now = append(found.requests, p.Requests...), p.Now
		if len(found.requests) > maxRequests {
			return listing{}, fmt.Errorf("there are more than %d RemediationRequests in %s: `onefire prune` deletes old ones, and -n lists one namespace", maxRequests, l.location())
		}
		if next = p.Next; next == "" {
			found.requests = chosen(found.requests, l.ended)
			return found, nil
		}
	}
}

// location describes where a lister looks.
func (l *lister) location() string {
	if l.namespace == "" {
		return "all namespaces"
	}
	return "namespace " + l.namespace
}

// chosen returns the requests to show, the newest first: the open ones, or all. A request
// that asks for quiet is open only if it is the last of its fingerprint.
func chosen(all []dedup.Request, ended bool) []dedup.Request {
	slices.SortFunc(all, func(a, b dedup.Request) int {
		return cmp.Or(b.Created.Compare(a.Created), b.LastSeen.Compare(a.LastSeen), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	type about struct{ namespace, fingerprint string }
	last := map[about]bool{}
	kept := all[:0]
	for _, r := range all {
		key := about{r.Namespace, r.Fingerprint}
		if (r.State == dedup.StateReview || r.State == dedup.StateWaiting) && last[key] {
			r.State, r.Open, r.QuietUntil = dedup.StateEnded, false, time.Time{}
		}
		last[key] = true
		if r.Open || ended {
			kept = append(kept, r)
		}
	}
	return kept
}

// show prints a listing.
func (l *lister) show(found listing) error {
	if len(found.requests) == 0 && l.out.format != "json" {
		what, hint := "open RemediationRequest", " (-A looks in all namespaces)"
		if l.ended {
			what = "RemediationRequest"
		}
		if l.namespace == "" {
			hint = ""
		}
		fmt.Fprintf(l.streams.Err, "onefire: there is no %s in %s%s\n", what, l.location(), hint)
		return nil
	}
	return l.print(l.streams.Out, found)
}

func (l *lister) print(w io.Writer, found listing) error {
	return l.out.print(w, requestRows(found.requests), func(w io.Writer) { requestTable(w, found, l.out.format == "wide") })
}
