package verify

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	sourcesv1 "knative.dev/eventing/pkg/apis/sources/v1"

	"onefire/config"
)

// programs are the configurations that the pods' containers load.
var programs = map[string]struct {
	variables any
	load      func(map[string]string) error
}{
	"onefire":             {config.Config{}, func(e map[string]string) error { _, err := config.Load(e); return err }},
	"onefire-source":      {config.Source{}, func(e map[string]string) error { _, err := config.LoadSource(e); return err }},
	"onefire-deadletters": {config.DeadLetters{}, func(e map[string]string) error { _, err := config.LoadDeadLetters(e); return err }},
	"onefire-replay":      {config.DeadLetters{}, func(e map[string]string) error { _, err := config.LoadDeadLetters(e); return err }},
	"onefire-prune":       {config.Prune{}, func(e map[string]string) error { _, err := config.LoadPrune(e); return err }},
}

// known tells whether a configuration has a variable.
func known(variables any, name string) bool {
	for _, field := range reflect.VisibleFields(reflect.TypeOf(variables)) {
		if field.Tag.Get("env") == name {
			return true
		}
	}
	return false
}

// environment is what a pod's container starts with: its manifest's variables,
// those of its fields, and those of a SinkBinding.
func environment(all objects, p pod) map[string]string {
	variables := map[string]string{}
	for _, v := range p.user.Env {
		variables[v.Name] = v.Value
		if v.ValueFrom != nil && v.ValueFrom.FieldRef != nil && v.ValueFrom.FieldRef.FieldPath == "metadata.namespace" {
			variables[v.Name] = p.Namespace
		}
	}
	// The files of tokens and certificates are there when a pod starts; here any other
	// will do.
	for name, file := range tokens(all, p) {
		if variables[name] == file {
			variables[name] = "doc.go"
		}
	}
	for name, value := range variables {
		if _, ok := mounted(p)[value]; ok {
			variables[name] = "doc.go"
		}
	}
	for _, b := range every[*sourcesv1.SinkBinding](all) {
		if b.Spec.Subject.Name == p.name {
			variables["K_SINK"] = "http://" + b.Spec.Sink.Ref.Name + "." + b.Spec.Sink.Ref.Namespace + ".svc.cluster.local"
			variables["K_CE_OVERRIDES"] = ""
		}
	}
	return variables
}

// environmentProblems are variables that nothing reads, and values that the
// program would not start with.
func environmentProblems(all objects, v variant) []string {
	var found []string
	wrong := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	running, err := pods(all)
	if err != nil {
		return []string{err.Error()}
	}
	for name, p := range running {
		program, ok := programs[name]
		if !ok {
			wrong("%s: nobody knows what it reads", name)
			continue
		}
		for _, variable := range p.user.Env {
			if !known(program.variables, variable.Name) {
				wrong("%s: nothing reads %s", name, variable.Name)
			}
			if variable.ValueFrom != nil && (variable.ValueFrom.FieldRef == nil || variable.ValueFrom.FieldRef.FieldPath != "metadata.namespace") {
				wrong("%s: %s comes from somewhere else", name, variable.Name)
			}
		}
		if len(p.user.EnvFrom) > 0 {
			wrong("%s: variables that cannot be seen here", name)
		}
		if err := program.load(environment(all, p)); err != nil {
			wrong("%s: %v", name, err)
		}
	}
	c, err := config.Load(environment(all, running["onefire"]))
	if err != nil {
		return append(found, err.Error())
	}
	if v.has(signal) && c.Namespace != running["onefire"].Namespace || !v.has(signal) && !slices.Equal(placeOfRights(all), []string{c.Namespace}) {
		wrong("objects are made in %s, where the function has no rights", c.Namespace)
	}
	if got := string(c.Placement); got != map[bool]string{false: "fixed", true: "signal"}[v.has(signal)] {
		wrong("the placement is %s", got)
	}
	if (c.Target == config.TargetOwner) != v.owned() {
		wrong("the target is %s", c.Target)
	}
	if (c.Scope.Selector != nil) != v.scoped() {
		wrong("the scope is %q", c.Scope)
	}
	if (c.Sink != "") != v.has(reference) {
		wrong("audit events go to %s", c.AuditSink)
	}
	if (c.AuditSink == config.NoAudit) != v.has(unaudited) {
		wrong("audit events go to %s", c.AuditSink)
	}
	return found
}

func TestAuditEventsGoWhereSiteEnvSays(t *testing.T) {
	for name, want := range map[string]string{
		"as it is":                 "https://store.example:8443/api/v1/audit/events",
		"DataStorage by reference": "http://store.storage.svc.cluster.local",
	} {
		dir := manifests(t)
		variants[name].choose(t, dir)
		all, err := build(dir)
		require.NoError(t, err)
		running, err := pods(all)
		require.NoError(t, err)
		c, err := config.Load(environment(all, running["onefire"]))
		require.NoError(t, err)
		require.Equal(t, want, c.AuditSink, name)
	}
}

// The preset is what `onefire config` prints of it.
func TestWhatThePresetOfKubernautSets(t *testing.T) {
	dir := manifests(t)
	variants["kubernaut"].choose(t, dir)
	all, err := build(dir)
	require.NoError(t, err)
	running, err := pods(all)
	require.NoError(t, err)
	settings, err := config.Effective(environment(all, running["onefire"]))
	require.NoError(t, err)
	for name, want := range map[string]string{
		"REMEDIATION_NAMESPACE": "healing",
		"REMEDIATION_PLACEMENT": "fixed",
		"FINGERPRINT":           "resource",
		"TARGET":                "owner",
		"SEVERITY":              "raw",
		"SCOPE":                 "kubernaut.ai/managed=true",
		"AUDIT_SCHEMA":          "2026-08",
		"AUDIT_SINK":            "https://data-storage-service.healing.svc.cluster.local:8080/api/v1/audit/events",
	} {
		require.Contains(t, settings, config.Setting{Name: name, Value: want, From: "environment"})
	}
	mounted := map[string]string{}
	for _, v := range running["onefire"].user.Env {
		mounted[v.Name] = v.Value
	}
	files := tokens(all, running["onefire"])
	require.Len(t, files, 2)
	for name, file := range files {
		require.Equal(t, file, mounted[name])
	}
	_, audience := projected(running["onefire"])
	require.Empty(t, audience, "DataStorage reviews tokens of the API server's own audience")
	for name, object := range all {
		kind, _, _ := strings.Cut(name, " ")
		if !cluster.MatchString(kind) && object.GetNamespace() != "onefire" {
			require.Equal(t, "healing", object.GetNamespace(), name)
		}
	}
}

func TestThePresetOfKubernautNeedsOneLine(t *testing.T) {
	dir := manifests(t)
	variants["kubernaut"].choose(t, dir)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "site.env"), []byte("KUBERNAUT_NAMESPACE=healing\n"), 0o600))
	require.Empty(t, problems(t, dir, variants["kubernaut"]))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "site.env"), []byte("AUDIT_SINK=http://store\n"), 0o600))
	_, err := build(dir)
	require.ErrorContains(t, err, "KUBERNAUT_NAMESPACE", "it must say what to write")
}

func TestTheScopeIsWhatSiteEnvSays(t *testing.T) {
	dir := manifests(t)
	variants["labels that targets have"].choose(t, dir)
	all, err := build(dir)
	require.NoError(t, err)
	running, err := pods(all)
	require.NoError(t, err)
	c, err := config.Load(environment(all, running["onefire"]))
	require.NoError(t, err)
	require.Equal(t, "!frozen,tier in (gold,silver)", c.Scope.String())
}

func TestAVariableThatNothingReadsIsFound(t *testing.T) {
	require.True(t, known(config.Config{}, "AUDIT_SINK"))
	require.True(t, known(config.Source{}, "OTEL_SERVICE_NAME"), "what all of them read")
	require.False(t, known(config.Config{}, "AUDIT_SNIK"))
}
