package images

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/require"

	"onefire/test/images/checkout"
)

const (
	// repository is where the commands are, from here.
	repository = "../.."
	// maxImage is what the function's image may weigh, compressed, in bytes: a node
	// pulls it before the first alert.
	maxImage = 9 << 20
)

// here is the platform of this machine.
var here = "linux/" + runtime.GOARCH

// TestTheSameSourceMakesTheSameImage builds each command in two checkouts, and
// once more with an environment that go build would listen to.
func TestTheSameSourceMakesTheSameImage(t *testing.T) {
	one, other := source(t), source(t)
	commands, err := filepath.Glob(filepath.Join(one, "function/cmd/onefire*"))
	require.NoError(t, err)
	require.NotEmpty(t, commands)
	for _, dir := range commands {
		name := filepath.Base(dir)
		t.Run(name, func(t *testing.T) {
			first, err := Build(t.Context(), dir, []string{here})
			require.NoError(t, err)
			t.Setenv("GOFLAGS", "-ldflags=-X=main.a=b -buildvcs=true")
			t.Setenv("GOAMD64", "v3")
			second, err := Build(t.Context(), filepath.Join(other, "function/cmd", name), []string{here})
			require.NoError(t, err)
			require.Equal(t, digest(t, first.Result), digest(t, second.Result))
			require.Equal(t, string(first.Platforms[0].SBOM), string(second.Platforms[0].SBOM))
			var archives [2][]byte
			for i, image := range []*Image{first, second} {
				path, err := image.Save(t.TempDir(), "dev.local/"+name+":dev")
				require.NoError(t, err)
				archives[i], err = os.ReadFile(path)
				require.NoError(t, err)
			}
			require.Equal(t, archives[0], archives[1])
		})
	}
}

// TestTheImageSaysWhatItIs looks at what Kubernetes, scanners and people read.
func TestTheImageSaysWhatItIs(t *testing.T) {
	dir := source(t)
	checkout.Git(t, dir, "tag", "v1.2.3")
	image, err := Build(t.Context(), filepath.Join(dir, "function/cmd/onefire"), []string{here})
	require.NoError(t, err)
	require.Equal(t, "onefire", image.Name)
	require.Equal(t, here, image.Platforms[0].String())
	config, err := image.Platforms[0].Image.ConfigFile()
	require.NoError(t, err)
	require.Equal(t, "65532:65532", config.Config.User, "a number, so that runAsNonRoot can be checked")
	require.Equal(t, []string{"/ko-app/onefire"}, config.Config.Entrypoint)
	require.Empty(t, config.Config.Cmd)
	require.Empty(t, config.Config.StopSignal, "SIGTERM, on which the function drains")
	require.Equal(t, "2026-01-17T11:00:00Z", config.Created.UTC().Format("2006-01-02T15:04:05Z"), "the commit's time")
	labels := config.Config.Labels
	require.Equal(t, "onefire", labels["org.opencontainers.image.title"])
	require.Equal(t, "v1.2.3", labels["org.opencontainers.image.version"])
	require.Len(t, labels["org.opencontainers.image.revision"], 40)
	require.Equal(t, "Apache-2.0", labels["org.opencontainers.image.licenses"])
	require.NotEmpty(t, labels["org.opencontainers.image.description"])

	manifest, err := image.Platforms[0].Image.Manifest()
	require.NoError(t, err)
	var size int64
	for _, l := range manifest.Layers {
		size += l.Size
	}
	t.Logf("%.1f MB compressed", float64(size)/1e6)
	require.LessOrEqual(t, size, int64(maxImage))
}

// TestTheSBOMListsTheModulesOfTheBinary holds the SBOM against what go says.
func TestTheSBOMListsTheModulesOfTheBinary(t *testing.T) {
	dir := filepath.Join(source(t), "function/cmd/onefire")
	image, err := Build(t.Context(), dir, []string{here})
	require.NoError(t, err)
	var document struct {
		SPDXVersion string `json:"spdxVersion"`
		Packages    []struct {
			Name    string
			Version string `json:"versionInfo"`
		}
	}
	require.NoError(t, json.Unmarshal(image.Platforms[0].SBOM, &document))
	require.Equal(t, "SPDX-2.3", document.SPDXVersion)
	listed := map[string]string{}
	for _, p := range document.Packages {
		listed[p.Name] = p.Version
	}
	require.Contains(t, listed, "onefire")
	deps := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{.Path}} {{.Version}}{{end}}", ".")
	deps.Dir = dir
	deps.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := deps.Output()
	require.NoError(t, err)
	modules := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if path, version, ok := strings.Cut(strings.TrimSpace(line), " "); ok && version != "" {
			modules[path] = version
		}
	}
	require.Greater(t, len(modules), 30)
	for path, version := range modules {
		require.Equal(t, version, listed[path], path)
	}
}

// TestTheArchiveLoads reads the archive both ways: as an OCI layout, as
// containerd does, and by manifest.json, as older Dockers and kind do.
func TestTheArchiveLoads(t *testing.T) {
	image, err := Build(t.Context(), filepath.Join(source(t), "function/cmd/onefire"), []string{here})
	require.NoError(t, err)
	out := t.TempDir()
	archive, err := image.Save(out, "dev.local/onefire:dev")
	require.NoError(t, err)
	manifest, err := tarball.LoadManifest(opener(archive))
	require.NoError(t, err)
	require.Equal(t, []string{"dev.local/onefire:dev"}, manifest[0].RepoTags)
	loaded, err := tarball.ImageFromPath(archive, nil)
	require.NoError(t, err)
	require.NoError(t, sameConfig(image.Platforms[0].Image, loaded))

	unpacked := t.TempDir()
	unpack(t, opener(archive), unpacked)
	index, err := layout.ImageIndexFromPath(unpacked)
	require.NoError(t, err)
	entries, err := index.IndexManifest()
	require.NoError(t, err)
	require.Len(t, entries.Manifests, 1, "the SBOM is not for a container runtime")
	require.Equal(t, digest(t, image.Result), entries.Manifests[0].Digest)
	require.Equal(t, "dev.local/onefire:dev", entries.Manifests[0].Annotations["io.containerd.image.name"])

	// The folder has the SBOM as well, as a referrer of the image.
	index, err = layout.ImageIndexFromPath(filepath.Join(out, "onefire"))
	require.NoError(t, err)
	entries, err = index.IndexManifest()
	require.NoError(t, err)
	require.Len(t, entries.Manifests, 2)
	requireSBOM(t, index, entries.Manifests[1].Digest, image.Platforms[0])
	require.FileExists(t, filepath.Join(out, "onefire.spdx.json"))
}

func sameConfig(a, b v1.Image) error {
	one, err := a.ConfigName()
	if err != nil {
		return err
	}
	other, err := b.ConfigName()
	if err == nil && one != other {
		err = fmt.Errorf("one image's config is %s, the other's %s", one, other)
	}
	return err
}

// TestAFolderWithoutACommitHasNoVersion and says so in no error.
func TestAFolderWithoutACommitHasNoVersion(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("GIT_CEILING_DIRECTORIES", filepath.Dir(dir))
	r, err := RevisionOf(t.Context(), dir)
	require.NoError(t, err)
	require.Equal(t, "unknown", r.Version)
	require.Empty(t, r.Commit)
	require.Zero(t, r.Time.Unix())
}

func TestAChangedTreeSaysSo(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a"), []byte("1"), 0o644))
	checkout.Commit(t, dir)
	clean, err := RevisionOf(t.Context(), dir)
	require.NoError(t, err)
	require.Len(t, clean.Version, 7)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a"), []byte("2"), 0o644))
	changed, err := RevisionOf(t.Context(), dir)
	require.NoError(t, err)
	require.Equal(t, clean.Version+"-dirty", changed.Version)
}

// TestWhatIsNoCommandIsRefused with a sentence that says why.
func TestWhatIsNoCommandIsRefused(t *testing.T) {
	for reason, row := range map[string]struct{ dir, platform, want string }{
		"a package that is not main": {repository + "/mapping", here, "is no command"},
		"a folder without Go":        {t.TempDir(), here, "go list"},
		"a platform of one word":     {repository + "/function/cmd/onefire", "amd64", "is no platform"},
	} {
		_, err := Build(t.Context(), row.dir, []string{row.platform})
		require.ErrorContains(t, err, row.want, reason)
	}
}

func TestTheRootsAreMozillas(t *testing.T) {
	names := map[string]bool{}
	rest := roots()
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		require.NoError(t, err)
		require.True(t, c.IsCA)
		names[c.Subject.CommonName] = true
	}
	require.Empty(t, strings.TrimSpace(string(rest)))
	require.Greater(t, len(names), 100)
	for _, name := range []string{"ISRG Root X1", "DigiCert Global Root G2", "Amazon Root CA 1", "GTS Root R1"} {
		require.Contains(t, names, name)
	}
}

func TestACancelledBuildEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Build(ctx, repository+"/function/cmd/onefire", []string{here})
	require.ErrorIs(t, err, context.Canceled)
}

func TestTheSBOMNamesTheKoThatMadeIt(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	require.NoError(t, err)
	require.Contains(t, string(mod), "github.com/google/ko "+koVersion+"\n")
}
