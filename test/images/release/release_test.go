package release

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"onefire/test/images/checkout"
)

// root is the repository, from here.
const root = "../../.."

const released = "v1.2.3"

// made makes a release of a checkout of its own, in a new folder.
func made(t *testing.T, repository string, push bool) string {
	t.Helper()
	o := Options{Root: checkout.Make(t, root, "test"), Version: released, Repository: repository, Out: t.TempDir(), Push: push, Say: t.Output()}
	require.NoError(t, Make(t.Context(), o))
	return o.Out
}

// TestARelease makes one, with a registry to push to, and looks at all that is in it; and
// once more in another place, where the same files must come out.
func TestARelease(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	repository := strings.TrimPrefix(server.URL, "http://") + "/team"
	dir := made(t, repository, true)

	t.Run("holds what a release needs", func(t *testing.T) {
		require.Equal(t, []string{
			"SHA256SUMS", "crd.yaml",
			"image-onefire-deadletters.tar", "image-onefire-source.tar", "image-onefire.tar", "images.txt",
			"install-datastorage.yaml", "install-kubernaut.yaml", "install-plain-datastorage.yaml", "install-plain-kubernaut.yaml",
			"install-plain.yaml", "install.yaml", "notes.md", "onefire-1.2.3.tgz",
			"onefire-darwin-amd64.spdx.json", "onefire-darwin-amd64.tar.gz", "onefire-darwin-arm64.spdx.json", "onefire-darwin-arm64.tar.gz",
			"onefire-deadletters-linux-amd64.spdx.json", "onefire-deadletters-linux-arm64.spdx.json",
			"onefire-linux-amd64.spdx.json", "onefire-linux-amd64.tar.gz", "onefire-linux-arm64.spdx.json", "onefire-linux-arm64.tar.gz",
			"onefire-source-linux-amd64.spdx.json", "onefire-source-linux-arm64.spdx.json",
		}, names(t, dir))
	})
	t.Run("checksums are of all of it", func(t *testing.T) {
		require.Equal(t, len(names(t, dir))-1, verified(t, dir))
	})
	t.Run("archives hold the images that manifests and chart name", func(t *testing.T) { imagesAreOne(t, dir, repository) })
	t.Run("the CLI says the version", func(t *testing.T) { cliSays(t, dir) })
	t.Run("SBOMs list modules", func(t *testing.T) {
		for _, file := range names(t, dir) {
			if strings.HasSuffix(file, ".spdx.json") {
				var document struct{ Packages []struct{ Name string } }
				require.NoError(t, json.Unmarshal(read(t, dir, file), &document), file)
				require.Greater(t, len(document.Packages), 20, file)
			}
		}
	})
	t.Run("Helm and Knative's types accept it", func(t *testing.T) {
		check := exec.CommandContext(t.Context(), "go", "test", "-count=1", ".", "-run", "^TestARelease$", "-release", dir)
		check.Dir = filepath.Join(root, "knative", "verify") // A module of its own.
		out, err := check.CombinedOutput()
		require.NoError(t, err, "%s", out)
	})
	t.Run("the same commit makes the same files", func(t *testing.T) {
		require.Equal(t, string(read(t, dir, sums)), string(read(t, made(t, repository, false), sums)))
	})
}

// imagesAreOne asks that an image has one digest in its archive, in the registry, in the
// list, in the chart and in the manifests.
func imagesAreOne(t *testing.T, dir, repository string) {
	t.Helper()
	for _, program := range []string{"onefire", "onefire-source", "onefire-deadletters"} {
		unpacked := t.TempDir()
		unpack(t, bytes.NewReader(read(t, dir, "image-"+program+".tar")), unpacked)
		index, err := layout.ImageIndexFromPath(unpacked)
		require.NoError(t, err)
		entries, err := index.IndexManifest()
		require.NoError(t, err)
		require.Len(t, entries.Manifests, 1)
		require.Equal(t, repository+"/"+program+":"+released, entries.Manifests[0].Annotations["io.containerd.image.name"])
		digest := entries.Manifests[0].Digest
		ref := repository + "/" + program + "@" + digest.String()
		both, err := index.ImageIndex(digest)
		require.NoError(t, err)
		require.Equal(t, []string{"linux/amd64", "linux/arm64"}, platformsOf(t, both))

		pushed, err := name.ParseReference(repository + "/" + program + ":" + released)
		require.NoError(t, err)
		there, err := remote.Index(pushed)
		require.NoError(t, err)
		got, err := there.Digest()
		require.NoError(t, err)
		require.Equal(t, digest, got)

		require.Contains(t, string(read(t, dir, "images.txt")), ref+" index -\n")
		require.Contains(t, string(read(t, dir, "notes.md")), ref)
		require.Contains(t, string(chartFiles(t, dir)["onefire/values.yaml"]), digest.String())
		for _, m := range manifests {
			text := string(read(t, dir, m.file()))
			without := m.name == "crd" || strings.Contains(m.name, "plain") && program == "onefire-deadletters"
			require.Equal(t, !without, strings.Contains(text, "image: "+ref+"\n"), "%s: %s", m.file(), program)
		}
	}
	for line := range strings.Lines(string(read(t, dir, "images.txt"))) {
		ref, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		platform, sbom, _ := strings.Cut(rest, " ")
		if platform == "index" {
			continue
		}
		parsed, err := name.ParseReference(ref)
		require.NoError(t, err)
		image, err := remote.Image(parsed)
		require.NoError(t, err, line)
		config, err := image.ConfigFile()
		require.NoError(t, err)
		require.Equal(t, platform, config.Platform().String())
		require.FileExists(t, filepath.Join(dir, sbom))
	}
}

func platformsOf(t *testing.T, index v1.ImageIndex) (all []string) {
	t.Helper()
	entries, err := index.IndexManifest()
	require.NoError(t, err)
	for _, e := range entries.Manifests {
		all = append(all, e.Platform.String())
	}
	return all
}

// cliSays unpacks the CLI of each platform, and runs the one for here. In those of others
// the version stands as the linker put it.
func cliSays(t *testing.T, dir string) {
	t.Helper()
	for _, platform := range []string{"linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64"} {
		z, err := gzip.NewReader(bytes.NewReader(read(t, dir, "onefire-"+platform+".tar.gz")))
		require.NoError(t, err)
		to := t.TempDir()
		unpack(t, z, to)
		require.Equal(t, []string{"LICENSE", "THIRD-PARTY", "onefire"}, names(t, to))
		require.Contains(t, string(read(t, to, "onefire")), released, platform)
		if platform == runtime.GOOS+"-"+runtime.GOARCH {
			out, err := exec.CommandContext(t.Context(), filepath.Join(to, "onefire"), "version").Output()
			require.NoError(t, err)
			require.True(t, strings.HasPrefix(string(out), "onefire "+released+" ("), "%s", out)
		}
	}
}

// fake is what build gives, of images that nobody built.
func fake(repository string) (all []program) {
	for i, n := range []string{"onefire", "onefire-deadletters", "onefire-source"} {
		digest := "sha256:" + strings.Repeat(string(rune('a'+i)), 64)
		all = append(all, program{n, repository + "/" + n + "@" + digest, digest, []platform{{"linux/amd64", "r@d", n + ".spdx.json"}}})
	}
	return all
}

func TestAManifestIsWholeAndInOrder(t *testing.T) {
	dir := t.TempDir()
	o := Options{Root: root, Version: released, Repository: "registry.example/team"}
	require.NoError(t, writeManifests(o, folder{path: dir}, fake(o.Repository)))
	for _, m := range manifests {
		var kinds, names []string
		for document := range strings.SplitSeq(string(read(t, dir, m.file())), "\n---\n") {
			var object struct {
				Kind     string
				Metadata struct{ Name string }
			}
			require.NoError(t, yaml.Unmarshal([]byte(document), &object), m.file())
			kinds, names = append(kinds, object.Kind), append(names, object.Metadata.Name)
		}
		require.NotContains(t, names, "onefire-site", "%s: the site's values are only read", m.file())
		require.NotContains(t, kinds, "Secret", m.file())
		if m.name == "crd" {
			require.Equal(t, []string{"CustomResourceDefinition"}, kinds)
			continue
		}
		require.Equal(t, "Namespace", kinds[0], "%s: what is in it comes after", m.file())
		require.Equal(t, !strings.Contains(m.name, "kubernaut"), kinds[1] == "CustomResourceDefinition", m.file())
		require.Equal(t, strings.Contains(m.name, "plain"), !slices.Contains(kinds, "Trigger"), m.file())
	}
}

func TestTheChartHasTheVersionAndTheDigests(t *testing.T) {
	dir := t.TempDir()
	o := Options{Root: root, Version: released, Repository: "registry.example/team/"}
	built := fake("registry.example/team")
	require.NoError(t, writeChart(o, folder{path: dir}, built))
	files := chartFiles(t, dir)
	var chart struct{ Name, Version, AppVersion string }
	require.NoError(t, yaml.Unmarshal(files["onefire/Chart.yaml"], &chart))
	require.Equal(t, "onefire", chart.Name)
	require.Equal(t, "1.2.3", chart.Version)
	require.Equal(t, released, chart.AppVersion)
	var values struct {
		Images struct {
			Registry                      string
			Function, Source, Deadletters struct{ Name, Digest string }
		}
	}
	require.NoError(t, yaml.Unmarshal(files["onefire/values.yaml"], &values))
	require.Equal(t, "registry.example/team", values.Images.Registry)
	got := map[string]string{}
	for _, one := range []struct{ Name, Digest string }{values.Images.Function, values.Images.Source, values.Images.Deadletters} {
		got[one.Name] = one.Digest
	}
	for _, p := range built {
		require.Equal(t, p.digest, got[p.name])
	}
	require.Contains(t, files, "onefire/templates/_helpers.tpl")
	require.Contains(t, files, "onefire/values.schema.json")
	for file := range files {
		require.NotContains(t, file, "/ci/")
	}
	// A value that is no longer there must not go by in silence.
	_, err := chartEdits(o, nil)
	require.Error(t, err)
	require.ErrorContains(t, writeChart(o, folder{path: dir}, append(built, program{name: "other"})), "values.yaml has 0 places")
}

// TestWhatIsNoReleaseIsRefused before anything is built.
func TestWhatIsNoReleaseIsRefused(t *testing.T) {
	clean := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(clean, "CHANGELOG.md"), []byte("## 1.0.0\n- a\n"), 0o600))
	checkout.Commit(t, clean)
	other := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(other, "a"), []byte("1"), 0o600))
	checkout.Commit(t, other)
	checkout.Git(t, other, "tag", "v1.0.0")
	require.NoError(t, os.WriteFile(filepath.Join(other, "a"), []byte("2"), 0o600))
	checkout.Git(t, other, "commit", "-q", "-a", "-m", "more")
	changed := t.TempDir()
	checkout.Git(t, changed, "init", "-q")
	checkout.Git(t, changed, "commit", "-q", "--allow-empty", "-m", "nothing")
	require.NoError(t, os.WriteFile(filepath.Join(changed, "b"), []byte("1"), 0o600))
	full := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(full, "old"), nil, 0o600))
	nowhere := t.TempDir()
	t.Setenv("GIT_CEILING_DIRECTORIES", filepath.Dir(nowhere))
	for reason, row := range map[string]struct {
		o    Options
		want string
	}{
		"a version without a v":        {Options{Root: clean, Version: "1.0.0", Repository: "r"}, "is no version"},
		"a version of two numbers":     {Options{Root: clean, Version: "v1.0", Repository: "r"}, "is no version"},
		"build metadata":               {Options{Root: clean, Version: "v1.0.0+1", Repository: "r"}, "is no version"},
		"no repository":                {Options{Root: clean, Version: "v1.0.0"}, "say the repository"},
		"no git":                       {Options{Root: nowhere, Version: "v1.0.0", Repository: "r"}, "is no git repository"},
		"a file that nobody committed": {Options{Root: changed, Version: "v1.0.0", Repository: "r"}, "?? b"},
		"another commit's tag":         {Options{Root: other, Version: "v1.0.0", Repository: "r"}, "the tag v1.0.0 is of the commit"},
		"no notes":                     {Options{Root: clean, Version: "v2.0.0", Repository: "r"}, "says nothing of v2.0.0"},
		"a folder with an older one":   {Options{Root: clean, Version: "v1.0.0", Repository: "r", Out: full}, "is not empty"},
	} {
		row.o.Say = io.Discard
		if row.o.Out == "" {
			row.o.Out = filepath.Join(t.TempDir(), "out")
		}
		require.ErrorContains(t, Make(t.Context(), row.o), row.want, reason)
	}
}

// names lists a folder.
func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func read(t *testing.T, dir, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, file))
	require.NoError(t, err)
	return data
}

// verified checks the checksums, and counts them.
func verified(t *testing.T, dir string) (n int) {
	t.Helper()
	for lines := bufio.NewScanner(bytes.NewReader(read(t, dir, sums))); lines.Scan(); n++ {
		sum, file, ok := strings.Cut(lines.Text(), "  ")
		require.True(t, ok)
		got := sha256.Sum256(read(t, dir, file))
		require.Equal(t, sum, hex.EncodeToString(got[:]), file)
	}
	return n
}

// chartFiles are the files in the chart's package.
func chartFiles(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(read(t, dir, "onefire-1.2.3.tgz")))
	require.NoError(t, err)
	files := map[string][]byte{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		require.NoError(t, err)
		files[h.Name], err = io.ReadAll(r)
		require.NoError(t, err)
	}
}

// unpack writes the files of a tar into a folder.
func unpack(t *testing.T, archive io.Reader, to string) {
	t.Helper()
	for r := tar.NewReader(archive); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
		path := filepath.Join(to, filepath.FromSlash(h.Name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		data, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, data, h.FileInfo().Mode()))
	}
}
