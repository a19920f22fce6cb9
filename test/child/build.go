package child

import (
	"fmt"
	"os/exec"
)

// Build builds a binary with the go command, in the folder of a module. more are
// flags of `go build` and then the package. The error has what it said.
func Build(module, binary string, more ...string) error {
	build := exec.Command("go", append([]string{"build", "-o", binary}, more...)...) //nolint:noctx // A build takes as long as it takes.
	build.Dir = module
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", build.Args, err, text)
	}
	return nil
}
