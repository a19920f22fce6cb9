package deadletters

import (
	"crypto/rand"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLargeEvents(t *testing.T) {
	noise := func(n int) string {
		b := make([]byte, n)
		_, err := rand.Read(b)
		require.NoError(t, err)
		return string(b)
	}
	text := map[string]string{"Content-Type": "text/plain"}
	for reason, row := range map[string]struct {
		headers map[string]string
		body    string
		status  int
		key     string
		says    string
	}{
		"a small one can be read with kubectl":       {nil, `{"a":"` + strings.Repeat("x", 10<<10) + `"}`, 200, plainKey, ""},
		"a larger one is compressed":                 {nil, `{"a":"` + strings.Repeat("x", 20<<10) + `"}`, 200, compressedKey, ""},
		"what the function took at most":             {nil, `{"a":"` + strings.Repeat("alert ", 349_000) + `"}`, 200, compressedKey, ""},
		"more than the function takes":               {nil, `{"a":"` + strings.Repeat("alert ", 600_000) + `"}`, 200, compressedKey, ""},
		"noise that just fits":                       {text, noise(1_030_000), 200, compressedKey, ""},
		"noise that does not":                        {text, noise(1_100_000), 413, "", "of at most 1048576, compressed"},
		"more than is read":                          {text, strings.Repeat("x", 4<<20+1), 413, "", "larger than 4194304 bytes"},
		"text that grows when it is written as JSON": {text, strings.Repeat("\x01<", 2_000_000), 200, compressedKey, ""},
		"what is no JSON comes back as it was":       {nil, `{"alerts": [`, 200, plainKey, ""},
		"nor is what is no text changed":             {text, "\xff\xfe\x00", 200, plainKey, ""},
		"an attribute that is no text, compressed":   {map[string]string{"Ce-Subject": "caf\xe9"}, `{}`, 200, compressedKey, ""},
		"no data at all":                             {nil, ``, 200, plainKey, ""},
	} {
		t.Run(reason, func(t *testing.T) {
			f := fix(t)
			w := f.send(row.headers, row.body)
			require.Equal(t, row.status, w.Code, w.Body)
			if row.status != http.StatusOK {
				require.Empty(t, f.kube.all())
				require.Contains(t, w.Body.String(), row.says)
				require.Equal(t, 1, strings.Count(f.logs.String(), "it is lost"), "each is counted once")
				for _, want := range []string{`"level":"ERROR"`, `it is lost`, `"id":"1"`, `"source":"urn:onefire:alertmanager:default"`, `"type":"io.prometheus.alert.v1"`} {
					require.Contains(t, f.logs.String(), want)
				}
				return
			}
			c := f.kube.one(t)
			require.Contains(t, append(keysOf(c.Data), keysOf(c.BinaryData)...), row.key)
			e, err := read(c)
			require.NoError(t, err)
			require.Equal(t, row.body, string(e.Data()))
			require.Equal(t, "1", e.ID())
		})
	}
}

func keysOf[V any](m map[string]V) (keys []string) {
	for key := range m {
		keys = append(keys, key)
	}
	return keys
}
