//go:build kube

package admission

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"onefire/dedup/client"
	"onefire/test/wholekube"
)

var (
	binaries = flag.String("binaries", "../../bin", "where kube-apiserver and etcd are")
	update   = flag.Bool("update", false, "record the API server's answers anew")
)

const recorded = "../../dedup/client/testdata/refusals"

// addresses differ from run to run in an answer.
var addresses = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// refusal is a create that the API server refuses.
type refusal struct {
	// config is what an administrator adds to the namespace, where %s is its name.
	config []added
	// object is changed before it is created; nil leaves it as it should be.
	object func(o map[string]any)
	// configMap tells that it is a ConfigMap, not a RemediationRequest.
	configMap bool
	// code is that of the answer; forGood tells that no retry can change it.
	code    int32
	forGood bool
	// everywhere tells that what an administrator adds denies in all namespaces.
	everywhere bool
}

// added is an object of an administrator's.
type added struct{ group, resource, yaml string }

// policy is a ValidatingAdmissionPolicy for a namespace.
func policy(validation string, more ...string) []added {
	kinds := `{apiGroups: ["", kubernaut.ai], apiVersions: ["*"], operations: [CREATE], resources: [remediationrequests, configmaps]}`
	p := fmt.Sprintf(`{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicy, metadata: {name: "%%[1]s"},
		spec: {failurePolicy: Fail, matchConstraints: {resourceRules: [%s]}, validations: [%s] %s}}`, kinds, validation, strings.Join(more, ""))
	b := `{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: {name: "%[1]s"},
		spec: {policyName: "%[1]s", validationActions: [Deny], matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: "%[1]s"}}} PARAM}}`
	param := ""
	if len(more) > 0 {
		param = `, paramRef: {name: freeze, namespace: "%[1]s", parameterNotFoundAction: Deny}`
	}
	return []added{
		{"admissionregistration.k8s.io", "validatingadmissionpolicies", p},
		{"admissionregistration.k8s.io", "validatingadmissionpolicybindings", strings.Replace(b, "PARAM", param, 1)},
	}
}

// webhook is a ValidatingWebhookConfiguration for a namespace.
func webhook(path string) []added {
	return []added{{"admissionregistration.k8s.io", "validatingwebhookconfigurations", `{apiVersion: admissionregistration.k8s.io/v1,
		kind: ValidatingWebhookConfiguration, metadata: {name: "%[1]s"}, webhooks: [{name: deny.example.com, sideEffects: None, admissionReviewVersions: [v1],
		clientConfig: {url: "URL` + path + `", caBundle: CA}, namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: "%[1]s"}},
		rules: [{apiGroups: [kubernaut.ai], apiVersions: ["*"], operations: [CREATE], resources: [remediationrequests]}]}]}`}}
}

func spec(field string, value any) func(map[string]any) {
	return func(o map[string]any) { o["spec"].(map[string]any)[field] = value }
}

func texts(n, size int) map[string]any {
	all := map[string]any{}
	for i := range n {
		all[fmt.Sprint("l", i)] = strings.Repeat("x", size)
	}
	return all
}

var refusals = map[string]refusal{
	"schema-pattern":           {object: spec("signalFingerprint", "X"), code: 422, forGood: true},
	"schema-length":            {object: spec("signalName", strings.Repeat("x", 300)), code: 422, forGood: true},
	"schema-length-of-a-key":   {object: spec("signalLabels", texts(1, 9000)), code: 422, forGood: true},
	"schema-type":              {object: spec("signalName", 7), code: 422, forGood: true},
	"schema-missing":           {object: func(o map[string]any) { delete(o["spec"].(map[string]any), "severity") }, code: 422, forGood: true},
	"schema-says-forbidden":    {object: spec("signalType", `a" is forbidden: denied request: admission webhook "b`), code: 422, forGood: true},
	"metadata":                 {object: func(o map[string]any) { o["metadata"].(map[string]any)["labels"] = map[string]any{"a": "/"} }, code: 422, forGood: true},
	"too-large-for-the-server": {object: spec("originalPayload", strings.Repeat("x", 4<<20)), code: 413, forGood: true},
	"too-large-for-etcd": {object: func(o map[string]any) {
		spec("signalLabels", texts(120, 8000))(o)
		spec("signalAnnotations", texts(120, 8000))(o)
	}, code: 500},
	"configmap-key":             {configMap: true, object: func(o map[string]any) { o["data"] = map[string]any{"/": "x"} }, code: 422, forGood: true},
	"configmap-too-large":       {configMap: true, object: func(o map[string]any) { o["data"] = texts(1, 2<<20) }, code: 422, forGood: true},
	"policy":                    {config: policy(`{expression: "false"}`), code: 422},
	"policy-message":            {config: policy(`{expression: "false", message: "spec.severity: Invalid value: change freeze"}`), code: 422},
	"policy-invalid":            {config: policy(`{expression: "false", reason: Invalid}`), code: 422},
	"policy-forbidden":          {config: policy(`{expression: "false", reason: Forbidden}`), code: 403},
	"policy-too-large":          {config: policy(`{expression: "false", reason: RequestEntityTooLarge}`), code: 413},
	"policy-cel-error":          {config: policy(`{expression: "object.spec.nothing == 1"}`), code: 422},
	"policy-without-its-param":  {config: policy(`{expression: "true"}`, `, paramKind: {apiVersion: v1, kind: ConfigMap}`), code: 422},
	"policy-without-its-kind":   {config: policy(`{expression: "true"}`, `, paramKind: {apiVersion: rules.example.com/v1, kind: Freeze}`), code: 422, everywhere: true},
	"policy-on-configmaps":      {configMap: true, config: policy(`{expression: "false"}`), code: 422},
	"webhook":                   {config: webhook("/"), code: 400},
	"webhook-400":               {config: webhook("/400"), code: 400},
	"webhook-403":               {config: webhook("/403"), code: 403},
	"webhook-413":               {config: webhook("/413"), code: 413},
	"webhook-422":               {config: webhook("/422"), code: 422},
	"webhook-that-does-not-run": {config: webhook("/broken"), code: 500},
	"quota": {config: []added{{"", "resourcequotas", `{apiVersion: v1, kind: ResourceQuota, metadata: {name: none, namespace: "%[1]s"},
		spec: {hard: {count/remediationrequests.kubernaut.ai: "0"}}, status: {hard: {count/remediationrequests.kubernaut.ai: "0"}, used: {count/remediationrequests.kubernaut.ai: "0"}}}`}}, code: 403},
	"quota-without-use": {config: []added{{"", "resourcequotas", `{apiVersion: v1, kind: ResourceQuota, metadata: {name: none, namespace: "%[1]s"},
		spec: {hard: {count/remediationrequests.kubernaut.ai: "0"}}, status: {hard: {count/remediationrequests.kubernaut.ai: "0"}}}`}}, code: 403},
	"namespace-that-ends":       {config: []added{{"", "namespaces", "DELETE"}}, code: 403},
	"namespace-that-is-no-more": {config: []added{{"", "namespaces", "NONE"}}, code: 404},
}

// TestTheRecordedRefusalsAreReal holds the answers that the tests without an API
// server use against those of a whole one.
func TestTheRecordedRefusalsAreReal(t *testing.T) {
	c := wholekube.Deploy(t, *binaries)
	url, ca := hook(t)
	for _, everywhere := range []bool{false, true} { // In turn: the latter would deny the former's.
		for name, row := range refusals {
			if row.everywhere == everywhere {
				t.Run(name, func(t *testing.T) {
					namespace := "x-" + name
					configure(t, c, namespace, url, ca, row.config)
					real(t, name, row, refused(t, c, namespace, row))
				})
			}
		}
	}
}

// real holds an answer of the API server against the recorded one.
func real(t *testing.T, name string, row refusal, s metav1.Status) {
	t.Helper()
	text, err := json.MarshalIndent(s, "", "  ")
	require.NoError(t, err)
	text = append(addresses.ReplaceAll(text, []byte("127.0.0.1:1")), '\n')
	file := filepath.Join(recorded, name+".json")
	if *update {
		require.NoError(t, os.MkdirAll(recorded, 0o755))
		require.NoError(t, os.WriteFile(file, text, 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err, "go test -tags kube -update")
	require.Equal(t, string(want), string(text))
	require.Equal(t, row.code, s.Code)
	refusal := &apierrors.StatusError{ErrStatus: s}
	require.Equal(t, row.forGood, client.Invalid(refusal) || client.TooLarge(refusal), s.Message)
}

// configure makes a namespace and what an administrator adds to it.
func configure(t *testing.T, c *wholekube.Deployed, namespace, url, ca string, config []added) {
	t.Helper()
	if len(config) == 0 || config[0].yaml != "NONE" {
		c.Create("", "v1", "namespaces", "", []byte(`{apiVersion: v1, kind: Namespace, metadata: {name: "`+namespace+`"}}`))
	}
	for _, a := range config {
		switch a.yaml {
		case "NONE":
			continue
		case "DELETE": // Nothing here empties it, so it never goes.
			require.NoError(t, c.Resource(wholekube.Admin, "", "v1", a.resource).Delete(t.Context(), namespace, metav1.DeleteOptions{}))
			continue
		}
		text := strings.NewReplacer("%[1]s", namespace, "URL", url, "CA", ca).Replace(a.yaml)
		in := ""
		if a.resource == "resourcequotas" {
			in = namespace
		}
		c.Create(a.group, "v1", a.resource, in, []byte(text))
		if a.resource == "resourcequotas" { // A controller would do that.
			q, err := c.Resource(wholekube.Admin, "", "v1", a.resource).Namespace(in).Get(t.Context(), "none", metav1.GetOptions{})
			require.NoError(t, err)
			none := map[string]any{"count/remediationrequests.kubernaut.ai": "0"}
			status := map[string]any{"hard": none}
			if strings.Contains(a.yaml, "used:") {
				status["used"] = none
			}
			q.Object["status"] = status
			_, err = c.Resource(wholekube.Admin, "", "v1", a.resource).Namespace(in).UpdateStatus(t.Context(), q, metav1.UpdateOptions{})
			require.NoError(t, err)
		}
	}
}

// refused creates the row's object until the API server refuses it: what an
// administrator adds takes a moment to be in effect.
func refused(t *testing.T, c *wholekube.Deployed, namespace string, row refusal) metav1.Status {
	t.Helper()
	var s metav1.Status
	var problem error
	require.Eventually(t, func() bool {
		o := request(namespace)
		resource := c.Resource(wholekube.Admin, "kubernaut.ai", "v1alpha1", "remediationrequests")
		if row.configMap {
			o = map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "x", "namespace": namespace}}
			resource = c.Resource(wholekube.Admin, "", "v1", "configmaps")
		}
		if row.object != nil {
			row.object(o)
		}
		_, err := resource.Namespace(namespace).Create(t.Context(), &unstructured.Unstructured{Object: o}, metav1.CreateOptions{})
		var status apierrors.APIStatus
		problem = err
		switch {
		case err == nil:
			require.NoError(t, resource.Namespace(namespace).Delete(t.Context(), "x", metav1.DeleteOptions{}))
			return false
		case !errors.As(err, &status), apierrors.IsAlreadyExists(err):
			return false
		}
		s = status.Status()
		return s.Code == row.code && !strings.Contains(s.Message, "not yet ready")
	}, wholekube.StartTimeout, wholekube.PollEvery, "%v", lazy{&problem})
	return s
}

// lazy is an error as it is when it is printed.
type lazy struct{ err *error }

func (l lazy) String() string { return fmt.Sprint(*l.err) }

// request is a RemediationRequest as it should be.
func request(namespace string) map[string]any {
	return map[string]any{
		"apiVersion": "kubernaut.ai/v1alpha1", "kind": "RemediationRequest",
		"metadata": map[string]any{"name": "x", "namespace": namespace},
		"spec": map[string]any{
			"signalFingerprint": strings.Repeat("0", 64), "signalName": "A", "severity": "high", "signalType": "alert", "targetType": "kubernetes",
			"targetResource": map[string]any{"kind": "Pod", "name": "p"},
			"firingTime":     "2026-01-17T12:00:00Z", "receivedTime": "2026-01-17T12:00:00Z",
		},
	}
}
