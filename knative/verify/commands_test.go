package verify

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v4/pkg/chart/common"
)

// A script is the commands of one fenced block, each as it would be typed.
type script []string

var fenced = regexp.MustCompile("(?ms)^```console\n(.*?)^```")

// scripts gives the blocks of commands in a page: lines after `$ `, with those
// that continue them or are their input.
func scripts(page string) (found []script) {
	for _, block := range fenced.FindAllStringSubmatch(page, -1) {
		var s script
		more := ""
		for line := range strings.Lines(block[1]) {
			command, begins := strings.CutPrefix(line, "$ ")
			switch {
			case begins:
				s = append(s, command)
			case more != "":
				s[len(s)-1] += line
			default:
				continue // The line is what a command prints.
			}
			switch {
			case begins && strings.Contains(command, "<<END"):
				more = "END\n"
			case strings.HasSuffix(line, "\\\n"):
				more = "\\"
			case more != "END\n" || line == more:
				more = ""
			}
		}
		found = append(found, s)
	}
	return found
}

// prepares are commands that change files; the test runs them. builds, charts
// and makes are what it holds against what is there.
var (
	prepares = regexp.MustCompile(`^(sed|printf|cat >|cp) `)
	builds   = regexp.MustCompile(`kubectl (?:kustomize|apply -k|delete -k) ([\w./-]+)`)
	charts   = regexp.MustCompile(`helm (?:install|upgrade) (?:--\S+ )*onefire (\S+)`)
	makes    = regexp.MustCompile(`\bmake ([a-z][a-z0-9-]*)((?: [A-Z]+=\S+)*)`)
	// things are objects by kind and name, as kubectl wants to hear them.
	things = regexp.MustCompile(`\b(ksvc|broker|trigger|sinkbinding|cronjob|deployment|rolebinding)/(onefire[a-z-]*)`)
)

// kinds are what kubectl's short names mean in [objects].
var kinds = map[string]string{
	"ksvc": "KnativeService", "broker": "Broker", "trigger": "Trigger", "sinkbinding": "SinkBinding", "cronjob": "CronJob",
	"deployment": "Deployment", "rolebinding": "RoleBinding",
}

// follow does what a block says, in a copy of the repository, and says what
// does not go.
func follow(t *testing.T, s script) (wrong []string) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(dir, "knative"), os.DirFS("..")))
	prepared := false
	for _, command := range s {
		if prepares.MatchString(command) {
			shell := exec.CommandContext(t.Context(), "sh", "-ec", command)
			shell.Dir = dir
			if out, err := shell.CombinedOutput(); err != nil {
				wrong = append(wrong, command+": "+string(out))
			}
			prepared = true
		}
		if built := builds.FindStringSubmatch(command); built != nil {
			if !prepared { // The page has said before what to write.
				require.NoError(t, os.WriteFile(filepath.Join(dir, "knative", "site.env"), []byte(site), 0o600))
			}
			all, err := build(filepath.Join(dir, built[1]))
			if err != nil {
				wrong = append(wrong, command+": "+err.Error())
			}
			if prepared && err == nil && !slices.Contains(imagesOf(all), "registry.example/team/onefire:v1") {
				wrong = append(wrong, command+": the image is none that `make image` has pushed: "+strings.Join(imagesOf(all), " "))
			}
		}
		// A release's package is held against its manifests where it is made.
		if chart := charts.FindStringSubmatch(command); chart != nil && !strings.HasSuffix(chart[1], ".tgz") {
			given, err := common.ReadValuesFile(filepath.Join(dir, "onefire.yaml"))
			if err == nil {
				_, err = render(t, filepath.Join(dir, chart[1]), "onefire", given)
			}
			if err != nil {
				wrong = append(wrong, command+": "+err.Error())
			}
		}
	}
	return wrong
}

func imagesOf(all objects) (images []string) {
	running, err := pods(all)
	if err != nil {
		return nil
	}
	for _, p := range running {
		images = append(images, p.user.Image)
	}
	return images
}

// pages are all that people read.
func pages(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, pattern := range []string{"../../*.md", "../../docs/*.md", "../../docs/runbooks/*.md", "../chart/README.md", "../chart/templates/NOTES.txt"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			texts[file] = string(text)
		}
	}
	return texts
}

func TestTheDocsCommandsDoWhatTheySay(t *testing.T) {
	followed := 0
	for file, text := range pages(t) {
		for _, s := range scripts(text) {
			joined := strings.Join(s, "")
			if !builds.MatchString(joined) && !charts.MatchString(joined) {
				continue
			}
			followed++
			require.Empty(t, follow(t, s), file)
		}
	}
	require.GreaterOrEqual(t, followed, 4)
}

func TestTheDocsNameWhatThereIs(t *testing.T) {
	dir := manifests(t)
	all, err := build(dir)
	require.NoError(t, err)
	named, made := 0, map[string]bool{}
	for file, text := range pages(t) {
		for _, thing := range things.FindAllStringSubmatch(text, -1) {
			named++
			require.Contains(t, all, kinds[thing[1]]+" "+thing[2], file)
		}
		for _, path := range builds.FindAllStringSubmatch(text, -1) {
			if strings.HasPrefix(path[1], "knative") {
				require.DirExists(t, filepath.Join("../..", path[1]), file)
			}
		}
		for _, s := range append(scripts(text), sentences(text)) {
			for _, command := range s {
				for _, run := range makes.FindAllStringSubmatch(command, -1) {
					made[run[1]+run[2]] = true
				}
			}
		}
	}
	require.Greater(t, named, 10)
	require.Greater(t, len(made), 15)
	for target := range made {
		// The build may be dear; what it would run is said for nothing.
		out, err := exec.CommandContext(t.Context(), "make", append([]string{"-n", "-C", "../.."}, strings.Fields(target)...)...).CombinedOutput()
		require.NoError(t, err, "make %s: %s", target, out)
		for _, variable := range strings.Fields(target)[1:] {
			_, value, _ := strings.Cut(variable, "=")
			require.Contains(t, string(out), value, "make %s does nothing with it", target)
		}
	}
}

// sentences gives the commands that stand within sentences.
func sentences(page string) (s script) {
	for _, code := range regexp.MustCompile("`(make [a-z][^`]*)`").FindAllStringSubmatch(fenced.ReplaceAllString(page, ""), -1) {
		s = append(s, code[1])
	}
	return s
}

// Each of these is a slip that somebody could make in a page.
func TestASlipInACommandIsFound(t *testing.T) {
	text, err := os.ReadFile("../../docs/install.md")
	require.NoError(t, err)
	for name, slip := range map[string]struct{ page, from, to string }{
		"a folder":               {string(text), "$ kubectl apply -k knative/", "$ kubectl apply -k kustomize/"},
		"a line of site.env":     {string(text), "DATASTORAGE_NAMESPACE=kubernaut-system", "DATASTORE_NAMESPACE=kubernaut-system"},
		"a tag that is not kept": {string(text), "s#newTag: dev#", "s#newTag: latest#"},
		"a value of the chart":   {string(text), "  registry: registry.example/team", "  registri: registry.example/team"},
		"a chart":                {string(text), "helm install onefire knative/chart", "helm install onefire knative/charts"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, slip.page, slip.from)
			var found []string
			for _, s := range scripts(strings.Replace(slip.page, slip.from, slip.to, 1)) {
				found = append(found, follow(t, s)...)
			}
			require.NotEmpty(t, found)
		})
	}
}
