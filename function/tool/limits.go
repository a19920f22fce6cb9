package tool

import "time"

const (
	// maxInput bounds a file, in bytes: a webhook may have 2 MiB.
	maxInput = 16 << 20
	// lookTimeout bounds each look at the cluster.
	lookTimeout = 10 * time.Second
)
