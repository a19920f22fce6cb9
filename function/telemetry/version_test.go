package telemetry

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheVersionIsTheBestThatTheBuildSays(t *testing.T) {
	const revision = "0123456789abcdef0123456789abcdef01234567"
	stamp := func(settings ...string) (all []debug.BuildSetting) {
		for i := 0; i < len(settings); i += 2 {
			all = append(all, debug.BuildSetting{Key: settings[i], Value: settings[i+1]})
		}
		return all
	}
	for reason, row := range map[string]struct {
		info debug.BuildInfo
		want string
	}{
		"a module of a version": {debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: stamp("vcs.revision", revision)}, "v1.2.3"},
		"a commit":              {debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: stamp("-trimpath", "true", "vcs.revision", revision, "vcs.modified", "false")}, revision},
		"a changed commit":      {debug.BuildInfo{Settings: stamp("vcs.modified", "true", "vcs.revision", revision)}, revision + "-dirty"},
		"no stamp at all":       {debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: stamp("-trimpath", "true", "vcs.modified", "true")}, "unknown"},
	} {
		t.Run(reason, func(t *testing.T) {
			require.Equal(t, row.want, versionOf(&row.info, true))
		})
	}
	require.Equal(t, "unknown", versionOf(nil, false))
	require.Equal(t, versionOf(debug.ReadBuildInfo()), Version())
	require.NotEmpty(t, Version())
}

// The builds name the variable as text, so nothing else would notice another name.
func TestWhatTheBuildSaysGoesFirst(t *testing.T) {
	was := version
	t.Cleanup(func() { version = was })
	version = "v1.2.3"
	require.Equal(t, "v1.2.3", Version())
	require.Regexp(t, `^onefire v1\.2\.3 \(go1\S+, \w+/\w+\)$`, About("onefire"))
}
