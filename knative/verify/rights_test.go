package verify

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"

	"onefire/dedup"
	"onefire/function/kube"
)

// rights is what each of them calls, by resource.
var rights = map[string]map[string][]string{
	"onefire": {
		dedup.Resource.Group + "/" + dedup.Resource.Resource:             {"create", "delete", "get", "list"},
		dedup.Resource.Group + "/" + dedup.Resource.Resource + "/status": {"patch"},
		"events.k8s.io/events":      {"create"},
		"/configmaps onefire-brake": {"get"},
	},
	"onefire-deadletters": {"/configmaps": {"create", "get", "list"}},
	"onefire-replay":      {"/configmaps": {"delete", "get", "list"}},
	"onefire-prune":       {"/configmaps": {"delete", "list"}, dedup.Resource.Group + "/" + dedup.Resource.Resource: {"delete", "list"}},
	"onefire-source":      {},
}

// wanted is what each of them calls with what was chosen.
func wanted(v variant) map[string]map[string][]string {
	all := maps.Clone(rights)
	all["onefire"] = maps.Clone(rights["onefire"])
	if v.unpruned {
		all["onefire-prune"] = nil
	}
	if v.has(unserved) {
		all["onefire-deadletters"], all["onefire-replay"] = nil, nil
	}
	if v.has(oidc) {
		all["onefire"][kube.ReviewResource.Group+"/"+kube.ReviewResource.Resource] = []string{"create"}
	}
	if v.owned() {
		for _, r := range kube.Resources() {
			all["onefire"][r.Group+"/"+r.Resource] = []string{"get"}
		}
	}
	if v.scoped() {
		for _, r := range kube.ScopeResources() {
			all["onefire"][r.Group+"/"+r.Resource] = []string{"get"}
		}
	}
	return all
}

// rightsProblems is where what is granted is not what is called: a verb too
// many is as wrong as one too few.
func rightsProblems(all objects, v variant) []string {
	granted := map[string]map[string][]string{}
	for name := range rights {
		granted[name] = map[string][]string{}
	}
	grant := func(subjects []rbacv1.Subject, rules []rbacv1.PolicyRule) {
		for _, s := range subjects {
			for _, r := range rules {
				for _, group := range r.APIGroups {
					for _, resource := range r.Resources {
						key := group + "/" + resource
						if len(r.ResourceNames) > 0 {
							key += " " + strings.Join(r.ResourceNames, ",")
						}
						if granted[s.Name] == nil {
							granted[s.Name] = map[string][]string{}
						}
						granted[s.Name][key] = append(granted[s.Name][key], r.Verbs...)
					}
				}
				if len(r.NonResourceURLs) > 0 {
					granted[s.Name]["a URL"] = r.Verbs
				}
			}
		}
	}
	for _, b := range every[*rbacv1.RoleBinding](all) {
		if role, ok := named[*rbacv1.Role](all, b.RoleRef.Name); ok && b.RoleRef.Kind == "Role" {
			grant(b.Subjects, role.Rules)
		}
	}
	cluster := every[*rbacv1.ClusterRoleBinding](all)
	for _, b := range cluster {
		if role, ok := named[*rbacv1.ClusterRole](all, b.RoleRef.Name); ok {
			grant(b.Subjects, role.Rules)
		}
	}
	var found []string
	reach := 0
	for _, chosen := range []bool{v.has(signal), v.has(signal) && !v.unpruned, v.owned(), v.scoped(), v.has(oidc)} {
		if chosen {
			reach++
		}
	}
	if reach != len(cluster) {
		found = append(found, "rights in the whole cluster go with REMEDIATION_PLACEMENT=signal, TARGET=owner, SCOPE and OIDC_AUDIENCE, and with nothing else")
	}
	found = append(found, foreignRights(all, v)...)
	for name, want := range wanted(v) {
		for resource, verbs := range granted[name] {
			slices.Sort(verbs)
			granted[name][resource] = slices.Compact(verbs) // Two roles may grant the same.
		}
		if fmt.Sprint(granted[name]) != fmt.Sprint(want) {
			found = append(found, fmt.Sprintf("%s may %v, and calls %v", name, granted[name], want))
		}
	}
	if len(granted) != len(rights) {
		found = append(found, "somebody unknown has rights")
	}
	running, err := pods(all)
	if err != nil {
		return append(found, err.Error())
	}
	if token := running["onefire-source"].Spec.AutomountServiceAccountToken; token == nil || *token {
		found = append(found, "the source has a token, and no use for it")
	}
	return found
}

// foreignRights is where a role of somebody else is bound: only the one by which
// kubernaut's DataStorage knows who may send, in its own namespace, to the function.
func foreignRights(all objects, v variant) []string {
	var bound []string
	for _, b := range every[*rbacv1.RoleBinding](all) {
		if b.RoleRef.Kind != "Role" {
			bound = append(bound, fmt.Sprintf("%s %s in %s to %v", b.RoleRef.Kind, b.RoleRef.Name, b.Namespace, b.Subjects))
		}
	}
	var want []string
	if v.has(kubernaut) {
		want = []string{fmt.Sprintf("ClusterRole %s in %s to %v", storageClient, v.storage, []rbacv1.Subject{{Kind: "ServiceAccount", Name: "onefire", Namespace: "onefire"}})}
	}
	if !slices.Equal(bound, want) {
		return []string{fmt.Sprintf("roles of others are bound: %q, and should be: %q", bound, want)}
	}
	return nil
}

// storageClient is the ClusterRole that kubernaut's chart makes.
const storageClient = "data-storage-client"

// placeOfRights are the namespaces in which the function may make objects.
func placeOfRights(all objects) (namespaces []string) {
	for _, b := range every[*rbacv1.RoleBinding](all) {
		role, ok := named[*rbacv1.Role](all, b.RoleRef.Name)
		if !ok || role.Namespace != b.Namespace || b.Subjects[0].Name != "onefire" {
			continue
		}
		for _, r := range role.Rules {
			if slices.Contains(r.Resources, dedup.Resource.Resource) && slices.Contains(r.Verbs, "create") {
				namespaces = append(namespaces, b.Namespace)
			}
		}
	}
	return namespaces
}

// calls finds what code asks of a client of client-go.
var calls = regexp.MustCompile(`client\.(Get|Post|Put|Patch|Delete|Verb)\(`)

// callsOf gives the calls in the code of a room.
func callsOf(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", pattern))
	require.NoError(t, err)
	require.NotEmpty(t, files, pattern)
	var called []string
	for _, file := range files {
		if matched, _ := filepath.Match("*_test.go", filepath.Base(file)); matched {
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, call := range calls.FindAllStringSubmatch(string(text), -1) {
			called = append(called, call[1])
		}
	}
	return called
}

// The resolver of owners asks for one object at a time.
func TestOwnersAreOnlyAskedFor(t *testing.T) {
	require.Equal(t, []string{"Get"}, callsOf(t, "function/kube/objects.go"))
	require.Len(t, kube.Resources(), 7)
	require.Len(t, kube.ScopeResources(), 10)
}

// The table above grants exactly what the code calls: a call of another kind needs
// another verb.
func TestTheCodeCallsWhatTheTableSays(t *testing.T) {
	verbs := map[string][]string{"Get": {"get", "list"}, "Post": {"create"}, "Patch": {"patch"}, "Delete": {"delete"}}
	require.ElementsMatch(t, []string{"Get", "Post", "Post"}, callsOf(t, "function/kube/*.go"), "no other of its files calls")
	for files, row := range map[string]struct {
		group string
		names []string
	}{
		"dedup/*.go":                 {dedup.Resource.Group, []string{"onefire"}},
		"function/kube/eventsapi.go": {"events.k8s.io", []string{"onefire"}},
		"function/kube/review.go":    {kube.ReviewResource.Group, []string{"onefire"}},
		"function/deadletters/*.go":  {"", []string{"onefire-deadletters", "onefire-replay"}},
	} {
		called := map[string]bool{}
		for _, call := range callsOf(t, files) {
			require.Contains(t, verbs, call, "%s: no verb is granted for this", files)
			for _, verb := range verbs[call] {
				called[verb] = true
			}
		}
		granted := map[string]bool{}
		for _, name := range row.names {
			for resource, some := range wanted(variant{on: []string{oidc}})[name] {
				if !strings.HasPrefix(resource, row.group+"/") {
					continue
				}
				for _, verb := range some {
					granted[verb] = true
				}
			}
		}
		require.Equal(t, granted, called, files)
	}
}
