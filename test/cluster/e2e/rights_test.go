package e2e

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// as gives clients with the token of a ServiceAccount, and nothing else.
func (w *world) as(account string) (kubernetes.Interface, dynamic.Interface) {
	w.t.Helper()
	token, err := w.kube.CoreV1().ServiceAccounts(namespace).CreateToken(context.Background(), account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	require.NoError(w.t, err)
	config := rest.AnonymousClientConfig(w.config)
	config.BearerToken = token.Status.Token
	kube, err := kubernetes.NewForConfig(config)
	require.NoError(w.t, err)
	all, err := dynamic.NewForConfig(config)
	require.NoError(w.t, err)
	return kube, all
}

// grants are the rules of a ServiceAccount in the namespace, without those that
// every authenticated user has.
func (w *world) grants(kube kubernetes.Interface) (all []string) {
	w.t.Helper()
	review, err := kube.AuthorizationV1().SelfSubjectRulesReviews().Create(context.Background(),
		&authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: namespace}}, metav1.CreateOptions{})
	require.NoError(w.t, err)
	require.False(w.t, review.Status.Incomplete)
	for _, rule := range review.Status.ResourceRules {
		if slices.Contains(rule.APIGroups, "authorization.k8s.io") || slices.Contains(rule.APIGroups, "authentication.k8s.io") || slices.Contains(rule.APIGroups, "certificates.k8s.io") {
			continue
		}
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				all = append(all, verb+" "+resource)
			}
		}
	}
	slices.Sort(all)
	return all
}

func TestServiceAccountsMayDoWhatTheyNeedAndNothingElse(t *testing.T) {
	w := newWorld(t)
	for account, want := range map[string][]string{
		"onefire":             {"create events", "create remediationrequests", "delete remediationrequests", "get configmaps", "get remediationrequests", "list remediationrequests", "patch remediationrequests/status"},
		"onefire-deadletters": {"create configmaps", "get configmaps", "list configmaps"},
		"onefire-replay":      {"delete configmaps", "get configmaps", "list configmaps"},
		"onefire-prune":       {"delete configmaps", "delete remediationrequests", "list configmaps", "list remediationrequests"},
		"onefire-source":      nil,
	} {
		kube, _ := w.as(account)
		require.Equal(t, want, w.grants(kube), account)
		t.Logf("%s may %s", account, strings.Join(want, ", "))
	}
}

func TestTheFunctionIsDeniedWhatItDoesNotNeed(t *testing.T) {
	w := newWorld(t)
	kube, all := w.as("onefire")
	ctx := t.Context()
	name := fresh("Denied")
	status, err := post(ctx, name, body(name, "api"))
	require.NoError(t, err)
	require.Equal(t, 202, status)
	w.settles(name, map[string]int{"api": 1})
	object := w.named(name)[0]

	ours := all.Resource(requests).Namespace(namespace)
	_, err = ours.Get(ctx, object.GetName(), metav1.GetOptions{})
	require.NoError(t, err, "what it needs it may do")
	_, update := ours.Update(ctx, &object, metav1.UpdateOptions{})
	_, patch := ours.Patch(ctx, object.GetName(), "application/merge-patch+json", []byte(`{"metadata":{"labels":{"a":"b"}}}`), metav1.PatchOptions{})
	_, watch := ours.Watch(ctx, metav1.ListOptions{})
	_, elsewhere := all.Resource(requests).Namespace("default").List(ctx, metav1.ListOptions{})
	_, everywhere := all.Resource(requests).List(ctx, metav1.ListOptions{})
	_, secrets := kube.CoreV1().Secrets(namespace).List(ctx, metav1.ListOptions{})
	_, configmaps := kube.CoreV1().ConfigMaps(namespace).List(ctx, metav1.ListOptions{})
	_, pods := kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	_, roles := kube.RbacV1().RoleBindings(namespace).List(ctx, metav1.ListOptions{})
	for what, err := range map[string]error{
		"updates an object": update, "patches metadata": patch, "watches": watch, "lists another namespace": elsewhere, "lists all namespaces": everywhere,
		"reads secrets": secrets, "reads configmaps": configmaps, "reads pods": pods, "reads role bindings": roles,
		"deletes all at once": ours.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}),
	} {
		require.True(t, apierrors.IsForbidden(err), "the function %s: %v", what, err)
	}
}
