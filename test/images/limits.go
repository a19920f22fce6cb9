package images

import "time"

// Platforms are those that images are published for.
var Platforms = []string{"linux/amd64", "linux/arm64"}

const (
	// BuildTimeout bounds building and pushing. A cold build of all dependencies
	// takes two minutes on two cores for each platform; a slow machine and a
	// slow registry may take some times that.
	BuildTimeout = 30 * time.Minute
	// jobs is how many platforms are built at once: each go build fills the cores.
	jobs = 1
)
