package images

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/partial"
)

// dockerIndex is the file by which Docker finds what is in an archive.
const dockerIndex = "manifest.json"

// Save writes three things into a folder:
//
//	NAME            an OCI layout with the image, and its SBOMs as referrers
//	NAME.tar        the image as an archive that containerd, Docker, Podman and kind load
//	NAME.spdx.json  the SBOM of the first platform, to read
//
// ref is the name that the image has when it is loaded, with a tag. It returns
// the archive's path.
func (i *Image) Save(dir, ref string) (string, error) {
	folder := filepath.Join(dir, i.Name)
	archive := folder + ".tar"
	if err := os.RemoveAll(folder); err != nil {
		return "", fmt.Errorf("removing an older image: %w", err)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", fmt.Errorf("making a folder for the image: %w", err)
	}
	path, err := i.layout(folder, ref)
	if err != nil {
		return "", fmt.Errorf("writing %s: %w", folder, err)
	}
	// The archive is made first: the SBOMs are not for container runtimes, and
	// Docker's index is not for the folder.
	if err := i.archive(folder, archive, ref); err != nil {
		return "", fmt.Errorf("writing %s: %w", archive, err)
	}
	if err := os.RemoveAll(filepath.Join(folder, dockerIndex)); err != nil {
		return "", fmt.Errorf("writing %s: %w", folder, err)
	}
	for _, p := range i.Platforms {
		artifact, err := p.artifact()
		if err != nil {
			return "", err
		}
		if err := path.AppendImage(artifact); err != nil {
			return "", fmt.Errorf("writing an SBOM into %s: %w", folder, err)
		}
	}
	if err := os.WriteFile(folder+".spdx.json", i.Platforms[0].SBOM, 0o644); err != nil {
		return "", fmt.Errorf("writing an SBOM: %w", err)
	}
	return archive, nil
}

// layout writes an OCI layout with the image.
func (i *Image) layout(dir, ref string) (layout.Path, error) {
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return "", err
	}
	names := layout.WithAnnotations(map[string]string{
		"io.containerd.image.name":          ref,
		"org.opencontainers.image.ref.name": ref,
	})
	if index, ok := i.Result.(v1.ImageIndex); ok {
		return path, path.AppendIndex(index, names)
	}
	return path, path.AppendImage(i.Platforms[0].Image, names, layout.WithPlatform(i.Platforms[0].Platform))
}

// archive writes the layout as a tar. With Docker's index, which names the same
// blobs, it is one that `docker load` of any version and kind take; that can name
// no more than one platform.
func (i *Image) archive(layoutDir, file, ref string) error {
	if len(i.Platforms) == 1 {
		manifest, err := dockerManifest(i.Platforms[0].Image, ref)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(layoutDir, dockerIndex), manifest, 0o644); err != nil {
			return err
		}
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	w := tar.NewWriter(out)
	// WalkDir goes in lexical order, so the archive is always the same.
	err = filepath.WalkDir(layoutDir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		return add(w, layoutDir, path)
	})
	if err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return out.Close()
}

func add(w *tar.Writer, root, path string) error {
	name, err := filepath.Rel(root, path)
	if err != nil {
		return err
	}
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: filepath.ToSlash(name), Size: info.Size(), Mode: 0o644}); err != nil {
		return err
	}
	_, err = io.Copy(w, in)
	return err
}

func dockerManifest(image v1.Image, ref string) ([]byte, error) {
	blob := func(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }
	config, err := image.ConfigName()
	if err != nil {
		return nil, err
	}
	layers, err := image.Layers()
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, l := range layers {
		d, err := partial.Descriptor(l)
		if err != nil {
			return nil, err
		}
		paths = append(paths, blob(d.Digest))
	}
	return json.Marshal([]map[string]any{{"Config": blob(config), "RepoTags": []string{ref}, "Layers": paths}})
}
