// Package restarter is a small controller that repairs: it takes RemediationRequests
// on Deployments, and restarts their rollouts as `kubectl rollout restart` does. It
// is an example to start from; docs/controllers.md explains it.
//
// The restarter restarts a Deployment at most once in each back-off, and it lets at
// most [Options].AtOnce rollouts be under way. It writes to the request when it is
// going to restart before it restarts, so a restarter that was killed in between
// finishes that restart, and makes no second one. Two restarters that run at once
// keep the back-off too, but each of them counts to AtOnce for itself.
package restarter

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/retry"

	"onefire/dedup"
)

const (
	// passTimeout bounds one look at all requests. A pass that did not finish goes on
	// with the next one.
	passTimeout = time.Minute
	// manager is the name under which the API server records what is written here.
	manager = "onefire-restarter"
)

// Options are the bounds of a restarter.
type Options struct {
	// Namespace is where it looks for requests; empty for all namespaces.
	Namespace string
	// AtOnce is how many rollouts may be under way at the same time.
	AtOnce int
	// BackOff is how long a Deployment is left alone after a restart, whoever made it.
	// The API server keeps times in seconds, so it is a second at least.
	BackOff time.Duration
	// Limit is how long a rollout may take until its request has failed.
	Limit time.Duration
	// Every is the time between two looks at all requests.
	Every time.Duration
	// Now is the clock; time.Now if it is nil.
	Now func() time.Time
	// Log takes what the restarter does; slog's default logger if it is nil.
	Log *slog.Logger
}

// Defaults are options that suit a small cluster.
func Defaults() Options {
	return Options{AtOnce: 3, BackOff: 15 * time.Minute, Limit: 10 * time.Minute, Every: 5 * time.Second}
}

// Restarter is the controller.
type Restarter struct {
	options     Options
	requests    dynamic.NamespaceableResourceInterface
	deployments dynamic.NamespaceableResourceInterface
}

// New makes a restarter of a client for the Kubernetes API. The error says which
// option is wrong.
func New(client dynamic.Interface, o Options) (*Restarter, error) {
	if o.AtOnce < 1 || o.BackOff < time.Second || o.Limit <= 0 || o.Every <= 0 {
		return nil, fmt.Errorf("at once (%d) must be 1 or more, the back-off (%s) 1s or more, limit (%s) and every (%s) more than 0",
			o.AtOnce, o.BackOff, o.Limit, o.Every)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Restarter{o, client.Resource(dedup.Resource), client.Resource(appsv1.SchemeGroupVersion.WithResource("deployments"))}, nil
}

// Run makes a pass at once and then one in each interval, until the context ends. A
// pass that fails is logged, and the next one tries again.
func (r *Restarter) Run(ctx context.Context) {
	tick := time.NewTicker(r.options.Every)
	defer tick.Stop()
	for {
		if err := r.Pass(ctx); err != nil && ctx.Err() == nil {
			r.options.Log.ErrorContext(ctx, "pass failed", "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Pass looks at each active request on a Deployment, the most severe first, and
// takes it one step further. A request that fails does not keep the others back; the
// error has all that failed.
func (r *Restarter) Pass(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	list, err := r.requests.Namespace(r.options.Namespace).List(ctx, metav1.ListOptions{FieldSelector: notEnded()})
	if err != nil {
		return fmt.Errorf("listing RemediationRequests: %w", err)
	}
	var problems []error
	var all []*request
	room := r.options.AtOnce
	for i := range list.Items {
		q, err := read(&list.Items[i])
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if !q.mine() {
			continue
		}
		if all = append(all, q); q.Status.OverallPhase == restarting {
			room--
		}
	}
	slices.SortFunc(all, func(a, b *request) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), a.created.Compare(b.created), cmp.Compare(a.name, b.name))
	})
	for _, q := range all {
		began, err := r.settle(ctx, q, room > 0)
		if began {
			room--
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("RemediationRequest %s/%s: %w", q.namespace, q.name, err))
		}
	}
	return errors.Join(problems...)
}

// notEnded selects the requests that are active. The CRD has to list
// status.overallPhase among its selectableFields.
func notEnded() string {
	var all []string
	for _, phase := range dedup.TerminalPhases() {
		all = append(all, "status.overallPhase!="+phase)
	}
	return strings.Join(all, ",")
}

// settle takes a request one step further. Each write names the revision that the
// step was decided on, and the API server refuses it where anything has changed
// since: an alert was counted or fires again, or somebody cancelled the request. It
// is then read and decided anew. began tells that a rollout was begun, or may have been.
func (r *Restarter) settle(ctx context.Context, q *request, room bool) (began bool, err error) {
	waiting := q.Status.OverallPhase != restarting
	err = retry.RetryOnConflict(retry.DefaultRetry, func() error {
		err := r.try(ctx, q, room)
		if !apierrors.IsConflict(err) {
			return err
		}
		o, gone := r.requests.Namespace(q.namespace).Get(ctx, q.name, metav1.GetOptions{})
		if gone != nil {
			return gone
		}
		fresh, unread := read(o)
		if unread != nil {
			return unread
		}
		*q = *fresh
		return err
	})
	if apierrors.IsNotFound(err) {
		err = nil // A user deleted the request, or Onefire merged it into another one.
	}
	return waiting && q.Status.OverallPhase == restarting, err
}

// try decides on a request as it was read, and does what follows.
func (r *Restarter) try(ctx context.Context, q *request, room bool) error {
	if !q.mine() {
		return nil // It has ended meanwhile, or another controller has taken it.
	}
	var d *appsv1.Deployment
	if q.needsDeployment(room) {
		var err error
		if d, err = r.deployment(ctx, q); err != nil {
			return err
		}
	}
	s := q.next(d, room, r.options)
	if s.phase != q.Status.OverallPhase || s.message != q.Status.Message {
		if err := r.write(ctx, q, s); err != nil {
			return err
		}
		t := q.Spec.TargetResource
		r.options.Log.InfoContext(ctx, "request", "namespace", q.namespace, "name", q.name, "deployment", t.Namespace+"/"+t.Name,
			"phase", s.phase, "message", s.message)
	}
	switch {
	case !s.restart:
		return nil
	case q.Status.RestartedAt == nil:
		return errors.New("the CRD drops status.restartedAt, so nothing is restarted: let its status keep unknown fields, as Onefire's does")
	}
	return r.restart(ctx, d, q.Status.RestartedAt.Time)
}

// deployment reads a request's Deployment; nil where there is none.
func (r *Restarter) deployment(ctx context.Context, q *request) (*appsv1.Deployment, error) {
	t := q.Spec.TargetResource
	o, err := r.deployments.Namespace(t.Namespace).Get(ctx, t.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading its Deployment: %w", err)
	}
	d := &appsv1.Deployment{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, d); err != nil {
		return nil, fmt.Errorf("reading its Deployment: %w", err)
	}
	return d, nil
}

// write writes a step to a request's status, and to q what the request is then. It is
// a merge patch: it leaves status.deduplication and the conditions as they are.
func (r *Restarter) write(ctx context.Context, q *request, s step) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": q.revision},
		"status":   s.status(r.options.Now()),
	})
	if err != nil {
		return fmt.Errorf("encoding its status: %w", err)
	}
	o, err := r.requests.Namespace(q.namespace).Patch(ctx, q.name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: manager}, "status")
	if err != nil {
		return fmt.Errorf("writing its status: %w", err)
	}
	written, err := read(o)
	if err != nil {
		return err
	}
	*q = *written
	return nil
}

// restart has a Deployment's pods replaced, one after the other as its strategy says.
func (r *Restarter) restart(ctx context.Context, d *appsv1.Deployment, at time.Time) error {
	annotations := map[string]any{restartedAt: at.UTC().Format(time.RFC3339)}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": d.ResourceVersion},
		"spec":     map[string]any{"template": map[string]any{"metadata": map[string]any{"annotations": annotations}}},
	})
	if err != nil {
		return fmt.Errorf("encoding a restart: %w", err)
	}
	_, err = r.deployments.Namespace(d.Namespace).Patch(ctx, d.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: manager})
	if err != nil {
		return fmt.Errorf("restarting its Deployment: %w", err)
	}
	return nil
}

// read reads a request as the API server gave it.
func read(o *unstructured.Unstructured) (*request, error) {
	q := &request{
		namespace: o.GetNamespace(), name: o.GetName(), revision: o.GetResourceVersion(),
		created: o.GetCreationTimestamp().Time, deleting: o.GetDeletionTimestamp() != nil,
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &q.fields); err != nil {
		return nil, fmt.Errorf("reading the RemediationRequest %s/%s: %w", q.namespace, q.name, err)
	}
	return q, nil
}
