package kube

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
)

const (
	ours    = "serving.knative.dev/service/onefire/onefire"
	trigger = "system:serviceaccount:onefire:onefire-oidc-eventing.knative.dev-trigger"
)

// token is what the API server knows by its signature: the name of an answer in
// testdata. claims replace those of a good token.
func token(t *testing.T, name string, claims map[string]any) string {
	t.Helper()
	all := map[string]any{"aud": []string{ours}, "exp": time.Now().Add(time.Hour).Unix(), "sub": trigger}
	for claim, value := range claims {
		all[claim] = value
	}
	encode := base64.RawURLEncoding.EncodeToString
	payload, err := json.Marshal(all)
	require.NoError(t, err)
	return encode([]byte(`{"alg":"RS256"}`)) + "." + encode(payload) + "." + encode([]byte(name))
}

// apiServer answers TokenReviews as a whole one did (testdata, recorded by
// test/sender), and counts them. hook, where there is one, answers first.
type apiServer struct {
	*rest.Config
	calls atomic.Int64
	hook  atomic.Pointer[http.HandlerFunc]
}

func newAPIServer(t *testing.T) *apiServer {
	t.Helper()
	a := &apiServer{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.calls.Add(1)
		if hook := a.hook.Load(); hook != nil {
			(*hook)(w, r)
			return
		}
		var review struct {
			APIVersion, Kind string
			Spec             struct {
				Token     string
				Audiences []string
			}
		}
		if r.URL.Path != "/apis/authentication.k8s.io/v1/tokenreviews" || r.Method != http.MethodPost ||
			json.NewDecoder(r.Body).Decode(&review) != nil || review.APIVersion != "authentication.k8s.io/v1" || review.Kind != "TokenReview" ||
			len(review.Spec.Audiences) != 1 || review.Spec.Audiences[0] != ours {
			http.Error(w, "no TokenReview for our audience", http.StatusBadRequest)
			return
		}
		name, _ := base64.RawURLEncoding.DecodeString(review.Spec.Token[strings.LastIndex(review.Spec.Token, ".")+1:])
		text, err := os.ReadFile(filepath.Join("testdata", filepath.Base(string(name))+".json"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(text) // A client that does not read it fails.
	}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	a.Config = &rest.Config{Host: s.URL}
	return a
}

// answer makes the API server answer something else; nil ends that.
func (a *apiServer) answer(f http.HandlerFunc) {
	if f == nil {
		a.hook.Store(nil)
		return
	}
	a.hook.Store(&f)
}

func (a *apiServer) verifier(t *testing.T, subjects ...string) *Verifier {
	t.Helper()
	v, err := NewVerifier(a.Config, VerifierOptions{Audience: ours, Subjects: subjects})
	require.NoError(t, err)
	return v
}

func shown(values ...string) http.Header { return http.Header{"Authorization": values} }
