package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"onefire/test/child"
)

// functionUser is a service account, as a function in a cluster is: priority
// and fairness puts it where it puts those.
const (
	functionUser  = "system:serviceaccount:onefire:onefire"
	functionGroup = "system:serviceaccounts:onefire"
)

// role is what a function needs, and no more.
const role = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: onefire}
rules:
  - {apiGroups: [kubernaut.ai], resources: [remediationrequests], verbs: [list, get, create, delete]}
  - {apiGroups: [kubernaut.ai], resources: [remediationrequests/status], verbs: [patch]}
  - {apiGroups: [events.k8s.io], resources: [events], verbs: [create]}
  - {apiGroups: [""], resources: [configmaps], resourceNames: [onefire-brake], verbs: [get]}
`

const binding = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: onefire}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: onefire}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "` + functionGroup + `"}]
`

// startFull starts etcd and a whole kube-apiserver.
func startFull(ctx context.Context, dir string) (*api, error) {
	a := &api{namespaces: true}
	err := a.startFull(ctx, dir)
	if err != nil {
		_ = stopAll(a.processes) // That they did not start is what matters.
		return nil, err
	}
	return a, nil
}

func (a *api) startFull(ctx context.Context, dir string) error {
	store, err := a.startEtcd(ctx, dir, filepath.Join(binaries, "etcd"))
	if err != nil {
		return err
	}
	address, err := child.Address(ctx)
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("reading an address: %w", err)
	}
	key := filepath.Join(dir, "service-account.key")
	if err := writeKey(key); err != nil {
		return err
	}
	adminToken, functionToken := rand.Text(), rand.Text()
	tokens := filepath.Join(dir, "tokens.csv")
	lines := fmt.Sprintf("%s,bench,bench,\"system:masters\"\n%s,%s,onefire,\"system:serviceaccounts,%s\"\n",
		adminToken, functionToken, functionUser, functionGroup)
	if err := os.WriteFile(tokens, []byte(lines), 0o600); err != nil {
		return fmt.Errorf("writing the tokens: %w", err)
	}
	certificates := filepath.Join(dir, "pki")
	p, err := start(dir, "kube-apiserver", nil, filepath.Join(binaries, "kube-apiserver"),
		"--etcd-servers="+store, "--bind-address="+host, "--advertise-address="+host, "--secure-port="+port,
		"--endpoint-reconciler-type=none", "--cert-dir="+certificates, "--token-auth-file="+tokens, "--authorization-mode=RBAC",
		"--service-cluster-ip-range=10.0.0.0/24", "--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+key, "--service-account-signing-key-file="+key)
	if err != nil {
		return err
	}
	a.processes = append(a.processes, p)
	return p.await(ctx, func(ctx context.Context) error {
		server := rest.Config{Host: "https://" + address, TLSClientConfig: rest.TLSClientConfig{CAFile: filepath.Join(certificates, "apiserver.crt")}}
		admin, function := server, server
		admin.BearerToken, function.BearerToken = adminToken, functionToken
		if a.http == nil {
			if err := a.connect(dir, &admin, &function); err != nil {
				return err
			}
		}
		if err := a.ready(ctx); err != nil {
			return err
		}
		rbac := schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"}
		if err := a.apply(ctx, rbac, []byte(role)); err != nil {
			return err
		}
		rbac.Resource = "clusterrolebindings"
		if err := a.apply(ctx, rbac, []byte(binding)); err != nil {
			return err
		}
		return a.serve(ctx)
	})
}

// startEtcd starts etcd and returns where it listens. A crash of the process
// loses nothing without fsync, only one of the machine; so it is not the disk
// that is measured.
func (a *api) startEtcd(ctx context.Context, dir, binary string) (string, error) {
	clients, err := child.Address(ctx)
	if err != nil {
		return "", err
	}
	peers, err := child.Address(ctx)
	if err != nil {
		return "", err
	}
	clients, peers = "http://"+clients, "http://"+peers
	const quota = 8 << 30 // 100,000 objects, and five minutes of their history.
	p, err := start(dir, "etcd", nil, binary,
		"--data-dir="+filepath.Join(dir, "etcd"), "--unsafe-no-fsync", "--log-level=error", fmt.Sprintf("--quota-backend-bytes=%d", quota),
		"--listen-client-urls="+clients, "--advertise-client-urls="+clients,
		"--listen-peer-urls="+peers, "--initial-advertise-peer-urls="+peers, "--initial-cluster=default="+peers)
	if err != nil {
		return "", err
	}
	a.processes = append(a.processes, p)
	return clients, nil
}
