package mapping

import (
	"testing"
	"unicode/utf8"

	"github.com/prometheus/alertmanager/matcher/parse"
	"github.com/stretchr/testify/require"
)

func TestMatchersAreAlertmanagers(t *testing.T) {
	alert := map[string]string{"alertname": "DiskFull", "team": "sre", "severity": "critical", "größe": "1 GB"}
	for text, fits := range map[string]bool{
		``:                                     true,
		`{}`:                                   true,
		`team="sre"`:                           true,
		`{team="sre"}`:                         true,
		`team=sre`:                             true,
		`team="dev"`:                           false,
		`team!="sre"`:                          false,
		`team=~"s.*"`:                          true,
		`team=~"s"`:                            false, // Anchored at both ends.
		`team!~"d.*|s.*"`:                      false,
		`team="sre",severity=~"high|page"`:     false,
		`team="sre",severity=~"critical|high"`: true,
		`cluster=""`:                           true, // As one that is empty.
		`cluster!=""`:                          false,
		`"größe"="1 GB"`:                       true,
		`alertname!="Silent"`:                  true,
	} {
		m, err := ParseMatchers(text)
		require.NoError(t, err, text)
		require.Equal(t, fits, m.match(alert), text)
		reason, ignored := Rules{Matchers: m}.Ignored(Alert{Labels: alert})
		require.Equal(t, !fits, ignored, text)
		if ignored {
			require.Equal(t, Unmatched, reason)
			require.Equal(t, Filtered, reason.Decision())
		}
	}
}

func TestWhatIsNoMatcherIsSaid(t *testing.T) {
	for _, text := range []string{`team`, `team=`, `{team="sre"`, `team=~"("`, `="x"`, `team="a" severity="b"`} {
		_, err := ParseMatchers(text)
		require.ErrorContains(t, err, "are no matchers of the form", text)
	}
}

func FuzzMatchersAreAlertmanagers(f *testing.F) {
	for _, seed := range []string{
		``, ` `, `{}`, `{`, `}`, `{,}`, `,`, `a=b`, `{a=b}`, `{a=b`, `a=b}`, `a=b,`, `{a=b,}`, `a=b,,`, `a=b c=d`, `{a=b} c`, `{{a=b}}`,
		`a="b",c!="d", e=~"f|g" ,h!~"i.*"`, `"größe"="1 GB"`, `größe=1`, `""=""`, `a=`, `=a`, `a==b`, `a=~=b`, `a!b`, `a~b`, `a=~"("`, `a=(`,
		`a="\x"`, `a="\xff"`, `a="\u00e9"`, `a="b\"c"`, `a='b'`, "a=`b`", "a=\"b\nc\"", "a=\xff", "\xff=a", "a=\"\xff\"", `a="b"c`, `"a"b=c`, `a\b=c`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ours, err := ParseMatchers(text)
		if !utf8.ValidString(text) {
			require.Error(t, err, "no label has such a value, and no log can show it")
			return
		}
		theirs, theirErr := parse.Matchers(text)
		require.Equal(t, theirErr == nil, err == nil, "%q: %v, and Alertmanager's: %v", text, err, theirErr)
		if err != nil {
			return
		}
		require.Len(t, ours, len(theirs), text)
		for i, one := range theirs {
			require.Equal(t, []string{one.Name, one.Type.String(), one.Value}, []string{ours[i].name, ours[i].operator, ours[i].value}, text)
			for _, value := range []string{"", one.Value, "b", "f", "x" + one.Value, one.Value + "\n"} {
				require.Equal(t, one.Matches(value), ours[i].fits(value), "%q of %q", value, text)
			}
		}
		again, err := ParseMatchers(ours.String())
		require.NoError(t, err, text)
		require.Equal(t, ours.String(), again.String())
		require.Len(t, again, len(ours))
	})
}
