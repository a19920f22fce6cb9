package bench

import (
	"context"
	"fmt"
	"net/http"

	"onefire/test/child"
)

// function is one function process.
type function struct {
	*process
	url     string
	idleRSS float64
}

// fleet is the functions that share the load.
type fleet []*function

// startFunctions starts functions for a namespace and waits until they serve.
func (b *bench) startFunctions(ctx context.Context, namespace string, n int, environment ...string) (fleet, error) {
	var all fleet
	for range n {
		f, err := b.startFunction(ctx, namespace, environment)
		if err != nil {
			_ = stopAll(all.processes()) // That one did not start is what matters.
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

func (b *bench) startFunction(ctx context.Context, namespace string, environment []string) (*function, error) {
	address, err := child.Address(ctx)
	if err != nil {
		return nil, err
	}
	p, err := start(b.dir, "function", append([]string{
		"LISTEN_ADDRESS=" + address, "KUBECONFIG=" + b.api.kubeconfig, "AUDIT_SINK=" + b.sinkURL,
		"REMEDIATION_NAMESPACE=" + namespace, "LOG_LEVEL=error",
	}, environment...), b.function)
	if err != nil {
		return nil, err
	}
	f := &function{process: p, url: "http://" + address}
	if err := p.await(ctx, b.readiness(f.url)); err != nil {
		_ = p.stop() // That it is not ready is what matters.
		return nil, err
	}
	if f.idleRSS, err = p.memory("VmRSS"); err != nil {
		_ = p.stop() // As above.
		return nil, err
	}
	return f, nil
}

func (b *bench) readiness(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/health/readiness", nil)
		if err != nil {
			return fmt.Errorf("asking for readiness: %w", err)
		}
		resp, err := b.http.Do(req)
		if err != nil {
			return fmt.Errorf("asking for readiness: %w", err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("asking for readiness: %s", resp.Status)
		}
		return nil
	}
}

func (f fleet) processes() []*process {
	all := make([]*process, len(f))
	for i := range f {
		all[i] = f[i].process
	}
	return all
}

func (f fleet) resetPeak() error {
	for _, one := range f {
		if err := one.resetPeak(); err != nil {
			return err
		}
	}
	return nil
}

// peak is the peak memory of the largest process in MiB.
func (f fleet) peak() (float64, error) {
	var most float64
	for _, one := range f {
		mib, err := one.memory("VmHWM")
		if err != nil {
			return 0, err
		}
		most = max(most, mib)
	}
	return most, nil
}

// idle is the memory of the largest process after its start in MiB.
func (f fleet) idle() float64 {
	var most float64
	for _, one := range f {
		most = max(most, one.idleRSS)
	}
	return most
}
