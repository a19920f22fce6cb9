// Package images makes OCI images of commands, without Docker.
//
// ko builds the binary, its image and its SBOM. The base is made here, of what a
// static binary needs and no more: the root certificates, and names for the user
// it runs as. So a build needs nothing but Go and the module proxy.
//
// The same source, Go version and commit make the same image, bit by bit,
// wherever the source lies and whoever builds: nothing of the machine, no path
// and no time goes into it, other than the commit's.
package images
