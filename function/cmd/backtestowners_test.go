package cmd

import (
	"bytes"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"

	"onefire/config"
)

// alerts are label sets of which each fired a minute after the one before.
func alerts(n int, labels func(i int) map[string]string) (all []*labelSet) {
	for i := range n {
		one := labels(i)
		one["alertname"] = "A"
		at := int64(minutes(i)[0])
		all = append(all, &labelSet{labels: one, fires: []fire{{at, at}}})
	}
	return all
}

func TestOwnersAreAskedForOfTheLastAlertsOnly(t *testing.T) {
	nobody := &rest.Config{Host: "https://api.test", Transport: answering(func(*http.Request) (int, string) {
		t.Error("nobody asks for an object of another cluster")
		return http.StatusNotFound, ""
	})}
	for more, note := range map[int]string{
		0: "",
		1: "onefire: 1 label sets keep the targets of their labels, and are taken to be in the scope: the API server is asked only about those of the 2000 that fired last\n",
	} {
		sets := alerts(maxOwnersAsked+more, func(i int) map[string]string {
			return map[string]string{"namespace": "shop", "pod": fmt.Sprint("p-", i), "cluster": "us"}
		})
		for target, want := range map[string]string{"owner": note, "labels": ""} {
			c, err := config.Mapping(map[string]string{"TARGET": target})
			require.NoError(t, err)
			var said bytes.Buffer
			all, err := mapAll(t.Context(), c, nobody, sets, &said)
			require.NoError(t, err)
			require.Equal(t, want, said.String())
			for i, p := range all {
				require.Equal(t, target == "owner" && i >= more, p.how != "", i)
			}
		}
	}
}

func TestAFewOwnersAreAskedForAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := config.Mapping(map[string]string{"TARGET": "owner"})
		require.NoError(t, err)
		var asked atomic.Int64
		release := make(chan struct{})
		kube := &rest.Config{Host: "https://api.test", QPS: -1, Transport: answering(func(*http.Request) (int, string) {
			asked.Add(1)
			<-release
			return http.StatusUnauthorized, ""
		})}
		ended := make(chan error, 1)
		go func() {
			_, err := mapAll(t.Context(), c, kube, alerts(3*maxCalls, func(i int) map[string]string {
				return map[string]string{"namespace": "shop", "pod": fmt.Sprint("p-", i)}
			}), &bytes.Buffer{})
			ended <- err
		}()
		synctest.Wait()
		require.EqualValues(t, maxCalls, asked.Load())
		close(release)
		require.ErrorContains(t, <-ended, "reading Pod shop/p-", "what cannot be read ends it")
	})
}
