package verify

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// sink is the least that somebody has to say.
const sink = "audit: {url: 'https://store.example', namespace: storage}\n"

func TestAWrongValueIsNamed(t *testing.T) {
	for name, wrong := range map[string]struct {
		values string
		want   []string
	}{
		"nothing at all":               {"", []string{"/audit/url", "/audit/reference/name", "/audit/namespace"}},
		"no namespace":                 {"audit: {url: 'https://store.example'}", []string{"/audit/namespace"}},
		"a URL and a reference":        {"audit: {url: 'https://store.example', reference: {name: store}, namespace: storage}", []string{"/audit/url", "/audit/reference/name"}},
		"a URL without a scheme":       {"audit: {url: 'store.example', namespace: storage}", []string{"/audit/url", "https?"}},
		"no audit, and a sink":         {"audit: {enabled: false, url: 'https://store.example'}", []string{"/audit/url"}},
		"kubernaut without audit":      {"audit: {enabled: false}\nkubernaut: {enabled: true}", []string{"/audit/enabled"}},
		"no Knative, and its sink":     {"plain: {enabled: true}\naudit: {reference: {name: store}, namespace: storage}", []string{"/audit/reference/name"}},
		"no Knative, and its tokens":   {sink + "plain: {enabled: true}\noidc: {enabled: true}", []string{"/oidc/enabled"}},
		"a token for nobody":           {"audit: {enabled: false, token: {enabled: true}}", []string{"/audit/token/enabled"}},
		"an audience without a token":  {"audit: {url: 'https://store.example', namespace: storage, token: {audience: store}}", []string{"/audit/token/audience"}},
		"kubernaut has a token":        {"audit: {token: {enabled: true}}\nkubernaut: {enabled: true}", []string{"/audit/token/enabled"}},
		"a token past the chart":       {sink + "function: {env: {AUDIT_TOKEN_FILE: x}}", []string{"/function/env/AUDIT_TOKEN_FILE"}},
		"a key past the chart":         {sink + "source: {env: {TLS_KEY_FILE: x}}", []string{"/source/env/TLS_KEY_FILE"}},
		"a Secret's file for its name": {sink + "source: {tls: {secret: /etc/tls}}", []string{"/source/tls/secret"}},
		"a slip":                       {sink + "placment: signal", []string{"placment"}},
		"a slip below":                 {sink + "function: {scale: {maximum: 7}}", []string{"/function/scale", "maximum"}},
		"a slip in a resource":         {sink + "source: {resources: {limit: {memory: 1Gi}}}", []string{"/source/resources", "limit"}},
		"an unknown placement":         {sink + "placement: everywhere", []string{"/placement", "'fixed', 'signal'"}},
		"an unknown target":            {sink + "target: pods", []string{"/target", "'labels', 'owner'"}},
		"a class without a ConfigMap":  {sink + "broker: {class: Kafka}", []string{"/broker/config/name"}},
		"a ConfigMap from nowhere":     {sink + "broker: {config: {name: mine}}", []string{"/broker/config/namespace"}},
		"a tag in place of a digest":   {sink + "images: {function: {digest: v1}}", []string{"/images/function/digest"}},
		"a number as a variable":       {sink + "function: {env: {RATE: 1000000}}", []string{"/function/env/RATE", "want string"}},
		"a variable of the chart's":    {sink + "function: {env: {AUDIT_SINK: x}}", []string{"/function/env/AUDIT_SINK"}},
		"a name that is no variable":   {sink + "source: {env: {log-level: debug}}", []string{"/source/env", "log-level"}},
		"no source":                    {sink + "source: {replicas: 0}", []string{"/source/replicas"}},
		"a word for a boolean":         {sink + "crd: {install: 'no'}", []string{"/crd/install", "want boolean"}},
		"a quantity with a slip":       {sink + "replay: {resources: {limits: {memory: 1GB}}}", []string{"/replay/resources/limits/memory"}},
		"a Collector from nowhere":     {sink + "otlp: {endpoint: 'http://collector:4318'}", []string{"/otlp/namespace"}},
		"senders that nobody asks":     {sink + "oidc: {subjects: ['system:serviceaccount:a:b']}", []string{"/oidc/subjects"}},
		"two senders in one":           {sink + "oidc: {enabled: true, subjects: ['a,b']}", []string{"/oidc/subjects/0"}},
		"an audience past the chart":   {sink + "function: {env: {OIDC_AUDIENCE: x}}", []string{"/function/env/OIDC_AUDIENCE"}},
		"DataStorage twice":            {sink + "kubernaut: {enabled: true}", []string{"/audit/url", "/audit/namespace"}},
		"kubernaut sees one place":     {"kubernaut: {enabled: true}\nplacement: signal", []string{"/placement"}},
		"kubernaut nowhere":            {"kubernaut: {enabled: true, namespace: ''}", []string{"/kubernaut/namespace"}},
		"a setting of the preset":      {"kubernaut: {enabled: true}\nfunction: {env: {SEVERITY: map}}", []string{"/function/env/SEVERITY"}},
		"a quota below nothing":        {sink + "quota: {remediationRequests: -1}", []string{"/quota/remediationRequests"}},
		"days of a TTL":                {sink + "prune: {ttl: 7d}", []string{"/prune/ttl"}},
		"a number for a TTL":           {sink + "prune: {deadLetterTTL: 720}", []string{"/prune/deadLetterTTL"}},
		"a TTL past the chart":         {sink + "prune: {env: {TTL: 24h}}", []string{"/prune/env/TTL"}},
		"a scope past the chart":       {sink + "function: {env: {SCOPE: x}}", []string{"/function/env/SCOPE"}},
		"more than a pod takes":        {sink + "function: {scale: {target: 1000}}", []string{"/function/scale/target", "256"}},
		"a Secret without a key":       {sink + "source: {extraEnv: [{name: X, valueFrom: {secretKeyRef: {name: mine}}}]}", []string{"/source/extraEnv/0/valueFrom/secretKeyRef", "key"}},
		"a value twice":                {sink + "source: {extraEnv: [{name: X, value: x, valueFrom: {secretKeyRef: {name: mine, key: x}}}]}", []string{"/source/extraEnv/0"}},
		"a sink past the chart":        {sink + "function: {extraEnv: [{name: AUDIT_SINK, value: x}]}", []string{"/function/extraEnv/0/name"}},
		"the preset's in a list":       {"kubernaut: {enabled: true}\nfunction: {extraEnv: [{name: SEVERITY, value: map}]}", []string{"/function/extraEnv/0/name"}},
		"a volume of the chart's":      {sink + "source: {extraVolumes: [{name: tls, emptyDir: {}}]}", []string{"/source/extraVolumes/0/name"}},
		"a volume of nothing":          {sink + "source: {extraVolumes: [{name: mine}]}", []string{"/source/extraVolumes/0"}},
		"a mount over the chart's":     {sink + "source: {extraVolumeMounts: [{name: mine, mountPath: /var/run/onefire/tls}]}", []string{"/source/extraVolumeMounts/0/mountPath"}},
		"a pull secret's name alone":   {sink + "imagePullSecrets: [registry]", []string{"/imagePullSecrets/0"}},
		"pulled now and then":          {sink + "images: {pullPolicy: Sometimes}", []string{"/images/pullPolicy"}},
		"the name that is selected":    {sink + "source: {podLabels: {app.kubernetes.io/name: mine}}", []string{"/source/podLabels"}},
		"a label of Helm's":            {sink + "commonLabels: {app.kubernetes.io/managed-by: me}", []string{"/commonLabels"}},
		"a namespace less strict":      {sink + "commonLabels: {pod-security.kubernetes.io/enforce: baseline}", []string{"/commonLabels"}},
		"a scale past the chart":       {sink + "function: {podAnnotations: {autoscaling.knative.dev/max-scale: '9'}}", []string{"/function/podAnnotations"}},
		"a number in an annotation":    {sink + "source: {podAnnotations: {port: 9464}}", []string{"/source/podAnnotations/port", "want string"}},
		"an account without a name":    {sink + "source: {serviceAccount: {create: false}}", []string{"/source/serviceAccount/name"}},
		"a taint with a slip":          {sink + "source: {tolerations: [{keys: infra}]}", []string{"/source/tolerations/0", "keys"}},
		"an affinity with a slip":      {sink + "source: {affinity: {nodeAfinity: {}}}", []string{"/source/affinity", "nodeAfinity"}},
		"alerts without a page":        {sink + "observability: {enabled: true}", []string{"/observability/runbooksURL"}},
		"pages at a path":              {sink + "observability: {enabled: true, runbooksURL: docs/runbooks}", []string{"/observability/runbooksURL"}},
		"pages behind two slashes":     {sink + "observability: {enabled: true, runbooksURL: 'https://git.example/runbooks/'}", []string{"/observability/runbooksURL"}},
	} {
		t.Run(name, func(t *testing.T) {
			given, err := common.ReadValues([]byte(wrong.values))
			require.NoError(t, err)
			_, err = render(t, "../chart", "onefire", given)
			for _, want := range wrong.want {
				require.ErrorContains(t, err, want)
			}
			require.Equal(t, support.ErrorSev, lint.RunAll("../chart", given, "onefire").HighestSeverity)
		})
	}
}

// A chart that holds this one as a dependency gives it its global values.
func TestGlobalValuesAreLetThrough(t *testing.T) {
	given, err := common.ReadValues([]byte(sink + "global: {region: north}"))
	require.NoError(t, err)
	_, err = render(t, "../chart", "onefire", given)
	require.NoError(t, err)
}

// table writes a row for each value of values.yaml that has a comment, and for
// each that nothing above or below it has one for. A comment that ends in a colon
// is about the values that follow it, too: they are one row.
func table(node *yaml.Node, path string) string {
	rows, names, defaults, text := "", "", "", ""
	end := func() {
		if before, several := strings.CutSuffix(text, ":"); several {
			text = before + "."
		}
		if names != "" {
			rows += fmt.Sprintf("| %s | %s | %s |\n", names, defaults, text)
		}
		names = ""
	}
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		name := strings.TrimPrefix(path+"."+key.Value, ".")
		comment := strings.ReplaceAll(strings.TrimPrefix(key.HeadComment, "# "), "\n# ", " ")
		if value.Kind == yaml.MappingNode && commented(value) {
			end()
			rows += table(value, name)
			continue
		}
		if names != "" && strings.HasSuffix(text, ":") && comment == "" {
			names, defaults = names+"<br>`"+name+"`", defaults+"<br>"+inline(value)
			continue
		}
		end()
		names, defaults, text = "`"+name+"`", inline(value), comment
	}
	end()
	return rows
}

func commented(node *yaml.Node) bool {
	for _, below := range node.Content {
		if below.HeadComment != "" || commented(below) {
			return true
		}
	}
	return false
}

// inline is a value on one line, as it may be written.
func inline(node *yaml.Node) string {
	var text string
	switch node.Kind {
	case yaml.MappingNode:
		var parts []string
		for i := 0; i < len(node.Content); i += 2 {
			parts = append(parts, node.Content[i].Value+": "+strings.Trim(inline(node.Content[i+1]), "`"))
		}
		text = "{" + strings.Join(parts, ", ") + "}"
	case yaml.SequenceNode:
		var parts []string
		for _, below := range node.Content {
			parts = append(parts, below.Value)
		}
		text = "[" + strings.Join(parts, ", ") + "]"
	default:
		if text = node.Value; text == "" {
			text = `""`
		}
	}
	return "`" + text + "`"
}

var update = flag.Bool("update", false, "write what is made from other files")

func TestTheTableInTheDocsIsTheChartsValues(t *testing.T) {
	text, err := os.ReadFile("../chart/values.yaml")
	require.NoError(t, err)
	document, err := yaml.Parse(string(text))
	require.NoError(t, err)
	rows := "| value | default | what for |\n|---|---|---|\n" + table(document.YNode(), "")
	require.NotContains(t, rows, "|  |", "a value without a comment")

	docs := filepath.Join("..", "chart", "README.md")
	page, err := os.ReadFile(docs)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(page), "| value |")
	require.True(t, found)
	_, after, found := strings.Cut(rest, "\n\n")
	require.True(t, found, "the table ends with an empty line")
	want := before + rows + "\n" + after
	if *update {
		require.NoError(t, os.WriteFile(docs, []byte(want), 0o644))
		page = []byte(want)
	}
	require.Equal(t, want, string(page), "go test ./... -update in knative/verify writes it anew")
}
