package client

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
)

func TestAClientIsPlainWhateverItsConfigurationSays(t *testing.T) {
	var got *http.Request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte("{}"))
	}))
	defer server.Close()
	config := &rest.Config{
		Host: server.URL, Timeout: time.Minute, UserAgent: "another", APIPath: "/elsewhere",
		ContentConfig: rest.ContentConfig{ContentType: "application/vnd.kubernetes.protobuf", AcceptContentTypes: "application/cbor"},
	}
	for path, version := range map[string]schema.GroupVersion{
		"/api/v1/namespaces/ns/things":              {Version: "v1"},
		"/apis/example.com/v2/namespaces/ns/things": {Group: "example.com", Version: "v2"},
	} {
		c, err := New(config, "onefire", version)
		require.NoError(t, err)
		require.Zero(t, c.(*rest.RESTClient).Client.Timeout, "the context alone ends a call")
		require.NoError(t, c.Post().Namespace("ns").Resource("things").Body([]byte("{}")).Do(t.Context()).Error())
		require.Equal(t, path, got.URL.Path)
		require.Equal(t, "onefire", got.UserAgent())
		require.Equal(t, "application/json", got.Header.Get("Accept"))
	}
	_, err := New(&rest.Config{Host: "::"}, "onefire", schema.GroupVersion{Version: "v1"})
	require.ErrorContains(t, err, "making a Kubernetes client: ")
}
