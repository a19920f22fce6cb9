package verify

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"onefire/config"
	"onefire/dedup"
)

// pruneProblems is where what is old stays, or is looked for elsewhere than the
// function makes it.
func pruneProblems(all objects, v variant) []string {
	var found []string
	wrong := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	job, ok := named[*batchv1.CronJob](all, "onefire-prune")
	if ok == v.unpruned {
		return []string{fmt.Sprintf("there is a CronJob: %t", ok)}
	}
	if !ok {
		return nil
	}
	if job.Spec.ConcurrencyPolicy != batchv1.ForbidConcurrent || job.Spec.Suspend != nil && *job.Spec.Suspend {
		wrong("it runs twice at once, or never")
	}
	if args := job.Spec.JobTemplate.Spec.Template.Spec.Containers[0].Args; !slices.Equal(args, []string{"prune"}) {
		wrong("the command is %q", args)
	}
	ends, err := endOfPrune()
	if err != nil {
		return append(found, err.Error())
	}
	deadline := job.Spec.JobTemplate.Spec.ActiveDeadlineSeconds
	if deadline == nil || time.Duration(*deadline)*time.Second < ends+time.Minute || *deadline >= 3600 {
		wrong("the Job does not end between the command's own end after %s and its next run", ends)
	}
	running, err := pods(all)
	if err != nil {
		return append(found, err.Error())
	}
	function, err := config.Load(environment(all, running["onefire"]))
	if err != nil {
		return append(found, err.Error())
	}
	store, err := config.LoadDeadLetters(environment(all, running["onefire-deadletters"]))
	if err != nil {
		return append(found, err.Error())
	}
	c, err := config.LoadPrune(environment(all, running["onefire-prune"]))
	if err != nil {
		return append(found, err.Error())
	}
	if c.Namespace != function.Namespace || c.Placement != function.Placement {
		wrong("it looks for requests in %s (%s), and the function makes them in %s (%s)", c.Namespace, c.Placement, function.Namespace, function.Placement)
	}
	if c.DeadLetterNamespace != store.Namespace {
		wrong("it looks for dead letters in %s, and they are kept in %s", c.DeadLetterNamespace, store.Namespace)
	}
	rights := rightsOfPrune(all)
	requests, letters := []string{c.Namespace}, []string{c.DeadLetterNamespace}
	if v.has(signal) {
		requests = nil
	}
	if got := rights[dedup.Resource.Resource]; !slices.Equal(got, requests) {
		wrong("it may delete requests in %q", got)
	}
	if got := rights["configmaps"]; !slices.Equal(got, letters) {
		wrong("it may delete dead letters in %q", got)
	}
	return found
}

// endOfPrune is when the command ends by itself, which is nobody else's to know.
func endOfPrune() (time.Duration, error) {
	text, err := os.ReadFile("../../function/cmd/limits.go")
	if err != nil {
		return 0, fmt.Errorf("reading the limits of prune: %w", err)
	}
	found := regexp.MustCompile(`(?m)^\tpruneTimeout = (\d+) \* time\.Minute$`).FindSubmatch(text)
	if found == nil {
		return 0, fmt.Errorf("function/cmd/limits.go has no pruneTimeout any more: change this test too")
	}
	minutes, err := strconv.Atoi(string(found[1]))
	return time.Duration(minutes) * time.Minute, err
}

// rightsOfPrune are the namespaces in which it may delete, by resource.
func rightsOfPrune(all objects) map[string][]string {
	namespaces := map[string][]string{}
	for _, b := range every[*rbacv1.RoleBinding](all) {
		role, ok := named[*rbacv1.Role](all, b.RoleRef.Name)
		if !ok || role.Namespace != b.Namespace || b.Subjects[0].Name != "onefire-prune" {
			continue
		}
		for _, r := range role.Rules {
			for _, resource := range r.Resources {
				namespaces[resource] = append(namespaces[resource], b.Namespace)
			}
		}
	}
	return namespaces
}

// The manifest says what is the default too, so that people see it where they
// would change it.
func TestTheManifestSaysTheDefaultsOfPrune(t *testing.T) {
	all, err := build(manifests(t))
	require.NoError(t, err)
	running, err := pods(all)
	require.NoError(t, err)
	said := environment(all, running["onefire-prune"])
	require.NotEmpty(t, said["TTL"])
	require.NotEmpty(t, said["DEAD_LETTER_TTL"])
	c, err := config.LoadPrune(said)
	require.NoError(t, err)
	defaults, err := config.LoadPrune(nil)
	require.NoError(t, err)
	require.Equal(t, defaults.TTL, c.TTL)
	require.Equal(t, defaults.DeadLetterTTL, c.DeadLetterTTL)
}
