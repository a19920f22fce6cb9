package images

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// User is who runs in the images, as uid:gid: the number that distroless images
// call nonroot. It is a number because Kubernetes can check no name against
// runAsNonRoot.
const User = "65532:65532"

// certificates is where Go and everything else on Linux looks first.
const certificates = "etc/ssl/certs/ca-certificates.crt"

// notices are the licences of what others wrote.
const notices = "licenses/THIRD-PARTY"

// base is the image that commands are put on, for each platform. licence is
// ours, and notice those of others.
func base(platforms []v1.Platform, licence, notice []byte) (v1.ImageIndex, error) {
	files, err := baseFiles(licence, notice)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files)), nil },
		tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, fmt.Errorf("making the base image's layer: %w", err)
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, p := range platforms {
		image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
		image, err := mutate.ConfigFile(image, &v1.ConfigFile{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant, RootFS: v1.RootFS{Type: "layers"}})
		if err != nil {
			return nil, fmt.Errorf("making the base image for %s: %w", p, err)
		}
		image, err = mutate.Append(image, mutate.Addendum{Layer: layer, History: v1.History{CreatedBy: "root certificates, users and licences"}})
		if err != nil {
			return nil, fmt.Errorf("making the base image for %s: %w", p, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &p}})
	}
	return index, nil
}

// baseFiles is a tar of the base image's files.
func baseFiles(licence, notice []byte) ([]byte, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, dir := range []string{"etc/", "etc/ssl/", "etc/ssl/certs/", "licenses/"} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755}); err != nil {
			return nil, fmt.Errorf("writing %s into the base image: %w", dir, err)
		}
	}
	for _, file := range []struct {
		name string
		data []byte
	}{
		{certificates, roots()},
		{"etc/group", []byte("root:x:0:\nnonroot:x:65532:\n")},
		{"licenses/LICENSE", licence},
		{notices, notice},
		{"etc/passwd", []byte("root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n")},
	} {
		err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: file.name, Size: int64(len(file.data)), Mode: 0o644})
		if err != nil {
			return nil, fmt.Errorf("writing %s into the base image: %w", file.name, err)
		}
		if _, err := w.Write(file.data); err != nil {
			return nil, fmt.Errorf("writing %s into the base image: %w", file.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("closing the base image's archive: %w", err)
	}
	return archive.Bytes(), nil
}

// roots are the root certificates that Mozilla trusts, as the Go project
// publishes them, in PEM. One that is trusted only within bounds is left out:
// a PEM file cannot say them.
func roots() []byte {
	var all bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			// A buffer takes all that is written to it.
			_ = pem.Encode(&all, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})
		}
	}
	return all.Bytes()
}
