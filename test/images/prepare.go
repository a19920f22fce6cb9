package images

import (
	"fmt"
	"io"
	"log"
	"os"
)

// Prepare readies this process for ko: a command that makes images calls it first.
func Prepare() error {
	// ko logs what it thinks of the state of git. Its errors come back.
	log.SetOutput(io.Discard)
	// ko would let these win over the platform that it builds for.
	for _, name := range []string{"GOOS", "GOARCH"} {
		if err := os.Unsetenv(name); err != nil {
			return fmt.Errorf("unsetting %s: %w", name, err)
		}
	}
	return nil
}
