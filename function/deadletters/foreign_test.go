package deadletters

import (
	"bytes"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// foreigners are what others made of a dead letter.
func foreigners(c configMap) map[string]configMap {
	renamed, unmanaged, rewritten, broken, hostile := c, c, c, c, c
	renamed.Name = "dead-letter-0123456789abcdef0123456789abcdef"
	unmanaged.Labels = map[string]string{deadLetterLabel: "true"}
	rewritten.Data = map[string]string{plainKey: strings.Replace(c.Data[plainKey], `"id":"1"`, `"id":"2"`, 1)}
	broken.Data = map[string]string{plainKey: "{"}
	hostile.Data = map[string]string{plainKey: `{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":7}`}
	return map[string]configMap{
		"another name":          renamed,
		"without our label":     unmanaged,
		"another event":         rewritten,
		"no event":              broken,
		"an event that panicks": hostile,
	}
}

func TestWhatOthersMadeIsListedAndSkipped(t *testing.T) {
	made := fix(t)
	require.Equal(t, http.StatusOK, made.send(nil, `{"alerts":[]}`).Code)
	for reason, c := range foreigners(*made.kube.one(t)) {
		t.Run(reason, func(t *testing.T) {
			f, target := fix(t), serveFunction(t, 200)
			require.Equal(t, http.StatusOK, f.send(map[string]string{"Ce-Id": "3"}, `{}`).Code)
			own := f.kube.one(t).Name
			f.kube.put(&c)
			settings := f.configuration(t, target.URL)
			run := func(args ...string) (string, error) {
				var out bytes.Buffer
				err := Run(t.Context(), settings, args, &out, &out)
				return out.String(), err
			}
			out, err := run("list")
			require.NoError(t, err)
			require.Regexp(t, `(?m)^`+c.Name+` +\S+ +- +- +- +foreign, not a dead letter: `, out)
			require.Regexp(t, `(?m)^`+own+` +\S+ +\S+ +io\.prometheus\.alert\.v1 `, out)

			out, err = run("replay", c.Name)
			require.ErrorIs(t, err, errNotTaken)
			require.Contains(t, out, c.Name+"\tkept: foreign, not a dead letter: ")
			require.Empty(t, target.seen())

			out, _ = run("replay", "-dry-run", "all")
			require.Contains(t, out, c.Name+"\tskipped: foreign, not a dead letter: ")
			require.Len(t, target.seen(), 1, "it is not asked about")

			out, err = run("replay", "all")
			require.NoError(t, err)
			require.Contains(t, out, c.Name+"\tskipped: foreign, not a dead letter: ")
			require.Contains(t, out, "1 of 1 dead letters accepted\n")
			require.Len(t, target.seen(), 2)
			require.Equal(t, []string{c.Name}, f.names(t), "it stays")

			out, _ = run("show", c.Name)
			require.Contains(t, out, "foreign, not a dead letter: ")
		})
	}
}

func TestAnothersObjectUnderOurNameIsNotTheLetter(t *testing.T) {
	made := fix(t)
	require.Equal(t, http.StatusOK, made.send(nil, `{"alerts":[]}`).Code)
	all := foreigners(*made.kube.one(t))
	maps.DeleteFunc(all, func(_ string, c configMap) bool { return c.Name != made.kube.one(t).Name })
	require.Len(t, all, 4)
	for reason, c := range all {
		t.Run(reason, func(t *testing.T) {
			f := fix(t)
			f.kube.put(&c)
			w := f.send(nil, `{"alerts":[]}`)
			require.Equal(t, http.StatusServiceUnavailable, w.Code)
			require.Contains(t, w.Body.String(), "is not a dead letter: delete it")
		})
	}
}

func TestPruneLeavesWhatIsWithoutOurLabels(t *testing.T) {
	f := fix(t)
	require.Equal(t, http.StatusOK, f.send(nil, `{"alerts":[]}`).Code)
	c := foreigners(*f.kube.one(t))["without our label"]
	f.kube.put(&c)
	letters, read, _, err := (&Letters{f.kube.api(t)}).Page(t.Context(), 500, "")
	require.NoError(t, err)
	require.Empty(t, letters)
	require.Equal(t, 1, read)
}

func TestNoPasswordOfTheReplaysURLIsSaid(t *testing.T) {
	f, target := fix(t), serveFunction(t, 0)
	for _, id := range []string{"1", "2", "3", "4"} {
		require.Equal(t, http.StatusOK, f.send(map[string]string{"Ce-Id": id}, `{}`).Code)
	}
	out, err := f.replay(t.Context(), strings.Replace(target.URL, "http://", "http://user:hush@", 1), f.names(t)...)
	require.Error(t, err)
	require.Contains(t, out, "1 more were not tried: http://user:xxxxx@")
	require.NotContains(t, out+err.Error(), "hush")
}
