package cmd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"

	"onefire/dedup/client"
	"onefire/mapping"
)

// kind is a kind of objects that alerts can be about, with the API that serves it.
type kind struct {
	kind, apiVersion, path, resource string
	namespaced                       bool
}

// kinds are kinds that every cluster has, so they need no discovery. Targets of other
// kinds are not looked up.
var kinds = [...]kind{
	{"Pod", "v1", "/api/v1", "pods", true},
	{"Service", "v1", "/api/v1", "services", true},
	{"PersistentVolumeClaim", "v1", "/api/v1", "persistentvolumeclaims", true},
	{"ResourceQuota", "v1", "/api/v1", "resourcequotas", true},
	{"Node", "v1", "/api/v1", "nodes", false},
	{"PersistentVolume", "v1", "/api/v1", "persistentvolumes", false},
	{"Namespace", "v1", "/api/v1", "namespaces", false},
	{"Deployment", "apps/v1", "/apis/apps/v1", "deployments", true},
	{"StatefulSet", "apps/v1", "/apis/apps/v1", "statefulsets", true},
	{"DaemonSet", "apps/v1", "/apis/apps/v1", "daemonsets", true},
	{"ReplicaSet", "apps/v1", "/apis/apps/v1", "replicasets", true},
	{"Job", "batch/v1", "/apis/batch/v1", "jobs", true},
	{"CronJob", "batch/v1", "/apis/batch/v1", "cronjobs", true},
	{"HorizontalPodAutoscaler", "autoscaling/v2", "/apis/autoscaling/v2", "horizontalpodautoscalers", true},
	{"PodDisruptionBudget", "policy/v1", "/apis/policy/v1", "poddisruptionbudgets", true},
	{"Ingress", "networking.k8s.io/v1", "/apis/networking.k8s.io/v1", "ingresses", true},
}

// path is the URL path of a target; it is empty if the target is not looked up.
func path(t mapping.Target) string {
	if len(validation.IsDNS1123Subdomain(t.Name)) > 0 {
		return ""
	}
	for _, k := range kinds {
		switch {
		case k.kind != t.Kind || k.apiVersion != t.APIVersion:
		case !k.namespaced:
			return k.path + "/" + k.resource + "/" + t.Name
		case len(validation.IsDNS1123Label(t.Namespace)) == 0:
			return k.path + "/namespaces/" + t.Namespace + "/" + k.resource + "/" + t.Name
		}
	}
	return ""
}

// lookup asks an API server which targets exist.
type lookup struct{ client rest.Interface }

func newLookup(config *rest.Config) (lookup, error) {
	c, err := client.New(config, "onefire", schema.GroupVersion{})
	return lookup{c}, err
}

// found is the API server's answer for a target.
type found int

const (
	exists found = iota + 1
	absent
	forbidden
)

// metadataOnly asks for an object without spec and status.
const metadataOnly = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"

// get asks for one target, which must have a [path].
func (l lookup) get(ctx context.Context, t mapping.Target) (found, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	stream, err := l.client.Get().AbsPath(path(t)).SetHeader("Accept", metadataOnly).Stream(ctx)
	if err == nil {
		stream.Close() // The status is enough.
		return exists, nil
	}
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		switch details := status.Status().Details; {
		// An API server that does not know the kind answers 404 without a name.
		case status.Status().Code == http.StatusNotFound && details != nil && details.Name == t.Name:
			return absent, nil
		case status.Status().Code == http.StatusForbidden, status.Status().Code == http.StatusNotFound:
			return forbidden, nil
		}
	}
	return 0, fmt.Errorf("looking for %s: %w", target(t), err)
}

// all looks up targets, a few at a time, and returns the answer for each.
func (l lookup) all(ctx context.Context, targets []mapping.Target) (map[mapping.Target]found, error) {
	said := make(map[mapping.Target]found, len(targets))
	var mu sync.Mutex
	working, ctx := errgroup.WithContext(ctx)
	working.SetLimit(maxCalls)
	for _, t := range targets {
		working.Go(func() error {
			f, err := l.get(ctx, t)
			mu.Lock()
			defer mu.Unlock()
			said[t] = f
			return err
		})
	}
	return said, working.Wait()
}
