package cmd

import (
	"cmp"
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhereAListLooks(t *testing.T) {
	const base, tail = "/apis/kubernaut.ai/v1alpha1/", "remediationrequests 500"
	for reason, row := range map[string]struct {
		environment map[string]string
		context     string
		args        []string
		path        string
	}{
		"nothing is said":                     {nil, "", nil, "namespaces/default/"},
		"the namespace of the context":        {nil, "abc", nil, "namespaces/abc/"},
		"the environment of the function":     {map[string]string{"REMEDIATION_NAMESPACE": "ops"}, "abc", nil, "namespaces/ops/"},
		"the environment names the default":   {map[string]string{"REMEDIATION_NAMESPACE": "default"}, "abc", nil, "namespaces/default/"},
		"the pod's own namespace":             {map[string]string{"POD_NAMESPACE": "onefire"}, "abc", nil, "namespaces/onefire/"},
		"a flag goes before it":               {map[string]string{"REMEDIATION_NAMESPACE": "ops"}, "abc", []string{"-n", "shop"}, "namespaces/shop/"},
		"all namespaces":                      {map[string]string{"REMEDIATION_NAMESPACE": "ops"}, "abc", []string{"-A"}, ""},
		"objects in each alert's namespace":   {map[string]string{"REMEDIATION_PLACEMENT": "signal"}, "abc", nil, ""},
		"objects there, and one of them only": {map[string]string{"REMEDIATION_PLACEMENT": "signal"}, "abc", []string{"-n", "shop"}, "namespaces/shop/"},
	} {
		t.Run(reason, func(t *testing.T) {
			k := startRequests(t)
			k.kubeconfig = kubeconfigFor(t, k.URL, row.context)
			code, _, problems := k.run(t, row.environment, row.args...)
			require.Zero(t, code, problems)
			require.Equal(t, []string{base + row.path + tail}, k.lists)

			all := map[string]string{"KUBECONFIG": k.kubeconfig}
			maps.Copy(all, row.environment)
			code, _, problems = run(t, "", all, append([]string{"list"}, row.args...)...)
			require.Zero(t, code, problems)
			require.Equal(t, []string{base + row.path + tail, base + row.path + tail}, k.lists, "by the variable as by the flag")
		})
	}
}

func TestAPruneLooksWhereAListDoes(t *testing.T) {
	const letters, requests = "list /api/v1/namespaces/onefire/configmaps", "list /apis/kubernaut.ai/v1alpha1/namespaces/"
	for reason, row := range map[string]struct {
		environment map[string]string
		context     string
		want        string
	}{
		"nothing is said":              {nil, "", "default"},
		"the namespace of the context": {nil, "abc", "abc"},
		"a variable goes before it":    {map[string]string{"REMEDIATION_NAMESPACE": "default"}, "abc", "default"},
	} {
		t.Run(reason, func(t *testing.T) {
			k := startFakeServer(t)
			environment := map[string]string{"KUBECONFIG": kubeconfigFor(t, k.URL, row.context)}
			maps.Copy(environment, row.environment)
			code, _, problems := run(t, "", environment, "prune", "-dry-run")
			require.Zero(t, code, problems)
			require.Equal(t, []string{letters, requests + row.want + "/remediationrequests"}, k.calls)
		})
	}
}

func TestAnExplanationLooksWhereAListDoes(t *testing.T) {
	k := startRequests(t)
	const in = `{"labels":{"alertname":"A","pod":"p"}}`
	kubeconfig := kubeconfigFor(t, k.URL, "abc")
	code, out, problems := run(t, in, nil, "explain", "-kubeconfig", kubeconfig, "-")
	require.Zero(t, code, problems)
	require.Contains(t, out, "  abc/rr-")
	_, out, _ = run(t, in, map[string]string{"REMEDIATION_NAMESPACE": "ops"}, "explain", "-kubeconfig", kubeconfig, "-")
	require.Contains(t, out, "  ops/rr-")
	_, out, _ = run(t, in, map[string]string{"KUBECONFIG": kubeconfig}, "explain", "-")
	require.Contains(t, out, "  default/rr-", "without -kubeconfig explain knows no cluster")
}

func TestAListNamesTheBrakesThatAreOn(t *testing.T) {
	path := func(namespace, name string) string { return "/api/v1/namespaces/" + namespace + "/configmaps/" + name }
	for reason, row := range map[string]struct {
		on          []string
		context     string
		environment map[string]string
		args        []string
		asked       []string
		says        []string
	}{
		"make run":                               {[]string{"default"}, "", nil, nil, []string{"default", "onefire"}, []string{"default"}},
		"make run with REMEDIATION_NAMESPACE":    {[]string{"abc"}, "abc", nil, nil, []string{"abc", "onefire"}, []string{"abc"}},
		"an install":                             {[]string{"onefire"}, "", nil, []string{"-n", "onefire"}, []string{"default", "onefire"}, []string{"onefire"}},
		"an install elsewhere":                   {[]string{"ops"}, "", map[string]string{"REMEDIATION_NAMESPACE": "ops"}, nil, []string{"default", "ops", "onefire"}, []string{"ops"}},
		"with kubernaut":                         {[]string{"onefire"}, "", nil, []string{"-n", "kubernaut-system"}, []string{"default", "kubernaut-system", "onefire"}, []string{"onefire"}},
		"in all namespaces":                      {[]string{"onefire"}, "", nil, []string{"-A"}, []string{"default", "onefire"}, []string{"onefire"}},
		"one that is not the function's as well": {[]string{"onefire", "default"}, "", nil, nil, []string{"default", "onefire"}, []string{"default", "onefire"}},
		"in a pod only its own counts":           {[]string{"onefire"}, "", map[string]string{"POD_NAMESPACE": "ops", "REMEDIATION_NAMESPACE": "onefire"}, nil, []string{"ops"}, nil},
		"off, or the user may not see it":        {nil, "", nil, nil, []string{"default", "onefire"}, nil},
		"by another name":                        {[]string{"onefire"}, "", map[string]string{"BRAKE": "stop"}, nil, []string{"default", "onefire"}, []string{"onefire"}},
		"nobody asks":                            {[]string{"onefire"}, "", map[string]string{"BRAKE": "none"}, nil, nil, nil},
	} {
		t.Run(reason, func(t *testing.T) {
			k := startRequests(t, night()...)
			k.kubeconfig = kubeconfigFor(t, k.URL, row.context)
			name := cmp.Or(row.environment["BRAKE"], "onefire-brake")
			for _, namespace := range row.on {
				k.on = append(k.on, path(namespace, name))
			}
			code, _, problems := k.run(t, row.environment, append([]string{"-ended"}, row.args...)...)
			require.Zero(t, code)
			var asked []string
			for _, namespace := range row.asked {
				asked = append(asked, path(namespace, name))
			}
			require.Equal(t, asked, k.brakes)
			said := ""
			for _, namespace := range row.says {
				said += "onefire: ConfigMap " + namespace + "/" + name + " exists since 2026-01-17T11:00:00Z: " +
					"if the function runs in namespace " + namespace + ", it makes no new requests: ask\ufffd Jane\n"
			}
			require.True(t, strings.HasPrefix(problems, said), problems)
			require.Equal(t, len(row.says), strings.Count(problems, "ConfigMap"), problems)
		})
	}
}
