// Package node is a whole Kubernetes node and control plane on this machine:
// etcd, the API server, controllers, scheduler, containerd, kubelet and
// kube-proxy, in namespaces of their own for network, mounts and processes.
//
// Nothing of it is seen from outside but its processes, its state folder and
// its cgroups; all three go with Stop. No state survives.
package node

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"onefire/test/cluster/paths"
)

// Run starts the node's processes in order, opens the control socket when
// pods can be run, and returns when ctx ends, or with an error that says
// which process did not come up.
func Run(ctx context.Context, p paths.Paths) error {
	if err := writeFiles(p); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	if err := makeCgroups(); err != nil {
		return err
	}
	all := map[string]*process{}
	var kept sync.WaitGroup
	defer kept.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	start := func(name string, args ...string) {
		one := &process{name: name, args: args, log: p.Log()}
		all[name] = one
		kept.Go(func() { one.keep(ctx) })
	}
	begin := time.Now()
	cert := func(name string) string { return p.In("certificates", name) }

	start("containerd", "containerd", "--config", p.In("containerd", "config.toml"))
	start("etcd", p.Bin("etcd"), "--data-dir="+p.In("etcd"), "--unsafe-no-fsync", "--log-level=error",
		"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379", "--listen-peer-urls=http://127.0.0.1:2380")
	start("kube-apiserver", p.Bin("kube-apiserver"), "--etcd-servers=http://127.0.0.1:2379",
		"--bind-address="+"0.0.0.0", "--secure-port="+apiPort, "--advertise-address="+Address,
		"--tls-cert-file="+cert("apiserver.crt"), "--tls-private-key-file="+cert("apiserver.key"), "--cert-dir="+p.In("certificates"),
		"--client-ca-file="+cert("ca.crt"), "--token-auth-file="+p.In("tokens.csv"), "--authorization-mode=Node,RBAC",
		"--kubelet-certificate-authority="+cert("ca.crt"), "--kubelet-client-certificate="+cert("apiserver-kubelet.crt"), "--kubelet-client-key="+cert("apiserver-kubelet.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+cert("service-accounts.key"), "--service-account-signing-key-file="+cert("service-accounts.key"),
		"--service-cluster-ip-range="+serviceCIDR, "--allow-privileged=true", "--enable-admission-plugins=NodeRestriction")
	if err := until(ctx, "the API server", func() error { return get(ctx, "https://127.0.0.1:"+apiPort+"/readyz") }); err != nil {
		return err
	}
	if err := until(ctx, "containerd", func() error {
		return exec.CommandContext(ctx, "ctr", "--address", ContainerdSocket, "version").Run()
	}); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "API server and containerd ready after %.1f s\n", time.Since(begin).Seconds())
	start("kube-controller-manager", p.Bin("kube-controller-manager"), "--kubeconfig="+kubeconfig(p, "kube-controller-manager"),
		"--authentication-kubeconfig="+kubeconfig(p, "kube-controller-manager"), "--authorization-kubeconfig="+kubeconfig(p, "kube-controller-manager"),
		"--bind-address=127.0.0.1", "--cert-dir="+p.In("certificates"),
		"--service-account-private-key-file="+cert("service-accounts.key"), "--root-ca-file="+cert("ca.crt"),
		"--use-service-account-credentials=true", "--leader-elect=false", "--kube-api-qps=200", "--kube-api-burst=400")
	start("kube-scheduler", p.Bin("kube-scheduler"), "--kubeconfig="+kubeconfig(p, "kube-scheduler"),
		"--authentication-kubeconfig="+kubeconfig(p, "kube-scheduler"), "--authorization-kubeconfig="+kubeconfig(p, "kube-scheduler"),
		"--bind-address=127.0.0.1", "--cert-dir="+p.In("certificates"), "--leader-elect=false")
	start("kubelet", p.Bin("kubelet"), "--config="+p.In("kubelet", "config.yaml"), "--kubeconfig="+kubeconfig(p, "kubelet"),
		"--root-dir="+p.In("kubelet"), "--cert-dir="+p.In("certificates"), "--hostname-override="+Name, "--node-ip="+Address)
	start("kube-proxy", p.Bin("kube-proxy"), "--kubeconfig="+kubeconfig(p, "kube-proxy"), "--proxy-mode=nftables",
		"--hostname-override="+Name, "--cluster-cidr="+podCIDR, "--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0",
		"--bind-address="+Address)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	start("policies", self, "policies")
	if err := until(ctx, "the node", func() error {
		out, err := exec.CommandContext(ctx, p.Bin("kubectl"), "get", "node", Name, "-o", "jsonpath={.status.conditions[?(@.type=='Ready')].status}").CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != "True" {
			return fmt.Errorf("node %s is not ready: %s", Name, out)
		}
		return nil
	}); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "node ready after %.1f s\n", time.Since(begin).Seconds())
	return serve(ctx, p, all)
}

// serve answers on the control socket until ctx ends.
func serve(ctx context.Context, p paths.Paths, all map[string]*process) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", p.Control())
	if err != nil {
		return err
	}
	server := &http.Server{Handler: control(all), ReadHeaderTimeout: stopWait}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); ctx.Err() == nil {
		return fmt.Errorf("serve the control socket: %w", err)
	}
	return nil
}

// until calls try until it returns nil, for startWait at most.
func until(ctx context.Context, what string, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		pause := time.NewTimer(pollEvery)
		select {
		case <-ctx.Done():
			pause.Stop()
			return fmt.Errorf("%s did not come up: %w", what, err)
		case <-pause.C:
		}
	}
}

// get asks the API server's health path, which needs no rights.
func get(ctx context.Context, url string) error {
	client := &http.Client{Timeout: stopWait, Transport: &http.Transport{
		// Only whether it answers matters, and to whom nothing is told.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true,
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	return nil
}
