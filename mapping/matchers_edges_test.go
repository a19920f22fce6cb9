package mapping

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMatchersArePrintedAsTheyAreRead(t *testing.T) {
	for text, want := range map[string]string{
		``: ``, `{}`: ``, ` `: ``, `{ }`: ``, `{a=b, }`: `{a="b"}`, ` team = sre `: `{team="sre"}`, `{ team="sre" , a!=b }`: `{team="sre",a!="b"}`, `"a b"=c`: `{"a b"="c"}`, `""=""`: `{""=""}`,
	} {
		m, err := ParseMatchers(text)
		require.NoError(t, err, text)
		require.Equal(t, want, m.String(), text)
	}
}

func TestWhyItIsNoMatcher(t *testing.T) {
	for text, want := range map[string]string{
		`team`:         `one of = != =~ !~ is missing before ""`,
		`team=`:        `the value of team: there is none before ""`,
		`team=~`:       `the value of team: there is none before ""`,
		`team="x`:      `the quotes in "\"x"`,
		`team=~"x`:     `the quotes in "\"x"`,
		`"team`:        `a label's name: the quotes in`,
		`team=a b`:     `"b" is left over`,
		`te am=a`:      `is missing before "am=a"`,
		`team=~"("`:    `error parsing regexp`,
		`team=~"\xff"`: `it is not UTF-8`,
	} {
		_, err := ParseMatchers(text)
		require.ErrorContains(t, err, want, text)
	}
}
