package images

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/require"

	"onefire/test/images/checkout"
)

// source makes a repository with one commit of the commands and what they are made of.
func source(t *testing.T) string {
	t.Helper()
	return checkout.Make(t, repository, "test", "docs")
}

func opener(path string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return os.Open(path) }
}

// unpack writes the files of an archive into a folder.
func unpack(t *testing.T, open func() (io.ReadCloser, error), to string) {
	t.Helper()
	archive, err := open()
	require.NoError(t, err)
	defer archive.Close()
	root, err := os.OpenRoot(to)
	require.NoError(t, err)
	defer func() { require.NoError(t, root.Close()) }()
	for r := tar.NewReader(archive); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
		if h.Typeflag != tar.TypeReg {
			continue
		}
		name := strings.TrimPrefix(h.Name, "/")
		require.NoError(t, root.MkdirAll(filepath.Dir(name), 0o755))
		f, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY, h.FileInfo().Mode())
		require.NoError(t, err)
		_, err = io.Copy(f, r)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
}

// regular lists the files below a folder.
func regular(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	require.NoError(t, fs.WalkDir(os.DirFS(dir), ".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			all = append(all, path)
		}
		return err
	}))
	return all
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func digest(t *testing.T, r interface{ Digest() (v1.Hash, error) }) v1.Hash {
	t.Helper()
	d, err := r.Digest()
	require.NoError(t, err)
	return d
}
