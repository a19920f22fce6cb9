package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"onefire/test/cluster/paths"
)

// BeforeTag is the tag of the images of an earlier version.
const BeforeTag = "before"

// Helm builds helm.
func Helm(ctx context.Context, p paths.Paths) error {
	if err := goBuild(ctx, p, "knative/verify", "bin/", "-s -w", "helm.sh/helm/v4/cmd/helm"); err != nil {
		return fmt.Errorf("build helm: %w", err)
	}
	return nil
}

// Before exports an earlier commit or tag of the repository to
// [paths.Paths.Before], and makes its images there, in bin/images.
func Before(ctx context.Context, p paths.Paths, revision string) error {
	dir := p.Before()
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return err
	}
	archive := filepath.Join(dir, "all.tar")
	for _, command := range [][]string{
		{"git", "-C", p.Repo, "archive", "--output", archive, revision},
		{"tar", "-x", "-C", dir, "-f", archive},
	} {
		if out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("export %s: %w: %s", revision, err, out)
		}
	}
	cmd := exec.CommandContext(ctx, p.Bin("onefire-image"), append([]string{"-out", filepath.Join(dir, "bin", "images"), "-tag", BeforeTag}, ours[:3]...)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("images of %s: %w: %s", revision, err, out)
	}
	return nil
}
