package image

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAnImageIsWhatContainerdImports(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	require.NoError(t, os.WriteFile(program, []byte("a program"), 0o600))
	i := Image{Name: "dev.local/a:dev", Entrypoint: "/bin/app", Files: map[string]string{"/bin/app": program}}
	first, second := filepath.Join(dir, "1.tar"), filepath.Join(dir, "2.tar")
	require.NoError(t, i.Write(first))
	require.NoError(t, i.Write(second))
	require.Equal(t, read(t, first), read(t, second), "the same content makes the same bytes")

	parts := read(t, first)
	var manifest []struct {
		Config           string
		RepoTags, Layers []string
	}
	require.NoError(t, json.Unmarshal(parts["manifest.json"], &manifest))
	require.Len(t, manifest, 1)
	require.Equal(t, []string{"dev.local/a:dev"}, manifest[0].RepoTags)
	var config struct {
		Config struct {
			User       string
			Entrypoint []string
		}
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	require.NoError(t, json.Unmarshal(parts[manifest[0].Config], &config))
	require.Equal(t, "65532:65532", config.Config.User)
	require.Equal(t, []string{"/bin/app"}, config.Config.Entrypoint)
	layer := parts[manifest[0].Layers[0]]
	sum := sha256.Sum256(layer)
	require.Equal(t, []string{"sha256:" + hex.EncodeToString(sum[:])}, config.RootFS.DiffIDs)

	file := filepath.Join(dir, "layer.tar")
	require.NoError(t, os.WriteFile(file, layer, 0o600))
	files := read(t, file)
	require.Equal(t, "a program", string(files["bin/app"]))
	require.Contains(t, files, "bin/")
	require.Contains(t, files, "tmp/")
}

func read(t *testing.T, file string) map[string][]byte {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	parts := map[string][]byte{}
	archive := tar.NewReader(f)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return parts
		}
		require.NoError(t, err)
		parts[header.Name], err = io.ReadAll(archive)
		require.NoError(t, err)
	}
}
