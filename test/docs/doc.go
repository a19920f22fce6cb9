// Package docs holds what people read against the code: that the tables of
// docs/limits.md say what the limits.go files say, and that links, tests and
// make targets which a page names are there.
package docs
