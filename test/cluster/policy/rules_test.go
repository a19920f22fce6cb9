package policy

import (
	"context"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

func pod(namespace, name, ip string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": name}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}}},
		Status:     corev1.PodStatus{PodIP: ip},
	}
}

func TestRulesFollowFromPolicies(t *testing.T) {
	for name, tt := range map[string]struct {
		reason string
		spec   string
		want   []string
		never  []string
	}{
		"nothing in, nothing out": {
			reason: "a policy without entries drops all of the selected directions",
			spec:   `{podSelector: {}, policyTypes: [Ingress, Egress]}`,
			want:   []string{"ip saddr 10.0.0.1 jump out_0", "ip daddr 10.0.0.1 jump in_0", "{ # a/web\n    drop\n  }"},
			never:  []string{"10.0.0.2"},
		},
		"one direction": {
			reason: "what no policy selects is open",
			spec:   `{podSelector: {}, policyTypes: [Ingress]}`,
			want:   []string{"ip daddr 10.0.0.1 jump in_0"},
			never:  []string{"out_0"},
		},
		"other pods": {
			reason: "a policy holds only the pods that it selects",
			spec:   `{podSelector: {matchLabels: {app: other}}, policyTypes: [Ingress]}`,
			never:  []string{"jump"},
		},
		"a namespace, a named port": {
			reason: "named ports are the container's",
			spec:   `{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {matchLabels: {name: b}}}], ports: [{port: http}]}]}`,
			want:   []string{"ip saddr { 10.0.0.2 } tcp dport 8080 return"},
		},
		"pods of one's own namespace": {
			reason: "without a namespaceSelector only one's own is meant",
			spec:   `{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}]}]}`,
			want:   []string{"ip saddr { 10.0.0.1 } return"},
			never:  []string{"10.0.0.2"},
		},
		"nobody": {
			reason: "peers that do not exist allow nothing",
			spec:   `{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {matchLabels: {name: c}}}]}]}`,
			never:  []string{"return"},
		},
		"an address, ports for all": {
			reason: "blocks and ranges are passed on",
			spec:   `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.9.0.0/16, except: [10.9.1.0/24]}}]}, {ports: [{protocol: UDP, port: 53}, {port: 80, endPort: 90}]}]}`,
			want:   []string{"ip daddr 10.9.0.0/16 ip daddr != { 10.9.1.0/24 } return", "    udp dport 53 return", "    tcp dport 80-90 return"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			policy := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "p"}}
			require.NoError(t, yaml.UnmarshalStrict([]byte(tt.spec), &policy.Spec))
			s := state{
				policies:   []*networkingv1.NetworkPolicy{policy},
				pods:       []*corev1.Pod{pod("b", "client", "10.0.0.2"), pod("a", "web", "10.0.0.1"), pod("a", "young", "")},
				namespaces: []*corev1.Namespace{{ObjectMeta: metav1.ObjectMeta{Name: "b", Labels: map[string]string{"name": "b"}}}},
			}
			rules, err := s.rules()
			require.NoError(t, err)
			for _, want := range tt.want {
				require.Contains(t, rules, want, tt.reason)
			}
			for _, never := range tt.never {
				require.NotContains(t, rules, never, tt.reason)
			}
			if nft, err := exec.LookPath("nft"); err == nil {
				check := exec.CommandContext(context.Background(), nft, "--check", "-f", "-")
				check.Stdin = strings.NewReader(rules)
				out, err := check.CombinedOutput()
				require.NoError(t, err, string(out))
			}
		})
	}
}
