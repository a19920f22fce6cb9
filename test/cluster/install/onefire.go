package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"

	"onefire/test/cluster/image"
	"onefire/test/cluster/node"
)

// site is what a user puts into knative/site.env.
const site = `AUDIT_SINK=http://datastorage.kubernaut-system.svc.cluster.local:8080/api/v1/audit/events
DATASTORAGE_NAMESPACE=kubernaut-system
DATASTORAGE_SERVICE=datastorage
OTLP_ENDPOINT=http://collector.observability.svc.cluster.local:4318
OTLP_NAMESPACE=observability
`

// surroundings installs what Onefire stands between: Prometheus and
// Alertmanager with the configuration that knative/ recommends, and DataStorage.
func (in *installer) surroundings(ctx context.Context) error {
	data := in.p.In("datastorage")
	if err := os.MkdirAll(data, 0o755); err != nil {
		return err
	}
	if err := os.Chown(data, image.UserID, image.UserID); err != nil {
		return err
	}
	for _, name := range []string{"datastorage.yaml", "monitoring.yaml", "collector.yaml"} {
		if err := in.own(ctx, name); err != nil {
			return err
		}
	}
	files, err := in.monitoring()
	if err != nil {
		return err
	}
	for name, texts := range files {
		if err := in.configMap(ctx, name, texts); err != nil {
			return err
		}
	}
	return in.exporters(ctx)
}

// configMap applies a ConfigMap of namespace monitoring.
func (in *installer) configMap(ctx context.Context, name string, texts map[string]string) error {
	text, err := yaml.Marshal(map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]string{"name": name, "namespace": "monitoring"}, "data": texts})
	if err != nil {
		return err
	}
	return in.apply(ctx, name+"'s configuration", text)
}

// monitoring gives the files of Prometheus and of Alertmanager, by the names of
// their ConfigMaps: the tests' own, and what knative/ recommends, as it is.
func (in *installer) monitoring() (map[string]map[string]string, error) {
	texts := map[string]string{}
	for name, read := range map[string]func() ([]byte, error){
		"prometheus.yml": func() ([]byte, error) { return manifests.ReadFile("manifests/prometheus.yml") },
		"fires.rules":    func() ([]byte, error) { return manifests.ReadFile("manifests/fires.rules") },
		"onefire.rules": func() ([]byte, error) {
			return os.ReadFile(filepath.Join(in.p.Repo, "knative/chart/files/rules.yaml"))
		},
		"scrape.yaml": func() ([]byte, error) {
			return os.ReadFile(filepath.Join(in.p.Repo, "knative/observability/scrape.yaml"))
		},
		"alertmanager.yml": func() ([]byte, error) { return os.ReadFile(filepath.Join(in.p.Repo, "knative/alertmanager.yml")) },
	} {
		text, err := read()
		if err != nil {
			return nil, err
		}
		texts[name] = string(in.expand(text, nil))
	}
	_, jobs, found := strings.Cut(texts["scrape.yaml"], "scrape_configs:\n")
	if !found {
		return nil, errors.New("knative/observability/scrape.yaml has no scrape_configs")
	}
	return map[string]map[string]string{
		"prometheus": {
			"prometheus.yml": texts["prometheus.yml"] + jobs, "fires.rules": texts["fires.rules"], "onefire.rules": texts["onefire.rules"],
		},
		// The shortest that the file allows: that an alert is over is told then.
		"alertmanager": {"alertmanager.yml": strings.ReplaceAll(texts["alertmanager.yml"], "group_interval: 5m", "group_interval: 1m")},
	}, nil
}

// onefire installs a copy of knative/ as its users do, with kubectl apply -k.
func (in *installer) onefire(ctx context.Context) error {
	dir := in.p.In("knative")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(in.p.Repo, "knative"))); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "site.env"), []byte(site), 0o644); err != nil {
		return err
	}
	if err := retry(ctx, func() error { return in.kubectl(ctx, nil, "apply", "-k", dir) }); err != nil {
		return fmt.Errorf("apply knative/: %w", err)
	}
	in.say("knative/ applied")
	return retry(ctx, func() error {
		for _, kind := range []string{"ksvc/onefire", "broker/onefire", "trigger/onefire", "sinkbinding/onefire-source"} {
			if err := in.kubectl(ctx, nil, "-n", "onefire", "wait", kind, "--for=condition=Ready", "--timeout=30s"); err != nil {
				return err
			}
		}
		return nil
	})
}

// expand puts the cluster's own values, and those of one install if there are any,
// into a manifest. A name that has no value stays as it is.
func (in *installer) expand(text []byte, values map[string]string) []byte {
	cluster := map[string]string{"STATE": in.p.State, "NODE": node.Address, "HOST": node.Name}
	return []byte(os.Expand(string(text), func(name string) string {
		for _, known := range []map[string]string{cluster, values} {
			if value, ok := known[name]; ok {
				return value
			}
		}
		return "$" + name
	}))
}
