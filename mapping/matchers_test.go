package mapping

import (
	"testing"

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
