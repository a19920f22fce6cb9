package client

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// A status code alone does not tell that an object is invalid. Admission policies and
// webhooks deny with 422 and 413 too, because a rule says so, because it cannot be
// evaluated, or because its parameter is missing. An administrator can correct that. Only
// the beginning of a message is the API server's own text, because the rest can repeat
// any text of the object. Package test/admission records what a real API server answers.

// Invalid tells whether the API server refuses a write because the object breaks its
// schema. No retry with the same object can succeed.
func Invalid(err error) bool {
	s := status(err)
	if s.Reason != metav1.StatusReasonInvalid || s.Details == nil {
		return false
	}
	kind := schema.GroupKind{Group: s.Details.Group, Kind: s.Details.Kind}
	return strings.HasPrefix(s.Message, kind.String()+` "`+s.Details.Name+`" is invalid: `) &&
		slices.ContainsFunc(s.Details.Causes, func(c metav1.StatusCause) bool { return c.Field != "" })
}

// TooLarge tells whether the API server refuses a write because the object has more
// bytes than it accepts. No retry with the same object can succeed.
func TooLarge(err error) bool {
	s := status(err)
	if s.Code != http.StatusRequestEntityTooLarge || strings.HasPrefix(s.Message, "admission webhook ") {
		return false
	}
	// A policy's answer names the object; the API server itself has not read an object.
	return s.Details == nil || s.Details.Name == "" || !strings.Contains(s.Message, `" is forbidden: `)
}

// Terminating tells whether the API server refuses a write because the namespace of
// the object is being deleted.
func Terminating(err error) bool {
	return apierrors.IsForbidden(err) && apierrors.HasStatusCause(err, "NamespaceTerminating")
}

// OverQuota tells whether the API server refuses a create because a ResourceQuota allows
// no more objects, and returns the quota's name. It is false for a quota whose use is not
// known yet or that changes at the same time, because a retry can succeed at once.
func OverQuota(err error) (quota string, ok bool) {
	s := status(err)
	if s.Reason != metav1.StatusReasonForbidden || s.Details == nil {
		return "", false
	}
	resource := schema.GroupResource{Group: s.Details.Group, Resource: s.Details.Kind}
	which, ok := strings.CutPrefix(s.Message, resource.String()+` "`+s.Details.Name+`" is forbidden: exceeded quota: `)
	if !ok {
		return "", false
	}
	quota, _, ok = strings.Cut(which, ", requested: ")
	return quota, ok
}

// status returns the API server's answer; it is empty if the error is none.
func status(err error) metav1.Status {
	var s apierrors.APIStatus
	if !errors.As(err, &s) {
		return metav1.Status{}
	}
	return s.Status()
}
