// Package kubeapi is a real Kubernetes API in one process: the library of the
// apiextensions-apiserver over an embedded etcd. It serves
// CustomResourceDefinitions and their objects with all that belongs to them:
// selectable fields, validation rules, status subresource, conflicts, watch.
// Events are such objects too. Pods and their controllers it stores, as a whole
// API server does with the same library, but nothing runs them. It stores Namespaces,
// Nodes, PersistentVolumes and ConfigMaps as well, but asks for no Namespace: objects can
// be made in any. It has no RBAC: who has the token may do everything.
package kubeapi

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// startTimeout bounds the start; it takes about a second on an idle machine.
const startTimeout = 60 * time.Second

// Options say where a server lives.
type Options struct {
	// Dir holds all of its state: etcd's data, the certificate, the token.
	Dir string
	// Addr is the loopback address to listen on; port 0 takes a free one.
	Addr string
	// Log takes what the server has to say.
	Log io.Writer
}

// Server is a running API server. There can be one in a process.
type Server struct {
	// Config is a client configuration with all rights.
	Config *rest.Config
	etcd   *embed.Etcd
	cancel context.CancelFunc
	done   chan error
}

// Start starts a server and waits until it is ready and the CRD is served.
func Start(ctx context.Context, o Options, crd []byte) (*Server, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the state directory: %w", err)
	}
	token, err := keptToken(filepath.Join(o.Dir, "token"))
	if err != nil {
		return nil, err
	}
	store, err := startEtcd(ctx, filepath.Join(o.Dir, "etcd"), filepath.Join(o.Dir, "etcd.log"))
	if err != nil {
		return nil, err
	}
	s := &Server{etcd: store, done: make(chan error, 1)}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.Addr)
	if err != nil {
		store.Close()
		return nil, fmt.Errorf("listening for the Kubernetes API: %w", err)
	}
	certs := filepath.Join(o.Dir, "pki")
	handler, err := build(store.Clients[0].Addr().String(), listener, certs, token, o.Log)
	if err != nil {
		listener.Close()
		store.Close()
		return nil, err
	}
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	go func() {
		defer close(s.done)
		s.done <- handler.RunWithContext(serving)
	}()
	s.Config = &rest.Config{
		Host:            "https://" + listener.Addr().String(),
		BearerToken:     token,
		TLSClientConfig: rest.TLSClientConfig{CAFile: filepath.Join(certs, "apiserver.crt")},
	}
	ctx, stop := context.WithTimeout(ctx, startTimeout)
	defer stop()
	if err := s.install(ctx, crd); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// Stop ends the server and waits for it.
func (s *Server) Stop() {
	s.cancel()
	for range s.done { // How it ended does not matter to who ended it.
	}
	s.etcd.Close()
}

// Done reports the end of a server that was not stopped.
func (s *Server) Done() <-chan error { return s.done }

// WriteKubeconfig writes a kubeconfig with all rights to a file.
func (s *Server) WriteKubeconfig(path string) error {
	ca, err := os.ReadFile(s.Config.CAFile)
	if err != nil {
		return fmt.Errorf("reading the API server's certificate: %w", err)
	}
	c := clientcmdapi.NewConfig()
	c.Clusters["onefire"] = &clientcmdapi.Cluster{Server: s.Config.Host, CertificateAuthorityData: ca}
	c.AuthInfos["onefire"] = &clientcmdapi.AuthInfo{Token: s.Config.BearerToken}
	c.Contexts["onefire"] = &clientcmdapi.Context{Cluster: "onefire", AuthInfo: "onefire", Namespace: "default"}
	c.CurrentContext = "onefire"
	if err := clientcmd.WriteToFile(*c, path); err != nil {
		return fmt.Errorf("writing the kubeconfig: %w", err)
	}
	return nil
}

// keptToken reads the token, or makes one at the first start.
func keptToken(path string) (string, error) {
	if b, err := os.ReadFile(path); err == nil {
		return strings.TrimSpace(string(b)), nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("reading the token: %w", err)
	}
	random := make([]byte, 24)
	if _, err := rand.Read(random); err != nil {
		return "", fmt.Errorf("making a token: %w", err)
	}
	token := hex.EncodeToString(random)
	if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keeping the token: %w", err)
	}
	return token, nil
}

func startEtcd(ctx context.Context, dir, log string) (*embed.Etcd, error) {
	free := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	c := embed.NewConfig()
	c.Dir = dir
	c.LogLevel = "error"
	c.LogOutputs = []string{log}
	// A crash of the process loses nothing without it, only one of the machine.
	c.UnsafeNoFsync = true
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{free}, []url.URL{free}
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{free}, []url.URL{free}
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	store, err := embed.StartEtcd(c)
	if err != nil {
		return nil, fmt.Errorf("starting etcd: %w", err)
	}
	select {
	case <-store.Server.ReadyNotify():
		return store, nil
	case <-ctx.Done():
		store.Close()
		return nil, fmt.Errorf("starting etcd: %w", ctx.Err())
	case <-time.After(startTimeout):
		store.Close()
		return nil, fmt.Errorf("etcd was not ready within %s; see %s", startTimeout, log)
	}
}
