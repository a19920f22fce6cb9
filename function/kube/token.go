package kube

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// bearer returns the bearer token in a request's headers, which must have exactly one.
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

// claims are the claims in a token. They prove nothing until the API server has confirmed
// the token.
type claims struct {
	Audience audience `json:"aud"`
	// Expiry is in seconds since 1970.
	Expiry float64 `json:"exp"`
}

// until is when the token expires; it is zero without such a claim.
func (c claims) until() time.Time {
	if c.Expiry <= 0 || c.Expiry > 1<<40 {
		return time.Time{}
	}
	return time.Unix(int64(c.Expiry), 0)
}

// audience is one string or a list of strings (RFC 7519).
type audience []string

func (a *audience) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(a))
}

// read reads the claims of a token. It fails if the text is not a token, or is not for
// the audience, so that such a token costs no call.
func read(token, audience string) (claims, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims{}, refused("the token is not a JSON Web Token")
	}
	for _, part := range parts {
		if _, err := base64.RawURLEncoding.DecodeString(part); err != nil || part == "" {
			return claims{}, refused("the token is not a JSON Web Token")
		}
	}
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1]) // decoded above
	var c claims
	if json.Unmarshal(payload, &c) != nil {
		return claims{}, refused("the token is not a JSON Web Token")
	}
	if !slices.Contains(c.Audience, audience) {
		return claims{}, refused("the token is not for the audience %q", audience)
	}
	return c, nil
}
