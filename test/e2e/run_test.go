package e2e

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
	"onefire/test/child"
	"onefire/test/datastorage"
)

const captured = "../../mapping/testdata/alertmanager/am0.34.0-first.json"

// TestRunIsAllOfIt runs what make run runs, posts a captured webhook as make
// alert does, stops it as Ctrl-C does, and finds everything again.
func TestRunIsAllOfIt(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	environment := append(os.Environ(), "LOCAL_STATE="+state, "LOCAL_KUBE_ADDR=127.0.0.1:0")
	for _, name := range []string{"LOCAL_FUNCTION_ADDR", "LOCAL_SOURCE_ADDR", "LOCAL_DATASTORAGE_ADDR"} {
		environment = append(environment, name+"="+child.AddressFor(t))
	}
	// Each notification that the source took for a new one counts. Which those are depends
	// on when its windows end; the answer says it.
	count, last := 0, time.Time{}
	counted := func(answer string) bool {
		if strings.HasPrefix(answer, "4 events") {
			count, last = count+1, time.Now()
			return true
		}
		require.True(t, strings.HasPrefix(answer, "0 events"), answer)
		return false
	}
	for range 2 {
		stack := exec.Command(stackBinary, "run", functionBinary, sourceBinary)
		stack.Env = environment
		stack.SysProcAttr = child.DiesWithUs()
		log := &child.Log{}
		stack.Stderr = log
		out, err := stack.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, stack.Start())
		line, err := bufio.NewReader(out).ReadString('\n')
		require.NoError(t, err, "%s", log)
		require.True(t, strings.HasPrefix(line, "ready"), line)
		require.Equal(t, "onefire-local: "+state+" is in use by the process "+strconv.Itoa(stack.Process.Pid)+
			": stop that one first, or choose another folder with LOCAL_STATE\n", failing(t, environment))

		_, hook, _ := strings.Cut(line, "Alertmanager's webhook to ")
		hook, _, _ = strings.Cut(hook, ",")
		// A source that was restarted no longer knows what it sent in this window.
		time.Sleep(time.Until(last.Add(time.Second)))
		alert := exec.Command(tryBinary, "alert", captured)
		alert.Env = environment
		report, err := alert.CombinedOutput()
		require.NoError(t, err, "%s", report)
		first, answer, _ := strings.Cut(string(report), "\n")
		require.True(t, strings.HasPrefix(first, "POST "+captured+" to "+hook+": 200 in "), first)
		require.True(t, counted(answer), answer)
		require.Contains(t, string(report), "KubePodCrashLooping")
		require.Equal(t, 4, strings.Count(string(report), "  high      Pod/api-"), "%s", report)
		require.Equal(t, 4, strings.Count(string(report), "  "+strconv.Itoa(count)+"\ndefault/rr-")+strings.Count(string(report), "  "+strconv.Itoa(count)+"\n\nAUDIT"),
			"the count, on objects that outlive a run: %s", report)

		// Within a window it is the same notification, and then another.
		for again, same := false, false; !again || !same; {
			if counted(postTo(t, hook, captured)) {
				again = true
			} else {
				same = true
			}
		}

		require.NoError(t, stack.Process.Signal(os.Interrupt))
		require.NoError(t, stack.Wait(), "%s", log)
		require.Contains(t, log.String(), `"stopped"`, "the function drained")
		require.Equal(t, 2, strings.Count(log.String(), `"msg":"started","version":"`), "function and source say what they are: %s", log)
	}
	require.FileExists(t, filepath.Join(state, "kubeconfig"))
}

func TestACommandSaysWhatItWasBuiltOf(t *testing.T) {
	t.Parallel()
	for name, binary := range map[string]string{"onefire": functionBinary, "onefire-source": sourceBinary} {
		out, err := exec.Command(binary, "version").CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Regexp(t, `^`+name+` \S+ \(go1\S+, \w+/\w+\)\n$`, string(out))
	}
	out, err := exec.Command(sourceBinary, "versions").CombinedOutput()
	require.Error(t, err, "a slip does not serve")
	require.Contains(t, string(out), `unknown command "versions"`)
}

// failing runs the stack, which must end with an error by itself, and returns
// what it said.
func failing(t *testing.T, environment []string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stack := exec.CommandContext(ctx, stackBinary, "run", functionBinary, sourceBinary)
	stack.Env = environment
	stack.SysProcAttr = child.DiesWithUs()
	out, err := stack.CombinedOutput()
	require.Error(t, err, "%s", out)
	require.NoError(t, ctx.Err(), "it hangs: %s", out)
	return string(out)
}

// Somebody else who has one of the addresses is not taken for the stack.
func TestRunDoesNotTakeSomebodyElseForItself(t *testing.T) {
	t.Parallel()
	// 200 to all.
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer other.Close()
	for _, name := range []string{"LOCAL_FUNCTION_ADDR", "LOCAL_SOURCE_ADDR", "LOCAL_DATASTORAGE_ADDR", "LOCAL_KUBE_ADDR"} {
		environment := append(os.Environ(), "LOCAL_STATE="+t.TempDir(), "LOCAL_KUBE_ADDR=127.0.0.1:0", "LOCAL_FUNCTION_ADDR=127.0.0.1:0",
			"LOCAL_SOURCE_ADDR=127.0.0.1:0", "LOCAL_DATASTORAGE_ADDR=127.0.0.1:0", name+"="+other.Listener.Addr().String())
		said := failing(t, environment)
		require.Contains(t, said, "onefire-local: "+name+": another program has "+other.Listener.Addr().String())
		require.NotContains(t, said, "ready: ")
	}
}

func TestSIGTERMAnswersWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mapping.Schema202608)
	f := w.start()
	reached := make(chan struct{}, 2)
	w.data.Inject(datastorage.Fault{Times: 1, Delay: time.Second, Match: func([]byte) bool { reached <- struct{}{}; return true }})
	answer := make(chan int, 1)
	go func() { answer <- w.post(f, "1", webhook(firing("Drain", "api-0"))) }()
	<-reached
	require.NoError(t, f.process.Process.Signal(syscall.SIGTERM))
	require.Equal(t, http.StatusOK, <-answer)
	require.NoError(t, f.process.Wait())
	require.Len(t, w.audit(""), 2)
}

func TestPlacementSignalPutsObjectsWhereTheAlertIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mapping.Schema202608)
	f := w.start("REMEDIATION_PLACEMENT=signal")
	elsewhere := w.namespace + "-app"
	require.Equal(t, http.StatusOK, w.post(f, "1", webhook(
		alert("firing", "alertname=Placed", "namespace="+elsewhere, "pod=api-0"),
		alert("firing", "alertname=Placed", "namespace=Not A Namespace", "pod=api-0"),
		alert("firing", "alertname=Placed", "node=n1"),
	)))
	require.Len(t, w.list(), 2, "what has no valid namespace goes to REMEDIATION_NAMESPACE")
	w.objects = objects.Namespace(elsewhere)
	require.Len(t, w.list(), 1)
}

// postTo posts a file as Alertmanager does, and returns the answer of a 200.
func postTo(t *testing.T, url, file string) string {
	t.Helper()
	body, err := os.Open(file)
	require.NoError(t, err)
	defer body.Close()
	resp, err := http.Post(url, "application/json", body)
	require.NoError(t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode, "%s", answer)
	return string(answer)
}

// A wrong AUDIT_SCHEMA is said before the first event, and nothing is stored for it.
func TestAWrongAuditSchemaIsSaidAtTheStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mapping.Schema202608)
	for schema, want := range map[mapping.Schema]int{mapping.Schema202601: http.StatusServiceUnavailable, mapping.Schema202608: http.StatusOK} {
		f := w.start("AUDIT_SCHEMA=" + string(schema))
		require.Eventually(t, func() bool {
			resp, err := http.Get(f.url + "/health/readiness")
			if err != nil {
				return false
			}
			resp.Body.Close()
			// On a busy machine it is not ready for other reasons, too.
			return resp.StatusCode == want && strings.Contains(f.log.String(), "set another AUDIT_SCHEMA") == (want != http.StatusOK)
		}, patience, pollEvery, "%s", schema)
	}
	require.Empty(t, w.audit(""))
}
