package release

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// A manifest is one file with all objects of a way to install. It has the addresses of
// knative/site.env.example; a site with others installs the chart.
type manifest struct {
	// name is the file's, without its ending.
	name string
	// what says what it installs, as a cell of a table.
	what                  string
	resources, components []string
}

var manifests = []manifest{
	{"install", "for a cluster with Knative; no audit events", []string{"base", "crd"}, []string{"no-audit"}},
	{"install-datastorage", "for a cluster with Knative; audit events to the Service `datastorage` in `kubernaut-system`", []string{"base", "crd"}, []string{"datastorage-url"}},
	{"install-kubernaut", "for a cluster with Knative, in front of kubernaut in `kubernaut-system`", []string{"base"}, []string{"kubernaut"}},
	{"install-plain", "for a cluster without Knative; no audit events", []string{"base", "crd"}, []string{"no-audit", "plain"}},
	{"install-plain-datastorage", "for a cluster without Knative; audit events to the Service `datastorage` in `kubernaut-system`", []string{"base", "crd"}, []string{"datastorage-url", "plain"}},
	{"install-plain-kubernaut", "for a cluster without Knative, in front of kubernaut in `kubernaut-system`", []string{"base"}, []string{"kubernaut", "plain"}},
	{"crd", "the RemediationRequest alone", []string{"crd"}, nil},
}

func (m manifest) file() string { return m.name + ".yaml" }

// writeManifests builds each manifest with kustomize.
func writeManifests(o Options, f folder, built []program) error {
	work, err := os.MkdirTemp("", "onefire-release-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer os.RemoveAll(work)
	// kustomize reads no kustomization of another place, so it is written into a copy.
	dir := filepath.Join(work, "knative")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(o.Root, "knative"))); err != nil {
		return fmt.Errorf("copying knative/: %w", err)
	}
	for _, m := range manifests {
		text, err := m.build(dir, o, built)
		if err != nil {
			return fmt.Errorf("building %s: %w", m.file(), err)
		}
		if err := f.write(m.file(), text); err != nil {
			return err
		}
	}
	return nil
}

// build gives a manifest's objects, the Namespace and the CRD first. dir is a copy of
// knative/, whose kustomization is written over.
func (m manifest) build(dir string, o Options, built []program) ([]byte, error) {
	k := map[string]any{
		"apiVersion": types.KustomizationVersion,
		"kind":       types.KustomizationKind,
		"resources":  m.resources,
		// Only read here, as in knative/kustomization.yaml: it is not applied.
		"configMapGenerator": []any{map[string]any{"name": "onefire-site", "envs": []string{"site.env.example"}, "options": map[string]any{
			"disableNameSuffixHash": true, "annotations": map[string]string{"config.kubernetes.io/local-config": "true"},
		}}},
	}
	var components []string
	for _, c := range m.components {
		components = append(components, "components/"+c)
	}
	k["components"] = components
	var pinned []any
	for _, p := range built {
		repository, _, _ := strings.Cut(p.ref, "@")
		pinned = append(pinned, map[string]string{"name": p.name, "newName": repository, "digest": p.digest})
	}
	k["images"] = pinned
	text, err := yaml.Marshal(k)
	if err != nil {
		return nil, fmt.Errorf("writing the kustomization: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), text, 0o600); err != nil {
		return nil, fmt.Errorf("writing the kustomization: %w", err)
	}
	options := krusty.MakeDefaultOptions()
	// Objects that others need go first, as with kubectl apply -k.
	options.Reorder = krusty.ReorderOptionLegacy
	all, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, err
	}
	objects, err := all.AsYaml()
	if err != nil {
		return nil, err
	}
	head := fmt.Sprintf("# Onefire %s, %s:\n#\n#   kubectl apply -f %s\n#\n", o.Version, m.what, m.file())
	return append([]byte(head), objects...), nil
}
