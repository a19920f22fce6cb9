package node

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"onefire/test/cluster/paths"
)

// users are those of the node's own processes, each with the group that
// Kubernetes grants its rights to. An empty group: the user itself is granted.
var users = []struct{ name, user, group string }{
	{"admin", "admin", "system:masters"},
	{"kube-controller-manager", "system:kube-controller-manager", ""},
	{"kube-scheduler", "system:kube-scheduler", ""},
	{"kube-proxy", "system:kube-proxy", ""},
	{"kubelet", "system:node:" + Name, "system:nodes"},
}

// kubeconfig is where a process of the node finds its access.
func kubeconfig(p paths.Paths, name string) string {
	if name == "admin" {
		return p.Kubeconfig()
	}
	return p.In("kubeconfigs", name)
}

// writeFiles writes certificates, tokens and the configuration of every
// process into the state folder.
func writeFiles(p paths.Paths) error {
	for _, dir := range []string{"certificates", "kubeconfigs", "etcd", "kubelet", "cni", "containerd", "pods"} {
		if err := os.MkdirAll(p.In(dir), 0o755); err != nil {
			return err
		}
	}
	ca, err := newAuthority(p.In("certificates"))
	if err != nil {
		return err
	}
	if err := ca.server("apiserver", Address, "10.96.0.1", "127.0.0.1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"); err != nil {
		return err
	}
	if err := ca.server("kubelet", Address, Name); err != nil {
		return err
	}
	// The API server reads logs and runs commands through the kubelet.
	if err := ca.client("apiserver-kubelet", "apiserver", "system:masters"); err != nil {
		return err
	}
	if err := ca.client("service-accounts", "service-accounts", ""); err != nil {
		return err
	}
	var tokens strings.Builder
	for i, u := range users {
		secret := make([]byte, tokenBytes)
		if _, err := rand.Read(secret); err != nil {
			return err
		}
		token := hex.EncodeToString(secret)
		fmt.Fprintf(&tokens, "%s,%s,%d,%q\n", token, u.user, i, u.group)
		if err := writeKubeconfig(kubeconfig(p, u.name), "https://"+Address+":"+apiPort, p.In("certificates", "ca.crt"), token); err != nil {
			return err
		}
	}
	files := map[string]string{
		"tokens.csv":              tokens.String(),
		"containerd/config.toml":  containerdConfig(p),
		"cni/10-onefire.conflist": cniConfig,
		"kubelet/config.yaml":     kubeletConfig(p),
	}
	for name, text := range files {
		if err := os.WriteFile(p.In(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func writeKubeconfig(file, server, ca, token string) error {
	return os.WriteFile(file, []byte(fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: %[1]s
clusters:
- {name: %[1]s, cluster: {server: "%[2]s", certificate-authority: %[3]q}}
users:
- {name: %[1]s, user: {token: %[4]q}}
contexts:
- {name: %[1]s, context: {cluster: %[1]s, user: %[1]s}}
`, Name, server, ca, token)), 0o600)
}

// containerdConfig keeps all of containerd inside the state folder and the
// cluster's mount namespace. Not every machine may lower oom_score_adj.
func containerdConfig(p paths.Paths) string {
	plugins := p.Debian("usr/lib/cni")
	if _, err := os.Stat(plugins); err != nil {
		plugins = "/usr/lib/cni"
	}
	return fmt.Sprintf(`version = 2
root = %q
state = %q
[grpc]
address = %q
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = %q
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = %q
conf_dir = %q
[plugins."io.containerd.grpc.v1.cri".registry.mirrors.%q]
endpoint = [%q]
[plugins."io.containerd.internal.v1.opt"]
path = %q
`, p.In("containerd"), runDir+"/containerd", ContainerdSocket, PauseImage, plugins, p.In("cni"), Registry, "http://"+Registry, p.In("containerd", "opt"))
}

// cniConfig routes between pods instead of bridging, so that every packet
// passes the node's rules: those of Services and of NetworkPolicies.
const cniConfig = `{
  "cniVersion": "0.4.0",
  "name": "onefire",
  "plugins": [{
    "type": "ptp",
    "ipMasq": false,
    "ipam": {
      "type": "host-local",
      "dataDir": "/run/onefire-cluster/addresses",
      "ranges": [[{"subnet": "10.244.0.0/16"}]],
      "routes": [{"dst": "0.0.0.0/0"}]
    }
  }]
}
`

// kubeletConfig is a kubelet that reserves nothing, whatever cgroups and
// disk there are. The API server says who may ask it for something: Prometheus
// may read its metrics. The sizes of volumes are measured more often than every
// minute, for a volume that is full to be seen soon.
func kubeletConfig(p paths.Paths) string {
	return fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: %[1]q}
authorization: {mode: Webhook}
tlsCertFile: %[2]q
tlsPrivateKeyFile: %[3]q
cgroupDriver: cgroupfs
cgroupRoot: /%[4]s
failCgroupV1: false
enforceNodeAllocatable: []
makeIPTablesUtilChains: false
failSwapOn: false
protectKernelDefaults: false
clusterDNS: [%[5]s]
clusterDomain: cluster.local
resolvConf: ""
podLogsDir: %[6]q
containerRuntimeEndpoint: unix://%[7]s
maxPods: %[8]d
registerNode: true
serializeImagePulls: false
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {memory.available: 100Mi, nodefs.available: 1%%, imagefs.available: 1%%}
shutdownGracePeriod: 0s
volumeStatsAggPeriod: 5s
`, p.In("certificates", "ca.crt"), p.In("certificates", "kubelet.crt"), p.In("certificates", "kubelet.key"),
		Name, DNSAddress, p.In("log", "pods"), ContainerdSocket, podsMax)
}

// makeCgroups makes the group that all pods are below, so that there is one
// thing to remove.
func makeCgroups() error {
	dirs := []string{"/sys/fs/cgroup"} // Version 2: one hierarchy.
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err != nil {
		found, err := filepath.Glob("/sys/fs/cgroup/*/cgroup.procs")
		if err != nil {
			return err
		}
		dirs = dirs[:0]
		for _, file := range found {
			dirs = append(dirs, filepath.Dir(file))
		}
	}
	for _, dir := range dirs {
		group := filepath.Join(dir, Name)
		if err := os.MkdirAll(group, 0o755); err != nil {
			return fmt.Errorf("make a cgroup: %w", err)
		}
		// A new cpuset is empty until it is told otherwise.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			all, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil || len(strings.TrimSpace(string(all))) == 0 {
				continue
			}
			if err := os.WriteFile(filepath.Join(group, file), all, 0o644); err != nil {
				return fmt.Errorf("fill a cpuset: %w", err)
			}
		}
	}
	return nil
}
