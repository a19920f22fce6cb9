// Package funccli builds Knative's func CLI, and tests that it runs and builds
// the function. It is a module of its own: the CLI brings a thousand packages
// that nothing else here needs.
package funccli
