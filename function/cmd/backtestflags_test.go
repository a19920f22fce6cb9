package cmd

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWrongArgumentsOfABacktestAreSaid(t *testing.T) {
	no := filepath.Join(t.TempDir(), "no")
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	at := "http://127.0.0.1:1"
	for reason, row := range map[string]struct {
		args    []string
		code    int
		problem string
	}{
		"a file too":                 {[]string{"-prometheus", at, "file"}, 2, "there is no FILE"},
		"a flag without it":          {[]string{"-since", "1d", "-"}, 2, "-since belongs to -prometheus"},
		"a flag without anything":    {[]string{"-since", "1d"}, 2, "-since belongs to -prometheus"},
		"no time":                    {[]string{"-prometheus", at, "-since", "month"}, 2, "use a time such as 30d"},
		"no time above zero":         {[]string{"-prometheus", at, "-since", "0d"}, 2, "above zero"},
		"a step below a second":      {[]string{"-prometheus", at, "-step", "100ms"}, 2, "whole seconds"},
		"a step and a half":          {[]string{"-prometheus", at, "-step", "1500ms"}, 2, "whole seconds"},
		"a step beyond a day":        {[]string{"-prometheus", at, "-step", "24h1s"}, 2, "from 1s to 1d"},
		"the shortest of all":        {[]string{"-prometheus", at, "-step", "1s", "-since", "1s", "-repeat-interval", "1m"}, 1, "connection refused"},
		"the longest step":           {[]string{"-prometheus", at, "-step", "1d", "-since", "1d"}, 1, "connection refused"},
		"less than a step":           {[]string{"-prometheus", at, "-since", "30s"}, 2, "more than the -step"},
		"repeats without end":        {[]string{"-prometheus", at, "-repeat-interval", "59s"}, 2, "1m or more"},
		"a header without a value":   {[]string{"-prometheus", at, "-header", "x"}, 2, "use name:value"},
		"a header without a name":    {[]string{"-prometheus", at, "-header", " :x"}, 2, "use name:value"},
		"an external label of one":   {[]string{"-prometheus", at, "-external-labels", "a=b,=x"}, 2, "use name=value"},
		"an empty external label":    {[]string{"-prometheus", at, "-external-labels", "a=b,x="}, 2, "use name=value"},
		"an external label of none":  {[]string{"-prometheus", at, "-external-labels", "x"}, 2, "use name=value"},
		"a URL of another kind":      {[]string{"-prometheus", "ftp://prometheus:9090"}, 1, "give a URL such as"},
		"a URL without a host":       {[]string{"-prometheus", "http:///prometheus"}, 1, "give a URL such as"},
		"half a URL":                 {[]string{"-prometheus", "http://[::1"}, 1, "give a URL such as"},
		"no URL":                     {[]string{"-prometheus", "prometheus:9090"}, 1, "give a URL such as"},
		"no such token":              {[]string{"-prometheus", at, "-token-file", no}, 1, "reading the token to show"},
		"a token and a user":         {[]string{"-prometheus", "http://me:secret@127.0.0.1:1", "-token-file", no}, 1, "give one of the two"},
		"no such certificates":       {[]string{"-prometheus", at, "-ca-file", no}, 1, "no such file"},
		"certificates that are none": {[]string{"-prometheus", at, "-ca-file", empty}, 1, "holds no certificate in PEM"},
		"no such kubeconfig":         {[]string{"-prometheus", at, "-kubeconfig", no}, 1, "reading " + no},
		"nobody there":               {[]string{"-prometheus", at}, 1, "connection refused"},
	} {
		t.Run(reason, func(t *testing.T) {
			firstPauseOf = time.Microsecond
			t.Cleanup(func() { firstPauseOf = firstQueryPause })
			code, out, problems := run(t, "", nil, append([]string{"explain"}, row.args...)...)
			require.Equal(t, row.code, code, problems)
			require.Contains(t, problems, row.problem)
			require.NotContains(t, problems, "secret")
			require.Empty(t, out)
		})
	}
}

func TestTimesHaveDaysAndWeeks(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30d": 720 * time.Hour, "2w": 336 * time.Hour, "1w1d": 192 * time.Hour, "1d12h": 36 * time.Hour, "90m": 90 * time.Minute, "1h30m": 90 * time.Minute,
	} {
		got, err := parseSpan(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
		again, err := parseSpan(span(got))
		require.NoError(t, err, text)
		require.Equal(t, want, again, text)
	}
	for _, text := range []string{"", "d", "1", "30", "-1h", "1d-1d", "1x", "99999999999d"} {
		_, err := parseSpan(text)
		require.Error(t, err, text)
	}
	for want, d := range map[string]time.Duration{
		"4h": 4 * time.Hour, "3h": 3 * time.Hour, "5m": 5 * time.Minute, "30d": 720 * time.Hour, "1d": 24 * time.Hour, "1h30m": 90 * time.Minute, "1m30s": 90 * time.Second,
	} {
		require.Equal(t, want, span(d))
	}
}
