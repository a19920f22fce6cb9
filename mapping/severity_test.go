package mapping

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// words is the table that rule authors are promised.
var words = map[Severity][]string{
	Critical: {"critical", "crit", "page", "pageteam", "emergency", "emerg", "fatal", "disaster", "p0", "p1", "sev0", "sev1", "s1"},
	High:     {"high", "error", "err", "major", "severe", "warning", "warn", "p2", "sev2", "s2"},
	Medium:   {"medium", "moderate", "minor", "notify", "ticket", "task", "average", "p3", "sev3", "s3"},
	Low:      {"low", "info", "informational", "information", "notice", "debug", "none", "ok", "p4", "p5", "sev4"},
	Unknown:  {"unknown", "", "platform-team", "slack", "warning!", "crit ical"},
}

func TestSeverity(t *testing.T) {
	for want, texts := range words {
		for _, text := range texts {
			t.Run(string(want)+" from "+text, func(t *testing.T) {
				require.Equal(t, want, severity(text, nil))
				require.Equal(t, want, severity(strings.ToUpper(text), nil), "case does not matter")
				require.Equal(t, want, severity(" \t"+text+"\n", nil), "nor do spaces around it")
			})
		}
	}
}

func TestSeveritiesRankFromTheWorstToTheLeastKnown(t *testing.T) {
	for i, s := range []Severity{Critical, High, Medium, Low, Unknown, "team-a"} {
		require.Equal(t, i, s.Rank(), "%s", s)
	}
}

func TestRawTextsRankAsTheTableMapsThem(t *testing.T) {
	for want, texts := range words {
		for _, text := range texts {
			rank := want.Rank()
			if want == Unknown && text != "unknown" {
				rank = Unknown.Rank() + 1
			}
			require.Equal(t, rank, Severity(text).Rank(), "%s", text)
			require.Equal(t, rank, Severity(strings.ToUpper(text)).Rank(), "%s: case does not matter", text)
		}
	}
}

func TestRawSeverity(t *testing.T) {
	for reason, row := range map[string]struct {
		text string
		want Severity
	}{
		"a word of the table is not mapped":     {"warning", "warning"},
		"case stays":                            {"Warning", "Warning"},
		"spaces around it go":                   {" \tP1\n", "P1"},
		"spaces in it stay":                     {"team a", "team a"},
		"nothing":                               {"", Unknown},
		"spaces alone":                          {" \n", Unknown},
		"50 bytes":                              {strings.Repeat("s", 50), Severity(strings.Repeat("s", 50))},
		"more than 50 bytes":                    {strings.Repeat("s", 51), Severity(strings.Repeat("s", 50))},
		"a character across the 50th byte":      {"s" + strings.Repeat("é", 25), Severity("s" + strings.Repeat("é", 24))},
		"a character that begins behind it":     {strings.Repeat("é", 26), Severity(strings.Repeat("é", 25))},
		"a space at the cut":                    {strings.Repeat("s", 49) + " more", Severity(strings.Repeat("s", 49))},
		"a control character":                   {"a\x00b", "a\ufffdb"},
		"bytes that are not a character of any": {"a\xff", "a\ufffd"},
	} {
		t.Run(reason, func(t *testing.T) {
			s, err := Rules{Severity: SeverityRaw}.Signal(Alert{Labels: map[string]string{"alertname": "A", "severity": row.text}}, now)
			require.NoError(t, err)
			require.Equal(t, row.want, s.Severity)
			for _, e := range (Rules{Severity: SeverityRaw, Schema: Schema202608}).Audit(s, Record{Decision: New, Request: request, Count: 1}, now) {
				require.Equal(t, row.want.within(maxAuditSeverity), e.Severity)
				require.Equal(t, row.want, e.Data.Severity)
			}
		})
	}
}

func TestIgnoredSeveritiesAreTheLabelsWhateverBecomesOfThem(t *testing.T) {
	for _, mode := range []SeverityMode{SeverityMapped, SeverityRaw} {
		reason, ignored := Rules{Severity: mode, IgnoreSeverities: []string{"none"}}.Ignored(Alert{Labels: map[string]string{"alertname": "A", "severity": " NONE"}})
		require.True(t, ignored)
		require.Equal(t, IgnoredSeverity, reason)
	}
}

func TestAbsentSeverityIsUnknown(t *testing.T) {
	s, err := Rules{}.Signal(Alert{Labels: map[string]string{"alertname": "A"}}, now)
	require.NoError(t, err)
	require.Equal(t, Unknown, s.Severity)
}

func TestRawSeverityStaysBesideTheMappedOne(t *testing.T) {
	s, err := Rules{}.Signal(Alert{Labels: map[string]string{"alertname": "A", "severity": " Warning"}}, now)
	require.NoError(t, err)
	require.Equal(t, High, s.Severity)
	require.Equal(t, " Warning", s.Labels["severity"])
}

func TestSeverityMapGoesBeforeTheTable(t *testing.T) {
	m, err := ParseSeverityMap("page=medium, Team-A = CRITICAL ,warning=low,warning=unknown,")
	require.NoError(t, err)
	for reason, row := range map[string]struct {
		text string
		want Severity
	}{
		"over a word of the table":             {"page", Medium},
		"without case":                         {"PAGE", Medium},
		"for a word of its own":                {" team-a ", Critical},
		"the last of two pairs stands":         {"warning", Unknown},
		"a word it does not have is as ever":   {"error", High},
		"a word nobody has stays unknown":      {"team-b", Unknown},
		"nothing is no word, so it is unknown": {"", Unknown},
	} {
		t.Run(reason, func(t *testing.T) {
			require.Equal(t, row.want, severity(row.text, m))
			s, err := Rules{Severities: m}.Signal(Alert{Labels: map[string]string{"alertname": "A", "severity": row.text}}, now)
			require.NoError(t, err)
			require.Equal(t, row.want, s.Severity, "the rules use it")
		})
	}
}

func TestParseSeverityMap(t *testing.T) {
	for reason, row := range map[string]struct {
		text string
		want SeverityMap
	}{
		"nothing":                  {"", SeverityMap{}},
		"commas and spaces alone":  {" , ,", SeverityMap{}},
		"one pair":                 {"page=critical", SeverityMap{"page": Critical}},
		"every severity":           {"a=critical,b=high,c=medium,d=low,e=unknown", SeverityMap{"a": Critical, "b": High, "c": Medium, "d": Low, "e": Unknown}},
		"spaces and upper case":    {" Page = Critical ", SeverityMap{"page": Critical}},
		"a text with spaces in it": {"team a=low", SeverityMap{"team a": Low}},
	} {
		t.Run(reason, func(t *testing.T) {
			m, err := ParseSeverityMap(row.text)
			require.NoError(t, err)
			require.Equal(t, row.want, m)
		})
	}
}

func TestParseSeverityMapRefuses(t *testing.T) {
	for reason, row := range map[string]struct{ text, message string }{
		"a word alone":                     {"page", `"page" is not of the form`},
		"no text":                          {"=critical", `"=critical" is not of the form`},
		"no severity":                      {"page=", `"" is not a severity`},
		"a severity nobody accepts":        {"page=severe", `"severe" is not a severity`},
		"a second equals sign":             {"a=b=critical", `"b=critical" is not a severity`},
		"one wrong pair among good ones":   {"a=low,b=warning,c=high", `"warning" is not a severity`},
		"pairs that semicolons keep apart": {"a=low;b=high", `"low;b=high" is not a severity`},
	} {
		t.Run(reason, func(t *testing.T) {
			m, err := ParseSeverityMap(row.text)
			require.ErrorContains(t, err, row.message)
			require.Nil(t, m)
		})
	}
}

func TestSeverityMapStringIsReadBack(t *testing.T) {
	require.Equal(t, "a=low,b=high", SeverityMap{"b": High, "a": Low}.String(), "sorted")
	severities := rapid.SampledFrom([]Severity{Critical, High, Medium, Low, Unknown})
	rapid.Check(t, func(t *rapid.T) {
		m := SeverityMap(rapid.MapOf(rapid.StringMatching(`[a-z0-9]([a-z0-9 _./-]{0,8}[a-z0-9])?`), severities).Draw(t, "map"))
		back, err := ParseSeverityMap(m.String())
		require.NoError(t, err)
		require.Equal(t, m, back)
	})
}
