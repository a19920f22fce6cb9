package node

// Addresses of the cluster. They exist only inside its network namespace, so
// they collide with nothing outside.
const (
	// Address is the node's own.
	Address = "10.10.0.1"
	// podCIDR is what pods get their addresses from.
	podCIDR = "10.244.0.0/16"
	// serviceCIDR is what Services get their addresses from.
	serviceCIDR = "10.96.0.0/16"
	// DNSAddress is the cluster's name server.
	DNSAddress = "10.96.0.10"
	// apiPort is the API server's port on the node's address.
	apiPort = "6443"
	// Name is the node's, and of everything that belongs to the cluster.
	Name = "onefire-cluster"
	// runDir is the folder for sockets, on a tmpfs of the mount namespace.
	runDir = "/run/onefire-cluster"
	// ContainerdSocket is where containerd answers.
	ContainerdSocket = runDir + "/containerd.sock"
	// cadvisorSocket is where the kubelet's cAdvisor looks for containerd, which
	// names containers to it; that cannot be configured.
	cadvisorSocket = "/run/containerd/containerd.sock"
	// Registry is where the tests may serve images, without TLS.
	Registry = Address + ":5000"
	// PauseImage holds a pod's namespaces open.
	PauseImage = "dev.local/pause:dev"
)
