package datastorage

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	authentication "k8s.io/api/authentication/v1"
	authorization "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	apischema "k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"
)

// The real server's own limits on its calls of the API server.
const (
	reviewQPS   = 1000
	reviewBurst = 2000
)

// access tells who may do what: everyone, holders of a token, or those whom an
// API server lets.
type access struct {
	token     string
	namespace string
	// kube are clients of the API server for the two kinds of reviews; nil where none
	// is asked. A clientset would have all of Kubernetes built for them.
	kube *reviewers
}

type reviewers struct{ tokens, access rest.Interface }

func newAccess(o Options) (access, error) {
	a := access{token: o.Token, namespace: o.Namespace}
	if o.Reviews == nil {
		return a, nil
	}
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{authentication.AddToScheme, authorization.AddToScheme} {
		if err := add(known); err != nil {
			return access{}, fmt.Errorf("making a client for reviews: %w", err)
		}
	}
	config := rest.CopyConfig(o.Reviews)
	config.APIPath = "/apis"
	config.NegotiatedSerializer = serializer.NewCodecFactory(known).WithoutConversion()
	config.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(reviewQPS, reviewBurst) // One for both.
	client := func(version apischema.GroupVersion) (rest.Interface, error) {
		one := rest.CopyConfig(config)
		one.GroupVersion = &version
		return rest.RESTClientFor(one)
	}
	tokens, err := client(authentication.SchemeGroupVersion)
	if err != nil {
		return access{}, fmt.Errorf("making a client for reviews: %w", err)
	}
	reviews, err := client(authorization.SchemeGroupVersion)
	if err != nil {
		return access{}, fmt.Errorf("making a client for reviews: %w", err)
	}
	a.kube = &reviewers{tokens, reviews}
	return a, nil
}

// userKey is the context key of the name that the API server gave a client.
type userKey struct{}

// may tells whether a client may use a verb on the Service, and answers if not.
// It asks the API server twice each time and remembers nothing.
func (a access) may(w http.ResponseWriter, r *http.Request, verb string) bool {
	if a.kube == nil && a.token == "" {
		return true
	}
	deny := func(status int, detail string) bool {
		problem(w, status, "about:blank", http.StatusText(status), detail)
		return false
	}
	header := r.Header.Get("Authorization")
	token, bearer := strings.CutPrefix(header, "Bearer ")
	switch {
	case header == "":
		return deny(http.StatusUnauthorized, "Missing Authorization header")
	case !bearer:
		return deny(http.StatusUnauthorized, "Invalid Authorization header format")
	case token == "":
		return deny(http.StatusUnauthorized, "Empty Bearer token")
	case a.kube == nil && token != a.token:
		return deny(http.StatusUnauthorized, "Invalid or expired token")
	case a.kube == nil:
		return true
	}
	user, err := a.user(r.Context(), token)
	if err != nil {
		return deny(http.StatusInternalServerError, "Authentication service unavailable")
	}
	if user == "" {
		return deny(http.StatusUnauthorized, "Invalid or expired token")
	}
	allowed, err := a.allowed(r.Context(), user, verb)
	if err != nil {
		return deny(http.StatusInternalServerError, "Authorization service unavailable")
	}
	if !allowed {
		return deny(http.StatusForbidden, "Insufficient permissions")
	}
	*r = *r.WithContext(context.WithValue(r.Context(), userKey{}, user))
	return true
}

// user is the name that a token stands for; it is empty for an invalid token.
func (a access) user(ctx context.Context, token string) (string, error) {
	review := &authentication.TokenReview{Spec: authentication.TokenReviewSpec{Token: token}}
	if err := a.kube.tokens.Post().Resource("tokenreviews").Body(review).Do(ctx).Into(review); err != nil {
		return "", fmt.Errorf("reviewing a token: %w", err)
	}
	if !review.Status.Authenticated {
		return "", nil
	}
	return review.Status.User.Username, nil
}

func (a access) allowed(ctx context.Context, user, verb string) (bool, error) {
	review := &authorization.SubjectAccessReview{
		Spec: authorization.SubjectAccessReviewSpec{User: user, ResourceAttributes: &authorization.ResourceAttributes{
			Namespace: a.namespace, Verb: verb, Resource: "services", Name: "data-storage-service",
		}},
	}
	if err := a.kube.access.Post().Resource("subjectaccessreviews").Body(review).Do(ctx).Into(review); err != nil {
		return false, fmt.Errorf("reviewing access: %w", err)
	}
	return review.Status.Allowed, nil
}

// person is the client's name if the API server knows it as a person. Service
// accounts name the actors of their events themselves.
func person(ctx context.Context) string {
	user, _ := ctx.Value(userKey{}).(string)
	if strings.HasPrefix(user, "system:serviceaccount:") {
		return ""
	}
	return user
}
