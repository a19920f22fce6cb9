package verify

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"

	"onefire/config"
	"onefire/function/receive"
)

// closing is how long the function waits for posts of audit events after its last answer
// (audit.closeWait).
const closing = 10 * time.Second

// plainProblems are those of delivery where the source posts to the function.
func plainProblems(all objects) []string {
	var found []string
	wrong := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	running, err := pods(all)
	if err != nil {
		return []string{err.Error()}
	}
	source, err := config.LoadSource(environment(all, running["onefire-source"]))
	if err != nil {
		return []string{err.Error()}
	}
	service, ok := all["Service onefire"]
	if !ok {
		return []string{"the function has no address"}
	}
	if want := fmt.Sprintf("http://%s.%s.svc.cluster.local", service.GetName(), service.GetNamespace()); source.Sink != want {
		wrong("the source posts to %s, and the function is at %s", source.Sink, want)
	}
	bound, err := limit("eventTimeout")
	if err != nil {
		return append(found, err.Error())
	}
	request := time.Duration(bound)*time.Second + receive.AnswerTimeout
	if source.DeliveryTimeout < 2*request {
		wrong("the source waits for %s, and a request may take %s", source.DeliveryTimeout, request)
	}
	for name, least := range map[string]time.Duration{"onefire-source": source.DeliveryTimeout, "onefire": request + closing} {
		grace := running[name].Spec.TerminationGracePeriodSeconds
		if grace == nil || time.Duration(*grace)*time.Second <= least {
			wrong("%s is killed before it has finished", name)
		}
		d, ok := named[*appsv1.Deployment](all, name)
		if !ok || d.Spec.Replicas == nil || *d.Spec.Replicas < 2 || d.Spec.Strategy.RollingUpdate == nil || d.Spec.Strategy.RollingUpdate.MaxUnavailable.IntValue() != 0 {
			wrong("there are times without %s", name)
		}
	}
	return found
}

// test/alertmanager runs both programs with these variables, and a real Alertmanager.
func TestTheEnvironmentWithoutKnativeIsTheOneThatIsTried(t *testing.T) {
	dir := manifests(t)
	variant{on: []string{unaudited, unserved}, off: []string{"components/datastorage-url"}}.choose(t, dir)
	all, err := build(dir)
	require.NoError(t, err)
	running, err := pods(all)
	require.NoError(t, err)
	want := ""
	for _, program := range []string{"onefire", "onefire-source"} {
		variables := environment(all, running[program])
		for _, name := range slices.Sorted(maps.Keys(variables)) {
			want += program + " " + name + "=" + variables[name] + "\n"
		}
	}
	const file = "../../test/alertmanager/testdata/plain.env"
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(want), 0o600))
	}
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, want, string(got), "go test ./... -update in knative/verify writes it anew")
}
