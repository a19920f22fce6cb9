package mapping

import (
	"strings"
	"testing"
	"unicode/utf8"

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

func FuzzRawSeverity(f *testing.F) {
	for _, seed := range []string{
		"", " ", "warning", " P1\n", strings.Repeat("é", 26), strings.Repeat("s", 49) + " x", "\x00", "\xff", strings.Repeat("\xe2", 60), strings.Repeat(" ", 60) + "x",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := rawSeverity(text)
		require.NotEmpty(t, s, "the RemediationRequest takes no empty one")
		require.LessOrEqual(t, len(s), maxSeverity)
		require.True(t, utf8.ValidString(string(s)))
		require.Equal(t, s, rawSeverity(string(s)), "what was kept once stays")
	})
}
