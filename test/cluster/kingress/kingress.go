// Package kingress is the smallest ingress that Knative Serving can work
// with: it takes the place of Kourier, whose Envoy is not to be had as a Go
// module. It is for tests only: one replica, HTTP/1.1, no TLS.
//
// It watches Knative's Ingress objects of its class, routes by host, path and
// headers to the Services they name, and reports them ready once it does.
package kingress

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
)

const (
	// Class is the value of config-network's ingress-class.
	Class = "onefire-test.ingress.networking.knative.dev"
	// gateway is the Service in front of this program.
	gateway = "gateway.kourier-system.svc.cluster.local"
)

var ingresses = schema.GroupVersionResource{Group: "networking.internal.knative.dev", Version: "v1alpha1", Resource: "ingresses"}

// ingress is the part of a Knative Ingress that is understood here.
type ingress struct {
	Metadata struct {
		Name, Namespace string
		Generation      int64
	}
	Spec struct {
		Rules []struct {
			Hosts []string
			HTTP  struct{ Paths []path }
		}
	}
	Status struct{ ObservedGeneration int64 }
}

// Run serves on address until ctx ends.
func Run(ctx context.Context, client dynamic.Interface, address string) error {
	var routes atomic.Pointer[table]
	routes.Store(&table{})
	changed := make(chan struct{}, 1)
	informer := dynamicinformer.NewFilteredDynamicInformer(client, ingresses, metav1.NamespaceAll, 0, cache.Indexers{}, nil).Informer()
	notify := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { notify() }, UpdateFunc: func(any, any) { notify() }, DeleteFunc: func(any) { notify() },
	}); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { informer.RunWithContext(ctx) })
	running.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-changed:
				if err := update(ctx, client, informer.GetStore().List(), &routes); err != nil {
					slog.Warn("an ingress is not up to date yet", "error", err)
					time.AfterFunc(retryPause, notify)
				}
			}
		}
	})
	server := &http.Server{Addr: address, Handler: newProxy(&routes), ReadHeaderTimeout: headerTimeout}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.ListenAndServe(); ctx.Err() == nil {
		return err
	}
	return nil
}

// update makes the table of all ingresses of the class, takes it into use,
// and then reports those ready that were not.
func update(ctx context.Context, client dynamic.Interface, objects []any, routes *atomic.Pointer[table]) error {
	next := table{}
	var news []ingress
	for _, object := range objects {
		u, ok := object.(*unstructured.Unstructured)
		if !ok || u.GetAnnotations()["networking.knative.dev/ingress.class"] != Class {
			continue
		}
		text, err := u.MarshalJSON()
		if err != nil {
			return err
		}
		var i ingress
		if err := json.Unmarshal(text, &i); err != nil {
			return fmt.Errorf("ingress %s/%s: %w", u.GetNamespace(), u.GetName(), err)
		}
		for _, rule := range i.Spec.Rules {
			for _, host := range rule.Hosts {
				next[host] = append(next[host], rule.HTTP.Paths...)
			}
		}
		if i.Status.ObservedGeneration != i.Metadata.Generation {
			news = append(news, i)
		}
	}
	routes.Store(&next)
	for _, i := range news {
		if err := report(ctx, client, i); err != nil {
			return err
		}
	}
	return nil
}

// report writes the status of an ingress that is served.
func report(ctx context.Context, client dynamic.Interface, i ingress) error {
	var conditions []map[string]any
	for _, name := range []string{"LoadBalancerReady", "NetworkConfigured", "Ready"} {
		conditions = append(conditions, map[string]any{"type": name, "status": "True", "lastTransitionTime": time.Now().UTC().Format(time.RFC3339)})
	}
	balancer := map[string]any{"ingress": []map[string]any{{"domainInternal": gateway}}}
	patch, err := json.Marshal(map[string]any{"status": map[string]any{
		"observedGeneration": i.Metadata.Generation, "conditions": conditions,
		"publicLoadBalancer": balancer, "privateLoadBalancer": balancer,
	}})
	if err != nil {
		return err
	}
	_, err = client.Resource(ingresses).Namespace(i.Metadata.Namespace).
		Patch(ctx, i.Metadata.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil {
		return fmt.Errorf("report ingress %s/%s ready: %w", i.Metadata.Namespace, i.Metadata.Name, err)
	}
	slog.Info("ingress ready", "namespace", i.Metadata.Namespace, "name", i.Metadata.Name, "generation", i.Metadata.Generation)
	return nil
}
