package node

import "time"

const (
	// startWait is how long etcd, the API server and containerd each may take
	// to answer: the API server needs 9 s here with both cores free.
	startWait = 90 * time.Second
	// pollEvery is how often something that starts or ends is looked at.
	pollEvery = 50 * time.Millisecond
	// restartPause is the time before a process that ended by itself is
	// started again.
	restartPause = time.Second
	// stopWait is how long a process has after SIGTERM before SIGKILL.
	stopWait = 5 * time.Second
	// endWait is how long the kernel may take to end the processes of the
	// namespace, and to let its cgroups be removed.
	endWait = 20 * time.Second
	// podsMax is the most pods on the node; kubelet's own default is 110.
	podsMax = 200
	// tokenBytes is the length of the bearer tokens: 128 bits.
	tokenBytes = 16
	// certificateLife is how long the cluster's certificates are good.
	certificateLife = 24 * time.Hour
)
