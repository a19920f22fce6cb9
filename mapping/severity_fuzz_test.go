package mapping

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzSeverityMap(f *testing.F) {
	for _, seed := range []string{
		"", ",", "=", "page", "page=critical", "page=critical,warning=medium", " Page = HIGH ,, x=low,",
		"a=b=critical", "=low", "x=", "\xff=low", "\x00=unknown", "İ=high", "a=critical\n,b=low",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseSeverityMap(text)
		if err != nil {
			require.Nil(t, m)
			return
		}
		for from, to := range m {
			require.NotEmpty(t, from)
			require.Contains(t, []Severity{Critical, High, Medium, Low, Unknown}, to)
			require.Equal(t, to, severity(from, m), "every pair has its effect")
		}
		back, err := ParseSeverityMap(m.String())
		require.NoError(t, err)
		require.Equal(t, m, back)
	})
}
