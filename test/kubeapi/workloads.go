package kubeapi

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/storage/names"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/util"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// workloads are what runs in a cluster, and what Kubernetes' own controllers run it with;
// and ConfigMaps, of which the brake is one. Here nothing runs them: they are stored as
// they come. Their metadata is as a whole API server has it, a Deployment's generation too;
// there are no defaults in their spec, no validation of it, and no status subresource.
var workloads = []struct {
	group, resource, singular string
	object, list              runtime.Object
	clusterScoped             bool
}{
	{"", "pods", "pod", &corev1.Pod{}, &corev1.PodList{}, false},
	{"", "configmaps", "configmap", &corev1.ConfigMap{}, &corev1.ConfigMapList{}, false},
	{"apps", "deployments", "deployment", &appsv1.Deployment{}, &appsv1.DeploymentList{}, false},
	{"apps", "replicasets", "replicaset", &appsv1.ReplicaSet{}, &appsv1.ReplicaSetList{}, false},
	{"apps", "statefulsets", "statefulset", &appsv1.StatefulSet{}, &appsv1.StatefulSetList{}, false},
	{"apps", "daemonsets", "daemonset", &appsv1.DaemonSet{}, &appsv1.DaemonSetList{}, false},
	{"batch", "jobs", "job", &batchv1.Job{}, &batchv1.JobList{}, false},
	{"batch", "cronjobs", "cronjob", &batchv1.CronJob{}, &batchv1.CronJobList{}, false},
	{"", "namespaces", "namespace", &corev1.Namespace{}, &corev1.NamespaceList{}, true},
	{"", "nodes", "node", &corev1.Node{}, &corev1.NodeList{}, true},
	{"", "persistentvolumes", "persistentvolume", &corev1.PersistentVolume{}, &corev1.PersistentVolumeList{}, true},
}

// strategy lets everything be.
type strategy struct {
	runtime.ObjectTyper
	names.NameGenerator
	clusterScoped bool
}

func (s strategy) NamespaceScoped() bool                                  { return !s.clusterScoped }
func (strategy) Validate(context.Context, runtime.Object) field.ErrorList { return nil }
func (strategy) ValidateUpdate(context.Context, runtime.Object, runtime.Object) field.ErrorList {
	return nil
}
func (strategy) WarningsOnCreate(context.Context, runtime.Object) []string { return nil }
func (strategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

// PrepareForCreate and PrepareForUpdate count the generations of a Deployment: by
// them its controller says whether it has seen a change.
func (strategy) PrepareForCreate(_ context.Context, o runtime.Object) {
	if d, ok := o.(*appsv1.Deployment); ok {
		d.Generation = 1
	}
}

func (strategy) PrepareForUpdate(_ context.Context, o, old runtime.Object) {
	d, ok := o.(*appsv1.Deployment)
	before, _ := old.(*appsv1.Deployment)
	if !ok || before == nil {
		return
	}
	d.Generation = before.Generation
	if !equality.Semantic.DeepEqual(d.Spec, before.Spec) {
		d.Generation++
	}
}

func (strategy) Canonicalize(runtime.Object)                   {}
func (strategy) AllowCreateOnUpdate(context.Context) bool      { return false }
func (strategy) AllowUnconditionalUpdate(context.Context) bool { return true }

// serveWorkloads lets a server have pods and their controllers, in its etcd.
func serveWorkloads(server *genericapiserver.GenericAPIServer, etcd storagebackend.Config) error {
	known := runtime.NewScheme()
	versions := []schema.GroupVersion{{Version: "v1"}, {Group: "apps", Version: "v1"}, {Group: "batch", Version: "v1"}}
	for _, v := range versions {
		metav1.AddToGroupVersion(known, v)
		if err := known.SetVersionPriority(v); err != nil {
			return fmt.Errorf("serving %s: %w", v, err)
		}
	}
	for _, w := range workloads {
		// They are stored, served and worked with as the same types.
		known.AddKnownTypes(schema.GroupVersion{Group: w.group, Version: "v1"}, w.object, w.list)
		known.AddKnownTypes(schema.GroupVersion{Group: w.group, Version: runtime.APIVersionInternal}, w.object, w.list)
	}
	codecs := serializer.NewCodecFactory(known)
	etcd.Codec = codecs.LegacyCodec(versions...)
	groups := map[string]*genericapiserver.APIGroupInfo{}
	for _, v := range versions {
		group := genericapiserver.NewDefaultAPIGroupInfo(v.Group, known, runtime.NewParameterCodec(known), codecs)
		group.VersionedResourcesStorageMap["v1"] = map[string]rest.Storage{}
		groups[v.Group] = &group
	}
	for _, w := range workloads {
		kind := schema.GroupResource{Group: w.group, Resource: w.resource}
		s := strategy{known, names.SimpleNameGenerator, w.clusterScoped}
		store := &registry.Store{
			NewFunc:                   func() runtime.Object { return w.object.DeepCopyObject() },
			NewListFunc:               func() runtime.Object { return w.list.DeepCopyObject() },
			DefaultQualifiedResource:  kind,
			SingularQualifiedResource: schema.GroupResource{Group: w.group, Resource: w.singular},
			CreateStrategy:            s,
			UpdateStrategy:            s,
			DeleteStrategy:            s,
			TableConvertor:            rest.NewDefaultTableConvertor(kind),
		}
		if err := store.CompleteWithOptions(&generic.StoreOptions{RESTOptions: generic.RESTOptions{
			StorageConfig:           etcd.ForResource(kind),
			Decorator:               generic.UndecoratedStorage,
			DeleteCollectionWorkers: 1,
			ResourcePrefix:          w.group + "/" + w.resource,
		}}); err != nil {
			return fmt.Errorf("serving %s: %w", kind, err)
		}
		groups[w.group].VersionedResourcesStorageMap["v1"][w.resource] = store
	}
	if err := server.InstallLegacyAPIGroup(genericapiserver.DefaultLegacyAPIPrefix, groups[""]); err != nil {
		return fmt.Errorf("serving pods: %w", err)
	}
	if err := server.InstallAPIGroups(groups["apps"], groups["batch"]); err != nil {
		return fmt.Errorf("serving workloads: %w", err)
	}
	return nil
}

// withWorkloads adds what there is to say of workloads to a server's OpenAPI:
// objects of any form.
func withWorkloads(definitions common.GetOpenAPIDefinitions) common.GetOpenAPIDefinitions {
	return func(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
		all := definitions(ref)
		for _, w := range workloads {
			for _, o := range []runtime.Object{w.object, w.list} {
				anything := spec.Schema{SchemaProps: spec.SchemaProps{Type: []string{"object"}}}
				anything.AddExtension("x-kubernetes-preserve-unknown-fields", true)
				all[util.GetCanonicalTypeName(o)] = common.OpenAPIDefinition{Schema: anything}
			}
		}
		return all
	}
}
