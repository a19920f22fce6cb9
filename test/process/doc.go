// Package process is for tests of what runs as processes of its own: addresses
// that nobody else takes, logs that are read while they are written, and the
// local Kubernetes API.
package process
