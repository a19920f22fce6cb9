// Package prune deletes what is old: RemediationRequests that ended, and dead
// letters that nobody replayed. It is what `onefire prune` runs.
//
// It is safe beside running functions, replays and other runs of itself. Each
// delete names the revision that was read, so whatever changed meanwhile stays.
// dedup decides which requests may go, and why no handler minds: see dedup.Past.
//
// It reads in pages and holds one at a time. Its calls are bounded in rate, each
// has a deadline, and the whole run has one. A run that ends early harms nothing:
// the next one goes on.
package prune
