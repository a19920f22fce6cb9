package verify

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// pods are all that can come to run, by the name of their ServiceAccount.
func pods(all objects) (map[string]pod, error) {
	found := map[string]pod{}
	if _, plain := named[*appsv1.Deployment](all, "onefire"); !plain {
		function, err := functionPod(all)
		if err != nil {
			return nil, err
		}
		found[function.name] = function
	}
	add := func(name, namespace string, template corev1.PodTemplateSpec) {
		template.Namespace = namespace
		found[name] = pod{name: name, PodTemplateSpec: template, user: template.Spec.Containers[0]}
	}
	for _, d := range every[*appsv1.Deployment](all) {
		add(d.Name, d.Namespace, d.Spec.Template)
	}
	for _, c := range every[*batchv1.CronJob](all) {
		add(c.Name, c.Namespace, c.Spec.JobTemplate.Spec.Template)
	}
	return found, nil
}

// namespaceProblems is where the Namespace lets other pods run than it should.
func namespaceProblems(all objects) []string {
	namespace, ok := named[*corev1.Namespace](all, "onefire")
	if !ok {
		return []string{"there is no Namespace onefire"}
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	lax := api.LevelVersion{Level: api.LevelPrivileged, Version: api.LatestVersion()}
	levels, errs := api.PolicyToEvaluate(namespace.Labels, api.Policy{Enforce: lax, Audit: lax, Warn: lax})
	if len(errs) > 0 || levels != (api.Policy{Enforce: restricted, Audit: restricted, Warn: restricted}) {
		return []string{fmt.Sprintf("the namespace is not restricted: %v %v", levels, errs)}
	}
	return nil
}

// podProblems holds pods against the restricted profile, and against what every
// pod of ours has.
func podProblems(all objects, v variant) []string {
	found := namespaceProblems(all)
	wrong := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	running, err := pods(all)
	if err != nil {
		return []string{err.Error()}
	}
	profile, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return []string{err.Error()}
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for name, p := range running {
		result := policy.AggregateCheckResults(profile.EvaluatePod(restricted, &p.ObjectMeta, &p.Spec))
		if !result.Allowed {
			wrong("%s: %s: %s", name, result.ForbiddenReason(), result.ForbiddenDetail())
		}
		if p.Spec.EnableServiceLinks == nil || *p.Spec.EnableServiceLinks {
			wrong("%s: each Service of the namespace becomes a variable", name)
		}
		for _, c := range p.Spec.Containers {
			if c.SecurityContext == nil || c.SecurityContext.ReadOnlyRootFilesystem == nil || !*c.SecurityContext.ReadOnlyRootFilesystem {
				wrong("%s: %s can write to its root", name, c.Name)
			}
		}
		found = append(found, containerProblems(name, p.user, name == "onefire" && !v.has(unserved))...)
	}
	return found
}

// endsByItself tells whether a pod does something once, and says in its log what.
func endsByItself(name string) bool { return name == "onefire-replay" || name == "onefire-prune" }

// containerProblems are those of a container as its manifest has it. Where Knative serves
// it, that says at which port it is asked.
func containerProblems(name string, c corev1.Container, served bool) []string {
	var found []string
	wrong := func(format string, args ...any) { found = append(found, name+": "+fmt.Sprintf(format, args...)) }
	if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
		wrong("requests and a limit of memory are missing")
	}
	if !c.Resources.Limits.Cpu().IsZero() {
		wrong("a limit of processor time slows the start")
	}
	if endsByItself(name) {
		return found // Nobody asks it anything.
	}
	if len(c.Ports) == 0 || c.Ports[0].ContainerPort != listen {
		wrong("the first port is not %d, where it listens", listen)
	}
	for path, probe := range map[string]*corev1.Probe{"/health/readiness": c.ReadinessProbe, "/health/liveness": c.LivenessProbe} {
		switch {
		case probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != path:
			wrong("nothing asks %s", path)
		case !served && portOf(c, probe.HTTPGet.Port) != listen:
			wrong("%s is asked at another port than %d", path, listen)
		}
	}
	return found
}

// listen is where all of them listen, by default: PORT.
const listen = 8080

// portOf is the number of a port that is given by name or number; 0 for none.
func portOf(c corev1.Container, port intstr.IntOrString) int32 {
	i := slices.IndexFunc(c.Ports, func(p corev1.ContainerPort) bool {
		return p.Name == port.StrVal && port.Type == intstr.String || p.ContainerPort == port.IntVal && port.Type == intstr.Int
	})
	if i < 0 {
		return 0
	}
	return c.Ports[i].ContainerPort
}
