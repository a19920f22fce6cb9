package config

import (
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/labels"
)

func TestScopeIsALabelSelector(t *testing.T) {
	for reason, row := range map[string]struct {
		text    string
		in, out labels.Set
		printed string
	}{
		"one label":       {"kubernaut.ai/managed=true", labels.Set{"kubernaut.ai/managed": "true"}, labels.Set{"kubernaut.ai/managed": "false"}, "kubernaut.ai/managed=true"},
		"two, with space": {" a = b , !c ", labels.Set{"a": "b"}, labels.Set{"a": "b", "c": ""}, "a=b,!c"},
		"one of several":  {"team in (x, y)", labels.Set{"team": "y"}, labels.Set{}, "team in (x,y)"},
		"any value":       {"team", labels.Set{"team": ""}, nil, "team"},
	} {
		t.Run(reason, func(t *testing.T) {
			c, err := Load(minimal(map[string]string{"SCOPE": row.text}))
			require.NoError(t, err)
			require.True(t, c.Scope.Matches(row.in))
			require.False(t, c.Scope.Matches(row.out))
			require.Equal(t, row.printed, c.Scope.String())
		})
	}
}

func TestAWrongScopeIsNamed(t *testing.T) {
	for reason, row := range map[string]struct{ text, message string }{
		"two words":            {"managed true", `SCOPE: "managed true" is not a label selector`},
		"a key with two parts": {"a/b/c=d", `SCOPE: "a/b/c=d" is not a label selector`},
		"a value no label has": {"a=b/c", `SCOPE: "a=b/c" is not a label selector`},
		"no end":               {"a in (b", `SCOPE: "a in (b" is not a label selector`},
		"nothing but spaces":   {"  ", `SCOPE: "  " is not a label selector of the form key=value,other!=value: it selects everything`},
	} {
		t.Run(reason, func(t *testing.T) {
			_, err := Load(minimal(map[string]string{"SCOPE": row.text}))
			got := problems(t, err)
			require.Len(t, got, 1)
			require.Contains(t, got[0], row.message)
		})
	}
}

// FuzzScope reads any SCOPE: what is accepted can be printed and read again.
func FuzzScope(f *testing.F) {
	for _, seed := range []string{"a=b", "a in (b,c),d notin (e),!f,g", "a>1", "a==b", "=", "a=", "(", " ", "a=b,", "kubernaut.ai/managed=true"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseSelector(text)
		if err != nil {
			require.Nil(t, s)
			return
		}
		again, err := parseSelector(s.(Selector).String())
		require.NoError(t, err)
		require.Equal(t, s.(Selector).String(), again.(Selector).String())
	})
}
