package kube

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// bearer reads the one token that a request's headers show.
func bearer(h http.Header) (string, error) {
	shown := h.Values("Authorization")
	switch len(shown) {
	case 0:
		return "", refused("no token: the sender must show a bearer token")
	case 1:
	default:
		return "", refused("more than one Authorization header")
	}
	scheme, token, _ := strings.Cut(shown[0], " ")
	token = strings.TrimSpace(token)
	switch {
	case !strings.EqualFold(scheme, "bearer") || token == "":
		return "", refused("the Authorization header holds no bearer token")
	case len(token) > maxToken:
		return "", refused("the token is longer than %d bytes", maxToken)
	}
	return token, nil
}

// claims are what a token says of itself. They are nobody's word until the API
// server has said that the token is good.
type claims struct {
	Audience audience `json:"aud"`
	// Expiry is in seconds since 1970.
	Expiry float64 `json:"exp"`
}

// until is when the token ends; zero when it does not say.
func (c claims) until() time.Time {
	if c.Expiry <= 0 || c.Expiry > 1<<40 {
		return time.Time{}
	}
	return time.Unix(int64(c.Expiry), 0)
}

// audience is one text or a list of them (RFC 7519).
type audience []string

func (a *audience) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(a))
}

// read reads the claims of a token that is at all one, and is made out to an
// audience. What is neither is not worth a call.
func read(token, audience string) (claims, error) {
	var c claims
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c, refused("the token is no JSON Web Token")
	}
	for _, part := range parts {
		if _, err := base64.RawURLEncoding.DecodeString(part); err != nil || part == "" {
			return c, refused("the token is no JSON Web Token")
		}
	}
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1]) // It was decoded above.
	if json.Unmarshal(payload, &c) != nil {
		return c, refused("the token is no JSON Web Token")
	}
	if !slices.Contains(c.Audience, audience) {
		return c, refused("the token is not for the audience %q", audience)
	}
	return c, nil
}
