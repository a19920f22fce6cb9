package images

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Given says why the image may not be given to others; nil where it may.
func (i *Image) Given() error {
	if i.kept != nil {
		return fmt.Errorf("%s is not given on for the licences of what is in it: %w", i.Name, i.kept)
	}
	return nil
}

// Push pushes the image, and the SBOM of each platform beside it, to repository/name:tag. It
// returns the reference with the digest, as a deployment should name it. An image of what may
// not be given on is not pushed. The credentials are in Docker's config file, as `docker login`
// and its like write them.
func (i *Image) Push(ctx context.Context, repository, tag string) (string, error) {
	if err := i.Given(); err != nil {
		return "", err
	}
	ref, err := name.NewTag(strings.TrimSuffix(repository, "/") + "/" + i.Name + ":" + tag)
	if err != nil {
		return "", fmt.Errorf("where to push to: %w", err)
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	switch r := i.Result.(type) {
	case v1.ImageIndex:
		err = remote.WriteIndex(ref, r, options...)
	case v1.Image:
		err = remote.Write(ref, r, options...)
	}
	if err != nil {
		return "", fmt.Errorf("pushing %s: %w", ref, err)
	}
	for _, p := range i.Platforms {
		artifact, err := p.artifact()
		if err != nil {
			return "", err
		}
		digest, err := artifact.Digest()
		if err != nil {
			return "", fmt.Errorf("reading the digest of an SBOM: %w", err)
		}
		if err := remote.Write(ref.Digest(digest.String()), artifact, options...); err != nil {
			return "", fmt.Errorf("pushing the SBOM of %s for %s: %w", ref, p.Platform, err)
		}
	}
	digest, err := i.Result.Digest()
	if err != nil {
		return "", fmt.Errorf("reading the digest of %s: %w", ref, err)
	}
	return ref.Name() + "@" + digest.String(), nil
}
