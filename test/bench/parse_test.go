package bench

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const metrics = `# HELP apiserver_request_total [STABLE] Counter of apiserver requests.
# TYPE apiserver_request_total counter
apiserver_request_total{code="200",component="apiserver",dry_run="",group="kubernaut.ai",resource="remediationrequests",scope="namespace",subresource="",verb="LIST",version="v1alpha1"} 1500
apiserver_request_total{code="201",component="apiserver",dry_run="",group="kubernaut.ai",resource="remediationrequests",scope="resource",subresource="",verb="POST",version="v1alpha1"} 1e+06
apiserver_request_total{code="409",component="apiserver",dry_run="",group="kubernaut.ai",resource="remediationrequests",scope="resource",subresource="",verb="POST",version="v1alpha1"} 5
apiserver_request_total{code="200",component="apiserver",dry_run="",group="kubernaut.ai",resource="remediationrequests",scope="resource",subresource="status",verb="PATCH",version="v1alpha1"} 7
apiserver_request_total{code="200",component="apiserver",dry_run="",group="kubernaut.ai",resource="remediationrequests",scope="namespace",subresource="",verb="WATCH",version="v1alpha1"} 9
apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="namespaces",scope="cluster",subresource="",verb="LIST",version="v1"} 11
apiserver_request_total_other{resource="remediationrequests",verb="LIST"} 13
`

func TestParseCallsSumsByVerb(t *testing.T) {
	got, err := parseCalls(strings.NewReader(metrics))
	require.NoError(t, err)
	require.Equal(t, map[string]float64{"LIST": 1500, "POST": 1_000_005, "PATCH status": 7}, got)
}

func TestParseCallsRefusesWhatIsNoNumber(t *testing.T) {
	for _, text := range []string{
		`apiserver_request_total{resource="remediationrequests",verb="LIST"} many`,
		`apiserver_request_total{resource="remediationrequests",verb="LIST"`,
	} {
		_, err := parseCalls(strings.NewReader(text))
		require.Error(t, err, text)
	}
}

func TestParseStat(t *testing.T) {
	got, err := parseStat("42 (a (b) c) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 9 0 1 2 3")
	require.NoError(t, err)
	require.Equal(t, 2*time.Second, got, "user and system time, with a command that holds parentheses")
	for _, wrong := range []string{"", "42 a S 1", "42 (a) S 1 2 3 4 5 6 7 8 9 10 x y"} {
		_, err := parseStat(wrong)
		require.Error(t, err, wrong)
	}
}

func TestParseStatus(t *testing.T) {
	const status = "Name:\tonefire\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\n"
	for line, want := range map[string]float64{"VmHWM": 20, "VmRSS": 10} {
		got, err := parseStatus(status, line)
		require.NoError(t, err)
		require.InDelta(t, want, got, 1e-9)
	}
	_, err := parseStatus(status, "VmSwap")
	require.Error(t, err)
}

func TestReadRows(t *testing.T) {
	table := metav1.Table{
		ColumnDefinitions: []metav1.TableColumnDefinition{{Name: "Name"}, {Name: "Phase"}, {Name: "Target"}, {Name: "Count"}},
		Rows:              []metav1.TableRow{{Cells: []any{"rr-1", nil, "api-1", float64(3)}}},
	}
	got, err := readRows(table)
	require.NoError(t, err)
	require.Equal(t, []row{{name: "rr-1", target: "api-1", count: 3}}, got)

	table.Rows[0].Cells[3] = nil
	_, err = readRows(table)
	require.ErrorContains(t, err, "no count")

	table.ColumnDefinitions = table.ColumnDefinitions[:3]
	_, err = readRows(table)
	require.ErrorContains(t, err, "column")
}

func TestCheckFindsWrongResults(t *testing.T) {
	right := []row{{name: "a", target: "1", count: 2}, {name: "b", target: "2", count: 1}, {name: "c", target: "1", phase: "Completed", count: 1}}
	require.NoError(t, check(right, 2, 1, 4))
	require.Error(t, check(right, 2, 1, 5), "an alert is not counted")
	require.Error(t, check(right, 2, 1, 3), "an alert is counted twice")
	require.Error(t, check(right, 3, 1, 4), "an object is missing")
	require.Error(t, check(right, 2, 0, 4), "an object is terminal that should not be")
	twins := []row{{name: "a", target: "1", count: 1}, {name: "b", target: "1", count: 1}}
	require.ErrorContains(t, check(twins, 2, 0, 2), "two active objects")
}

func TestRelabelReplacesOnlyWhatIsOfTheFingerprint(t *testing.T) {
	got := relabel(map[string]string{"fingerprint": "abc", "managed-by": "onefire", "empty": ""}, "abcdef", "123456")
	require.Equal(t, map[string]string{"fingerprint": "123", "managed-by": "onefire", "empty": ""}, got)
}
