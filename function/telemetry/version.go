package telemetry

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by -ldflags "-X onefire/function/telemetry.version=v1.2.3" where Go's
// own stamp is missing: images are built without one.
var version string

// Version is the version that the binary was built as, the revision that it was
// built from, or "unknown".
func Version() string {
	if version != "" {
		return version // A cold start need not wait for the build information.
	}
	return versionOf(debug.ReadBuildInfo())
}

func versionOf(info *debug.BuildInfo, ok bool) string {
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	revision, changed := "unknown", ""
	for _, setting := range info.Settings {
		switch {
		case setting.Key == "vcs.revision":
			revision = setting.Value
		case setting.Key == "vcs.modified" && setting.Value == "true":
			changed = "-dirty"
		}
	}
	if revision == "unknown" {
		return revision
	}
	return revision + changed
}

// About describes a command in one line without its end: name, version, Go version and
// platform.
func About(command string) string {
	return fmt.Sprintf("%s %s (%s, %s/%s)", command, Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
