package build

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"onefire/test/cluster/image"
	"onefire/test/cluster/node"
	"onefire/test/cluster/paths"
)

// ours are the commands whose images `make image` makes, and the DataStorage
// of the tests.
var ours = []string{"function/cmd/onefire", "function/cmd/onefire-source", "function/cmd/onefire-deadletters", "test/cmd/onefire-datastorage"}

// onefire makes the images of our own commands in bin/images.
func onefire(ctx context.Context, p paths.Paths) error {
	if err := goBuild(ctx, p, "test/images", "bin/", "-s -w", "./cmd/onefire-image"); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, p.Bin("onefire-image"), append([]string{"-out", filepath.Join(p.Repo, "bin", "images")}, ours...)...)
	cmd.Dir = p.Repo
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// images packs every program that runs in a pod.
func images(ctx context.Context, p paths.Paths) error {
	for _, name := range serving {
		if err := pack(p, KnativeImage("serving/cmd/"+name), "serving/"+name); err != nil {
			return err
		}
	}
	for _, name := range eventing {
		if err := pack(p, KnativeImage("eventing/cmd/"+name), "eventing/"+filepath.Base(name)); err != nil {
			return err
		}
	}
	for name, program := range map[string]string{
		node.PauseImage:                    "bin/pause",
		"dev.local/dns:dev":                "bin/dns",
		"dev.local/kingress:dev":           "bin/kingress",
		"dev.local/kube-state-metrics:dev": "bin/kube-state-metrics",
		"dev.local/node-exporter:dev":      "bin/node_exporter",
		"dev.local/onefire-collector:dev":  "bin/onefire-collector",
		"dev.local/probe:dev":              "bin/probe",
		"dev.local/prometheus:dev":         "bin/prometheus",
	} {
		if err := pack(p, name, program); err != nil {
			return err
		}
	}
	return packDynamic(ctx, p, "dev.local/alertmanager:dev", "usr/bin/prometheus-alertmanager",
		"usr/share/prometheus/alertmanager/default.tmpl", "usr/share/prometheus/alertmanager/email.tmpl")
}

// KnativeImage is what a program of Knative is called here. Knative asks no
// registry for the digest of images under dev.local.
func KnativeImage(program string) string { return "dev.local/knative.dev/" + program + ":dev" }

// pack packs a static program of bin/cluster, unless its image is newer.
func pack(p paths.Paths, name, program string) error {
	return write(p, image.Image{Name: name, Entrypoint: "/app", Files: map[string]string{"/app": filepath.Join(p.Built, program)}})
}

// library is a line of ldd's: a path by itself, or after an arrow.
var library = regexp.MustCompile(`(?m)(?:^\s*|=> )(/\S+) \(0x`)

// packDynamic packs a program of a Debian package with the C library it was
// linked with, and with files of that package.
func packDynamic(ctx context.Context, p paths.Paths, name, program string, others ...string) error {
	out, err := exec.CommandContext(ctx, "ldd", p.Debian(program)).Output()
	if err != nil {
		return fmt.Errorf("ldd %s: %w", program, err)
	}
	files := map[string]string{"/app": p.Debian(program)}
	for _, other := range others {
		files["/"+other] = p.Debian(other)
	}
	for _, match := range library.FindAllStringSubmatch(string(out), -1) {
		files[match[1]] = match[1]
	}
	return write(p, image.Image{Name: name, Entrypoint: "/app", Files: files})
}

func write(p paths.Paths, i image.Image) error {
	file := filepath.Join(p.Images(), strings.NewReplacer("/", "_", ":", "_").Replace(i.Name)+".tar")
	packed, err := os.Stat(file)
	program, missing := os.Stat(i.Files[i.Entrypoint])
	if missing != nil {
		return missing
	}
	if err == nil && packed.ModTime().After(program.ModTime()) {
		return nil
	}
	return i.Write(file)
}
