// Package conformance holds Onefire against two public contracts: CloudEvents
// over HTTP, and the data plane of Knative Eventing. Each rule is a row of a
// table with its check; README.md is written from the same table
// (`go test ./conformance -update`).
package conformance
