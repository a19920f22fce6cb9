// Package image packs programs into images that containerd imports, with no
// registry and no container engine: an archive as `docker save` writes it,
// of one layer.
package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// UserID is who the programs run as: "nonroot" of the usual minimal images.
const UserID = 65532

// Image is what to pack.
type Image struct {
	// Name is the whole reference, with a tag.
	Name string
	// Entrypoint is the path of the program inside the image.
	Entrypoint string
	// Files maps paths inside the image to files of this machine. Links are
	// followed, and everything is readable and executable by all.
	Files map[string]string
}

// Write packs the image into a new file. The same content makes the same
// bytes.
func (i Image) Write(file string) (err error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	layer, err := os.CreateTemp(filepath.Dir(file), ".layer-*")
	if err != nil {
		return err
	}
	defer func() {
		_ = layer.Close()
		_ = os.Remove(layer.Name())
	}()
	sum := sha256.New()
	if err := i.writeLayer(io.MultiWriter(layer, sum)); err != nil {
		return fmt.Errorf("pack %s: %w", i.Name, err)
	}
	size, err := layer.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if _, err := layer.Seek(0, io.SeekStart); err != nil {
		return err
	}
	config, err := i.config("sha256:" + hex.EncodeToString(sum.Sum(nil)))
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]map[string]any{{"Config": "config.json", "RepoTags": []string{i.Name}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return err
	}
	part := file + ".part"
	out, err := os.Create(part)
	if err != nil {
		return err
	}
	defer func() {
		if closed := out.Close(); err == nil {
			err = closed
		}
		if err == nil {
			err = os.Rename(part, file)
		}
	}()
	archive := tar.NewWriter(out)
	for _, entry := range []struct {
		name string
		size int64
		from io.Reader
	}{
		{"manifest.json", int64(len(manifest)), bytes.NewReader(manifest)},
		{"config.json", int64(len(config)), bytes.NewReader(config)},
		{"layer.tar", size, layer},
	} {
		if err := archive.WriteHeader(&tar.Header{Name: entry.name, Mode: 0o644, Size: entry.size}); err != nil {
			return err
		}
		if _, err := io.Copy(archive, entry.from); err != nil {
			return err
		}
	}
	return archive.Close()
}

// config is the image's configuration; diff is the digest of its layer.
func (i Image) config(diff string) ([]byte, error) {
	return json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{
			"Entrypoint": []string{i.Entrypoint}, "User": fmt.Sprintf("%d:%[1]d", UserID), "WorkingDir": "/",
			"Env": []string{"PATH=/usr/local/bin:/usr/bin:/bin"},
		},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{diff}},
	})
}

// writeLayer writes the files, with a folder that anyone may write to at /tmp.
func (i Image) writeLayer(w io.Writer) error {
	layer := tar.NewWriter(w)
	folders := map[string]bool{}
	for _, dir := range []string{"etc", "tmp"} {
		folders[dir] = true
		mode := int64(0o755)
		if dir == "tmp" {
			mode = 0o1777
		}
		if err := layer.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: mode}); err != nil {
			return err
		}
	}
	passwd := "root:x:0:0::/:/\nnonroot:x:65532:65532::/:/\n"
	if err := layer.WriteHeader(&tar.Header{Name: "etc/passwd", Mode: 0o644, Size: int64(len(passwd))}); err != nil {
		return err
	}
	if _, err := io.WriteString(layer, passwd); err != nil {
		return err
	}
	for _, target := range slices.Sorted(maps.Keys(i.Files)) {
		if err := addFolders(layer, folders, target); err != nil {
			return err
		}
		if err := addFile(layer, target, i.Files[target]); err != nil {
			return err
		}
	}
	return layer.Close()
}

func addFolders(layer *tar.Writer, done map[string]bool, target string) error {
	parts := strings.Split(strings.Trim(target, "/"), "/")
	for n := 1; n < len(parts); n++ {
		dir := strings.Join(parts[:n], "/")
		if done[dir] {
			continue
		}
		done[dir] = true
		if err := layer.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755}); err != nil {
			return err
		}
	}
	return nil
}

func addFile(layer *tar.Writer, target, source string) error {
	file, err := os.Open(source)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := layer.WriteHeader(&tar.Header{Name: strings.TrimPrefix(target, "/"), Mode: 0o755, Size: info.Size()}); err != nil {
		return err
	}
	_, err = io.Copy(layer, file)
	return err
}
