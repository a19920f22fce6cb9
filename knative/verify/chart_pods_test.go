package verify

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	apiconfig "knative.dev/serving/pkg/apis/config"
	servingv1 "knative.dev/serving/pkg/apis/serving/v1"
)

// chartPrograms are the keys of the chart's values that have pods, and what their
// objects are called.
var chartPrograms = map[string]string{
	"function": "onefire", "source": "onefire-source", "deadletters": "onefire-deadletters", "prune": "onefire-prune", "replay": "onefire-replay",
}

// A workload is what a program's pods are made from.
type workload struct {
	metav1.Object
	pods *metav1.ObjectMeta
	spec *corev1.PodSpec
}

// container is the program's own.
func (w workload) container() *corev1.Container { return &w.spec.Containers[0] }

// workloads gives all of them, by name.
func workloads(all objects) map[string]workload {
	found := map[string]workload{}
	for _, object := range all {
		switch o := object.(type) {
		case *servingv1.Service:
			found[o.Name] = workload{o, &o.Spec.Template.ObjectMeta, &o.Spec.Template.Spec.PodSpec}
		case *appsv1.Deployment:
			found[o.Name] = workload{o, &o.Spec.Template.ObjectMeta, &o.Spec.Template.Spec}
		case *batchv1.CronJob:
			template := &o.Spec.JobTemplate.Spec.Template
			found[o.Name] = workload{o, &template.ObjectMeta, &template.Spec}
		}
	}
	return found
}

// released gives the chart's objects with values that are put over those of a set. The
// order of variables is not looked at: the comparison with kustomize does that.
func released(t *testing.T, set, over string) objects {
	t.Helper()
	given, err := common.ReadValues([]byte(over))
	require.NoError(t, err)
	out, err := render(t, "../chart", "onefire", util.CoalesceTables(given, values(t, set)))
	require.NoError(t, err)
	all, err := build(out)
	require.NoError(t, err)
	for _, w := range workloads(all) {
		slices.SortFunc(w.container().Env, func(a, b corev1.EnvVar) int { return strings.Compare(a.Name, b.Name) })
	}
	return all
}

// texts are objects as they can be compared.
func texts(t *testing.T, all objects) map[string]string {
	t.Helper()
	made := map[string]string{}
	for name, object := range all {
		text, err := json.MarshalIndent(object, "", " ")
		require.NoError(t, err)
		made[name] = string(text)
	}
	return made
}

// put adds labels or annotations.
func put(to map[string]string, more map[string]string) map[string]string {
	if to == nil {
		to = map[string]string{}
	}
	maps.Copy(to, more)
	return to
}

var (
	secretKey = corev1.EnvVar{Name: "OTEL_EXPORTER_OTLP_HEADERS", ValueFrom: &corev1.EnvVarSource{
		SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "collector"}, Key: "headers"},
	}}
	near = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "zone", Operator: "In", Values: []string{"a", "b"}}}}},
	}}}
)

// podValues are what can be said of each program's pods, and what is then otherwise.
var podValues = map[string]struct {
	value  string
	change func(all objects, name string, w workload)
}{
	"extraEnv": {
		`extraEnv: [{name: OTEL_EXPORTER_OTLP_HEADERS, valueFrom: {secretKeyRef: {name: collector, key: headers}}}]`,
		func(_ objects, _ string, w workload) {
			w.container().Env = append(w.container().Env, secretKey)
			slices.SortFunc(w.container().Env, func(a, b corev1.EnvVar) int { return strings.Compare(a.Name, b.Name) })
		},
	},
	"extraVolumes": {
		`extraVolumes: [{name: certificates, secret: {secretName: ours}}]`,
		func(_ objects, _ string, w workload) {
			w.spec.Volumes = append(w.spec.Volumes, corev1.Volume{Name: "certificates", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "ours"}}})
		},
	},
	"extraVolumeMounts": {
		`extraVolumeMounts: [{name: certificates, mountPath: /etc/ours, readOnly: true}]`,
		func(_ objects, _ string, w workload) {
			w.container().VolumeMounts = append(w.container().VolumeMounts, corev1.VolumeMount{Name: "certificates", MountPath: "/etc/ours", ReadOnly: true})
		},
	},
	"annotations": {
		`annotations: {example.com/owner: sre}`,
		func(_ objects, _ string, w workload) {
			w.SetAnnotations(put(w.GetAnnotations(), map[string]string{"example.com/owner": "sre"}))
		},
	},
	"podAnnotations": {
		`podAnnotations: {example.com/owner: sre}`,
		func(_ objects, _ string, w workload) {
			w.pods.Annotations = put(w.pods.Annotations, map[string]string{"example.com/owner": "sre"})
		},
	},
	"podLabels": {
		`podLabels: {team: sre}`,
		func(_ objects, _ string, w workload) {
			w.pods.Labels = put(w.pods.Labels, map[string]string{"team": "sre"})
		},
	},
	"nodeSelector": {
		`nodeSelector: {disk: ssd}`,
		func(_ objects, _ string, w workload) { w.spec.NodeSelector = map[string]string{"disk": "ssd"} },
	},
	"tolerations": {
		`tolerations: [{key: infra, operator: Exists, effect: NoSchedule}]`,
		func(_ objects, _ string, w workload) {
			w.spec.Tolerations = []corev1.Toleration{{Key: "infra", Operator: "Exists", Effect: "NoSchedule"}}
		},
	},
	"affinity": {
		`affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: zone, operator: In, values: [a, b]}]}]}}}`,
		func(_ objects, _ string, w workload) { w.spec.Affinity = near },
	},
	"priorityClassName": {
		`priorityClassName: urgent`,
		func(_ objects, _ string, w workload) { w.spec.PriorityClassName = "urgent" },
	},
	"resources": {
		`resources: {limits: {memory: 300Mi}}`,
		func(_ objects, _ string, w workload) {
			w.container().Resources.Limits[corev1.ResourceMemory] = resource.MustParse("300Mi")
		},
	},
	"an annotated serviceAccount": {
		`serviceAccount: {annotations: {eks.amazonaws.com/role-arn: ours}}`,
		func(all objects, name string, _ workload) {
			all["ServiceAccount "+name].SetAnnotations(map[string]string{"eks.amazonaws.com/role-arn": "ours"})
		},
	},
	"a renamed serviceAccount": {
		`serviceAccount: {name: ours}`,
		func(all objects, name string, w workload) {
			account := all["ServiceAccount "+name]
			account.SetName("ours")
			delete(all, "ServiceAccount "+name)
			all["ServiceAccount ours"] = account
			rename(all, name, w)
		},
	},
	"a serviceAccount of somebody else": {
		`serviceAccount: {create: false, name: ours}`,
		func(all objects, name string, w workload) {
			delete(all, "ServiceAccount "+name)
			rename(all, name, w)
		},
	},
}

// rename says "ours" wherever a program's ServiceAccount is named.
func rename(all objects, name string, w workload) {
	w.spec.ServiceAccountName = "ours"
	called := func(subjects []rbacv1.Subject) {
		for i := range subjects {
			if subjects[i].Name == name {
				subjects[i].Name = "ours"
			}
		}
	}
	for _, b := range every[*rbacv1.RoleBinding](all) {
		called(b.Subjects)
	}
	for _, b := range every[*rbacv1.ClusterRoleBinding](all) {
		called(b.Subjects)
	}
	if name != "onefire-replay" {
		return
	}
	// It is one of those that the function lets in.
	variables := workloads(all)["onefire"].container().Env
	for i := range variables {
		if variables[i].Name == "OIDC_SUBJECTS" {
			variables[i].Value = strings.ReplaceAll(variables[i].Value, ":onefire-replay", ":ours")
		}
	}
}

// Each value of a program's pods reaches them, and changes nothing else: with and
// without Knative, with files of the chart's own and without.
func TestEachValueOfAPodReachesItAlone(t *testing.T) {
	for _, set := range []string{"url", "all", "kubernaut", "plain", "files"} {
		without := released(t, set, "")
		for program, object := range chartPrograms {
			if _, there := workloads(without)[object]; !there {
				continue // Without Knative nothing fills the dead-letter store.
			}
			for name, row := range podValues {
				t.Run(set+" "+program+" "+name, func(t *testing.T) {
					want := objects{}
					for name, object := range without {
						want[name] = object.(runtime.Object).DeepCopyObject().(metav1.Object)
					}
					row.change(want, object, workloads(want)[object])
					got := released(t, set, program+": {"+row.value+"}")
					require.Empty(t, cmp.Diff(texts(t, want), texts(t, got)))
				})
			}
		}
	}
}

// A value that is set once reaches all objects, or all pods.
func TestEachValueOfAllPodsReachesThem(t *testing.T) {
	for name, row := range map[string]struct {
		value  string
		change func(all objects)
	}{
		"imagePullSecrets": {`imagePullSecrets: [{name: registry}]`, func(all objects) {
			for _, w := range workloads(all) {
				w.spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "registry"}}
			}
		}},
		"images.pullPolicy": {`images: {pullPolicy: Always}`, func(all objects) {
			for _, w := range workloads(all) {
				w.container().ImagePullPolicy = corev1.PullAlways
			}
		}},
		"commonLabels": {`commonLabels: {team: sre}`, func(all objects) {
			for _, object := range all {
				object.SetLabels(put(object.GetLabels(), map[string]string{"team": "sre"}))
			}
			for _, w := range workloads(all) {
				w.pods.Labels = put(w.pods.Labels, map[string]string{"team": "sre"})
			}
		}},
		"source.service.annotations": {`source: {service: {annotations: {service.cilium.io/global: "true"}}}`, func(all objects) {
			all["Service onefire-source"].SetAnnotations(map[string]string{"service.cilium.io/global": "true"})
		}},
	} {
		for _, set := range []string{"all", "kubernaut", "plain-all"} {
			t.Run(set+" "+name, func(t *testing.T) {
				want := released(t, set, "")
				row.change(want)
				require.Empty(t, cmp.Diff(texts(t, want), texts(t, released(t, set, row.value))))
			})
		}
	}
}

// A label that two values give has the nearer one's text, and no object has it twice.
func TestTheNearerLabelCounts(t *testing.T) {
	all := released(t, "operator", `{commonLabels: {team: all, release: all}, source: {podLabels: {team: source}}, observability: {labels: {release: prometheus}}}`)
	require.Equal(t, "source", workloads(all)["onefire-source"].pods.Labels["team"])
	require.Equal(t, "all", workloads(all)["onefire-deadletters"].pods.Labels["team"])
	require.Equal(t, "prometheus", all["PodMonitor onefire"].GetLabels()["release"])
	require.Equal(t, "all", all["Role onefire"].GetLabels()["release"])
}

// extraEnv refuses every variable that env refuses because the chart sets it.
func TestExtraEnvRefusesWhatEnvRefuses(t *testing.T) {
	text, err := os.ReadFile("../chart/values.schema.json")
	require.NoError(t, err)
	type properties struct {
		Env      struct{ Properties map[string]bool }
		ExtraEnv struct {
			Items struct {
				Properties struct {
					Name struct{ Not struct{ Enum []string } }
				}
			}
		}
	}
	var schema struct {
		Properties map[string]struct{ Properties json.RawMessage }
		Then       struct {
			Properties struct {
				Function struct{ Properties properties }
			}
		}
	}
	require.NoError(t, json.Unmarshal(text, &schema))
	same := func(of string, p properties) {
		require.NotEmpty(t, p.Env.Properties, of)
		require.ElementsMatch(t, slices.Collect(maps.Keys(p.Env.Properties)), p.ExtraEnv.Items.Properties.Name.Not.Enum, of)
	}
	for program := range chartPrograms {
		var p properties
		require.NoError(t, json.Unmarshal(schema.Properties[program].Properties, &p))
		same(program, p)
	}
	same("kubernaut", schema.Then.Properties.Function.Properties)
}

func TestAVariableTwiceIsRefused(t *testing.T) {
	given, err := common.ReadValues([]byte(sink + "source: {env: {LOG_LEVEL: debug}, extraEnv: [{name: LOG_LEVEL, value: info}]}"))
	require.NoError(t, err)
	_, err = render(t, "../chart", "onefire", given)
	require.ErrorContains(t, err, "LOG_LEVEL is in env and in extraEnv")
}

// Knative takes where a pod may run only if its config-features says so: the chart's
// values name each.
func TestKnativeTakesWhatItsFeaturesAllow(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "chart", "values.yaml"))
	require.NoError(t, err)
	validate := func(service *servingv1.Service, flags map[string]string) error {
		features, err := apiconfig.NewFeaturesConfigFromMap(flags)
		require.NoError(t, err)
		defaults, err := apiconfig.NewDefaultsConfigFromMap(nil)
		require.NoError(t, err)
		ctx := apiconfig.ToContext(webhook(), &apiconfig.Config{Features: features, Defaults: defaults})
		service = service.DeepCopy()
		service.SetDefaults(ctx)
		if wrong := service.Validate(ctx); wrong != nil {
			return fmt.Errorf("Knative's webhook: %w", wrong)
		}
		return nil
	}
	for name, row := range podValues {
		flag := map[string]string{
			"nodeSelector": "kubernetes.podspec-nodeselector", "tolerations": "kubernetes.podspec-tolerations",
			"affinity": "kubernetes.podspec-affinity", "priorityClassName": "kubernetes.podspec-priorityclassname",
		}[name]
		value := row.value
		if name == "extraVolumeMounts" {
			value += ", " + podValues["extraVolumes"].value
		}
		if name == "extraVolumes" {
			continue // A volume that nothing mounts is refused.
		}
		t.Run(name, func(t *testing.T) {
			service, ok := named[*servingv1.Service](released(t, "url", "function: {"+value+"}"), "onefire")
			require.True(t, ok)
			if flag == "" {
				require.NoError(t, validate(service, nil))
				return
			}
			require.Contains(t, string(text), flag)
			require.Error(t, validate(service, nil))
			require.NoError(t, validate(service, map[string]string{flag: "enabled"}))
		})
	}
}

// The values in the README are some that work.
func TestTheValuesInTheDocsRender(t *testing.T) {
	page, err := os.ReadFile("../chart/README.md")
	require.NoError(t, err)
	_, after, found := strings.Cut(string(page), "```yaml\n")
	require.True(t, found)
	given, _, _ := strings.Cut(after, "```")
	all := workloads(released(t, "url", given))
	for program, name := range chartPrograms {
		require.Equal(t, []corev1.LocalObjectReference{{Name: "registry"}}, all[name].spec.ImagePullSecrets, program)
		require.Equal(t, program != "function", all[name].spec.NodeSelector != nil && all[name].spec.Tolerations != nil, program)
	}
	require.Contains(t, all["onefire"].container().Env, secretKey)
}
