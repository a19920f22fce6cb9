package dedup

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func TestListsShareTheirMemory(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	b := newMemoryBudget()
	first, err := b.reserve(t.Context(), maxListMemory-2)
	require.NoError(t, err)
	require.NoError(t, first.grow(maxListMemory-2), "what it has and does not use")
	require.NoError(t, first.grow(1))
	second, err := b.reserve(t.Context(), 1)
	require.NoError(t, err)
	_, err = b.reserve(over, 1)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, first.grow(1), errBusy)
	second.release()
	require.NoError(t, first.grow(1))
	first.release()
	all, err := b.reserve(t.Context(), maxListMemory)
	require.NoError(t, err)
	all.release()
}

func TestABoundedReaderReadsUpToItsBound(t *testing.T) {
	read, err := io.ReadAll(&boundedReader{iotest.OneByteReader(strings.NewReader("abc")), 2})
	require.Equal(t, "ab", string(read))
	require.ErrorIs(t, err, errTooLarge)
}
