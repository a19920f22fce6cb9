package images

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// Files are what [Platform.Files] reads of an image.
type Files struct {
	// Program is the static binary.
	Program []byte
	// Licence is ours, and Notices are those of what is linked in.
	Licence, Notices []byte
}

// Files reads the command with a name out of a platform's image: where no container
// runs, people run the same binary.
func (p Platform) Files(name string) (Files, error) {
	var f Files
	wanted := map[string]*[]byte{"ko-app/" + name: &f.Program, "licenses/LICENSE": &f.Licence, notices: &f.Notices}
	content := mutate.Extract(p.Image)
	defer content.Close()
	for r := tar.NewReader(content); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return f, fmt.Errorf("reading the image of %s for %s: %w", name, p.Platform, err)
		}
		into := wanted[strings.TrimPrefix(h.Name, "/")]
		if into == nil || h.Typeflag != tar.TypeReg {
			continue
		}
		if *into, err = io.ReadAll(r); err != nil {
			return f, fmt.Errorf("reading %s of %s for %s: %w", h.Name, name, p.Platform, err)
		}
	}
	for file, data := range wanted {
		if len(*data) == 0 {
			return f, fmt.Errorf("the image of %s for %s has no %s", name, p.Platform, file)
		}
	}
	return f, nil
}
