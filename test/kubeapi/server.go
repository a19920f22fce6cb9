package kubeapi

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	noopoteltrace "go.opentelemetry.io/otel/trace/noop"
	extensionsapiserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	"k8s.io/apiextensions-apiserver/pkg/cmd/server/options"
	generatedopenapi "k8s.io/apiextensions-apiserver/pkg/generated/openapi"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/token/tokenfile"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/endpoints/discovery/aggregated"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/openapi"
	"k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/dynamic"
	kscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"sigs.k8s.io/yaml"

	"onefire/dedup"
)

type runnable interface {
	RunWithContext(ctx context.Context) error
}

// build puts the server together. options.Config() of the library needs a core
// API beside it; this is the same without one, and with a token in front.
func build(etcd string, listener net.Listener, certs, token string, log io.Writer) (runnable, error) {
	quiet := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(quiet)
	for name, value := range map[string]string{"logtostderr": "false", "stderrthreshold": "FATAL", "one_output": "true"} {
		if err := quiet.Set(name, value); err != nil {
			return nil, fmt.Errorf("setting up the API server's log: %w", err)
		}
	}
	klog.SetOutput(log)

	s := options.NewCustomResourceDefinitionsServerOptions(log, log)
	s.ServerRunOptions.MinRequestTimeout = 60
	r := s.RecommendedOptions
	r.Etcd.StorageConfig.Transport.ServerList = []string{"http://" + etcd}
	r.SecureServing.Listener = listener
	r.SecureServing.BindPort = listener.Addr().(*net.TCPAddr).Port
	r.SecureServing.BindAddress = listener.Addr().(*net.TCPAddr).IP
	r.SecureServing.ServerCert.CertDirectory = certs
	r.SecureServing.ServerCert.PairName = "apiserver"
	r.Features.EnablePriorityAndFairness = false // It is configured by core objects.
	r.CoreAPI, r.Admission, r.Authentication, r.Authorization = nil, nil, nil, nil
	if err := s.Complete(); err != nil {
		return nil, fmt.Errorf("completing the API server's options: %w", err)
	}
	if err := s.Validate(); err != nil {
		return nil, fmt.Errorf("validating the API server's options: %w", err)
	}
	if err := r.SecureServing.MaybeDefaultWithSelfSignedCerts("localhost", nil, []net.IP{net.IPv4(127, 0, 0, 1)}); err != nil {
		return nil, fmt.Errorf("making the API server's certificate: %w", err)
	}

	c := genericapiserver.NewRecommendedConfig(extensionsapiserver.Codecs)
	if err := s.ServerRunOptions.ApplyTo(&c.Config); err != nil {
		return nil, fmt.Errorf("applying the API server's options: %w", err)
	}
	if err := r.ApplyTo(c); err != nil {
		return nil, fmt.Errorf("applying the API server's options: %w", err)
	}
	if err := s.APIEnablement.ApplyTo(&c.Config, extensionsapiserver.DefaultAPIResourceConfigSource(), extensionsapiserver.Scheme); err != nil {
		return nil, fmt.Errorf("applying the API server's options: %w", err)
	}
	c.Authentication.Authenticator = bearertoken.New(tokenfile.New(map[string]*user.DefaultInfo{
		token: {Name: "local", Groups: []string{user.AllAuthenticated, user.SystemPrivilegedGroup}},
	}))
	c.Authorization.Authorizer = authorizerfactory.NewAlwaysAllowAuthorizer()
	definitions := withWorkloads(openapi.GetOpenAPIDefinitionsWithoutDisabledFeatures(generatedopenapi.GetOpenAPIDefinitions))
	namer := openapinamer.NewDefinitionNamer(extensionsapiserver.Scheme, kscheme.Scheme)
	c.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(definitions, namer)
	c.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(definitions, namer)

	full := &extensionsapiserver.Config{
		GenericConfig: c,
		ExtraConfig: extensionsapiserver.ExtraConfig{
			CRDRESTOptionsGetter: options.NewCRDRESTOptionsGetter(*r.Etcd, c.ResourceTransformers, c.StorageObjectCountTracker),
			AuthResolverWrapper:  webhook.NewDefaultAuthenticationInfoResolverWrapper(nil, nil, c.LoopbackClientConfig, noopoteltrace.NewTracerProvider()),
		},
	}
	server, err := full.Complete().New(genericapiserver.NewEmptyDelegate())
	if err != nil {
		return nil, fmt.Errorf("making the API server: %w", err)
	}
	if err := serveWorkloads(server.GenericAPIServer, r.Etcd.StorageConfig); err != nil {
		return nil, err
	}
	// The library leaves the list of API groups to the aggregator, which a
	// whole kube-apiserver has in front; kubectl cannot do without it.
	generic := server.GenericAPIServer
	groups := aggregated.WrapAggregatedDiscoveryToHandler(generic.DiscoveryGroupManager, generic.AggregatedDiscoveryGroupManager, nil)
	generic.Handler.GoRestfulContainer.Add(groups.GenerateWebService("/apis", metav1.APIGroupList{}))
	return generic.PrepareRun(), nil
}

// install creates or updates the CRD and waits until its objects are served.
func (s *Server) install(ctx context.Context, crd []byte) error {
	client, err := dynamic.NewForConfig(s.Config)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(crd, &u.Object); err != nil {
		return fmt.Errorf("reading the CRD: %w", err)
	}
	var last error
	err = wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		select {
		case err := <-s.done:
			return false, fmt.Errorf("the API server ended: %w", err)
		default:
		}
		last = s.serve(ctx, client, u)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the Kubernetes API: %w (last: %w)", err, last)
	}
	return nil
}

func apply(ctx context.Context, client dynamic.Interface, crd *unstructured.Unstructured) error {
	crds := client.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	if _, err := crds.Apply(ctx, crd.GetName(), crd, metav1.ApplyOptions{FieldManager: "kubeapi", Force: true}); err != nil {
		return fmt.Errorf("installing the CRD %s: %w", crd.GetName(), err)
	}
	return nil
}

// serve installs the CRDs and tells whether their objects are served.
func (s *Server) serve(ctx context.Context, client dynamic.Interface, crd *unstructured.Unstructured) error {
	if err := serveEvents(ctx, client); err != nil {
		return err
	}
	if err := apply(ctx, client, crd); err != nil {
		return err
	}
	objects := client.Resource(dedup.Resource).Namespace("default")
	if _, err := objects.List(ctx, metav1.ListOptions{Limit: 1}); err != nil {
		return fmt.Errorf("listing objects: %w", err)
	}
	// A server that is stopped before its start is complete takes the whole
	// process with it.
	if err := s.readyz(ctx); err != nil {
		return err
	}
	// In the first two seconds of a CRD the server holds back every create; this
	// one waits for that, and fails because it has no spec.
	probe := &unstructured.Unstructured{}
	probe.SetAPIVersion(dedup.Resource.GroupVersion().String())
	probe.SetKind("RemediationRequest")
	probe.SetName("probe")
	_, err := objects.Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if !apierrors.IsInvalid(err) {
		return fmt.Errorf("creating an object without a spec was not refused as invalid: %w", err)
	}
	return nil
}

func (s *Server) readyz(ctx context.Context) error {
	client, err := rest.HTTPClientFor(s.Config)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Config.Host+"/readyz", nil)
	if err != nil {
		return fmt.Errorf("asking for readiness: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("asking for readiness: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the API server is not ready: %s", resp.Status)
	}
	return nil
}
