package images

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Revision is what source an image is built from.
type Revision struct {
	// Version is the last tag, and what came after it; without a tag the commit,
	// in short; without git "unknown". A tree with changes ends in -dirty.
	Version string
	// Commit is the full hash, or empty.
	Commit string
	// Time is the commit's time. Without git it is zero: 1970.
	Time time.Time
}

// RevisionOf asks git for the revision of a folder. A folder that is in no git
// repository has none, and that is no error.
func RevisionOf(ctx context.Context, dir string) (Revision, error) {
	none := Revision{Version: "unknown", Time: time.Unix(0, 0).UTC()}
	git := func(args ...string) (string, error) {
		c := exec.CommandContext(ctx, "git", args...)
		c.Dir = dir
		out, err := c.Output()
		return strings.TrimSpace(string(out)), err
	}
	if _, err := git("rev-parse", "--verify", "HEAD"); err != nil {
		return none, nil //nolint:nilerr // There is no git here, or no commit: see above.
	}
	version, err := git("describe", "--tags", "--always", "--dirty")
	if err != nil {
		return none, fmt.Errorf("git describe: %w", err)
	}
	commit, err := git("log", "-1", "--format=%H %ct")
	if err != nil {
		return none, fmt.Errorf("git log: %w", err)
	}
	hash, seconds, _ := strings.Cut(commit, " ")
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return none, fmt.Errorf("git log tells no commit time: %w", err)
	}
	return Revision{Version: version, Commit: hash, Time: time.Unix(unix, 0).UTC()}, nil
}
