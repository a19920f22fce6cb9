// Package mutation breaks the deduplication protocol on purpose, one way at a
// time, and asks that the exploration of its schedules notices. A mutation that
// survives is a hole in the check or a needless part of the protocol.
package mutation

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// edit replaces text that stands once in a file of dedup.
type edit struct{ file, from, to string }

var mutations = map[string][]edit{
	"a handler lists once and decides on that for ever": {
		{"protocol.go", "	items, err := h.api.List(ctx, h.signal.Namespace, h.signal.Fingerprint)\n	for tries", "	items, err := h.first, error(nil)\n	if items == nil {\n		items, err = h.api.List(ctx, h.signal.Namespace, h.signal.Fingerprint)\n		h.first = items\n	}\n	for tries"},
		{"protocol.go", "	salt int\n", "	salt int\n	first []unstructured.Unstructured\n"},
		{"protocol.go", "	\"k8s.io/apimachinery/pkg/types\"\n", "	\"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured\"\n	\"k8s.io/apimachinery/pkg/types\"\n"},
	},
	"each event has a name of its own": {
		{"protocol.go", "newRequest(v.name, h.signal", "newRequest(v.name+v.missing[0], h.signal"},
	},
	"AlreadyExists is taken for success": {
		{"protocol.go", "		return h.taken(ctx, v.name)\n", "		h.done[v.missing[0]] = Outcome{Reason: v.reason, Name: v.name, Count: 1}\n		return nil\n"},
	},
	"the counted key is not recorded": {
		{"patch.go", "		\"events\":          recordPatch(o, made),\n", ""},
	},
	"the key that made an object is not recorded": {
		{"request.go", "	u.SetAnnotations(map[string]string{eventAnnotation: key})\n", "	_ = key\n"},
	},
	"the count has no precondition": {
		{"patch.go", "\"metadata\": map[string]any{\"resourceVersion\": o.resourceVersion},", "\"metadata\": map[string]any{},"},
	},
	"an alert is acknowledged before its patch": {
		{"protocol.go", "	if err != nil || !ok {\n		return err\n	}\n	for key, n := range made {", "	if err != nil {\n		return err\n	}\n	_ = ok\n	for key, n := range made {"},
	},
	"nobody looks after a create": {
		{"protocol.go", "		h.reasons[v.missing[0]] = v.reason\n", "		h.reasons[v.missing[0]] = v.reason\n		h.done[v.missing[0]] = Outcome{Reason: v.reason, Name: v.name, Count: 1}\n"},
	},
	"only who made a twin heals it": {
		{"decide.go", "	if survivor, twin, ok := twins(active, p.fresh); ok {", "	if survivor, twin, ok := twins(active, p.fresh); ok && twin.uid == p.fresh {"},
	},
	"a twin goes without its record": {
		{"protocol.go", "	if patch := mergePatch(v.object, v.twin, h.fresh); patch != nil {", "	if patch := mergePatch(v.object, v.twin, h.fresh); false {"},
	},
	"a twin goes whatever has become of it": {
		{"protocol.go", "v.twin.name, v.twin.uid, v.twin.resourceVersion)", "v.twin.name, v.twin.uid, \"\")"},
	},
	"a merge adds all that the twin counts": {
		{"patch.go", "	gain := gained(survivor, twin, len(fresh))\n", "	gain := twin.count\n"},
	},
	"the survivor is who is seen first, not the oldest": {
		{"decide.go", "	slices.SortFunc(ours, byAge)\n	return ours[0], ours[1], true", "	if ours[1].uid == fresh {\n		return ours[1], ours[0], true\n	}\n	return ours[0], ours[1], true"},
	},
	"a handler deletes another's object for a foreign one": {
		{"decide.go", "		case !o.ours:\n", "		case !o.ours && o.name == \"\":\n"},
	},
	"the predecessor is the newest by creation time": {
		{"object.go", "		if !taken {\n", "		if !taken || o.name != \"\" {\n"},
	},
	"a terminal object's record does not count": {
		{"decide.go", "		if _, has := o.events[key]; !has {", "		if _, has := o.events[key]; !has || o.terminal() {"},
	},
	"a terminal object is counted on": {
		{"object.go", "func (o object) terminal() bool { return o.deleting || terminalPhases[o.phase] }", "func (o object) terminal() bool { return o.deleting }"},
	},
	"a name that another fingerprint holds is taken for ours": {
		{"protocol.go", "	case o.fingerprint != h.signal.Fingerprint:\n		h.salt++\n	case !o.terminal():", "	case !o.terminal():"},
	},
}

var verdict = regexp.MustCompile(`(I\d: [^\n]*|handler \d+: [^\n]*|no end in sight|panic: [^\n]*)`)

func TestEveryMutationIsNoticed(t *testing.T) {
	for name, edits := range mutations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			overlay := mutate(t, edits)
			run := exec.Command("go", "test", "-overlay", overlay, "-failfast", "-run", "^TestEverySchedule$", "-timeout", "10m", "./dedup")
			run.Dir = "../.."
			out, err := run.CombinedOutput()
			require.Error(t, err, "it survived")
			found := verdict.FindString(string(out))
			require.NotEmpty(t, found, "it failed for another reason:\n%s", out)
			t.Log(found)
		})
	}
}

// mutate writes the edited files beside the real ones, as an overlay for the go
// command.
func mutate(t *testing.T, edits []edit) string {
	t.Helper()
	dir := t.TempDir()
	texts := map[string]string{}
	for _, e := range edits {
		path, err := filepath.Abs(filepath.Join("../../dedup", e.file))
		require.NoError(t, err)
		if texts[path] == "" {
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			texts[path] = string(b)
		}
		require.Equal(t, 1, strings.Count(texts[path], e.from), "%s: %s", e.file, e.from)
		texts[path] = strings.Replace(texts[path], e.from, e.to, 1)
	}
	replace := map[string]string{}
	for path, text := range texts {
		replace[path] = filepath.Join(dir, filepath.Base(path))
		require.NoError(t, os.WriteFile(replace[path], []byte(text), 0o600))
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	overlay := filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(overlay, b, 0o600))
	return overlay
}
