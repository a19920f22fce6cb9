package install

import (
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"onefire/test/cluster/paths"
)

func TestEveryNameInTheExportersManifestsHasAValue(t *testing.T) {
	in := &installer{p: paths.Paths{State: "/state"}}
	for _, i := range Installs {
		for _, name := range []string{"exporters.yml", "exporters.rules", "exporters-install.yaml"} {
			text, err := manifests.ReadFile("manifests/" + name)
			require.NoError(t, err)
			text = in.expand(text, i.values())
			require.NotRegexp(t, `\$[A-Z]`, string(text), "%s of %s", name, i.Name)
			if name == "exporters.yml" {
				var config struct {
					ScrapeConfigs []struct {
						JobName        string           `json:"job_name"`
						RelabelConfigs []map[string]any `json:"relabel_configs"`
					} `json:"scrape_configs"`
				}
				require.NoError(t, yaml.Unmarshal(text, &config))
				require.Len(t, config.ScrapeConfigs, 4)
				for _, job := range config.ScrapeConfigs {
					require.NotContains(t, job.RelabelConfigs, map[string]any(nil), job.JobName)
				}
			}
		}
	}
}

func TestANameWithoutAValueStays(t *testing.T) {
	in := &installer{p: paths.Paths{State: "/state"}}
	for text, want := range map[string]string{
		"$STATE/a $NODE $HOST":      "/state/a 10.10.0.1 onefire-cluster",
		"{{ $labels.pod }} is":      "{{ $labels.pod }} is",
		"replacement: $1:9464":      "replacement: $1:9464",
		"^/(dev|proc)($|/)":         "^/(dev|proc)($|/)",
		"$KUBELET;https-metrics":    "kubelet;https-metrics",
		"${NODE}_of_$NODE_EXPORTER": "10.10.0.1_of_node-exporter",
	} {
		require.Equal(t, want, string(in.expand([]byte(text), Installs[1].values())))
	}
}
