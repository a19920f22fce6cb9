package client

import (
	"testing"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A refusal without the field that is wrong is not the schema's.
func TestARefusalThatNamesNoFieldIsNotForGood(t *testing.T) {
	refusal := func(causes ...metav1.StatusCause) error {
		return &apierrors.StatusError{ErrStatus: metav1.Status{
			Reason: metav1.StatusReasonInvalid, Code: 422, Message: `Widget.example.com "w" is invalid: no`,
			Details: &metav1.StatusDetails{Group: "example.com", Kind: "Widget", Name: "w", Causes: causes},
		}}
	}
	require.True(t, Invalid(refusal(metav1.StatusCause{}, metav1.StatusCause{Field: "spec.a"})))
	require.False(t, Invalid(refusal(metav1.StatusCause{})))
	require.False(t, Invalid(refusal()))
}
