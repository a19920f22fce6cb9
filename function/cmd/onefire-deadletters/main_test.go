package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"onefire/function/deadletters"
	"onefire/function/telemetry"
)

func TestWhatAProgramSaysOfItself(t *testing.T) {
	const help = "\nfor help: onefire-deadletters -h\n"
	for reason, row := range map[string]struct {
		args          []string
		code          int
		out, problems string
	}{
		"its version":         {[]string{"version"}, 0, telemetry.About("onefire-deadletters") + "\n", ""},
		"help":                {[]string{"help"}, 0, deadletters.Usage, ""},
		"a flag for it":       {[]string{"-h"}, 0, deadletters.Usage, ""},
		"help on a command":   {[]string{"replay", "--help"}, 0, deadletters.Usage, ""},
		"no command":          {[]string{"bogus"}, 2, "", `onefire-deadletters: unknown command "bogus"` + help},
		"an argument of list": {[]string{"list", "foo"}, 2, "", `onefire-deadletters: list takes no arguments: "foo"` + help},
		"a version of what":   {[]string{"version", "foo"}, 2, "", `onefire-deadletters: version takes no arguments: "foo"` + help},
		"show without a name": {[]string{"show"}, 2, "", "onefire-deadletters: show takes one NAME" + help},
		"show with two names": {[]string{"show", "a", "b"}, 2, "", "onefire-deadletters: show takes one NAME" + help},
		"replay without any":  {[]string{"replay", "-dry-run"}, 2, "", "onefire-deadletters: replay takes NAMEs, or all" + help},
		"replay with both":    {[]string{"replay", "a", "all"}, 2, "", "onefire-deadletters: replay takes NAMEs, or all" + help},
	} {
		t.Run(reason, func(t *testing.T) {
			var out, problems bytes.Buffer
			require.Equal(t, row.code, run(t.Context(), row.args, &out, &problems))
			require.Equal(t, row.out, out.String())
			require.Equal(t, row.problems, problems.String())
		})
	}
}
