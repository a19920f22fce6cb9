// Package alternatives holds Onefire's protocol against what is usually written
// in its place, on the same API server and in the same schedules: a check and a
// create with generateName, with and without a cache, no check at all, and
// names that follow from the fingerprint. docs/evidence.md is about it.
package alternatives
