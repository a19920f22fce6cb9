package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// finding is a vulnerability that a module calls.
type finding struct {
	// The field What is the vulnerable module with its version, and the function
	// called.
	What string
	// Fixed is the first version without it, empty where there is none.
	Fixed string
}

// read reads what govulncheck writes with -format json. It returns, by ID, the
// vulnerabilities of which a function is called: the others are of packages
// that are imported, or modules that are needed, and harm nobody.
func read(r io.Reader) (map[string]finding, error) {
	found, decoder := map[string]finding{}, json.NewDecoder(r)
	for {
		var message struct {
			Finding *struct {
				OSV          string `json:"osv"`
				FixedVersion string `json:"fixed_version"`
				Trace        []struct{ Module, Version, Package, Function string }
			}
		}
		err := decoder.Decode(&message)
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading what govulncheck wrote: %w", err)
		}
		f := message.Finding
		if f == nil || len(f.Trace) == 0 || f.Trace[0].Function == "" {
			continue
		}
		if _, known := found[f.OSV]; !known {
			called := f.Trace[0]
			found[f.OSV] = finding{
				What:  fmt.Sprintf("%s %s (%s.%s)", called.Module, called.Version, called.Package, called.Function),
				Fixed: f.FixedVersion,
			}
		}
	}
}

// parse reads the list of reasons: a line each, with the module's folder, the
// ID and the reason. It returns module → ID → reason. Empty lines and those
// that begin with # say nothing.
func parse(text string) (map[string]map[string]string, error) {
	reasons := map[string]map[string]string{}
	for number, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 3 || !strings.HasPrefix(fields[1], "GO-") {
			return nil, fmt.Errorf("line %d is not a module's folder, an ID such as GO-2026-1234, and a reason: %q", number+1, line)
		}
		module, id := fields[0], fields[1]
		if reasons[module] == nil {
			reasons[module] = map[string]string{}
		}
		if reasons[module][id] != "" {
			return nil, fmt.Errorf("line %d: %s has a reason for %s already", number+1, module, id)
		}
		reasons[module][id] = strings.Join(fields[2:], " ")
	}
	return reasons, nil
}

// report writes what was found in a module, and says whether all of it has a
// reason. A reason for something that is not found any more is told, and no
// failure: the database may have taken it back for a while.
func report(out io.Writer, module string, found map[string]finding, reasons map[string]string) bool {
	good := true
	for _, id := range slices.Sorted(maps.Keys(found)) {
		f := found[id]
		if reason := reasons[id]; reason != "" {
			fmt.Fprintf(out, "%s: %s is accepted: %s\n", module, id, reason)
			continue
		}
		good = false
		fixed := "no version fixes it"
		if f.Fixed != "" {
			fixed = "fixed in " + f.Fixed
		}
		fmt.Fprintf(out, "%s: %s in %s; %s; see https://pkg.go.dev/vuln/%s\n", module, id, f.What, fixed, id)
	}
	for _, id := range slices.Sorted(maps.Keys(reasons)) {
		if _, ok := found[id]; !ok {
			fmt.Fprintf(out, "%s: %s is not found any more: remove its reason\n", module, id)
		}
	}
	if len(found) == 0 {
		fmt.Fprintf(out, "%s: no vulnerabilities found\n", module)
	}
	return good
}
