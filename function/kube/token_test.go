package kube

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A token's expiry is in seconds, if it is a time at all.
func TestWhenATokenEnds(t *testing.T) {
	for expiry, want := range map[float64]time.Time{
		-1: {}, 0: {}, 1: time.Unix(1, 0), 1.5: time.Unix(1, 0), 1 << 40: time.Unix(1<<40, 0), 1<<40 + 1: {}, 1e300: {},
	} {
		require.True(t, want.Equal(claims{Expiry: expiry}.until()), expiry)
	}
}

func TestATokenWithoutAnEndIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		v := asking(func(context.Context, string) (string, error) { calls++; return trigger, nil })
		for range 2 {
			_, err := v.Check(t.Context(), shown("Bearer "+token(t, "good", map[string]any{"exp": 0})))
			require.NoError(t, err)
		}
		require.Equal(t, 1, calls)
	})
}

func TestATokenIsAsLongAsAllowed(t *testing.T) {
	v := asking(func(context.Context, string) (string, error) { return trigger, nil })
	for pad := ""; ; pad += "x" {
		good := token(t, "good", map[string]any{"pad": pad})
		good += strings.Repeat("A", maxToken-len(good))
		if n := len(good) - strings.LastIndex(good, ".") - 1; n%4 == 1 {
			continue // No base64 has this length.
		}
		_, err := v.Check(t.Context(), shown("Bearer "+good))
		require.NoError(t, err)
		_, err = v.Check(t.Context(), shown("Bearer "+good+"A"))
		require.ErrorContains(t, err, "the token is longer than 8192 bytes")
		break
	}
}
