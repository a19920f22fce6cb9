package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestOnlyABrokenObjectIsRefusedForGood(t *testing.T) {
	files, err := filepath.Glob("testdata/refusals/*.json")
	require.NoError(t, err)
	require.Greater(t, len(files), 20)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			var s metav1.Status
			require.NoError(t, json.Unmarshal(text, &s))
			refusal := fmt.Errorf("creating it: %w", &apierrors.StatusError{ErrStatus: s})
			broken := strings.HasPrefix(name, "schema-") || name == "metadata" || strings.HasPrefix(name, "configmap-")
			require.Equal(t, broken, Invalid(refusal))
			require.Equal(t, name == "too-large-for-the-server", TooLarge(refusal))
			require.Equal(t, name == "namespace-that-ends", Terminating(refusal))
			quota, over := OverQuota(refusal)
			require.Equal(t, name == "quota", over)
			require.Equal(t, over, quota == "none")
		})
	}
}

func TestWhatIsNoAnswerOfTheAPIServerIsNotForGood(t *testing.T) {
	for reason, err := range map[string]error{
		"nothing is wrong":           nil,
		"the connection broke":       errors.New("EOF"),
		"a 422 that says nothing":    &apierrors.StatusError{ErrStatus: metav1.Status{Reason: metav1.StatusReasonInvalid, Code: 422}},
		"a 422 that names no object": &apierrors.StatusError{ErrStatus: metav1.Status{Reason: metav1.StatusReasonInvalid, Code: 422, Details: &metav1.StatusDetails{}}},
		"a 403 that says nothing":    &apierrors.StatusError{ErrStatus: metav1.Status{Reason: metav1.StatusReasonForbidden, Code: 403}},
		"a 403 in the words of a schema": &apierrors.StatusError{ErrStatus: metav1.Status{
			Reason: metav1.StatusReasonForbidden, Code: 403, Message: `W "w" is invalid: spec.a: no`,
			Details: &metav1.StatusDetails{Kind: "W", Name: "w", Causes: []metav1.StatusCause{{Field: "spec.a"}}},
		}},
		"a 422 in the words of a quota": &apierrors.StatusError{ErrStatus: metav1.Status{
			Reason: metav1.StatusReasonInvalid, Code: 422, Message: `ws "w" is forbidden: exceeded quota: none, requested: count/ws=1`,
			Details: &metav1.StatusDetails{Kind: "ws", Name: "w"},
		}},
		"a webhook's request": &apierrors.StatusError{ErrStatus: metav1.Status{
			Reason: metav1.StatusReasonForbidden, Code: 403, Message: "no, requested: more", Details: &metav1.StatusDetails{Kind: "ws", Name: "w"},
		}},
		"a conflict with a namespace that ends": &apierrors.StatusError{ErrStatus: metav1.Status{
			Reason: metav1.StatusReasonConflict, Code: 409, Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: "NamespaceTerminating"}}},
		}},
	} {
		t.Run(reason, func(t *testing.T) {
			require.False(t, Invalid(err))
			require.False(t, TooLarge(err))
			require.False(t, Terminating(err))
			quota, over := OverQuota(err)
			require.False(t, over)
			require.Empty(t, quota)
		})
	}
}

// A proxy on the way may bound bodies too, in words of its own.
func TestAProxyThatRefusesABodyIsBelieved(t *testing.T) {
	for reason, s := range map[string]metav1.Status{
		"its own words":        {Message: "413 Request Entity Too Large"},
		"nothing is named":     {Message: `w "w" is forbidden: it is large`},
		"no object is named":   {Message: `w "w" is forbidden: it is large`, Details: &metav1.StatusDetails{Kind: "w"}},
		"nothing is forbidden": {Message: `w "w" is large`, Details: &metav1.StatusDetails{Name: "w"}},
	} {
		s.Code = http.StatusRequestEntityTooLarge
		require.True(t, TooLarge(&apierrors.StatusError{ErrStatus: s}), reason)
	}
}
