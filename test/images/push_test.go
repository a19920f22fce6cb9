package images

import (
	"io"
	"log"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"
)

// images is what has images by digest: an index, whether in a folder or a registry.
type images interface {
	Image(v1.Hash) (v1.Image, error)
}

// requireSBOM asks that the image with a digest is a referrer with the SBOM of a
// platform's image.
func requireSBOM(t *testing.T, from images, d v1.Hash, of Platform) {
	t.Helper()
	artifact, err := from.Image(d)
	require.NoError(t, err)
	manifest, err := artifact.Manifest()
	require.NoError(t, err)
	require.Equal(t, digest(t, of.Image), manifest.Subject.Digest)
	require.Equal(t, spdxType, manifest.Config.MediaType)
	layers, err := artifact.Layers()
	require.NoError(t, err)
	require.Len(t, layers, 1)
	content, err := layers[0].Uncompressed()
	require.NoError(t, err)
	defer content.Close()
	spdx, err := io.ReadAll(content)
	require.NoError(t, err)
	require.Equal(t, string(of.SBOM), string(spdx))
}

type registryImages struct{ name.Repository }

func (r registryImages) Image(d v1.Hash) (v1.Image, error) { return remote.Image(r.Digest(d.String())) }

// TestPushedImagesAreForBothProcessors pushes into a registry, and pulls what a
// node of each kind would.
func TestPushedImagesAreForBothProcessors(t *testing.T) {
	for reason, options := range map[string][]registry.Option{
		"a registry of OCI 1.1":                             {registry.WithReferrersSupport(true)},
		"an older one: SBOMs are found by the digest's tag": {registry.WithReferrersSupport(false)},
	} {
		t.Run(reason, func(t *testing.T) {
			server := httptest.NewServer(registry.New(append(options, registry.Logger(log.New(io.Discard, "", 0)))...))
			defer server.Close()
			image, err := Build(t.Context(), filepath.Join(source(t), "function/cmd/onefire"), []string{"linux/amd64", "linux/arm64"})
			require.NoError(t, err)
			require.Len(t, image.Platforms, 2)
			where := strings.TrimPrefix(server.URL, "http://") + "/team"
			pushed, err := image.Push(t.Context(), where, "v1")
			require.NoError(t, err)
			require.Equal(t, where+"/onefire:v1@"+digest(t, image.Result).String(), pushed)

			ref, err := name.ParseReference(where + "/onefire:v1")
			require.NoError(t, err)
			for i, platform := range []string{"amd64", "arm64"} {
				pulled, err := remote.Image(ref, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: platform}))
				require.NoError(t, err)
				require.Equal(t, digest(t, image.Platforms[i].Image), digest(t, pulled))
				config, err := pulled.ConfigFile()
				require.NoError(t, err)
				require.Equal(t, platform, config.Architecture)
				require.Equal(t, User, config.Config.User)

				referrers, err := remote.Referrers(ref.Context().Digest(digest(t, pulled).String()))
				require.NoError(t, err)
				list, err := referrers.IndexManifest()
				require.NoError(t, err)
				require.Len(t, list.Manifests, 1)
				require.EqualValues(t, spdxType, list.Manifests[0].ArtifactType)
				requireSBOM(t, registryImages{ref.Context()}, list.Manifests[0].Digest, image.Platforms[i])
			}
		})
	}
}

func TestAPushIntoNothingSaysWhere(t *testing.T) {
	server := httptest.NewServer(nil)
	where := strings.TrimPrefix(server.URL, "http://")
	server.Close()
	image, err := Build(t.Context(), filepath.Join(source(t), "function/cmd/onefire"), []string{here})
	require.NoError(t, err)
	_, err = image.Push(t.Context(), where, "v1")
	require.ErrorContains(t, err, "pushing "+where+"/onefire:v1")
	_, err = image.Push(t.Context(), "Not A Registry", "v1")
	require.ErrorContains(t, err, "where to push to")
}
