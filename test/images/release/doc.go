// Package release makes the files of a release: the images of all commands for both
// processors as OCI archives, the CLI for Linux and macOS, the Helm chart, one manifest
// for each way to install, SBOMs, notes and checksums.
//
// A manifest and the chart name images by the digests of the archives that lie beside
// them. The same commit, Go version, version and repository make the same files, bit by
// bit.
package release
