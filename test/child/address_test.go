package child

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEachAddressIsGivenOnceAndCanBeListenedOn(t *testing.T) {
	seen := map[string]bool{}
	for range 200 {
		address, err := Address(t.Context())
		require.NoError(t, err)
		require.False(t, seen[address], address)
		seen[address] = true
		host, _, err := net.SplitHostPort(address)
		require.NoError(t, err)
		require.True(t, net.ParseIP(host).IsLoopback(), address)
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
		require.NoError(t, err)
		require.NoError(t, l.Close())
	}
}
