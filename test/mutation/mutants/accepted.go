package mutants

import (
	"bufio"
	"fmt"
	"os"
	"strings"
)

// because stands between a mutant's key and the reason for which it may survive.
const because = " because "

// Accepted reads the list of mutants that may survive: one a line, with the reason.
// Lines that begin with # are about what follows.
func Accepted(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all := map[string]string{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		i := strings.LastIndex(line, because)
		if i < 0 || line[i+len(because):] == "" {
			return nil, fmt.Errorf("%s gives no reason for %q: write KEY because REASON", path, line)
		}
		key := line[:i]
		if all[key] != "" {
			return nil, fmt.Errorf("%s names %q twice", path, key)
		}
		all[key] = line[i+len(because):]
	}
	return all, nil
}
