package function

import (
	"context"
	"errors"
	"net/http"

	"k8s.io/client-go/rest"

	"onefire/config"
	"onefire/function/kube"
	"onefire/function/receive"
)

// senders is what a function needs of [kube.Verifier].
type senders interface {
	Check(ctx context.Context, h http.Header) (user string, err error)
}

// admission decides who may send, before a request uses any resources.
type admission struct {
	senders  senders // nil if everybody may send
	observer *observer
}

// newAdmission makes the admission that the configuration asks for. It opens no
// connection.
func newAdmission(client *rest.Config, c config.Config, o *observer) (admission, error) {
	if c.OIDCAudience == "" {
		return admission{observer: o}, nil
	}
	v, err := kube.NewVerifier(client, kube.VerifierOptions{Audience: c.OIDCAudience, Subjects: c.OIDCSubjects})
	return admission{senders: v, observer: o}, err
}

// admit returns nil for a sender that may send, and otherwise the answer to its request.
func (a *admission) admit(ctx context.Context, w http.ResponseWriter, r *http.Request) *receive.Answer {
	if a.senders == nil {
		return nil
	}
	user, err := a.senders.Check(ctx, r.Header)
	if err == nil {
		return nil
	}
	refusal := receive.Refuse(http.StatusServiceUnavailable, "cannot check the sender: %v", err)
	switch {
	case errors.Is(err, kube.ErrUnknownSender):
		w.Header().Set("WWW-Authenticate", "Bearer")
		refusal = receive.Refuse(http.StatusUnauthorized, "%v", err)
	case errors.Is(err, kube.ErrNotAllowed):
		refusal = receive.Refuse(http.StatusForbidden, "%v", err)
	}
	a.observer.notAdmitted(refusal, user)
	return &refusal
}
