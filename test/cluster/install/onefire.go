package install

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"onefire/test/cluster/image"
	"onefire/test/cluster/node"
)

// site is what a user puts into knative/site.env.
const site = `AUDIT_SINK=http://datastorage.kubernaut-system.svc.cluster.local:8080/api/v1/audit/events
DATASTORAGE_NAMESPACE=kubernaut-system
DATASTORAGE_SERVICE=datastorage
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
	if err := in.own(ctx, "datastorage.yaml"); err != nil {
		return err
	}
	if err := in.own(ctx, "monitoring.yaml"); err != nil {
		return err
	}
	config, err := os.ReadFile(filepath.Join(in.p.Repo, "knative", "alertmanager.yml"))
	if err != nil {
		return err
	}
	// The shortest that the file allows: that an alert is over is told then.
	config = bytes.ReplaceAll(config, []byte("group_interval: 5m"), []byte("group_interval: 1m"))
	return in.apply(ctx, "Alertmanager's configuration", []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: alertmanager, namespace: monitoring}\ndata:\n  alertmanager.yml: |\n    "+
		strings.ReplaceAll(string(config), "\n", "\n    ")+"\n"))
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

// expand puts the cluster's own values into a manifest.
func (in *installer) expand(text []byte) []byte {
	return []byte(strings.NewReplacer("$STATE", in.p.State, "$NODE", node.Address).Replace(string(text)))
}
