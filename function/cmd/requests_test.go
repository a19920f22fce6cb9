package cmd

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// Each row says how much wider than a table may be the cells are at first, and how wide
// the phase, the target, the alert and the severity are at the end.
func TestTheLeastImportantColumnsAreCutFirst(t *testing.T) {
	const phase, target, alert, severity = 6, 5, 3, 2
	for reason, row := range map[string]struct {
		over int
		from [4]int
		want [4]int
	}{
		"it fits":                      {0, [4]int{16, 32, 24, 12}, [4]int{16, 32, 24, 12}},
		"by one character":             {1, [4]int{16, 32, 24, 12}, [4]int{15, 32, 24, 12}},
		"as far as the phase goes":     {4, [4]int{16, 32, 24, 12}, [4]int{12, 32, 24, 12}},
		"then the target":              {8, [4]int{16, 32, 24, 12}, [4]int{12, 28, 24, 12}},
		"then the alert":               {12, [4]int{16, 32, 24, 12}, [4]int{12, 28, 20, 12}},
		"then the severity":            {16, [4]int{16, 32, 24, 12}, [4]int{12, 28, 20, 8}},
		"then the target again":        {24, [4]int{16, 32, 24, 12}, [4]int{12, 20, 20, 8}},
		"then the alert again":         {32, [4]int{16, 32, 24, 12}, [4]int{12, 20, 12, 8}},
		"there is no more":             {35, [4]int{16, 32, 24, 12}, [4]int{12, 20, 12, 8}},
		"what is narrow gives nothing": {10, [4]int{5, 40, 24, 4}, [4]int{5, 30, 24, 4}},
	} {
		t.Run(reason, func(t *testing.T) {
			line := make([]string, 10)
			room := tableWidth + row.over - 9*columnGap
			for i, column := range []int{phase, target, alert, severity} {
				line[column] = strings.Repeat("é", row.from[i])
				room -= row.from[i]
			}
			require.GreaterOrEqual(t, room, 0)
			line[0] = strings.Repeat("x", room)
			head := make([]string, 10)
			fit([][]string{head, line})
			var got [4]int
			for i, column := range []int{phase, target, alert, severity} {
				got[i] = utf8.RuneCountInString(line[column])
				require.Equal(t, got[i] < row.from[i], strings.HasSuffix(line[column], "…"))
			}
			require.Equal(t, row.want, got)
		})
	}
}

func TestTheTimesOfAListAreInUTC(t *testing.T) {
	o := night()[0]
	o["metadata"].(map[string]any)["creationTimestamp"] = noon.In(time.FixedZone("", 7200)).Format(time.RFC3339)
	o["status"].(map[string]any)["deduplication"].(map[string]any)["lastSeenAt"] = noon.In(time.FixedZone("", 7200)).Format(time.RFC3339)
	code, out, problems := startRequests(t, o).run(t, nil, "-A", "-o", "json")
	require.Zero(t, code, problems)
	var all []map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &all))
	require.Equal(t, "2026-01-17T12:00:00Z", all[0]["createdAt"])
	require.Equal(t, "2026-01-17T12:00:00Z", all[0]["lastSeenAt"])
}
