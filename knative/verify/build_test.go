package verify

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	sourcesv1 "knative.dev/eventing/pkg/apis/sources/v1"
	servingv1 "knative.dev/serving/pkg/apis/serving/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// site is a site.env as somebody would write it.
const site = `AUDIT_SINK=https://store.example:8443/api/v1/audit/events
DATASTORAGE_NAMESPACE=storage
DATASTORAGE_SERVICE=store
AUDIT_AUDIENCE=store.example
SCOPE=tier in (gold,silver),!frozen
KUBERNAUT_NAMESPACE=healing
OTLP_ENDPOINT=http://collector.telemetry:4318
OTLP_NAMESPACE=telemetry
RUNBOOKS_URL=` + runbooks + `
`

// runbooks is where [site]'s people read docs/runbooks.
const runbooks = "https://git.example/onefire/docs/runbooks"

// A variant is a choice of the lines in kustomization.yaml.
type variant struct {
	on, off []string
	// storage is DATASTORAGE_NAMESPACE, where it is not [site]'s.
	storage string
	// unpruned is set where nothing is pruned.
	unpruned bool
}

var variants = map[string]variant{
	"as it is":                    {},
	"the CRD is there already":    {off: []string{"crd"}},
	"DataStorage by reference":    {on: []string{reference}, off: []string{"components/datastorage-url"}},
	"no audit":                    {on: []string{unaudited}, off: []string{"components/datastorage-url"}},
	"objects in alert namespaces": {on: []string{signal}},
	"controllers as targets":      {on: []string{owners}},
	"labels that targets have":    {on: []string{scope}},
	"a quota":                     {on: []string{quota}},
	"kubernaut":                   {on: []string{kubernaut}, off: []string{"crd", "components/datastorage-url"}, storage: "healing"},
	"Kafka":                       {on: []string{kafka}},
	"OIDC":                        {on: []string{oidc}},
	"the Prometheus Operator":     {on: []string{operator}},
	"an OpenTelemetry Collector":  {on: []string{otlp}},
	"a token for the sink":        {on: []string{auditToken}},
	"a sink's own certificates":   {on: []string{auditCA}},
	"a token for the source":      {on: []string{sourceToken}},
	"a password for the source":   {on: []string{sourceBasic}},
	"a source that serves HTTPS":  {on: []string{sourceTLS}},
	"all files without Knative":   {on: []string{auditToken, auditCA, sourceToken, sourceBasic, sourceTLS, unserved}},
	"without Knative":             {on: []string{unserved}},
	"kubernaut without Knative":   {on: []string{kubernaut, unserved}, off: []string{"crd", "components/datastorage-url"}, storage: "healing"},
	"all without Knative":         {on: []string{unaudited, signal, owners, scope, otlp, operator, unserved}, off: []string{"components/datastorage-url"}},
	"all that goes together":      {on: []string{reference, auditToken, auditCA, sourceToken, sourceBasic, sourceTLS, signal, owners, scope, kafka, otlp, oidc, operator}, off: []string{"components/datastorage-url"}},
}

const (
	reference = "components/datastorage-reference"
	unaudited = "components/no-audit"
	signal    = "components/placement-signal"
	owners    = "components/owner"
	scope     = "components/scope"
	quota     = "components/quota"
	kubernaut = "components/kubernaut"
	kafka     = "components/kafka"
	otlp      = "components/otlp"
	operator  = "observability"
	oidc      = "components/oidc"
	unserved  = "components/plain"

	auditToken  = "components/audit-token"
	auditCA     = "components/audit-ca"
	sourceToken = "components/source-token"
	sourceBasic = "components/source-basic"
	sourceTLS   = "components/source-tls"
)

func (v variant) has(component string) bool {
	return strings.Contains(strings.Join(v.on, " "), component)
}

// owned and scoped tell whether TARGET=owner and SCOPE are set.
func (v variant) owned() bool  { return v.has(owners) || v.has(kubernaut) }
func (v variant) scoped() bool { return v.has(scope) || v.has(kubernaut) }

// manifests copies them to where a test may change them, with a site.env.
func manifests(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS("..")))
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "verify")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "site.env"), []byte(site), 0o600))
	return dir
}

// edit replaces a text that is in a file, as somebody would with an editor.
func edit(t *testing.T, path, from, to string) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(text), from, "%s has changed: change this test too", path)
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(text), from, to, 1)), 0o600))
}

// choose switches the lines of kustomization.yaml on and off.
func (v variant) choose(t *testing.T, dir string) {
	t.Helper()
	for _, line := range v.on {
		edit(t, filepath.Join(dir, "kustomization.yaml"), "  # - "+line+"\n", "  - "+line+"\n")
	}
	for _, line := range v.off {
		edit(t, filepath.Join(dir, "kustomization.yaml"), "  - "+line+"\n", "  # - "+line+"\n")
	}
}

// objects are the built manifests, by kind and name.
type objects map[string]metav1.Object

// build builds manifests and reads them strictly: a field that no type has is
// an error.
func build(dir string) (objects, error) {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, fmt.Errorf("building: %w", err)
	}
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, batchv1.AddToScheme, rbacv1.AddToScheme, networkingv1.AddToScheme,
		policyv1.AddToScheme, apiextensionsv1.AddToScheme, servingv1.AddToScheme, eventingv1.AddToScheme, sourcesv1.AddToScheme,
		monitoringv1.AddToScheme,
	} {
		if err := add(known); err != nil {
			return nil, fmt.Errorf("making a scheme: %w", err)
		}
	}
	decoder := serializer.NewCodecFactory(known, serializer.EnableStrict).UniversalDeserializer()
	all := objects{}
	for _, resource := range built.Resources() {
		text, err := resource.AsYAML()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", resource.CurId(), err)
		}
		decoded, kind, err := decoder.Decode(text, nil, nil)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", resource.CurId(), err)
		}
		object, ok := decoded.(metav1.Object)
		if !ok {
			return nil, fmt.Errorf("%s: no object", resource.CurId())
		}
		name := kind.Kind + " " + object.GetName()
		if kind.GroupKind() == servingv1.Kind("Service") {
			name = "Knative" + name
		}
		all[name] = object
	}
	return all, nil
}

// every gives all objects of a type.
func every[T metav1.Object](all objects) []T {
	var found []T
	for _, object := range all {
		if o, ok := object.(T); ok {
			found = append(found, o)
		}
	}
	return found
}

// named gives the object of a type and name, or nothing.
func named[T metav1.Object](all objects, name string) (found T, ok bool) {
	for _, o := range every[T](all) {
		if o.GetName() == name {
			return o, true
		}
	}
	return found, false
}

// problems is everything that is wrong with manifests.
func problems(t *testing.T, dir string, v variant) []string {
	t.Helper()
	all, err := build(dir)
	if err != nil {
		return []string{err.Error()}
	}
	var found []string
	for name, check := range map[string]func(objects, variant) []string{
		"knative":     knativeProblems,
		"pods":        podProblems,
		"references":  referenceProblems,
		"rights":      rightsProblems,
		"environment": environmentProblems,
		"delivery":    deliveryProblems,
		"network":     networkProblems,
		"monitoring":  monitoringProblems,
		"senders":     senderProblems,
		"files":       fileProblems,
		"prune":       pruneProblems,
	} {
		for _, problem := range check(all, v) {
			found = append(found, name+": "+problem)
		}
	}
	return found
}

func TestWhatCanBeChosenHoldsTogether(t *testing.T) {
	for name, v := range variants {
		t.Run(name, func(t *testing.T) {
			dir := manifests(t)
			v.choose(t, dir)
			require.Empty(t, problems(t, dir, v))
		})
	}
}

func TestNothingIsBuiltWithoutSiteEnv(t *testing.T) {
	dir := manifests(t)
	require.NoError(t, os.Remove(filepath.Join(dir, "site.env")))
	_, err := build(dir)
	require.ErrorContains(t, err, "site.env", "it must say what to write")

	for _, missing := range []string{"AUDIT_SINK", "DATASTORAGE_NAMESPACE"} {
		var kept []string
		for _, line := range strings.Split(strings.TrimSpace(site), "\n") {
			if !strings.HasPrefix(line, missing) {
				kept = append(kept, line)
			}
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, "site.env"), []byte(strings.Join(kept, "\n")), 0o600))
		_, err := build(dir)
		require.ErrorContains(t, err, missing, "it must say what to write")
	}
}

func TestTheExampleOfSiteEnvIsWhole(t *testing.T) {
	dir := manifests(t)
	require.NoError(t, os.Rename(filepath.Join(dir, "site.env.example"), filepath.Join(dir, "site.env")))
	require.Empty(t, problems(t, dir, variant{storage: "kubernaut-system"}))
}

// The overlay in docs/install.md is one that works.
func TestTheOverlayInTheDocsBuilds(t *testing.T) {
	text, err := os.ReadFile("../../docs/install.md")
	require.NoError(t, err)
	_, after, found := strings.Cut(string(text), "```yaml\n")
	require.True(t, found)
	overlay, _, _ := strings.Cut(after, "```")
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(dir, "onefire", "knative"), os.DirFS("..")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(overlay), 0o600))
	require.Empty(t, problems(t, dir, variant{storage: "none"}))
}

func TestNoManifestHoldsASecret(t *testing.T) {
	dir := manifests(t)
	all, err := build(dir)
	require.NoError(t, err)
	require.Empty(t, every[*corev1.Secret](all))
	require.NotContains(t, all, "ConfigMap onefire-site", "site.env is only read while building")
}

// contains tells whether a text is in one of others.
func contains(texts []string, text string) bool {
	return slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(s, text) })
}
