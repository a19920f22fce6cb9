package child

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
)

var (
	mu sync.Mutex
	// given are the addresses that were given out: nobody may listen there yet.
	given = map[string]bool{}
)

// Address is a loopback address for a child to listen on, which it gets once in
// the life of this process. Between now and then nobody else takes it: where the
// system has all of 127.0.0.0/8, as Linux does, each process of tests has an IP
// of its own, on which no client's connection ends either.
func Address(ctx context.Context) (string, error) {
	pid := os.Getpid()
	own := net.IPv4(127, byte(pid>>16), byte(pid>>8), byte(pid)).String()
	mu.Lock()
	defer mu.Unlock()
	for {
		address, err := free(ctx, own)
		if err != nil {
			address, err = free(ctx, "127.0.0.1")
		}
		if err != nil {
			return "", err
		}
		if !given[address] {
			given[address] = true
			return address, nil
		}
	}
}

// AddressFor is such an address for a test.
func AddressFor(t testing.TB) string {
	t.Helper()
	address, err := Address(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return address
}

func free(ctx context.Context, ip string) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(ip, "0"))
	if err != nil {
		return "", fmt.Errorf("looking for a free address: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}
