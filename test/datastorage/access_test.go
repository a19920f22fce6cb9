package datastorage

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	authentication "k8s.io/api/authentication/v1"
	authorization "k8s.io/api/authorization/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"onefire/mapping"
)

// reviewer is an API server that knows tokens and rights, and counts what it is
// asked.
type reviewer struct {
	users  map[string]string          // by token
	verbs  map[string]map[string]bool // by user
	broken atomic.Bool

	tokens, access atomic.Int64
}

func (v *reviewer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if v.broken.Load() {
		http.Error(w, "down", http.StatusInternalServerError)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	o, _, err := scheme.Codecs.UniversalDeserializer().Decode(body, nil, nil)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	switch o := o.(type) {
	case *authentication.TokenReview:
		v.tokens.Add(1)
		o.APIVersion, o.Kind = "authentication.k8s.io/v1", "TokenReview"
		o.Status.User.Username = v.users[o.Spec.Token]
		o.Status.Authenticated = o.Status.User.Username != ""
	case *authorization.SubjectAccessReview:
		v.access.Add(1)
		o.APIVersion, o.Kind = "authorization.k8s.io/v1", "SubjectAccessReview"
		a := o.Spec.ResourceAttributes
		o.Status.Allowed = a.Namespace == "kubernaut-system" && a.Resource == "services" && a.Name == "data-storage-service" &&
			v.verbs[o.Spec.User][a.Verb]
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(o)
}

// reviewed is a client of a server that asks an API server.
func reviewed(t *testing.T) (*client, *reviewer) {
	t.Helper()
	const account = "system:serviceaccount:onefire:"
	v := &reviewer{
		users: map[string]string{"writer": account + "writer", "reader": account + "reader", "nobody": account + "nobody", "jane": "jane"},
		verbs: map[string]map[string]bool{
			account + "writer": {"get": true, "create": true}, account + "reader": {"get": true}, "jane": {"get": true, "create": true},
		},
	}
	api := httptest.NewServer(v)
	t.Cleanup(api.Close)
	return serve(t, Options{Reviews: &rest.Config{Host: api.URL}}), v
}

func TestAPIServerSaysWhoMayDoWhat(t *testing.T) {
	c, v := reviewed(t)
	body := event(t, mapping.Schema202601)
	tests := map[string]struct {
		authorization string
		get, post     int
		says          string
		tokens        int64 // that a POST has reviewed
	}{
		"a writer":         {"Bearer writer", 200, 201, "", 2},
		"a reader":         {"Bearer reader", 200, 403, "Insufficient permissions", 2},
		"without rights":   {"Bearer nobody", 403, 403, "Insufficient permissions", 1},
		"an unknown token": {"Bearer other", 401, 401, "Invalid or expired token", 1},
		"no token":         {"", 401, 401, "Missing Authorization header", 0},
		"an empty token":   {"Bearer ", 401, 401, "Invalid Authorization header format", 0},
		"another scheme":   {"Basic writer", 401, 401, "Invalid Authorization header format", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			get := c.must(http.MethodGet, events, nil, "Authorization", tt.authorization)
			require.Equal(t, tt.get, get.status, "%s", get.body)
			before := v.tokens.Load()
			post := c.must(http.MethodPost, events, body, "Authorization", tt.authorization)
			require.Equal(t, tt.tokens, v.tokens.Load()-before, "each POST is reviewed twice, and nothing is remembered")
			if tt.post == http.StatusCreated {
				requireStored(t, post)
				return
			}
			requireProblem(t, post, tt.post, tt.says)
			require.Equal(t, "about:blank", decode[map[string]any](t, post.body)["type"])
		})
	}
	require.Len(t, c.rows(), 1)
}

func TestAccessIsCheckedBeforeTheContract(t *testing.T) {
	c, _ := reviewed(t)
	for _, path := range []string{events, batch, "/api/v1/nothing"} {
		require.Equal(t, http.StatusUnauthorized, c.must(http.MethodPost, path, []byte("{")).status)
	}
	// The right to write comes after the contract.
	require.Equal(t, http.StatusBadRequest, c.must(http.MethodPost, events, []byte("{}"), "Authorization", "Bearer reader").status)
	require.Equal(t, http.StatusNotFound, c.must(http.MethodGet, "/nothing", nil).status)
}

func TestPersonIsTheActorOfWhatItSends(t *testing.T) {
	c, _ := reviewed(t)
	body := event(t, mapping.Schema202601)
	for _, token := range []string{"writer", "jane"} {
		requireStored(t, c.must(http.MethodPost, events, body, "Authorization", "Bearer "+token))
	}
	stored, err := c.server.store.all()
	require.NoError(t, err)
	require.Equal(t, []string{"external", "prometheus"}, []string{stored[0].ActorType, stored[0].ActorID})
	require.Equal(t, []string{"user", "jane"}, []string{stored[1].ActorType, stored[1].ActorID})
}

func TestReviewsFail(t *testing.T) {
	c, v := reviewed(t)
	v.broken.Store(true)
	a := c.must(http.MethodGet, events, nil, "Authorization", "Bearer writer")
	requireProblem(t, a, http.StatusInternalServerError, "Authentication service unavailable")
	assert.Zero(t, v.access.Load())
}
