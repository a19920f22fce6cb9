//go:build kube

package deadletters

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"onefire/config"
	"onefire/function/deadletters"
	"onefire/test/child"
	"onefire/test/wholekube"
)

var binaries = flag.String("binaries", "../../bin", "where kube-apiserver and etcd are")

type cluster struct {
	*wholekube.Deployed
	t *testing.T
}

// letters are the dead letters as anybody may see them.
func (c cluster) letters() []unstructured.Unstructured {
	all, err := c.Resource(wholekube.Admin, "", "v1", "configmaps").Namespace(wholekube.Namespace).List(c.t.Context(), metav1.ListOptions{LabelSelector: "onefire/dead-letter=true"})
	require.NoError(c.t, err)
	return all.Items
}

// serve runs the store as its service account until the test ends.
func (c cluster) serve(environment map[string]string) (url string) {
	address := child.AddressFor(c.t)
	all := map[string]string{"KUBECONFIG": c.Kubeconfig(wholekube.Store), "LISTEN_ADDRESS": address}
	maps.Copy(all, environment)
	settings, err := config.LoadDeadLetters(all)
	require.NoError(c.t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- deadletters.Serve(ctx, settings, io.Discard) }()
	c.t.Cleanup(func() { stop(); require.NoError(c.t, <-done) })
	url = "http://" + address
	require.Eventually(c.t, func() bool {
		resp, err := http.Get(url + "/health/readiness")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}, wholekube.StartTimeout, wholekube.PollEvery)
	return url
}

// run runs a command as a service account.
func (c cluster) run(user, replayURL string, args ...string) (string, error) {
	settings, err := config.LoadDeadLetters(map[string]string{"KUBECONFIG": c.Kubeconfig(user), "REPLAY_URL": replayURL})
	require.NoError(c.t, err)
	var out bytes.Buffer
	err = deadletters.Run(c.t.Context(), settings, args, &out, io.Discard)
	return out.String(), err
}

// event is a CloudEvent in binary mode.
type event struct{ id, body string }

func (e event) post(t *testing.T, url string, more map[string]string) (int, string) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(e.body))
	require.NoError(t, err)
	for name, value := range map[string]string{"Ce-Specversion": "1.0", "Ce-Id": e.id, "Ce-Source": "urn:onefire:alertmanager:default",
		"Ce-Type": "io.prometheus.alerts.v1", "Content-Type": "application/json"} {
		req.Header.Set(name, value)
	}
	for name, value := range more {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(answer)
}

// die does what a Broker does with an event that was not taken.
func (e event) die(t *testing.T, url string, status int, answer string) int {
	code, _ := e.post(t, url, map[string]string{
		"Ce-Knativeerrordest": "http://onefire.onefire.svc.cluster.local", "Ce-Knativeerrorcode": fmt.Sprint(status),
		"Ce-Knativeerrordata": base64.StdEncoding.EncodeToString([]byte(answer)),
	})
	return code
}

func TestDeadLettersOnAWholeAPIServer(t *testing.T) {
	c := cluster{wholekube.Deploy(t, *binaries), t}
	url := c.serve(nil)
	webhook, err := os.ReadFile("../../mapping/testdata/alertmanager/am0.34.0-first.json")
	require.NoError(t, err)
	poison, late := event{"poison", `{"alerts": "none"}`}, event{"late", string(webhook)}
	_, onefire := c.Serve(wholekube.Admin, nil)

	t.Run("what the function refuses and what comes while it is away is kept", func(t *testing.T) {
		status, answer := poison.post(t, onefire, nil)
		require.Equal(t, http.StatusBadRequest, status)
		require.Equal(t, http.StatusOK, poison.die(t, url, status, answer))
		require.Equal(t, http.StatusOK, late.die(t, url, http.StatusServiceUnavailable, "the function is starting"))
		require.Len(t, c.letters(), 2)
		for _, letter := range c.letters() {
			require.Contains(t, letter.GetAnnotations()["onefire/error"], map[string]string{"poison": answer[:10], "late": "is starting"}[letter.GetAnnotations()["onefire/event-id"]])
		}
	})
	t.Run("twenty at once of one event are one dead letter", func(t *testing.T) {
		var group sync.WaitGroup
		again := event{"again", `{"alerts":[]}`}
		for range 20 {
			group.Go(func() { require.Equal(t, http.StatusOK, again.die(t, url, 400, "no alerts")) })
		}
		group.Wait()
		require.Len(t, c.letters(), 3)
	})
	t.Run("the largest fit, and larger are refused", func(t *testing.T) {
		noise := make([]byte, 1_110_000)
		_, err := rand.Read(noise)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, event{"large", string(noise[:1_030_000])}.die(t, url, 413, "x"))
		require.Equal(t, http.StatusRequestEntityTooLarge, event{"larger", string(noise)}.die(t, url, 413, "x"))
		require.Len(t, c.letters(), 4)
	})
	t.Run("the store cannot delete, the replay cannot create, neither sees a Secret", func(t *testing.T) {
		taken := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		defer taken.Close()
		out, err := c.run(wholekube.Store, taken.URL, "replay", c.letters()[0].GetName())
		require.Error(t, err)
		require.Contains(t, out, "could not be deleted: configmaps")
		for user, verbs := range map[string]map[string]bool{
			wholekube.Store:  {"create": true, "get": true, "list": true, "delete": false, "update": false, "patch": false, "watch": false, "deletecollection": false},
			wholekube.Replay: {"create": false, "get": true, "list": true, "delete": true, "update": false, "patch": false, "watch": false, "deletecollection": false},
		} {
			for verb, want := range verbs {
				require.Equal(t, want, c.May(user, verb, wholekube.Namespace, "configmaps"), "%s %s", user, verb)
				require.False(t, c.May(user, verb, wholekube.Namespace, "secrets"))
				require.False(t, c.May(user, verb, "default", "configmaps"))
			}
		}
		require.Len(t, c.letters(), 4)
	})
	t.Run("a replay makes up for what was missed, and keeps what is refused again", func(t *testing.T) {
		out, err := c.run(wholekube.Replay, onefire, "list")
		require.NoError(t, err)
		require.Equal(t, 5, strings.Count(out, "\n"), out)
		out, err = c.run(wholekube.Replay, onefire, "replay", "all")
		require.Error(t, err)
		require.Contains(t, out, "1 of 4 dead letters accepted")
		require.Len(t, c.letters(), 3)
		objects, err := c.Resource(wholekube.Admin, "kubernaut.ai", "v1alpha1", "remediationrequests").Namespace(wholekube.Namespace).List(t.Context(), metav1.ListOptions{})
		require.NoError(t, err)
		require.NotEmpty(t, objects.Items)
	})
	t.Run("a store that is full says so until there is room", func(t *testing.T) {
		small := c.serve(map[string]string{"MAX_DEAD_LETTERS": "3"})
		require.Equal(t, http.StatusInsufficientStorage, event{"one more", "{}"}.die(t, small, 400, "x"))
		require.Equal(t, http.StatusOK, poison.die(t, small, 400, "x"), "it is there already")
		require.NoError(t, c.Resource(wholekube.Replay, "", "v1", "configmaps").Namespace(wholekube.Namespace).Delete(t.Context(), c.letters()[0].GetName(), metav1.DeleteOptions{}))
		require.Eventually(t, func() bool { return event{"one more", "{}"}.die(t, small, 400, "x") == http.StatusOK }, 10*time.Second, wholekube.PollEvery)
	})
}
