package deadletters

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/config"
	"onefire/function/cmd/help"
	"onefire/function/telemetry"
)

// configuration is that of a process on the fixture's API server.
func (f *fixture) configuration(t *testing.T, replayURL string) config.DeadLetters {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(path, fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Config","current-context":"x",
		"clusters":[{"name":"x","cluster":{"server":%q}}],"users":[{"name":"x"}],"contexts":[{"name":"x","context":{"cluster":"x","user":"x"}}]}`,
		f.kube.URL), 0o600))
	c, err := config.LoadDeadLetters(map[string]string{"KUBECONFIG": path, "LISTEN_ADDRESS": free(t), "METRICS_ADDRESS": free(t), "REPLAY_URL": replayURL})
	require.NoError(t, err)
	return c
}

func free(t *testing.T) string {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

func TestWrongArguments(t *testing.T) {
	f := fix(t)
	const show, replay = "show takes one NAME", "replay takes NAMEs, or all"
	for args, says := range map[string]string{
		"serve": `unknown command "serve"`, "help": `unknown command "help"`, "version": `unknown command "version"`,
		"list x": `list takes no arguments: "x"`, "list -dry-run": `list takes no arguments: "-dry-run"`, "version x": `version takes no arguments: "x"`,
		"show": show, "show a b": show, "replay": replay, "replay all x": replay, "replay x all": replay,
	} {
		err := Run(t.Context(), f.configuration(t, ""), strings.Fields(args), io.Discard, io.Discard)
		require.ErrorAs(t, err, new(help.Error), args)
		require.EqualError(t, err, says)
	}
}

func TestListShowReplay(t *testing.T) {
	f, target := fix(t), serveFunction(t, 200)
	c := f.configuration(t, target.URL)
	run := func(args ...string) (out, notes bytes.Buffer) {
		require.NoError(t, Run(t.Context(), c, args, &out, &notes))
		return out, notes
	}
	out, _ := run("list")
	require.Equal(t, "no dead letters in namespace onefire\n", out.String())

	require.Equal(t, http.StatusOK, f.send(nil, `{"alerts":[]}`).Code)
	require.Equal(t, http.StatusOK, f.send(map[string]string{"Ce-Id": "2", "Ce-Alertname": "", "Ce-Knativeerrordata": "", "Ce-Knativeerrorcode": ""}, ``).Code)
	out, _ = run("list")
	lines := strings.Split(out.String(), "\n")
	require.Regexp(t, `^NAME +SINCE +EVENT TIME +TYPE +ALERT +WHY$`, lines[0])
	require.Regexp(t, `^dead-letter-[0-9a-f]{32}  2026-01-02T03:04:01Z  2026-01-02T03:04:05Z  io\.prometheus\.alert\.v1  KubePodCrashLooping  400: no alerts in it$`, lines[1])
	require.Regexp(t, `^dead-letter-[0-9a-f]{32}  2026-01-02T03:04:02Z  2026-01-02T03:04:05Z  io\.prometheus\.alert\.v1  -                    none: no reason was given$`, lines[2])

	name := strings.Fields(lines[1])[0]
	out, notes := run("show", name)
	require.True(t, json.Valid(out.Bytes()))
	require.Contains(t, out.String(), `"knativeerrorcode": "400"`)
	require.Contains(t, notes.String(), "onefire/error: 400: no alerts in it\n")
	require.Error(t, Run(t.Context(), c, []string{"show", "missing"}, io.Discard, io.Discard))

	out, _ = run("replay", name)
	require.Contains(t, out.String(), name+"\taccepted\n")
	out, _ = run("replay", "all")
	require.Contains(t, out.String(), "1 of 1 dead letters accepted\n")
	require.Empty(t, f.kube.all())
	out, _ = run("replay", "all")
	require.Equal(t, "0 of 0 dead letters accepted\n", out.String(), "a Job that finds nothing has done all there was")
}

func TestCommandsSayWhenTheAPIServerDoesNotAnswer(t *testing.T) {
	f := fix(t)
	for _, args := range [][]string{{"list"}, {"replay", "all"}, {"replay", "-dry-run", "all"}} {
		f.kube.fail(fault{verb: "list", status: 403})
		require.ErrorContains(t, Run(t.Context(), f.configuration(t, ""), args, io.Discard, io.Discard), "listing dead letters in namespace onefire")
	}
	c := f.configuration(t, "")
	require.NoError(t, os.WriteFile(c.Kubeconfig, []byte("no kubeconfig"), 0o600))
	for _, args := range [][]string{{"list"}, {"show", "x"}, {"replay", "all"}, {}} {
		require.ErrorContains(t, Run(t.Context(), c, args, io.Discard, io.Discard), "cannot find a Kubernetes API server")
	}
	f.kube.URL = "http://%"
	require.ErrorContains(t, Run(t.Context(), f.configuration(t, ""), []string{"list"}, io.Discard, io.Discard), "making a Kubernetes client: ")
}

func get(t *testing.T, url string) (int, string) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(body)
}

func TestServe(t *testing.T) {
	f := fix(t)
	c := f.configuration(t, "")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done, log := make(chan error, 1), &logs{}
	go func() { done <- Run(ctx, c, nil, io.Discard, log) }()
	url := "http://" + c.ListenAddress
	require.Eventually(t, func() bool { status, _ := get(t, url+"/health/readiness"); return status == http.StatusOK }, 10*time.Second, 5*time.Millisecond)
	status, body := get(t, url+"/health/liveness")
	require.Equal(t, http.StatusOK, status, body)

	// It is told to stop while it keeps one, and answers all the same.
	f.kube.meet = func(verb string) {
		if verb == "create" {
			stop()
			require.Eventually(t, func() bool { status, _ := get(t, url+"/health/liveness"); return status == 0 }, 10*time.Second, 5*time.Millisecond)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(`{}`))
	require.NoError(t, err)
	for name, value := range binaryHeaders(nil) {
		req.Header.Set(name, value)
	}
	status, body = get(t, "http://"+c.MetricsAddress+"/metrics")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "onefire_deadletters_waiting 0\n")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	select {
	case err := <-done:
		require.NoError(t, err)
	case <-time.After(20 * time.Second):
		require.Fail(t, "it does not stop")
	}
	require.Len(t, f.kube.all(), 1)
	require.Contains(t, log.String(), `"stopped"`)
	require.Contains(t, log.String(), `"msg":"started","version":"`+telemetry.Version()+`"`)
}

func TestMetrics(t *testing.T) {
	f := fix(t)
	c := f.configuration(t, "")
	c.Max = 1
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, c, io.Discard) }()
	defer func() { stop(); require.NoError(t, <-done) }()
	url := "http://" + c.ListenAddress
	require.Eventually(t, func() bool { status, _ := get(t, url+"/health/readiness"); return status == http.StatusOK }, 10*time.Second, 5*time.Millisecond)
	for _, id := range []string{"1", "1", "2"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(`{}`))
		require.NoError(t, err)
		for name, value := range binaryHeaders(map[string]string{"Ce-Id": id}) {
			req.Header.Set(name, value)
		}
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	}
	_, body := get(t, "http://"+c.MetricsAddress+"/metrics")
	for _, want := range []string{
		`onefire_deadletters_received_total{result="kept"} 1`, `onefire_deadletters_received_total{result="kept_already"} 1`, `onefire_deadletters_received_total{result="full"} 1`,
		`onefire_deadletters_requests_total{status="200"} 2`, `onefire_deadletters_requests_total{status="507"} 1`,
		"onefire_deadletters_waiting 1\n", "onefire_deadletters_waiting_size_bytes ",
	} {
		require.Contains(t, body, want)
	}
}

func TestAnAddressThatIsTakenIsSaid(t *testing.T) {
	f := fix(t)
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	c := f.configuration(t, "")
	c.ListenAddress = taken.Addr().String()
	require.ErrorContains(t, Serve(t.Context(), c, io.Discard), "LISTEN_ADDRESS")
	c = f.configuration(t, "")
	c.MetricsAddress = taken.Addr().String()
	require.ErrorContains(t, Serve(t.Context(), c, io.Discard), "METRICS_ADDRESS")
}
