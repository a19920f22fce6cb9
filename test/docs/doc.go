// Package docs checks what people read against the code: the limits that
// docs/reference.md names, the table of stock rules, and the links, tests and
// make targets which a page names.
package docs
