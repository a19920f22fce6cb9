package cmd

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A kubeconfig that cannot be used ends each command, and says why.
func TestAKubeconfigThatCannotBeUsedIsSaid(t *testing.T) {
	file := func(text string) string {
		name := filepath.Join(t.TempDir(), "kubeconfig")
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
		return name
	}
	prometheus := fired(t, map[string]string{"node": "n"}).URL + "/prometheus"
	const in = `{"labels":{"alertname":"A","pod":"p"}}`
	explain, backtest := []string{"explain", "-"}, []string{"explain", "-since", "1h", "-prometheus", prometheus}
	for reason, row := range map[string]struct{ kubeconfig, problem string }{
		"certificates that are none": {
			file(`{"apiVersion":"v1","kind":"Config","current-context":"c","contexts":[{"name":"c","context":{"cluster":"c"}}],
				"clusters":[{"name":"c","cluster":{"server":"https://127.0.0.1:1","certificate-authority-data":"eA=="}}]}`), "unable to load root certificates",
		},
		"another file":                  {file("][" + in), "cannot find a Kubernetes API server"},
		"no such file":                  {"nowhere", "stat nowhere: no such file"},
		"one of several does not exist": {kubeconfigFor(t, "http://127.0.0.1:1") + string(filepath.ListSeparator) + "nowhere", "stat nowhere: no such file"},
	} {
		for command, one := range map[string]struct {
			args        []string
			environment map[string]string
		}{
			"list":                 {[]string{"list"}, map[string]string{"BRAKE": "none"}},
			"prune of requests":    {[]string{"prune"}, map[string]string{"DEAD_LETTER_TTL": "0"}},
			"prune of letters":     {[]string{"prune"}, map[string]string{"TTL": "0"}},
			"explain":              {explain, nil},
			"explain, with owners": {explain, map[string]string{"TARGET": "owner"}},
			"backtest":             {backtest, nil},
			"backtest, and owners": {backtest, map[string]string{"TARGET": "owner"}},
		} {
			t.Run(reason+"/"+command, func(t *testing.T) {
				args, environment := one.args, map[string]string{}
				for name, value := range one.environment {
					environment[name] = value
				}
				if args[0] == "explain" {
					args = append([]string{"explain", "-kubeconfig", row.kubeconfig}, args[1:]...)
				} else {
					environment["KUBECONFIG"] = row.kubeconfig
				}
				code, out, problems := run(t, in, environment, args...)
				require.Equal(t, 1, code)
				require.Contains(t, problems, row.problem)
				require.Empty(t, out)
			})
		}
	}
}
