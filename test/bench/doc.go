// Package bench measures the function against the bare limit: what a plain
// Kubernetes client with the same bodies reaches on the same API server, in the
// same round. Every scenario is checked for right results before it counts.
package bench
