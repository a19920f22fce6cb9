// Package policy makes NetworkPolicies take effect on the cluster's node, with
// nftables. It is as small as a single node allows: all packets between pods
// are forwarded by this kernel, and what the node itself sends is never
// held back, as kubelet's probes must not be.
//
// It holds a pod to its policies a moment after the pod has its address, and
// what is connected already stays connected.
package policy

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os/exec"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// settle is how long changes are gathered before the rules are made anew.
const settle = 50 * time.Millisecond

// Run keeps the rules up to date until ctx ends.
func Run(ctx context.Context, client kubernetes.Interface) error {
	factory := informers.NewSharedInformerFactory(client, 0)
	policies := factory.Networking().V1().NetworkPolicies()
	pods, namespaces := factory.Core().V1().Pods(), factory.Core().V1().Namespaces()
	changed := make(chan struct{}, 1)
	notify := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	for _, informer := range []cache.SharedIndexInformer{policies.Informer(), pods.Informer(), namespaces.Informer()} {
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { notify() }, UpdateFunc: func(any, any) { notify() }, DeleteFunc: func(any) { notify() },
		}); err != nil {
			return err
		}
	}
	factory.StartWithContext(ctx)
	defer factory.Shutdown()
	if !cache.WaitForCacheSync(ctx.Done(), policies.Informer().HasSynced, pods.Informer().HasSynced, namespaces.Informer().HasSynced) {
		return ctx.Err()
	}
	var last string
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
		gather := time.NewTimer(settle)
		select {
		case <-ctx.Done():
			gather.Stop()
			return nil
		case <-gather.C:
		}
		var s state
		var err error
		if s.policies, err = policies.Lister().List(labels.Everything()); err != nil {
			return err
		}
		if s.pods, err = pods.Lister().List(labels.Everything()); err != nil {
			return err
		}
		if s.namespaces, err = namespaces.Lister().List(labels.Everything()); err != nil {
			return err
		}
		rules, err := s.rules()
		if err != nil {
			slog.Warn("the policies are not understood, and the old rules stay", "error", err)
			continue
		}
		if rules == last {
			continue
		}
		if err := load(ctx, rules); err != nil {
			return err
		}
		last = rules
	}
}

// load replaces all of the rules at once.
func load(ctx context.Context, rules string) error {
	cmd := exec.CommandContext(ctx, "nft", "-f", "-")
	cmd.Stdin = bytes.NewReader([]byte(rules))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("load the rules: %w: %s", err, out)
	}
	return nil
}

// state is all that the rules follow from.
type state struct {
	policies   []*networkingv1.NetworkPolicy
	pods       []*corev1.Pod
	namespaces []*corev1.Namespace
}
