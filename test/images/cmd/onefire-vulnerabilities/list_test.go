package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// answer is what govulncheck writes of four vulnerabilities: of two of them a
// function is called, one of the rest is imported and one only needed.
const answer = `{"config": {"protocol_version": "v1.0.0"}}
{"progress": {"message": "Scanning your code and 300 packages"}}
{"osv": {"id": "GO-2026-0001"}}
{"finding": {"osv": "GO-2026-0001", "fixed_version": "v1.2.0", "trace": [{"module": "example.com/called", "version": "v1.1.0"}]}}
{"finding": {"osv": "GO-2026-0001", "fixed_version": "v1.2.0", "trace": [{"module": "example.com/called", "version": "v1.1.0", "package": "example.com/called/sub", "function": "Open"}, {"module": "main", "package": "main", "function": "main"}]}}
{"finding": {"osv": "GO-2026-0002", "trace": [{"module": "example.com/forever", "version": "v3.0.0", "package": "example.com/forever", "function": "Run"}]}}
{"finding": {"osv": "GO-2026-0003", "fixed_version": "v9", "trace": [{"module": "example.com/imported", "version": "v1.0.0", "package": "example.com/imported"}]}}
{"finding": {"osv": "GO-2026-0004", "fixed_version": "v9", "trace": [{"module": "example.com/needed", "version": "v1.0.0"}]}}
`

func TestWhatIsCalledNeedsAReason(t *testing.T) {
	for reason, row := range map[string]struct {
		list string
		good bool
		says []string
	}{
		"without a list both fail": {"", false, []string{
			"test/x: GO-2026-0001 in example.com/called v1.1.0 (example.com/called/sub.Open); fixed in v1.2.0; see https://pkg.go.dev/vuln/GO-2026-0001",
			"test/x: GO-2026-0002 in example.com/forever v3.0.0 (example.com/forever.Run); no version fixes it; see https://pkg.go.dev/vuln/GO-2026-0002",
		}},
		"a reason for one leaves the other": {"test/x GO-2026-0001 its input is ours", false, []string{
			"test/x: GO-2026-0001 is accepted: its input is ours", "test/x: GO-2026-0002 in",
		}},
		"a reason for both": {"# why\n\ntest/x GO-2026-0001 a b\n\ttest/x  GO-2026-0002   c\n", true, []string{
			"test/x: GO-2026-0001 is accepted: a b", "test/x: GO-2026-0002 is accepted: c",
		}},
		"a reason in another module is none here": {"test/y GO-2026-0001 a\ntest/x GO-2026-0002 b", false, []string{
			"test/x: GO-2026-0001 in",
		}},
		"what is not found any more is told": {"test/x GO-2026-0001 a\ntest/x GO-2026-0002 b\ntest/x GO-2026-0003 c", true, []string{
			"test/x: GO-2026-0003 is not found any more: remove its reason",
		}},
	} {
		t.Run(reason, func(t *testing.T) {
			found, err := read(strings.NewReader(answer))
			require.NoError(t, err)
			require.Len(t, found, 2)
			reasons, err := parse(row.list)
			require.NoError(t, err)
			var out strings.Builder
			require.Equal(t, row.good, report(&out, "test/x", found, reasons["test/x"]), out.String())
			for _, line := range row.says {
				require.Contains(t, out.String(), line)
			}
		})
	}
}

func TestNothingFoundIsSaid(t *testing.T) {
	var out strings.Builder
	require.True(t, report(&out, "test/x", nil, nil))
	require.Equal(t, "test/x: no vulnerabilities found\n", out.String())
}

func TestABrokenListIsNamed(t *testing.T) {
	for reason, text := range map[string]string{
		"no reason":  "# all good\ntest/x GO-2026-0001",
		"no ID":      "\ntest/x because of this",
		"said twice": "test/x GO-2026-0001 a\ntest/x GO-2026-0001 b",
	} {
		t.Run(reason, func(t *testing.T) {
			_, err := parse(text)
			require.ErrorContains(t, err, "line 2")
		})
	}
}

func TestHalfAnAnswerIsNone(t *testing.T) {
	_, err := read(strings.NewReader(answer[:len(answer)-10]))
	require.ErrorContains(t, err, "reading what govulncheck wrote")
}
