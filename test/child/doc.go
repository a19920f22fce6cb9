// Package child is for tests of what runs as processes of its own: how they are
// built, where they listen, when they are ready, what they log, that they end
// with their test, and whose a folder is; and the local Kubernetes API as such a process.
package child
