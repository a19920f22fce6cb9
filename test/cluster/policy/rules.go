package policy

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// table is the name of the nftables table.
const table = "inet onefire_policies"

// rules is the nftables script for the state: first the old table goes. A
// chain for each pod and direction that a policy selects lets pass what any of
// its policies allows, and drops the rest.
func (s state) rules() (string, error) {
	var chains, forward, input strings.Builder
	for i, pod := range s.sorted() {
		in, out := s.selecting(pod, networkingv1.PolicyTypeIngress), s.selecting(pod, networkingv1.PolicyTypeEgress)
		if len(out) > 0 {
			rule := fmt.Sprintf("    ip saddr %s jump out_%d\n", pod.Status.PodIP, i)
			forward.WriteString(rule)
			input.WriteString(rule)
			fmt.Fprintf(&chains, "  chain out_%d { # %s/%s\n", i, pod.Namespace, pod.Name)
			for _, p := range out {
				for _, r := range p.Spec.Egress {
					if err := s.allow(&chains, p, "daddr", r.To, r.Ports, nil); err != nil {
						return "", err
					}
				}
			}
			chains.WriteString("    drop\n  }\n")
		}
		if len(in) > 0 {
			// After all that may be sent: jumps of outgoing packets come first.
			fmt.Fprintf(&chains, "  chain in_%d { # %s/%s\n", i, pod.Namespace, pod.Name)
			for _, p := range in {
				for _, r := range p.Spec.Ingress {
					if err := s.allow(&chains, p, "saddr", r.From, r.Ports, pod); err != nil {
						return "", err
					}
				}
			}
			chains.WriteString("    drop\n  }\n")
			fmt.Fprintf(&forward, "    ip daddr %s jump in_%d\n", pod.Status.PodIP, i)
		}
	}
	return fmt.Sprintf(`add table %[1]s
delete table %[1]s
table %[1]s {
%[2]s  chain forward {
    type filter hook forward priority filter; policy accept;
    ct state established,related accept
%[3]s  }
  chain input {
    type filter hook input priority filter; policy accept;
    ct state established,related accept
%[4]s  }
}
`, table, chains.String(), forward.String(), input.String()), nil
}

// sorted are the pods that have an address of their own, by name.
func (s state) sorted() []*corev1.Pod {
	pods := slices.DeleteFunc(slices.Clone(s.pods), func(p *corev1.Pod) bool {
		return p.Status.PodIP == "" || p.Spec.HostNetwork || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
	})
	slices.SortFunc(pods, func(a, b *corev1.Pod) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	return pods
}

// selecting are the policies that hold a pod to something in a direction.
func (s state) selecting(pod *corev1.Pod, direction networkingv1.PolicyType) (found []*networkingv1.NetworkPolicy) {
	for _, p := range s.policies {
		if p.Namespace == pod.Namespace && slices.Contains(p.Spec.PolicyTypes, direction) && matches(&p.Spec.PodSelector, pod.Labels) {
			found = append(found, p)
		}
	}
	slices.SortFunc(found, func(a, b *networkingv1.NetworkPolicy) int { return strings.Compare(a.Name, b.Name) })
	return found
}

// allow writes the rules for one entry of a policy: packets whose address
// (saddr or daddr) is one of the peers', to one of the ports. target is the
// pod whose ports may be named; nil for what is sent.
func (s state) allow(to *strings.Builder, p *networkingv1.NetworkPolicy, address string, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort, target *corev1.Pod) error {
	from := []string{""}
	if len(peers) > 0 {
		from = nil
		for _, peer := range peers {
			from = append(from, s.addresses(p.Namespace, address, peer)...)
		}
	}
	for _, source := range from {
		if len(ports) == 0 {
			fmt.Fprintf(to, "    %sreturn\n", source)
		}
		for _, port := range ports {
			match, err := portMatch(port, target)
			if err != nil {
				return fmt.Errorf("policy %s/%s: %w", p.Namespace, p.Name, err)
			}
			if match != "" {
				fmt.Fprintf(to, "    %s%s return\n", source, match)
			}
		}
	}
	return nil
}

// addresses are the matches for a peer, one at most; none when nothing is
// selected.
func (s state) addresses(namespace, address string, peer networkingv1.NetworkPolicyPeer) []string {
	if peer.IPBlock != nil {
		match := fmt.Sprintf("ip %s %s ", address, peer.IPBlock.CIDR)
		if len(peer.IPBlock.Except) > 0 {
			match += fmt.Sprintf("ip %s != { %s } ", address, strings.Join(peer.IPBlock.Except, ", "))
		}
		return []string{match}
	}
	var all []string
	for _, pod := range s.sorted() {
		if s.isPeer(namespace, peer, pod) {
			all = append(all, pod.Status.PodIP)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("ip %s { %s } ", address, strings.Join(all, ", "))}
}

func (s state) isPeer(namespace string, peer networkingv1.NetworkPolicyPeer, pod *corev1.Pod) bool {
	if peer.PodSelector != nil && !matches(peer.PodSelector, pod.Labels) {
		return false
	}
	if peer.NamespaceSelector == nil {
		return pod.Namespace == namespace
	}
	return slices.ContainsFunc(s.namespaces, func(n *corev1.Namespace) bool {
		return n.Name == pod.Namespace && matches(peer.NamespaceSelector, n.Labels)
	})
}

// portMatch is the match for a port; empty when the target has none of that
// name.
func portMatch(port networkingv1.NetworkPolicyPort, target *corev1.Pod) (string, error) {
	protocol := "tcp"
	if port.Protocol != nil {
		protocol = strings.ToLower(string(*port.Protocol))
	}
	switch {
	case port.Port == nil:
		return "meta l4proto " + protocol, nil
	case port.Port.Type == intstr.Int && port.EndPort != nil:
		return fmt.Sprintf("%s dport %d-%d", protocol, port.Port.IntVal, *port.EndPort), nil
	case port.Port.Type == intstr.Int:
		return fmt.Sprintf("%s dport %d", protocol, port.Port.IntVal), nil
	case target == nil:
		return "", fmt.Errorf("port %s: a named port of a peer is not supported here", port.Port.StrVal)
	}
	for _, container := range target.Spec.Containers {
		for _, p := range container.Ports {
			if p.Name == port.Port.StrVal {
				return fmt.Sprintf("%s dport %d", protocol, p.ContainerPort), nil
			}
		}
	}
	return "", nil
}

func matches(selector *metav1.LabelSelector, set map[string]string) bool {
	s, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && s.Matches(labels.Set(set)) // The API server admits no other.
}
