package release

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// sums is the file of checksums, as sha256sum writes and checks it.
const sums = "SHA256SUMS"

// A folder holds the files of a release.
type folder struct {
	path string
	// time is what archives say of their files: the commit's.
	time time.Time
}

func (f folder) write(name string, data []byte) error {
	if err := os.WriteFile(filepath.Join(f.path, name), data, 0o644); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

// copy copies a file from elsewhere.
func (f folder) copy(name, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	defer in.Close()
	out, err := os.Create(filepath.Join(f.path, name))
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

// A file is one of an archive.
type file struct {
	name string
	mode int64
	data []byte
}

// archive writes a tar.gz of files, in their order.
func (f folder) archive(name string, files []file) error {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	w := tar.NewWriter(z)
	for _, one := range files {
		err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: one.name, Mode: one.mode, Size: int64(len(one.data)), ModTime: f.time})
		if err != nil {
			return fmt.Errorf("packing %s: %w", name, err)
		}
		if _, err := w.Write(one.data); err != nil {
			return fmt.Errorf("packing %s: %w", name, err)
		}
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("packing %s: %w", name, err)
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("packing %s: %w", name, err)
	}
	return f.write(name, packed.Bytes())
}

// sum writes the checksums of all that is there, by name.
func (f folder) sum() error {
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return fmt.Errorf("reading %s: %w", f.path, err)
	}
	var text strings.Builder
	for _, e := range entries {
		h := sha256.New()
		in, err := os.Open(filepath.Join(f.path, e.Name()))
		if err != nil {
			return fmt.Errorf("reading %s: %w", e.Name(), err)
		}
		_, err = io.Copy(h, in)
		in.Close()
		if err != nil {
			return fmt.Errorf("reading %s: %w", e.Name(), err)
		}
		fmt.Fprintf(&text, "%s  %s\n", hex.EncodeToString(h.Sum(nil)), e.Name())
	}
	return f.write(sums, []byte(text.String()))
}
