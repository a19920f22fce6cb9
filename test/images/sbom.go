package images

import (
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// spdxType is the media type of an SBOM, and the type of the artifact it is in.
const spdxType types.MediaType = "application/spdx+json"

// artifact is a manifest with a platform's SBOM whose subject is the platform's
// image: what OCI calls a referrer, and what scanners ask a registry for.
func (p Platform) artifact() (v1.Image, error) {
	subject, err := partial.Descriptor(p.Image)
	if err != nil {
		return nil, fmt.Errorf("describing the image that an SBOM is of: %w", err)
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), spdxType)
	image, err = mutate.AppendLayers(image, static.NewLayer(p.SBOM, spdxType))
	if err != nil {
		return nil, fmt.Errorf("making an artifact of an SBOM: %w", err)
	}
	return mutate.Subject(image, v1.Descriptor{MediaType: subject.MediaType, Size: subject.Size, Digest: subject.Digest}).(v1.Image), nil
}
