package cmd

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/dedup"
)

// requestServer is an API server that has RemediationRequests and lists them in pages, in
// the order of their namespaces and names.
type requestServer struct {
	*httptest.Server
	kubeconfig string

	mu      sync.Mutex
	objects []map[string]any
	// faults are codes that Lists are answered with, each once; 0 is the right answer.
	faults []int
	// padding is how many bytes each item has beside its text.
	padding int
	lists   []string // Path and limit.
	// on are the paths of brakes that are on, and brakes are those asked for.
	on, brakes []string
}

// noon is the time on the API server's clock.
var noon = time.Date(2026, 1, 17, 12, 0, 0, 0, time.UTC)

func startRequests(t *testing.T, objects ...map[string]any) *requestServer {
	t.Helper()
	k := &requestServer{objects: objects}
	k.Server = httptest.NewServer(http.HandlerFunc(k.list))
	t.Cleanup(k.Close)
	k.kubeconfig = kubeconfigFor(t, k.URL)
	return k
}

func (k *requestServer) list(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if strings.Contains(r.URL.Path, "/configmaps/") {
		k.brakes = append(k.brakes, r.URL.Path)
		w.Header().Set("Content-Type", "application/json")
		if !slices.Contains(k.on, r.URL.Path) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprint(w, `{"metadata":{"uid":"u","creationTimestamp":"2026-01-17T11:00:00Z"},"data":{"reason":"ask\u001b Jane"}}`)
		return
	}
	q := r.URL.Query()
	k.lists = append(k.lists, r.URL.Path+" "+q.Get("limit"))
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Date", noon.Format(http.TimeFormat))
	if len(k.faults) > 0 {
		code := k.faults[0]
		if k.faults = k.faults[1:]; code != 0 {
			reason := map[int]string{http.StatusGone: "Expired", http.StatusForbidden: "Forbidden"}[code]
			w.WriteHeader(code)
			fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","code":%d,"reason":%q,"message":"as the test wants it"}`, code, reason)
			return
		}
	}
	key := func(o map[string]any) string {
		m := o["metadata"].(map[string]any)
		return fmt.Sprint(m["namespace"], "/", m["name"])
	}
	slices.SortFunc(k.objects, func(a, b map[string]any) int { return cmp.Compare(key(a), key(b)) })
	namespace := ""
	if parts := strings.Split(r.URL.Path, "/"); len(parts) > 6 {
		namespace = parts[5] + "/"
	}
	limit, _ := strconv.Atoi(q.Get("limit"))
	var items []string
	more, last := "", ""
	for _, o := range k.objects {
		if key(o) <= q.Get("continue") || !strings.HasPrefix(key(o), namespace) {
			continue
		}
		if len(items) == limit {
			more = last
			break
		}
		text, _ := json.Marshal(o)
		items, last = append(items, string(text)+strings.Repeat(" ", k.padding)), key(o)
	}
	fmt.Fprintf(w, `{"kind":"RemediationRequestList","metadata":{"continue":%q},"items":[%s]}`, more, strings.Join(items, ","))
}

func before(d time.Duration) string { return noon.Add(-d).Format(time.RFC3339) }

// with is what a test says of a request: fields of spec and status, and its age.
type with struct {
	namespace, name, alertname, severity string
	age                                  time.Duration
	target                               map[string]any
	fingerprint                          string
	status                               map[string]any
	cluster                              string
}

func request(r with) map[string]any {
	spec := map[string]any{
		"signalFingerprint": cmp.Or(r.fingerprint, strings.Repeat("0", 52)+fmt.Sprintf("%012x", r.name)), "signalName": r.alertname, "severity": r.severity,
		"targetResource": r.target, "firingTime": before(r.age + time.Minute),
	}
	if r.cluster != "" {
		spec["clusterID"] = r.cluster
	}
	return map[string]any{
		"metadata": map[string]any{
			"namespace": cmp.Or(r.namespace, "onefire"), "name": r.name, "creationTimestamp": before(r.age), "labels": map[string]any{"app.kubernetes.io/managed-by": "onefire"},
		},
		"spec": spec, "status": r.status,
	}
}

func targeting(namespace, kind, name string) map[string]any {
	return map[string]any{"apiVersion": "v1", "kind": kind, "name": name, "namespace": namespace}
}

// recorded is a status with a record, and more of it.
func recorded(reason, message string, seen time.Duration, count int, more map[string]any) map[string]any {
	status := map[string]any{
		"conditions":    []any{map[string]any{"type": "onefire/Record", "reason": reason, "message": message, "lastTransitionTime": before(12 * time.Minute)}},
		"deduplication": map[string]any{"occurrenceCount": count, "lastSeenAt": before(seen)},
	}
	for name, value := range more {
		status[name] = value
	}
	return status
}

// night is what a namespace may hold at 3 am.
func night() []map[string]any {
	state := `state 0123456789abcdef {"firingSeenAt":"` + before(time.Hour) + `"}`
	slow := `alert {"id":"0123456789abcdef","alertname":"PodSlow","severity":"low"}`
	phase := func(p string) map[string]any { return map[string]any{"overallPhase": p} }
	return []map[string]any{
		request(with{name: "rr-aaaaaaaaaaaa-11111111", fingerprint: strings.Repeat("a", 64), alertname: "KubePodCrashLooping", severity: "critical", age: 4 * time.Minute,
			target: targeting("payments", "Deployment", "api"), status: recorded("Counted", state+"\n"+slow, 65*time.Second, 17, phase("Executing"))}),
		request(with{name: "rr-bbbbbbbbbbbb-22222222", fingerprint: strings.Repeat("b", 64), alertname: "NodeFilesystemAlmostOutOfSpace", severity: "high", age: 40 * time.Hour,
			target: targeting("", "Node", "ip-10-0-12-17.eu-central-1.compute.internal"), cluster: "eu-1", status: recorded("Resolved", state, 20*time.Minute, 203, phase("AwaitingApproval"))}),
		request(with{name: "rr-cccccccccccc-33333333", fingerprint: strings.Repeat("c", 64), alertname: "ProbeFailed", severity: "medium", age: 25 * time.Minute,
			target: targeting("", "Unknown", "7d793037a0760186"), status: recorded("Counted", state+"\n"+slow+"\nomitted", 5*time.Minute, 61, nil)}),
		request(with{name: "rr-dddddddddddd-44444444", fingerprint: strings.Repeat("d", 64), alertname: "DiskFull\u202e\x1b[2J", severity: "low", age: 9 * 24 * time.Hour,
			target: targeting("shop", "PersistentVolumeClaim", "data-postgres-0"), status: map[string]any{"overallPhase": "Failed", "outcome": "ManualReviewRequired"}}),
		request(with{name: "rr-eeeeeeeeeeee-55555555", fingerprint: strings.Repeat("e", 64), alertname: "KubeJobFailed", severity: "medium", age: 3 * time.Hour,
			target: targeting("batch", "Job", "report"), status: map[string]any{"overallPhase": "Failed", "nextAllowedExecution": before(-time.Hour)}}),
		request(with{name: "rr-ffffffffffff-66666666", fingerprint: strings.Repeat("f", 64), alertname: "KubePodNotReady", severity: "high", age: time.Hour,
			target: targeting("shop", "Pod", "web-1"), status: phase("Completed")}),
		request(with{namespace: "other", name: "rr-999999999999-77777777", fingerprint: strings.Repeat("9", 64), alertname: "Elsewhere", severity: "critical", age: time.Second,
			target: targeting("other", "Pod", "x"), status: phase("Pending")}),
	}
}

// run runs the command on the cluster.
func (k *requestServer) run(t *testing.T, environment map[string]string, args ...string) (code int, out, problems string) {
	t.Helper()
	return run(t, "", environment, append([]string{"list", "-kubeconfig", k.kubeconfig}, args...)...)
}

func TestAListShowsWhatGoesOn(t *testing.T) {
	for file, args := range map[string][]string{
		"list.txt":       {"-n", "onefire"},
		"list-ended.txt": {"-n", "onefire", "-ended"},
		"list-all.txt":   {"-A"},
		"list-wide.txt":  {"-A", "-o", "wide"},
		"list.json":      {"-n", "onefire", "-o", "json"},
	} {
		t.Run(file, func(t *testing.T) {
			code, out, problems := startRequests(t, night()...).run(t, nil, args...)
			require.Zero(t, code, problems)
			require.Empty(t, problems)
			golden(t, file, []byte(out))
			if strings.HasSuffix(file, "json") {
				requireCamel(t, out)
				return
			}
			require.NotContains(t, out, "\x1b", "what an alert says does not steer the terminal")
			require.NotContains(t, out, "\u202e")
			for line := range strings.Lines(out) {
				require.True(t, slices.Contains(args, "wide") || len([]rune(strings.TrimSuffix(line, "\n"))) <= tableWidth, line)
			}
		})
	}
}

func TestATableIsNeverTooWide(t *testing.T) {
	long := strings.Repeat("é", 253)
	o := request(with{name: long, fingerprint: strings.Repeat("a", 64), alertname: long, severity: long[:100], cluster: long, age: 95 * time.Hour,
		target: targeting(long, long, long), status: recorded("Resolved", "omitted", 94*time.Hour, 1<<31-1, map[string]any{"overallPhase": long})})
	code, out, problems := startRequests(t, o).run(t, nil, "-A")
	require.Zero(t, code, problems)
	lines := strings.Split(out, "\n")
	require.Len(t, []rune(lines[1]), tableWidth, lines[1])
	require.Regexp(t, ` 2147483647  3d22h  3d23h$`, lines[1])
	require.Equal(t, 4, strings.Count(lines[1], "…  "), lines[1])
}

func TestAListOfNothingSaysSo(t *testing.T) {
	k := startRequests(t, night()[5])
	code, out, problems := k.run(t, nil, "-n", "onefire")
	require.Zero(t, code)
	require.Empty(t, out)
	require.Equal(t, "onefire: there is no open RemediationRequest in namespace onefire (-A looks in all namespaces)\n", problems)
	_, out, problems = k.run(t, nil, "-n", "onefire", "-o", "json")
	require.Equal(t, "[]\n", out, "a script gets a list")
	require.Empty(t, problems)
	_, _, problems = startRequests(t).run(t, nil, "-A", "-ended")
	require.Equal(t, "onefire: there is no RemediationRequest in all namespaces\n", problems)
}

func TestAListThatCannotBeReadSaysWhy(t *testing.T) {
	for reason, row := range map[string]struct {
		args    []string
		faults  []int
		code    int
		problem string
	}{
		"no right to":                        {nil, []int{403}, 1, "onefire: listing RemediationRequests in namespace default: as the test wants it"},
		"two places":                         {[]string{"-A", "-n", "shop"}, nil, 2, "for help"},
		"an argument":                        {[]string{"shop"}, nil, 2, "for help"},
		"no such form":                       {[]string{"-o", "yaml"}, nil, 2, "use text or json or wide"},
		"no such cluster":                    {[]string{"-kubeconfig", "nowhere"}, nil, 1, "nowhere"},
		"a watch without it":                 {[]string{"-w"}, []int{403}, 1, "as the test wants it"},
		"a first page that it has forgotten": {nil, []int{410}, 1, "as the test wants it"},
		"pages that the API server forgets again and again": {nil, []int{0, 410, 0, 410, 0, 410, 0, 410}, 1, "as the test wants it"},
	} {
		t.Run(reason, func(t *testing.T) {
			k := startRequests(t)
			for i := 0; len(row.faults) > 1 && i <= listPage; i++ {
				k.objects = append(k.objects, request(with{namespace: "default", name: fmt.Sprint(i)}))
			}
			k.faults = row.faults
			code, out, problems := k.run(t, nil, row.args...)
			require.Equal(t, row.code, code)
			require.Empty(t, out)
			require.Contains(t, problems, row.problem)
		})
	}
}

func TestAListIsReadInPages(t *testing.T) {
	k := startRequests(t)
	for i := range listPage + 1 {
		k.objects = append(k.objects, request(with{namespace: "default", name: fmt.Sprint(i), age: time.Duration(i) * time.Second}))
	}
	code, out, problems := k.run(t, nil, "-o", "json")
	require.Zero(t, code, problems)
	var all []requestRow
	require.NoError(t, json.Unmarshal([]byte(out), &all))
	require.Len(t, all, listPage+1)
	require.True(t, slices.IsSortedFunc(all, func(a, b requestRow) int { return b.CreatedAt.Compare(*a.CreatedAt) }), "the newest first, over all pages")
	require.Len(t, k.lists, 2)

	// A state that was forgotten is not mixed with the next one.
	k.faults, k.lists = slices.Repeat([]int{0, 410}, maxListRestarts), nil
	_, out, _ = k.run(t, nil, "-o", "json")
	require.NoError(t, json.Unmarshal([]byte(out), &all))
	require.Len(t, all, listPage+1)
	require.Len(t, k.lists, 2*maxListRestarts+2)

	// Pages with too many bytes are asked for in halves.
	k.padding, k.lists = 30<<10, nil
	_, out, problems = k.run(t, nil, "-o", "json")
	require.NoError(t, json.Unmarshal([]byte(out), &all), problems)
	require.Len(t, all, listPage+1)
	require.True(t, strings.HasSuffix(k.lists[1], " 250"), k.lists)
}

func TestAListIsBounded(t *testing.T) {
	pages := []dedup.RequestPage{
		{Requests: make([]dedup.Request, maxRequests)},
		{Requests: make([]dedup.Request, maxRequests), Next: "more"}, {Requests: make([]dedup.Request, 1), Next: "more"},
	}
	l := &lister{namespace: "shop", page: func(ctx context.Context, _ string, _ int, _ string) (p dedup.RequestPage, _ error) {
		at, ok := ctx.Deadline()
		require.True(t, ok)
		require.LessOrEqual(t, time.Until(at), listTimeout)
		p, pages = pages[0], pages[1:]
		return p, nil
	}}
	_, err := l.read(t.Context())
	require.NoError(t, err, "so many can be listed")
	_, err = l.read(t.Context())
	require.EqualError(t, err, "there are more than 100000 RemediationRequests in namespace shop: `onefire prune` deletes old ones, and -n lists one namespace")
}
