package funccli

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	// repository is where the function is, from here.
	repository = "../.."
	// patience bounds every wait: the longest is for a cold build of the function.
	patience = 5 * time.Minute
	// stopDelay is more than a process that was told to stop may take.
	stopDelay = 40 * time.Second
	// pollEvery is how often a wait looks.
	pollEvery = 20 * time.Millisecond
	// auditPath is where a DataStorage takes audit events.
	auditPath = "/api/v1/audit/events"
)

// All tests share the CLI, a Kubernetes API, in which each has a namespace of its
// own, and a DataStorage.
var (
	cli        string
	kubeconfig string
	auditURL   string
	objects    dynamic.NamespaceableResourceInterface
)

func TestMain(m *testing.M) {
	code, err := testMain(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "func:", err)
		code = 1
	}
	os.Exit(code)
}

func testMain(m *testing.M) (int, error) {
	// The processes that func leaves behind become our children, so that a test can
	// see them.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("asking for the children of children: %w", err)
	}
	dir, err := os.MkdirTemp("", "onefire-func")
	if err != nil {
		return 0, fmt.Errorf("making a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	cli = filepath.Join(dir, "func")
	for _, build := range []struct{ dir, out, command string }{
		{".", cli, "knative.dev/func/cmd/func"},
		{"..", filepath.Join(dir, "onefire-local"), "./cmd/onefire-local"},
		{"..", filepath.Join(dir, "onefire-datastorage"), "./cmd/onefire-datastorage"},
	} {
		c := exec.Command("go", "build", "-o", build.out, build.command)
		c.Dir = build.dir
		if out, err := c.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("building %s: %w\n%s", build.command, err, out)
		}
	}
	_, stop, err := serve(exec.Command(filepath.Join(dir, "onefire-local"), "kube"), "LOCAL_STATE="+dir, "LOCAL_KUBE_ADDR=127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer stop()
	line, stop, err := serve(exec.Command(filepath.Join(dir, "onefire-datastorage")),
		"LISTEN_ADDRESS=127.0.0.1:0", "DATABASE="+filepath.Join(dir, "data.db"))
	if err != nil {
		return 0, err
	}
	defer stop()
	auditURL = "http://" + strings.TrimPrefix(line, "listening on ") + auditPath
	kubeconfig = filepath.Join(dir, "kubeconfig")
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return 0, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return 0, fmt.Errorf("making a client: %w", err)
	}
	objects = client.Resource(schema.GroupVersionResource{Group: "kubernaut.ai", Version: "v1alpha1", Resource: "remediationrequests"})
	return m.Run(), nil
}

// serve starts a server that says in its first line that it serves.
func serve(c *exec.Cmd, env ...string) (line string, stop func(), err error) {
	c.Env = append(os.Environ(), env...)
	c.Stderr = os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	out, err := c.StdoutPipe()
	if err != nil {
		return "", nil, fmt.Errorf("starting %s: %w", c.Path, err)
	}
	if err := c.Start(); err != nil {
		return "", nil, fmt.Errorf("starting %s: %w", c.Path, err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		return "", nil, fmt.Errorf("%s did not start: %w", c.Path, c.Wait())
	}
	return lines.Text(), func() {
		// One that is gone cannot be signalled, and need not be.
		_ = c.Process.Signal(syscall.SIGTERM)
		_ = c.Wait()
	}, nil
}

// checkout copies what git would, had all of it been committed, into a folder:
// a clean clone of the tree as it is.
func checkout(ctx context.Context, to string) error {
	list := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = repository
	out, err := list.Output()
	if err != nil {
		return fmt.Errorf("listing the tree: %w", err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		data, err := os.ReadFile(filepath.Join(repository, name))
		if os.IsNotExist(err) {
			continue // Deleted, and not committed yet.
		}
		if err != nil {
			return fmt.Errorf("copying the tree: %w", err)
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o755); err != nil {
			return fmt.Errorf("copying the tree: %w", err)
		}
		if err := os.WriteFile(filepath.Join(to, name), data, 0o644); err != nil {
			return fmt.Errorf("copying the tree: %w", err)
		}
	}
	return nil
}
