package verify

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"knative.dev/serving/pkg/networking"
)

// A flow is one that must be possible, or must not.
type flow struct {
	to   networkingv1.PolicyType
	pod  string
	peer string // A namespace, an address, or a pod of ours.
	port int32
	free bool
}

const (
	in  = networkingv1.PolicyTypeIngress
	out = networkingv1.PolicyTypeEgress
	// apiServer and internet are addresses that no pod has.
	apiServer = "10.0.0.1"
	internet  = "192.0.2.1"
)

// flows is who talks to whom. Where DataStorage is, "storage" stands.
var flows = []flow{
	{in, "onefire", "knative-serving", networking.BackendHTTPPort, true},
	{in, "onefire", "knative-serving", networking.BackendHTTP2Port, true},
	{in, "onefire", "knative-serving", networking.BackendHTTPSPort, true},
	{in, "onefire", "knative-serving", networking.AutoscalingQueueMetricsPort, true},
	{in, "onefire", "knative-serving", listen, false},
	{in, "onefire", "knative-eventing", networking.BackendHTTPPort, false},
	{in, "onefire", "onefire", networking.BackendHTTPPort, false},
	{in, "onefire", "tenant", networking.BackendHTTPPort, false},
	{in, "onefire", "tenant", listen, false},
	{in, "onefire", "monitoring", 9464, true},
	{in, "onefire", "monitoring", listen, false},
	{in, "onefire", "monitoring", networking.BackendHTTPPort, false},
	{in, "onefire", "knative-serving", 9464, false},
	{in, "onefire", "tenant", 9464, false},
	{out, "onefire", "kube-system", 53, true},
	{out, "onefire", apiServer, 443, true},
	{out, "onefire", apiServer, 6443, true},
	{out, "onefire", internet, 80, false},
	{out, "onefire", "storage", 8080, true},
	{out, "onefire", "tenant", 8080, false},

	{in, "onefire-source", "monitoring", listen, true},
	{in, "onefire-source", "monitoring", 9464, true},
	{in, "onefire-source", "tenant", listen, false},
	{out, "onefire-source", "kube-system", 53, true},
	{out, "onefire-source", "knative-eventing", 8080, true},
	{out, "onefire-source", "knative-eventing", 8443, true},
	{out, "onefire-source", "knative-eventing", 9092, false},
	{out, "onefire-source", apiServer, 6443, false},
	{out, "onefire-source", "storage", 8080, false},

	{in, "onefire-deadletters", "knative-eventing", listen, true},
	{in, "onefire-deadletters", "knative-eventing", 9464, false},
	{in, "onefire-deadletters", "monitoring", 9464, true},
	{in, "onefire-deadletters", "monitoring", listen, false},
	{in, "onefire-deadletters", "tenant", listen, false},
	{out, "onefire-deadletters", apiServer, 6443, true},
	{out, "onefire-deadletters", "storage", 8080, false},

	{in, "onefire-replay", "knative-eventing", listen, false},
	{out, "onefire-replay", "kube-system", 53, true},
	{out, "onefire-replay", apiServer, 6443, true},
	{out, "onefire-replay", "kourier-system", 8081, true},
	{out, "onefire-replay", "knative-serving", networking.BackendHTTPPort, true},
	{out, "onefire-replay", "tenant", 8080, false},

	{in, "onefire-prune", "monitoring", listen, false},
	{out, "onefire-prune", "kube-system", 53, true},
	{out, "onefire-prune", apiServer, 443, true},
	{out, "onefire-prune", apiServer, 6443, true},
	{out, "onefire-prune", internet, 80, false},
	{out, "onefire-prune", "storage", 8080, false},
	{out, "onefire-prune", "knative-serving", networking.BackendHTTPPort, false},

	// Where the component is chosen, and only then.
	{out, "onefire", "telemetry", 4318, true},
	{out, "onefire-source", "telemetry", 4318, true},
	{out, "onefire-deadletters", "telemetry", 4318, true},
	{out, "onefire-replay", "telemetry", 4318, false},
	{out, "onefire-prune", "telemetry", 4318, false},
	{out, "onefire", "telemetry", 4317, false},

	// Without Knative, and only then.
	{in, "onefire", "pod:onefire-source", listen, true},
	{in, "onefire", "pod:onefire-source", 9464, false},
	{in, "onefire", "pod:onefire-prune", listen, false},
	{out, "onefire-source", "pod:onefire", listen, true},
	{out, "onefire-source", "pod:onefire-prune", listen, false},

	// A pod that is none of ours gets nothing.
	{in, "stranger", "monitoring", listen, false},
	{out, "stranger", apiServer, 6443, false},
	{out, "stranger", "tenant", 80, false},
}

// networkProblems are flows that are not as they should be.
func networkProblems(all objects, v variant) []string {
	running, err := pods(all)
	if err != nil {
		return []string{err.Error()}
	}
	storage := v.storage
	if storage == "" {
		storage = "storage"
	}
	var found []string
	for _, f := range flows {
		switch f.peer {
		case "storage":
			f.peer = storage
			f.free = f.free && !v.has(unaudited)
		case "telemetry":
			f.free = f.free && v.has(otlp)
		}
		if strings.HasPrefix(f.peer, "knative-") {
			f.free = f.free && !v.has(unserved)
		} else if strings.HasPrefix(f.peer, "pod:") {
			f.free = f.free && v.has(unserved)
		}
		if _, there := running[f.pod]; !there && (f.pod == "onefire-prune" && v.unpruned || v.has(unserved) && f.pod != "stranger") {
			continue
		}
		free, err := allowed(every[*networkingv1.NetworkPolicy](all), running[f.pod], f)
		if err != nil {
			return append(found, err.Error())
		}
		if free != f.free {
			found = append(found, fmt.Sprintf("%s of %s with %s at port %d: allowed is %t", f.to, f.pod, f.peer, f.port, free))
		}
	}
	return found
}

// allowed is what Kubernetes says of policies: a pod that one selects may do
// what some rule of those that select it says.
func allowed(policies []*networkingv1.NetworkPolicy, p pod, f flow) (bool, error) {
	selected := false
	for _, policy := range policies {
		selector, err := metav1.LabelSelectorAsSelector(&policy.Spec.PodSelector)
		if err != nil {
			return false, fmt.Errorf("%s: %w", policy.Name, err)
		}
		if !selector.Matches(labels.Set(p.Labels)) || !slices.Contains(policy.Spec.PolicyTypes, f.to) {
			continue
		}
		selected = true
		for _, r := range rules(policy, f.to) {
			reached, err := r.reaches(p, f)
			if err != nil {
				return false, fmt.Errorf("%s: %w", policy.Name, err)
			}
			if reached {
				return true, nil
			}
		}
	}
	return !selected, nil
}

// A rule is one of ingress or egress: they differ only in a field's name.
type rule struct {
	ports []networkingv1.NetworkPolicyPort
	peers []networkingv1.NetworkPolicyPeer
}

func rules(policy *networkingv1.NetworkPolicy, to networkingv1.PolicyType) []rule {
	var found []rule
	if to == in {
		for _, r := range policy.Spec.Ingress {
			found = append(found, rule{r.Ports, r.From})
		}
		return found
	}
	for _, r := range policy.Spec.Egress {
		found = append(found, rule{r.Ports, r.To})
	}
	return found
}

func (r rule) reaches(p pod, f flow) (bool, error) {
	port := len(r.ports) == 0
	for _, candidate := range r.ports {
		if candidate.Protocol == nil || candidate.Port == nil || candidate.EndPort != nil {
			return false, fmt.Errorf("a port without a protocol or a number is more than this test knows")
		}
		number := candidate.Port.IntVal
		if candidate.Port.StrVal != "" {
			number = portOf(p.user, *candidate.Port)
		}
		port = port || *candidate.Protocol == corev1.ProtocolTCP && number == f.port
	}
	peer := len(r.peers) == 0
	for _, candidate := range r.peers {
		matches, err := isPeer(candidate, f.peer)
		if err != nil {
			return false, err
		}
		peer = peer || matches
	}
	return port && peer, nil
}

// isPeer tells whether a peer of a rule is that namespace or address.
func isPeer(candidate networkingv1.NetworkPolicyPeer, name string) (bool, error) {
	address, err := netip.ParseAddr(name)
	ours, isPod := strings.CutPrefix(name, "pod:")
	switch {
	case candidate.PodSelector != nil && candidate.NamespaceSelector == nil:
		selector, wrong := metav1.LabelSelectorAsSelector(candidate.PodSelector)
		return isPod && wrong == nil && selector.Matches(labels.Set{"app.kubernetes.io/name": ours}), wrong
	case isPod && candidate.PodSelector == nil:
		name = "onefire"
	}
	switch {
	case candidate.PodSelector != nil || candidate.IPBlock != nil && len(candidate.IPBlock.Except) > 0:
		return false, fmt.Errorf("pods and exceptions are more than this test knows")
	case candidate.IPBlock != nil:
		block, wrong := netip.ParsePrefix(candidate.IPBlock.CIDR)
		return err == nil && block.Contains(address), wrong
	case err == nil:
		return false, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(candidate.NamespaceSelector)
	return err == nil && selector.Matches(labels.Set{corev1.LabelMetadataName: name}), err
}
