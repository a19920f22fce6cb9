package cmd

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHelpThatIsAskedForIsNoError(t *testing.T) {
	for args, want := range map[string]string{
		"-h": usage, "-help": usage, "--help": usage, "help": usage, "help list": usage,
		"list -h":            "Usage of onefire list:\n  -A\t",
		"list --help":        "Usage of onefire list:\n  -A\t",
		"explain -h":         "Usage of onefire explain:\n  -ca-file file\n",
		"config -h":          "Usage of onefire config:\n  -o format\n",
		"prune -h":           "Usage of onefire prune:\n  -dry-run\n",
		"version -h":         "Usage of onefire version:\n",
		"list -A -o wide -h": "Usage of onefire list:\n",
	} {
		t.Run(args, func(t *testing.T) {
			code, out, problems := run(t, "", map[string]string{"LOG_LEVEL": "loud"}, strings.Fields(args)...)
			require.Zero(t, code)
			require.Empty(t, problems)
			require.True(t, strings.HasPrefix(out, want), out)
		})
	}
}

func TestWrongArgumentsAreNamed(t *testing.T) {
	for args, want := range map[string][2]string{
		"bogus":                      {`unknown command "bogus"`, "onefire -h"},
		"--bogus":                    {`unknown command "--bogus"`, "onefire -h"},
		"list foo":                   {`list takes no arguments: "foo"`, "onefire list -h"},
		"list -A foo -h":             {`list takes no arguments: "foo"`, "onefire list -h"},
		"config foo":                 {`config takes no arguments: "foo"`, "onefire config -h"},
		"prune everything":           {`prune takes no arguments: "everything"`, "onefire prune -h"},
		"version foo":                {`version takes no arguments: "foo"`, "onefire version -h"},
		"list -A -n shop":            {"list takes -A or -n, not both", "onefire list -h"},
		"list -x":                    {"flag provided but not defined: -x", "onefire list -h"},
		"list -o yaml":               {`invalid value "yaml" for flag -o: use text or json or wide`, "onefire list -h"},
		"explain":                    {"name one FILE, or - for standard input, or a Prometheus with -prometheus", "onefire explain -h"},
		"explain -prometheus u file": {"with -prometheus there is no FILE", "onefire explain -h"},
	} {
		t.Run(args, func(t *testing.T) {
			code, out, problems := run(t, "", nil, strings.Fields(args)...)
			require.Equal(t, 2, code)
			require.Empty(t, out)
			require.Equal(t, "onefire: "+want[0]+"\nfor help: "+want[1]+"\n", problems)
		})
	}
}
