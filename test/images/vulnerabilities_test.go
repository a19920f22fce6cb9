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
// everything in a module's package from the beginning on; without a module with none.
func database(t *testing.T, module, path string) string {
	t.Helper()
	const id, date = "GO-2026-9999", "2026-01-17T11:00:00Z"
	dir := t.TempDir()
	writeJSON := func(name string, v any) {
		text, err := json.Marshal(v)
		require.NoError(t, err)
		write(t, filepath.Join(dir, name), string(text))
	}
	modules := []any{}
	if module != "" {
		modules = append(modules, map[string]any{"path": module, "vulns": []any{map[string]any{"id": id, "modified": date}}})
		writeJSON("ID/"+id+".json", map[string]any{
			"schema_version": "1.3.1", "id": id, "modified": date, "published": date, "summary": "Made up", "details": "Made up.",
			"affected": []any{map[string]any{
				"package":            map[string]any{"name": module, "ecosystem": "Go"},
				"ranges":             []any{map[string]any{"type": "SEMVER", "events": []any{map[string]any{"introduced": "0"}}}},
				"ecosystem_specific": map[string]any{"imports": []any{map[string]any{"path": path}}},
			}},
		})
	}
	writeJSON("index/db.json", map[string]any{"modified": date})
	writeJSON("index/modules.json", modules)
	return "file://" + dir
}

// One room stands for what is shipped, all of which takes a minute each time.
func TestAKnownVulnerabilityFailsTheCheck(t *testing.T) {
	for reason, row := range map[string]struct {
		database string
		want     string
		fails    bool
	}{
		"none is known":                {database(t, "", ""), "No vulnerabilities found", false},
		"one in what is shipped":       {database(t, "github.com/google/uuid", "github.com/google/uuid"), "GO-2026-9999", true},
		"one in what is only tested":   {database(t, "github.com/stretchr/testify", "github.com/stretchr/testify"), "No vulnerabilities found", false},
		"a database that is not there": {"https://127.0.0.1:1", "nothing was checked: https://127.0.0.1:1 does not answer as a database", true},
	} {
		t.Run(reason, func(t *testing.T) {
			out, err := vulnerabilities(t, "SHIPPED=./audit", "MODULES=", "GOVULNDB="+row.database)
			require.Equal(t, row.fails, err != nil, "%s", out)
			require.Contains(t, out, row.want)
		})
	}
}

// A tool of one file stands for ours: it calls archive/zip, which what is
// shipped here does not.
func TestAVulnerabilityOfAToolNeedsAReason(t *testing.T) {
	tool := t.TempDir()
	write(t, filepath.Join(tool, "go.mod"), "module example.com/tool\n\ngo 1.26.0\n")
	write(t, filepath.Join(tool, "main.go"), "package main\n\nimport \"archive/zip\"\n\nfunc main() { _, _ = zip.OpenReader(\"x\") }\n")
	made := database(t, "stdlib", "archive/zip")
	for reason, row := range map[string]struct {
		database, list, want string
		fails                bool
	}{
		"no reason":      {made, "", tool + ": GO-2026-9999 in stdlib", true},
		"a reason":       {made, tool + " GO-2026-9999 the file is ours", "GO-2026-9999 is accepted: the file is ours", false},
		"an old reason":  {database(t, "", ""), tool + " GO-2026-9999 the file is ours", "GO-2026-9999 is not found any more", false},
		"a broken list":  {made, tool + " GO-2026-9999", "line 1 is not", true},
		"nothing to say": {database(t, "", ""), "", tool + ": no vulnerabilities found", false},
	} {
		t.Run(reason, func(t *testing.T) {
			list := filepath.Join(t.TempDir(), "list.txt")
			write(t, list, row.list)
			out, err := vulnerabilities(t, "SHIPPED=./mapping", "MODULES="+tool, "REASONS="+list, "GOVULNDB="+row.database)
			require.Equal(t, row.fails, err != nil, "%s", out)
			require.Contains(t, out, row.want)
		})
	}
}

// vulnerabilities runs `make vulnerabilities`, and returns what it says.
func vulnerabilities(t *testing.T, variables ...string) (string, error) {
	t.Helper()
	arguments := append([]string{"--no-print-directory", "-C", repository, "vulnerabilities"}, variables...)
	out, err := exec.CommandContext(t.Context(), "make", arguments...).CombinedOutput()
	return string(out), err
}

// write writes a file, and makes its folder.
func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}
