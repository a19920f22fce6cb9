package install

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"onefire/test/cluster/build"
	"onefire/test/cluster/kingress"
)

// stage is a set of manifests that is applied at once; the stages follow each
// other. Names are of files or folders below a module's config/.
type stage struct {
	name  string
	files map[string][]string
}

var stages = []stage{
	{"Knative's kinds", map[string][]string{
		"knative.dev/eventing":   {"core/100-namespace.yaml", "core/resources", "channels/in-memory-channel/resources"},
		"knative.dev/serving":    {"core/100-namespace.yaml", "core/300-resources", "core/300-knativecertificate.yaml"},
		"knative.dev/networking": {"certificate.yaml", "domain-claim.yaml", "ingress.yaml", "serverlessservice.yaml"},
		"knative.dev/caching":    {"image.yaml"},
	}},
	{"Knative's rights and configuration", map[string][]string{
		"knative.dev/eventing": {"core", "core/roles", "core/configmaps", "brokers/mt-channel-broker/roles",
			"channels/in-memory-channel", "channels/in-memory-channel/roles", "channels/in-memory-channel/configmaps", "../third_party/eventing-integrations-latest"},
		"knative.dev/serving":    {"core/200-serviceaccount.yaml", "core/200-roles", "core/configmaps"},
		"knative.dev/networking": {"config-network.yaml"},
	}},
	{"Knative's webhooks and Deployments", map[string][]string{
		"knative.dev/eventing": {"core/webhooks", "channels/in-memory-channel/webhooks",
			"core/deployments/controller.yaml", "core/deployments/webhook.yaml", "core/deployments/job-sink.yaml",
			"brokers/mt-channel-broker/deployments", "channels/in-memory-channel/deployments"},
		"knative.dev/serving": {"core/webhooks", "core/deployments"},
	}},
}

// settings replace what Knative's own ConfigMaps say.
var settings = map[string]map[string]string{
	"config-network":       {"ingress-class": kingress.Class},
	"config-observability": {"metrics-protocol": "prometheus"},
}

// knative installs DNS, the ingress and Knative, from the YAML in its modules.
func (in *installer) knative(ctx context.Context) error {
	for _, name := range []string{"dns.yaml", "kingress.yaml"} {
		if err := in.own(ctx, name); err != nil {
			return err
		}
	}
	for _, s := range stages {
		var all bytes.Buffer
		for module, names := range s.files {
			if err := in.collect(ctx, &all, module, names); err != nil {
				return err
			}
		}
		if err := in.apply(ctx, s.name, all.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// collect appends the adapted manifests of a module.
func (in *installer) collect(ctx context.Context, to *bytes.Buffer, module string, names []string) error {
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module)
	list.Dir = filepath.Join(in.p.Repo, "test", "cluster", "knative")
	out, err := list.Output()
	if err != nil {
		return fmt.Errorf("find %s (has it been built?): %w", module, err)
	}
	for _, name := range names {
		root := filepath.Join(strings.TrimSpace(string(out)), "config", name)
		files := []string{root}
		if info, err := os.Stat(root); err != nil {
			return err
		} else if info.IsDir() {
			if files, err = filepath.Glob(filepath.Join(root, "*.yaml")); err != nil {
				return err
			}
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			if err := adapt(to, text); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	return nil
}

// koImage is an image as Knative's sources name it: by its Go package.
var koImage = regexp.MustCompile(`ko://knative\.dev/([\w/]+)`)

// adapt appends manifests with our images, our settings, and without what one
// small node cannot give: reserved processor time, and more replicas.
func adapt(to *bytes.Buffer, text []byte) error {
	text = koImage.ReplaceAllFunc(text, func(name []byte) []byte {
		return []byte(build.KnativeImage(string(koImage.FindSubmatch(name)[1])))
	})
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(document, &object.Object); err != nil {
			return err
		}
		switch object.GetKind() {
		case "", "HorizontalPodAutoscaler", "PodDisruptionBudget":
			continue
		case "Deployment":
			if err := unreserve(object); err != nil {
				return err
			}
		case "ConfigMap":
			for key, value := range settings[object.GetName()] {
				if err := unstructured.SetNestedField(object.Object, value, "data", key); err != nil {
					return err
				}
			}
		}
		out, err := yaml.Marshal(object.Object)
		if err != nil {
			return err
		}
		to.WriteString("---\n")
		to.Write(out)
	}
}

// unreserve takes the processor time that containers ask for away.
func unreserve(deployment *unstructured.Unstructured) error {
	containers, _, err := unstructured.NestedSlice(deployment.Object, "spec", "template", "spec", "containers")
	if err != nil {
		return err
	}
	for _, container := range containers {
		if fields, ok := container.(map[string]any); ok {
			unstructured.RemoveNestedField(fields, "resources", "requests", "cpu")
			// Without a request, the limit is the request.
			unstructured.RemoveNestedField(fields, "resources", "limits", "cpu")
		}
	}
	return unstructured.SetNestedSlice(deployment.Object, containers, "spec", "template", "spec", "containers")
}
