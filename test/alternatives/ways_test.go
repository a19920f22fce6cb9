package alternatives

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/retry"

	"onefire/dedup"
	"onefire/mapping"
)

// way is one way to make objects of alerts. open makes a process of it: what it
// knows of the past is what it can read, and its calls go through the
// configuration that it is given.
type way struct {
	name string
	open func(t *testing.T, config *rest.Config, namespace string) deliver
}

// deliver handles one alert of the event with that id. A failed alert is delivered
// again, as a Broker does.
type deliver func(ctx context.Context, id string, s mapping.Signal) error

const (
	onefire = "Onefire"
	fixed   = "fixed name"
)

var ways = []way{
	{onefire, openOnefire},
	{"List, generateName", plain(listed, generated, false)},
	{"cache, generateName", plain(cached, generated, false)},
	{"generateName", plain(nil, generated, false)},
	{fixed, plain(nil, named, false)},
	{"List, name by predecessor", plain(listed, succeeding, true)},
}

func openOnefire(t *testing.T, config *rest.Config, _ string) deliver {
	d, err := dedup.New(config, dedup.Options{SignalType: "alert"})
	require.NoError(t, err)
	return func(ctx context.Context, id string, s mapping.Signal) error {
		_, err := d.Settle(ctx, s, []string{dedup.Key("test", id, s.Fingerprint, s.FiringAt.String())}, nil)
		return err
	}
}

// check gives what is known of a fingerprint's objects, and name what the next
// one is called. An object that only has a prefix is named by the API server.
type (
	check func(ctx context.Context, fingerprint string) ([]unstructured.Unstructured, error)
	name  func(fingerprint string, past []unstructured.Unstructured) (name, prefix string)
)

// plain is a handler as it is usually written: look whether there is an active
// object; if so, count on it; if not, create one; if its name is taken, count on
// that. again looks once more in place of that, because the name may be a
// terminal object's.
func plain(open func(*testing.T, dynamic.Interface, string) check, call name, again bool) func(*testing.T, *rest.Config, string) deliver {
	return func(t *testing.T, config *rest.Config, namespace string) deliver {
		client, err := dynamic.NewForConfig(config)
		require.NoError(t, err)
		objects := client.Resource(dedup.Resource).Namespace(namespace)
		look := check(func(context.Context, string) ([]unstructured.Unstructured, error) { return nil, nil })
		if open != nil {
			look = open(t, client, namespace)
		}
		return func(ctx context.Context, _ string, s mapping.Signal) error {
			for {
				past, err := look(ctx, s.Fingerprint)
				if err != nil {
					return err
				}
				if i := slices.IndexFunc(past, active); i >= 0 {
					return count(ctx, objects, past[i].GetName())
				}
				name, prefix := call(s.Fingerprint, past)
				_, err = objects.Create(ctx, request(name, prefix, s), metav1.CreateOptions{})
				if !apierrors.IsAlreadyExists(err) {
					return err
				}
				if !again {
					return count(ctx, objects, name)
				}
			}
		}
	}
}

// listed looks by an uncached List.
func listed(_ *testing.T, client dynamic.Interface, namespace string) check {
	return func(ctx context.Context, fingerprint string) ([]unstructured.Unstructured, error) {
		list, err := client.Resource(dedup.Resource).Namespace(namespace).List(ctx,
			metav1.ListOptions{FieldSelector: "spec.signalFingerprint=" + fingerprint})
		if err != nil {
			return nil, err
		}
		return list.Items, nil
	}
}

// cached looks into an informer's cache.
func cached(t *testing.T, client dynamic.Interface, namespace string) check {
	factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(client, 0, namespace, nil)
	informer := factory.ForResource(dedup.Resource).Informer()
	require.NoError(t, informer.AddIndexers(cache.Indexers{"fingerprint": func(o any) ([]string, error) {
		return []string{text(*o.(*unstructured.Unstructured), "spec", "signalFingerprint")}, nil
	}}))
	stop := make(chan struct{})
	t.Cleanup(func() {
		close(stop)
		factory.Shutdown()
	})
	factory.Start(stop)
	factory.WaitForCacheSync(stop)
	return func(_ context.Context, fingerprint string) (past []unstructured.Unstructured, err error) {
		found, err := informer.GetIndexer().ByIndex("fingerprint", fingerprint)
		for _, o := range found {
			past = append(past, *o.(*unstructured.Unstructured))
		}
		return past, err
	}
}

func generated(fingerprint string, _ []unstructured.Unstructured) (name, prefix string) {
	return "", "rr-" + fingerprint[:12] + "-"
}

func named(fingerprint string, _ []unstructured.Unstructured) (name, prefix string) {
	return "rr-" + fingerprint[:12], ""
}

// succeeding names an object by the last terminal one, as Onefire does.
func succeeding(fingerprint string, past []unstructured.Unstructured) (name, prefix string) {
	last := &unstructured.Unstructured{}
	for _, o := range past {
		if o.GetCreationTimestamp().After(last.GetCreationTimestamp().Time) {
			last = &o
		}
	}
	sum := sha256.Sum256([]byte(fingerprint + string(last.GetUID())))
	return "rr-" + fingerprint[:12] + "-" + hex.EncodeToString(sum[:4]), ""
}

// count adds one to an object's count, and tries again while others do.
func count(ctx context.Context, objects dynamic.ResourceInterface, name string) error {
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		o, err := objects.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if err := unstructured.SetNestedField(o.Object, occurrences(*o)+1, "status", "deduplication", "occurrenceCount"); err != nil {
			return err
		}
		_, err = objects.UpdateStatus(ctx, o, metav1.UpdateOptions{})
		return err
	})
}

func request(name, prefix string, s mapping.Signal) *unstructured.Unstructured {
	metadata := map[string]any{"namespace": s.Namespace}
	if name != "" {
		metadata["name"] = name
	} else {
		metadata["generateName"] = prefix
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": dedup.Resource.GroupVersion().String(), "kind": "RemediationRequest", "metadata": metadata,
		"spec": map[string]any{
			"signalFingerprint": s.Fingerprint, "signalName": s.Name, "severity": string(s.Severity), "signalType": "alert",
			"targetType": "kubernetes", "targetResource": map[string]any{"kind": s.Target.Kind, "name": s.Target.Name},
			"firingTime": s.FiringAt.Format(time.RFC3339), "receivedTime": s.FiringAt.Format(time.RFC3339),
		},
	}}
}

func active(o unstructured.Unstructured) bool {
	return !slices.Contains(dedup.TerminalPhases(), text(o, "status", "overallPhase"))
}

func occurrences(o unstructured.Unstructured) int64 {
	n, _, _ := unstructured.NestedInt64(o.Object, "status", "deduplication", "occurrenceCount")
	return n
}

func text(o unstructured.Unstructured, path ...string) string {
	s, _, _ := unstructured.NestedString(o.Object, path...)
	return s
}

// signal is the alert of one fingerprint.
func signal(namespace string, n int) mapping.Signal {
	name := fmt.Sprintf("api-%d", n)
	sum := sha256.Sum256([]byte(name))
	return mapping.Signal{
		Fingerprint: hex.EncodeToString(sum[:]), Name: "KubePodCrashLooping", Severity: mapping.High, Namespace: namespace,
		Target: mapping.Target{Kind: "Pod", Name: name}, FiringAt: time.Unix(1_700_000_000, 0).UTC(),
		Labels: map[string]string{}, Annotations: map[string]string{}, Payload: []byte(`{}`),
	}
}
