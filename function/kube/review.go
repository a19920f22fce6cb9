package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"onefire/dedup/client"
)

// ReviewResource is the API of reviews; its verb is create.
var ReviewResource = schema.GroupVersionResource{Group: "authentication.k8s.io", Version: "v1", Resource: "tokenreviews"}

// reviewer asks the API server for TokenReviews.
type reviewer struct{ client rest.Interface }

// newReviewer makes a reviewer from a client configuration. Clients of the same
// configuration share their connections.
func newReviewer(config *rest.Config) (*reviewer, error) {
	c, err := client.New(config, "onefire", ReviewResource.GroupVersion())
	return &reviewer{c}, err
}

// review returns whose token this is, if it is valid for the audience.
func (r *reviewer) review(ctx context.Context, token, audience string) (user string, err error) {
	body, _ := json.Marshal(map[string]any{ // Texts always have a JSON.
		"apiVersion": ReviewResource.GroupVersion().String(), "kind": "TokenReview",
		"spec": map[string]any{"token": token, "audiences": []string{audience}},
	})
	stream, err := r.client.Post().Resource(ReviewResource.Resource).Body(body).Stream(ctx)
	if err != nil {
		return "", fmt.Errorf("the API server did not review the sender's token (may onefire create tokenreviews?): %w", err)
	}
	defer stream.Close()
	text, err := io.ReadAll(io.LimitReader(stream, maxReviewAnswer))
	if err != nil {
		return "", fmt.Errorf("reading the API server's review of the sender's token: %w", err)
	}
	return readReview(text, audience)
}

// readReview reads a TokenReview. An answer that does not clearly confirm the token rejects
// it.
func readReview(text []byte, audience string) (user string, err error) {
	var answer struct {
		Kind   string `json:"kind"`
		Status struct {
			Authenticated bool     `json:"authenticated"`
			Audiences     []string `json:"audiences"`
			Error         string   `json:"error"`
			User          struct {
				Username string `json:"username"`
			} `json:"user"`
		} `json:"status"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return "", fmt.Errorf("reading the API server's review of the sender's token: %w", err)
	}
	s := answer.Status
	switch {
	case answer.Kind != "TokenReview":
		return "", fmt.Errorf("the API server's review of the sender's token is a %q", answer.Kind)
	case !s.Authenticated:
		return "", refused("the API server does not take the token: %s", short(s.Error))
	case !slices.Contains(s.Audiences, audience):
		// An authenticator that does not know audiences names none.
		return "", refused("the API server does not say that the token is for the audience %q", audience)
	case s.User.Username == "":
		return "", refused("the API server does not say whose the token is")
	}
	return s.User.Username, nil
}

// short cuts the API server's reason to the length that a message may contain.
func short(reason string) string {
	switch {
	case reason == "":
		return "it gives no reason"
	case len(reason) > maxCause:
		return strings.ToValidUTF8(reason[:maxCause], "") + "…"
	}
	return reason
}
