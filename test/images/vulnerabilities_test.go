package images

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// database is a database of vulnerabilities with one that is made up, of
// everything in a module from the beginning on; without a module with none.
func database(t *testing.T, module string) string {
	t.Helper()
	const id, date = "GO-2026-9999", "2026-01-17T11:00:00Z"
	dir := t.TempDir()
	write := func(name string, v any) {
		text, err := json.Marshal(v)
		require.NoError(t, err)
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, text, 0o600))
	}
	modules := []any{}
	if module != "" {
		modules = append(modules, map[string]any{"path": module, "vulns": []any{map[string]any{"id": id, "modified": date}}})
		write("ID/"+id+".json", map[string]any{
			"schema_version": "1.3.1", "id": id, "modified": date, "published": date, "summary": "Made up", "details": "Made up.",
			"affected": []any{map[string]any{
				"package":            map[string]any{"name": module, "ecosystem": "Go"},
				"ranges":             []any{map[string]any{"type": "SEMVER", "events": []any{map[string]any{"introduced": "0"}}}},
				"ecosystem_specific": map[string]any{"imports": []any{map[string]any{"path": module}}},
			}},
		})
	}
	write("index/db.json", map[string]any{"modified": date})
	write("index/modules.json", modules)
	return "file://" + dir
}

// One room stands for what is shipped, all of which takes a minute each time.
func TestAKnownVulnerabilityFailsTheCheck(t *testing.T) {
	for reason, row := range map[string]struct {
		database string
		want     string
		fails    bool
	}{
		"none is known":                {database(t, ""), "No vulnerabilities found", false},
		"one in what is shipped":       {database(t, "github.com/google/uuid"), "GO-2026-9999", true},
		"one in what is only tested":   {database(t, "github.com/stretchr/testify"), "No vulnerabilities found", false},
		"a database that is not there": {"https://127.0.0.1:1", "nothing was checked: https://127.0.0.1:1 does not answer as a database", true},
	} {
		t.Run(reason, func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), "make", "--no-print-directory", "-C", repository, "vulnerabilities", "SHIPPED=./audit", "GOVULNDB="+row.database).CombinedOutput()
			require.Equal(t, row.fails, err != nil, "%s", out)
			require.Contains(t, string(out), row.want)
		})
	}
}
