package source

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onefire/config"
)

func TestAnExtensionIsATextThatReadsAsItIs(t *testing.T) {
	for reason, row := range map[string]struct{ in, want string }{
		"ordinary text":                    {"Disk full 🔥", "Disk full 🔥"},
		"an escape sequence":               {"\x1b[31mred", "\uFFFD[31mred"},
		"broken UTF-8":                     {"a\xffb", "a\uFFFDb"},
		"what CloudEvents forbids":         {"a\uFFFEb\uFDD0", "a\uFFFDb\uFFFD"},
		"the last that Unicode forbids":    {"a\uFDEFb\uFFFF", "a\uFFFDb\uFFFD"},
		"what stands beside those":         {"a\uFDCFb\uFDF0", "a\uFDCFb\uFDF0"},
		"another plane's":                  {"a\U0001FFFEb\U0001FFFD", "a\uFFFDb\U0001FFFD"},
		"text that runs backwards":         {"pay\u202Etnem", "pay\uFFFDtnem"},
		"too long, cut at a character":     {strings.Repeat("満", 100), strings.Repeat("満", maxExtension/3)},
		"as long as it may be stays whole": {strings.Repeat("x", maxExtension), strings.Repeat("x", maxExtension)},
	} {
		t.Run(reason, func(t *testing.T) {
			require.Equal(t, row.want, bounded(row.in))
		})
	}
}

func TestNoExtensionCanBeOverridden(t *testing.T) {
	names := slices.Concat(slices.Collect(maps.Keys(extensions(alert{}))), slices.Collect(maps.Keys(extensionsOfAll(&webhook{}))), []string{"traceparent"})
	for _, name := range names {
		_, err := config.LoadSource(map[string]string{"K_SINK": "http://sink", "K_CE_OVERRIDES": `{"extensions":{"` + name + `":"x"}}`})
		require.ErrorContains(t, err, name)
	}
}
