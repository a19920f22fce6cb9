package config

import (
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	tableRow = regexp.MustCompile("(?m)^\\| (`[A-Z_]+`[^|]*) \\|([^|]*)\\|([^|]*)\\|.*$")
	variable = regexp.MustCompile("`([A-Z_]+)`")
	section  = regexp.MustCompile("(?m)^### (.*)$")
)

// row is a variable as the page has it: its default, and for a variable of
// several programs which of them read it.
type row struct{ value, readBy string }

// documented maps each section of a page to the variables of its table.
func documented(t *testing.T, path string) map[string]map[string]row {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	out := map[string]map[string]row{}
	headings := section.FindAllStringSubmatchIndex(string(text), -1)
	for i, h := range headings {
		end := len(text)
		if i+1 < len(headings) {
			end = headings[i+1][0]
		}
		rows := map[string]row{}
		for _, cells := range tableRow.FindAllStringSubmatch(string(text[h[1]:end]), -1) {
			for _, name := range variable.FindAllStringSubmatch(cells[1], -1) {
				require.NotContains(t, rows, name[1], "it is documented twice")
				rows[name[1]] = row{strings.ReplaceAll(strings.TrimSpace(cells[2]), "`", ""), strings.TrimSpace(cells[3])}
			}
		}
		out[string(text[h[2]:h[3]])] = rows
	}
	return out
}

// TestTheReferenceSaysWhatTheCodeDoes is about the variables of every program: each
// is in the program's own table, in that of OpenTelemetry, or in the common one, where
// the row names the program; the default is the code's; and no table has any other.
func TestTheReferenceSaysWhatTheCodeDoes(t *testing.T) {
	page := documented(t, "../docs/reference.md")
	common := page["Common"]
	require.NotEmpty(t, common)
	programs := map[string]struct {
		section string
		of      reflect.Type
		otel    bool
	}{
		"function": {"Function", reflect.TypeFor[Config](), true},
		"source":   {"Source", reflect.TypeFor[Source](), true},
		"store":    {"Dead-letter store", reflect.TypeFor[DeadLetters](), true},
		"prune":    {"Prune", reflect.TypeFor[Prune](), false},
	}
	for program, p := range programs {
		t.Run(program, func(t *testing.T) {
			left := maps.Clone(page[p.section])
			require.NotEmpty(t, left)
			add := func(rows map[string]row) {
				for name, r := range rows {
					require.NotContains(t, left, name, "it is documented twice")
					left[name] = r
				}
			}
			if p.otel {
				require.NotEmpty(t, page["OpenTelemetry"])
				add(page["OpenTelemetry"])
			}
			for name, r := range common {
				if slices.Contains(strings.Split(r.readBy, ", "), program) {
					add(map[string]row{name: r})
				}
			}
			for _, field := range reflect.VisibleFields(p.of) {
				name := field.Tag.Get("env")
				if name == "" {
					continue
				}
				require.Contains(t, left, name)
				if value, ok := field.Tag.Lookup("envDefault"); ok {
					require.Equal(t, value, left[name].value, "the default of %s", name)
				}
				delete(left, name)
			}
			for _, name := range []string{"GOGC", "GOMEMLIMIT"} { // Go's own: ours need not read them.
				delete(left, name)
			}
			require.Empty(t, left, "variables that nothing reads")
		})
	}
	for name, r := range common {
		for _, program := range strings.Split(r.readBy, ", ") {
			require.Contains(t, programs, program, "%s is read by no such program", name)
		}
	}
}
