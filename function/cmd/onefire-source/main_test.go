package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"onefire/function/telemetry"
)

func TestWhatAProgramSaysOfItself(t *testing.T) {
	for reason, row := range map[string]struct {
		args          []string
		code          int
		out, problems string
	}{
		"its version":   {[]string{"version"}, 0, telemetry.About("onefire-source") + "\n", ""},
		"help":          {[]string{"help"}, 0, usage, ""},
		"a flag for it": {[]string{"--help"}, 0, usage, ""},
		"no command":    {[]string{"bogus"}, 2, "", "onefire-source: unknown command \"bogus\"\nfor help: onefire-source -h\n"},
		"one too many":  {[]string{"version", "foo"}, 2, "", "onefire-source: version takes no arguments: \"foo\"\nfor help: onefire-source -h\n"},
	} {
		t.Run(reason, func(t *testing.T) {
			var out, problems bytes.Buffer
			require.Equal(t, row.code, about(row.args, &out, &problems))
			require.Equal(t, row.out, out.String())
			require.Equal(t, row.problems, problems.String())
		})
	}
}
